"""What a saved report shows, told as SOQL: its rows, its columns, and what of it cannot be told.

A report's own words are translated where they mean the same in SOQL. What does not is left out of the filter,
never guessed, so that the rows found are too many and not too few; and it is said.
Source: Reports and Dashboards REST API Developer Guide, "Describe" (reportMetadata) and "Report Filter
Operators".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from blocks.errors import LeakResponseError
from blocks.salesforce.soql import parse
from tasks.scope.queries import Asked, digest, understand, whole_object
from tasks.scope.report_filters import Day, condition, dates
from tasks.scope.rerun import Zone
from tasks.scope.shape import FieldShape, ObjectShape, OrgShape

# Report types whose rows are the records of one object. Salesforce publishes no list of the standard types'
# names: these are the ones that public report metadata use. Any other type widens.
TYPES: Mapping[str, str] = {
    "accountlist": "Account",
    "contactlist": "Contact",
    "leadlist": "Lead",
    "caselist": "Case",
    "opportunity": "Opportunity",
    "opportunityproduct": "OpportunityLineItem",
    "contractlist": "Contract",
    "casecomments": "CaseComment",
    "user": "User",
}
_CUSTOM = "customentity$"
_TOKEN = re.compile(r"\s*(\d+|AND\b|OR\b|NOT\b|\(|\))", re.IGNORECASE)
_EVERYBODY = frozenset({"", "organization", "org", "everything"})


def objects_of(metadata: Mapping[str, Any], shape: OrgShape) -> tuple[str, ...]:
    """The objects whose records are the report's rows; several where it joins them; none when unknown."""
    kind = str((metadata.get("reportType") or {}).get("type") or "")
    named = TYPES.get(kind.casefold(), "")
    if kind.casefold().startswith(_CUSTOM):
        named = kind[len(_CUSTOM) :]
    for name in (named, kind):
        root = shape.get(name) if name and "$" not in name else None
        if root is not None:
            return (root.name,)
    # A custom report type says in its columns what it joins: Account$Name, Account.Contacts$Email.
    found = {
        _end(column.partition("$")[0].split("."), shape) for column in _columns(metadata) if "$" in column
    }
    return tuple(sorted(name for name in found if name))


def _end(path: Sequence[str], shape: OrgShape) -> str:
    """The object at the end of a custom report type's path: an object, then child relationships."""
    current = shape.get(path[0])
    for step in path[1:]:
        child = current.children.get(step.casefold()) if current else None
        lookup = current.parent(step) if current else None
        name = child[0] if child else lookup.reference_to[0] if lookup and lookup.reference_to else ""
        current = shape.get(name) if name else None
    return current.name if current else ""


def asked_by_report(
    report: str,
    metadata: Mapping[str, Any],
    shape: OrgShape,
    *,
    user: str,
    zone: Zone,
    most: int | None,
    hints: Sequence[str] = (),
) -> tuple[Asked, ...]:
    """The queries that a run of this report amounts to.

    `user` ran it and `zone` is how they read dates; `most` rows are shown, all when None; `hints` are objects
    that a log names for it. More than one query stands for a join, of which every record is assumed.
    """
    objects = objects_of(metadata, shape)
    root = shape.get(objects[0]) if len(objects) == 1 else None
    if root is None or str(metadata.get("reportFormat") or "").upper() == "MULTI_BLOCK":
        kind = str((metadata.get("reportType") or {}).get("type") or "unknown")
        return whole(report, f"its type {kind} joins objects or is not known", objects or hints, shape)
    doubts: list[str] = []
    where = _where(metadata, root, shape, user, zone, doubts)
    paths, strange = _shown(metadata, root, shape)
    limit = _limit(metadata, most)
    text = f"SELECT {', '.join(paths)} FROM {root.name}"  # noqa: S608 - SOQL, parsed below
    text += f" WHERE {where}" if where else ""
    text += f" LIMIT {limit}" if limit else ""
    asked = understand(text, shape)
    if strange:
        why = f"columns {', '.join(strange)} are not known: every field, and the records that rows belong to"
        doubts.append(why)
        asked = replace(whole_object(root.name, why, shape), filters=asked.filters, query=asked.query)
    told = "; ".join(filter(None, (*doubts, asked.widened if not strange else "")))
    widened = f"report {report}: {told}" if told else ""
    return (replace(asked, digest=digest(f"report {report} {text}"), widened=widened),)


def whole(report: str, why: str, objects: Sequence[str], shape: OrgShape) -> tuple[Asked, ...]:
    """All of these objects, since what the report showed of them is not known."""
    known = [name for name in objects if shape.get(name) is not None] or [""]
    reason = f"report {report}: {why}"
    return tuple(whole_object(name, reason, shape, digest(f"{reason} {name}")) for name in known)


# --- columns -------------------------------------------------------------------------------------


def _columns(metadata: Mapping[str, Any]) -> Iterator[str]:
    yield from (str(name) for name in metadata.get("detailColumns") or ())
    for where in ("groupingsDown", "groupingsAcross"):
        yield from (str(one["name"]) for one in metadata.get(where) or () if one.get("name"))


def _shown(metadata: Mapping[str, Any], root: ObjectShape, shape: OrgShape) -> tuple[list[str], list[str]]:
    """Field paths that the report shows, and columns that name no field known here."""
    paths: dict[str, None] = {"Id": None}
    strange = []
    for name in _columns(metadata):
        found = field_at(name, root, shape)
        if found is None:
            strange.append(name)
        else:
            paths[found[0]] = None
    return list(paths), strange


def field_at(column: str, root: ObjectShape, shape: OrgShape) -> tuple[str, FieldShape] | None:
    """The path and field that a report's column means: Contact.Email, Email, ACCOUNT.NAME, FIRST_NAME."""
    steps = [step for step in re.split(r"[.$]", column) if step]
    if len(steps) > 1 and steps[0].casefold() == root.name.casefold():
        steps = steps[1:]
    path: list[str] = []
    current: ObjectShape | None = root
    for step in steps[:-1]:
        lookup = _lookup(step, current) if current else None
        if lookup is None or lookup.relationship is None or len(lookup.reference_to) != 1:
            return None
        path.append(lookup.relationship)
        current = shape.get(lookup.reference_to[0])
    field = _named(steps[-1], current) if current and steps else None
    return (".".join((*path, field.name)), field) if field else None


def _lookup(step: str, at: ObjectShape) -> FieldShape | None:
    """The lookup that a step names, by its relationship or by its field."""
    found = at.parent(step) or at.field(step)
    return found if found is not None and found.reference_to else None


def _named(name: str, at: ObjectShape) -> FieldShape | None:
    if (field := at.field(name)) is not None:
        return field
    plain = name.upper().removeprefix("CUST_").replace("DATEONLY", "DATE").replace("_", "")
    return next((f for f in at.fields if not f.custom and f.name.upper() == plain), None)


# --- rows ----------------------------------------------------------------------------------------


def _where(
    metadata: Mapping[str, Any],
    root: ObjectShape,
    shape: OrgShape,
    user: str,
    zone: Zone,
    doubts: list[str],
) -> str:
    """The report's filters as one condition; what cannot be told is left out and becomes a doubt."""
    filters = [dict(one) for one in metadata.get("reportFilters") or ()]
    parts = [_one(one, root, shape, zone) for one in filters]
    for one, part in zip(filters, parts, strict=True):
        if part is None:
            doubts.append(f"its filter on {one.get('column')} cannot be told in SOQL; read without it")
    told = []
    logic = str(metadata.get("reportBooleanFilter") or "")
    if logic and None not in parts:
        joined = _logic(logic, [part or "" for part in parts])
        if joined is None:
            doubts.append("its filter logic cannot be read; read without filters")
        else:
            told.append(joined)
    elif not logic:
        told += [part for part in parts if part is not None]
    if metadata.get("crossFilters"):
        doubts.append("its cross filters cannot be told in SOQL; read without them")
    told += _standard_date(metadata, root, shape, zone, doubts)
    told += _scope(metadata, root, user, doubts)
    return " AND ".join(f"({part})" for part in told)


def _one(one: Mapping[str, Any], root: ObjectShape, shape: OrgShape, zone: Zone) -> str | None:
    found = field_at(str(one.get("column") or ""), root, shape)
    if found is None or str(one.get("filterType") or "fieldValue") != "fieldValue":
        return None
    return condition(found[0], found[1], str(one.get("operator") or ""), str(one.get("value") or ""), zone)


def _logic(logic: str, parts: Sequence[str]) -> str | None:
    """`1 AND (2 OR 3)` with the conditions in place of their numbers; None when it makes no sense."""
    out, place = [], 0
    while place < len(logic.rstrip()):
        token = _TOKEN.match(logic, place)
        if token is None:
            return None
        place, word = token.end(), token[1]
        if word.isdigit():
            if not 1 <= int(word) <= len(parts):
                return None
            word = f"({parts[int(word) - 1]})"
        out.append(word)
    text = " ".join(out)
    try:
        parse(f"SELECT Id FROM X WHERE {text}")  # noqa: S608 - SOQL, only parsed
    except LeakResponseError:
        return None
    return text


def _standard_date(
    metadata: Mapping[str, Any], root: ObjectShape, shape: OrgShape, zone: Zone, doubts: list[str]
) -> list[str]:
    given = metadata.get("standardDateFilter") or {}
    duration = str(given.get("durationValue") or "CUSTOM")
    start, end = (_day(given.get(name)) for name in ("startDate", "endDate"))
    if duration.upper() == "CUSTOM" and not (given.get("startDate") or given.get("endDate")):
        return []
    found = field_at(str(given.get("column") or ""), root, shape)
    part = None
    if found is not None and duration.upper() != "CUSTOM":
        part = condition(found[0], found[1], "equals", duration, zone)
    elif found is not None and (start or end):
        part = dates(found[0], found[1], Day(start, end), zone)
    if part is None:
        doubts.append(f"its date range on {given.get('column')} cannot be told in SOQL; read without it")
        return []
    return [part]


def _day(text: Any) -> date | None:
    try:
        return date.fromisoformat(str(text)[:10]) if text else None
    except ValueError:
        return None


def _scope(metadata: Mapping[str, Any], root: ObjectShape, user: str, doubts: list[str]) -> list[str]:
    scope = str(metadata.get("scope") or "").casefold()
    if scope in _EVERYBODY:
        return []
    if scope == "user" and user and root.field("OwnerId") is not None:
        return [f"OwnerId = '{user}'"]
    doubts.append(f"whose records it shows ({scope}) depends on who asks; read without it")
    return []


def _limit(metadata: Mapping[str, Any], most: int | None) -> int | None:
    top = (metadata.get("topRows") or {}).get("rowLimit")
    limits = [int(one) for one in (top, most) if one]
    return min(limits) if limits else None
