"""Which records a re-run's rows show: the rows themselves, their parents and their children, each as sure as
what is known of it; and how many may have been shown that nothing names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from blocks.salesforce.soql import Query
from blocks.salesforce.soql.ast import FieldRef
from blocks.salesforce.soql.pin import created_before
from tasks.scope.fetch import fetch
from tasks.scope.judge import Judged, Run, when
from tasks.scope.links import Links, changed_since
from tasks.scope.matching import Ask
from tasks.scope.queries import Asked, Returned
from tasks.scope.reader import Reader, value_at


@dataclass(frozen=True, slots=True)
class Reading:
    """What a re-run gave: the rows, why they may differ from those of then, and the queries for children."""

    rows: pd.DataFrame
    doubts: list[str]
    children: Mapping[tuple[str, ...], ChildQuery]
    all_rows: bool


@dataclass(frozen=True, slots=True)
class ChildQuery:
    """A child query as it was: its limit, whether its order tells which rows that kept, and whether it was
    read again without its filter."""

    limit: int | None
    ordered: bool
    unfiltered: bool


def unnamed(
    reader: Reader,
    asked: Asked,
    asks: Sequence[Ask],
    rows: pd.DataFrame,
    records: pd.DataFrame,
    until: datetime,
) -> Iterator[Run]:
    """Records that may have been shown and that nothing names: former parents of rows that changed since, and
    children that belong to other rows now. They count for the upper bound."""
    first = asks[0]
    for returned in asked.returned:
        name = returned.objects[0] if len(returned.objects) == 1 else ""
        if returned.path and not returned.children:
            count = int(_led_elsewhere(returned, rows).sum())
            note = f"{count} rows changed since: whose they were then cannot be told"
        elif returned.children and not returned.path and name:
            since = min(ask.at for ask in asks)
            mine = records.loc[records["object"] == name, "record_id"].nunique()
            count = (
                _changed(reader, name, since, until, set(records["record_id"])) if mine or len(rows) else 0
            )
            note = f"{count} other {name} records changed since: whose they were then cannot be told"
        else:
            continue
        if count:
            key = f"{asked.digest} {'.'.join((*returned.children, *returned.path))}"
            yield Run(key, name, first.at, first.credential, first.source, count, 0, False, 0, note)


def _changed(reader: Reader, name: str, since: datetime, until: datetime, known: set[str]) -> int:
    """How many records of this object, other than `known`, are older than `until` and changed since."""
    shape = reader.shape.get(name)
    if shape is None or shape.field("SystemModstamp") is None:
        return 0
    query = Query((FieldRef(("Id",)),), shape.name, where=changed_since(Links(), since))
    if shape.field("CreatedDate") is not None:
        query = created_before(query, until)
    return len(set(fetch(reader, query)["Id"]) - known)


RECORD_COLUMNS = ("object", "record_id", "fields", "at", "certain", "changed")


def no_records() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype="object") for name in RECORD_COLUMNS})


def records_of(reader: Reader, asked: Asked, judged: Judged, read: Reading) -> pd.DataFrame:
    """One line for each record that was shown: the rows themselves, their parents and their children."""
    frames = []
    for returned in asked.returned:
        if returned.children:
            frames.append(_children(reader, returned, judged.rows, read))
        else:
            name = ".".join((*returned.path, "Id"))
            frames.append(_lines(reader, returned, judged.rows, judged.rows[name]))
    whole = [frame for frame in frames if len(frame)]
    return pd.concat(whole, ignore_index=True) if whole else no_records()


def _lines(reader: Reader, returned: Returned, rows: pd.DataFrame, ids: pd.Series[str]) -> pd.DataFrame:
    shown = rows.assign(record_id=ids)
    shown = shown[shown["record_id"] != ""]
    objects = (
        pd.Series(returned.objects[0], index=shown.index)
        if len(returned.objects) == 1
        else shown["record_id"].map(reader.object_of)
    )
    lines = pd.DataFrame(
        {
            "object": objects,
            "record_id": shown["record_id"],
            "fields": ",".join(returned.fields),
            "at": shown["at"],
            "certain": shown["certain"],
            "changed": shown["changed"],
        }
    )
    if not returned.path:
        return lines
    gone = deleted_path(reader, returned)
    if gone in rows:  # a parent that is deleted now may have been so then, and is then not shown
        lines["certain"] &= shown[gone].str.casefold() != "true"
    lines["certain"] &= ~_led_elsewhere(returned, shown)
    lines = lines.sort_values("at", kind="stable")
    return lines.groupby(["object", "record_id", "fields"], as_index=False).agg(
        {"at": "min", "certain": "any", "changed": "any"}
    )


def _led_elsewhere(returned: Returned, rows: pd.DataFrame) -> pd.Series[bool]:
    """Rows that may have belonged to another parent then: they changed since, or a parent on the way did."""
    moved = rows["changed"].astype(bool)
    for place in range(1, len(returned.path)):
        name = ".".join((*returned.path[:place], "SystemModstamp"))
        if name in rows:
            moved |= when(rows, name) > rows["at"]
    return moved


def _children(reader: Reader, returned: Returned, rows: pd.DataFrame, read: Reading) -> pd.DataFrame:
    """The children of each row, judged by when they came, changed and went, as the row itself was."""
    found: list[dict[str, Any]] = []
    path = ".".join((*returned.path, "Id"))
    inner = [read.children[returned.children[:n]] for n in range(1, len(returned.children) + 1)]
    loose = any(i.unfiltered for i in inner) or any(i.limit is not None for i in inner[:-1])
    columns = ["children", "at", "certain", "changed"]
    for record, at, certain, row_changed in rows[columns].itertuples(index=False):
        there = _there(_nested([record], returned.children), at, all_rows=read.all_rows)
        limit, cut = inner[-1].limit, False
        if limit is not None and limit < len(there):
            still = not loose and not any(changed for _, changed in there)
            cut = not (inner[-1].ordered and still and len(inner) == 1)
            there = there if cut else there[:limit]
        for child, moved in there:
            value = value_at(child, path)
            if not value:
                continue
            name = returned.objects[0] if len(returned.objects) == 1 else reader.object_of(str(value))
            found.append(
                {
                    "object": name,
                    "record_id": str(value),
                    "fields": ",".join(returned.fields),
                    "at": at,
                    "certain": bool(certain) and not (moved or loose or cut),
                    "changed": bool(row_changed) or moved,
                }
            )
    return pd.DataFrame(found) if found else no_records()


def _there(
    children: Sequence[Mapping[str, Any]], at: datetime, *, all_rows: bool
) -> list[tuple[Mapping[str, Any], bool]]:
    """The children that were there at that time, each with whether it changed, moved or went since."""
    found = []
    for child in children:
        made, changed, deleted = _times(child)
        gone = deleted and not (changed and changed > at)
        if (made and made > at) or (gone and not all_rows):
            continue
        found.append((child, bool(changed is None or changed > at or gone)))
    return found


def _times(record: Mapping[str, Any]) -> tuple[datetime | None, datetime | None, bool]:
    """When a record was made and last changed, and whether it is deleted now."""
    made, changed = (value_at(record, name) for name in ("CreatedDate", "SystemModstamp"))
    deleted = str(value_at(record, "IsDeleted") or "").casefold() == "true"
    return _instant(made), _instant(changed), deleted


def _instant(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None


def _nested(records: Sequence[Mapping[str, Any]], relationships: Sequence[str]) -> list[Mapping[str, Any]]:
    current: list[Mapping[str, Any]] = list(records)
    for name in relationships:
        inner = [value_at(record, name) for record in current]
        current = [child for answer in inner if answer for child in answer.get("records", ())]
    return current


def deleted_path(reader: Reader, returned: Returned) -> str:
    """The path that tells whether a parent is deleted; "" where its kind does not tell."""
    shape = reader.shape.get(returned.objects[0]) if len(returned.objects) == 1 else None
    known = shape is not None and shape.field("IsDeleted") is not None
    return ".".join((*returned.path, "IsDeleted")) if known else ""
