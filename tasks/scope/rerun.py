"""Run a logged query again, safely, to learn which records it returned: ids only, pinned to its moment.

Side effects are stripped, dates are pinned, deleted rows are included and then judged by when they were
deleted. A query that ran a thousand times is read once, and each run is judged by its own time.
What cannot be known is widened and said: LIMIT without a stable order, records changed since, filters that
look at other records.

Source: SOQL reference, and the re-run rules that follow from it (sharing differs by user, so a re-run by the
responder is an upper bound).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pandas as pd

from blocks.errors import LeakResponseError
from blocks.salesforce.soql import Query, render
from blocks.salesforce.soql.ast import (
    Comparison,
    DateLiteral,
    DateTime,
    FieldRef,
    Function,
    List,
    Op,
    SelectItem,
    SubQuery,
    leaves,
)
from blocks.salesforce.soql.pin import created_before, pin, unlimited
from tasks.scope.judge import VOLATILE, Judged, Run, judge, mutable_filter, unknown_run
from tasks.scope.matching import Ask
from tasks.scope.queries import Asked, Returned
from tasks.scope.reader import BULK_FROM, Reader, flat, value_at
from tasks.scope.shape import ObjectShape

JUDGED = ("CreatedDate", "SystemModstamp", "IsDeleted")


@dataclass(frozen=True, slots=True)
class Zone:
    """How the user who asked reads a date; without a name nobody knows."""

    name: str = "UTC"
    fiscal_year_start_month: int = 1


@dataclass(slots=True)
class Found:
    """The records of one group of identical queries.

    `records`: object, record_id, fields, at (first time), certain, changed. `runs`: one for each time it ran.
    """

    records: pd.DataFrame
    runs: list[Run] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def rerun(
    reader: Reader, asked: Asked, asks: Sequence[Ask], zones: Mapping[str, Zone], until: datetime
) -> Found:
    """The records that these runs of one query returned. `asks` must not be empty, and all be of `asked`.

    `until` is the last moment of any run: rows made later are not read, and equal reads are made once.
    """
    shape = reader.shape.get(asked.object) if asked.object else None
    if asked.aggregate or shape is None or not asked.returned:
        note = "aggregate only" if asked.aggregate else asked.widened or "no record returned"
        runs = [unknown_run(ask, note, asked.aggregate) for ask in asks]
        return Found(_no_records(), runs, () if asked.aggregate else (note,))
    parts = _same_meaning(reader, asked, asks, zones)
    found = [_one(reader, asked, shape, part, query, until) for query, part in parts]
    records = pd.concat([f.records for f in found], ignore_index=True)
    runs = [run for f in found for run in f.runs]
    return Found(records, runs, tuple(dict.fromkeys(note for f in found for note in f.notes)))


def _same_meaning(
    reader: Reader, asked: Asked, asks: Sequence[Ask], zones: Mapping[str, Zone]
) -> list[tuple[Query, list[Ask]]]:
    """The pinned query and the runs that meant just that: TODAY is another day tomorrow, and elsewhere."""
    query = asked.query if asked.query is not None else Query((), asked.object)
    if not has_dates(query):
        return [(_pinned(reader, query, asks[0], Zone()), list(asks))]
    parts: dict[str, tuple[Query, list[Ask]]] = {}
    for ask in asks:
        zone = zones.get(ask.user, Zone())
        # A day in an unknown zone may begin half a day sooner or later: read without the condition.
        pinned = _pinned(reader, query, ask, zone) if zone.name else replace(query, where=None)
        parts.setdefault(render(pinned), (pinned, []))[1].append(ask)
    return list(parts.values())


def _pinned(reader: Reader, query: Query, ask: Ask, zone: Zone) -> Query:
    return pin(
        query,
        ask.at,
        zone.name,
        fiscal_year_start_month=zone.fiscal_year_start_month,
        is_date=lambda name, path: _is_date(reader, name, path),
    )


def _one(
    reader: Reader,
    asked: Asked,
    shape: ObjectShape,
    asks: Sequence[Ask],
    query: Query,
    until: datetime,
) -> Found:
    try:
        rows, doubts = _read(reader, asked, shape, asks, query, until)
    except LeakResponseError as error:
        note = f"could not be run again: {error.problem}"
        return Found(_no_records(), [unknown_run(ask, note) for ask in asks], (note,))
    judged = judge(rows, asked, asks, doubts)
    records = _records(reader, asked, judged, all_rows=any(ask.all_rows for ask in asks))
    notes = tuple(filter(None, (asked.widened, *doubts)))
    return Found(records, judged.runs, notes)


# --- reading -------------------------------------------------------------------------------------


def _read(
    reader: Reader,
    asked: Asked,
    shape: ObjectShape,
    asks: Sequence[Ask],
    query: Query,
    until: datetime,
) -> tuple[pd.DataFrame, list[str]]:
    """All rows the runs could have returned, in the query's order where it has a limit; and doubts.

    `matched` is False for rows that do not match the filter now but have changed since, and so may have then.
    """
    first = min(ask.at for ask in asks)
    doubts = [*_filter_doubts(query, asked), *reader.doubts(query)]
    if query.where is None and asked.query is not None and asked.query.where is not None:
        doubts.append("the user's time zone is not known, so its dates cannot be told; read without filter")
    query = replace(query, scope=None)
    if any(name.rpartition(".")[2].casefold() in VOLATILE for name in asked.filters):
        query = replace(query, where=None)
    ordered = query.order_by if query.limit is not None else ()
    query = replace(unlimited(query), order_by=ordered)
    if shape.field("CreatedDate") is not None:
        query = created_before(query, until)
    query = replace(query, fields=_id_items(reader, query, asked, shape))
    rows = _fetch(reader, query).assign(matched=True)
    if query.where is None or not mutable_filter(asked) or shape.field("SystemModstamp") is None:
        return rows, doubts
    since = Comparison(FieldRef(("SystemModstamp",)), Op.GT, DateTime(first))
    changed = replace(query, where=since, order_by=())
    if shape.field("CreatedDate") is not None:
        changed = created_before(changed, until)
    others = _fetch(reader, changed).assign(matched=False)
    others = others[~others["Id"].isin(rows["Id"])]
    return pd.concat([rows, others], ignore_index=True), doubts


def _id_items(reader: Reader, query: Query, asked: Asked, shape: ObjectShape) -> tuple[SelectItem, ...]:
    """Ids of the row, of each parent and child that the query shows, and what tells when the row was
    there."""
    names = ["Id", *(name for name in JUDGED if shape.field(name) is not None)]
    for returned in asked.returned:
        if returned.path and not returned.children:
            names.append(".".join((*returned.path, "Id")))
            names += [gone] if (gone := _gone(reader, returned)) else []
    items: list[SelectItem] = [FieldRef(tuple(name.split("."))) for name in dict.fromkeys(names)]
    items += [
        SubQuery(_ids_only(item.query, asked, ())) for item in query.fields if isinstance(item, SubQuery)
    ]
    return tuple(items)


def _gone(reader: Reader, returned: Returned) -> str:
    """The path that tells whether a parent is deleted; "" where its kind does not tell."""
    shape = reader.shape.get(returned.objects[0]) if len(returned.objects) == 1 else None
    known = shape is not None and shape.field("IsDeleted") is not None
    return ".".join((*returned.path, "IsDeleted")) if known else ""


def _ids_only(query: Query, asked: Asked, above: tuple[str, ...]) -> Query:
    """A child query for ids, and what tells when its rows were there."""
    here = (*above, query.object.rpartition(".")[2].casefold())
    paths = [(*r.path, "Id") for r in asked.returned if r.children == here]
    names = [("Id",), *((name,) for name in JUDGED), *paths]
    items: list[SelectItem] = [FieldRef(path) for path in dict.fromkeys(names)]
    items += [SubQuery(_ids_only(i.query, asked, here)) for i in query.fields if isinstance(i, SubQuery)]
    return replace(query, fields=tuple(items))


def _fetch(reader: Reader, query: Query) -> pd.DataFrame:
    """Rows with a text column for each id, and `children`: the nested records of child queries."""
    soql = render(query)
    return reader.once(soql, lambda: _fetched(reader, query, soql))


def _fetched(reader: Reader, query: Query, soql: str) -> pd.DataFrame:
    columns = [".".join(item.path) for item in query.fields if isinstance(item, FieldRef)]
    if not any(isinstance(item, SubQuery) for item in query.fields):
        counted = render(replace(query, fields=(Function("COUNT", ()),), order_by=()))
        if reader.size(counted) > BULK_FROM:
            return reader.bulk(soql, columns)
        return flat(reader.query(soql, all_rows=True), columns)
    records = list(reader.query(soql, all_rows=True))
    rows = flat(iter(records), columns)
    return rows.assign(children=pd.Series(records, dtype="object"))


def _is_date(reader: Reader, object_name: str, path: Sequence[str]) -> bool:
    shape = reader.shape.get(object_name)
    for step in path[:-1]:
        lookup = shape.parent(step) if shape else None
        shape = reader.shape.get(lookup.reference_to[0]) if lookup and lookup.reference_to else None
    found = shape.field(path[-1]) if shape else None
    return found is not None and found.type == "date"


def _filter_doubts(query: Query, asked: Asked) -> list[str]:
    """Why the rows that match now may differ from those that matched then."""
    doubts = []
    if any("." in name for name in asked.filters):
        doubts.append("the filter looks at other records, whose changes cannot be told")
    volatile = sorted(n for n in asked.filters if n.rpartition(".")[2].casefold() in VOLATILE)
    if volatile:
        doubts.append(
            f"the filter uses {', '.join(volatile)}, which changes without trace; read without filter"
        )
    if query.scope:
        doubts.append("USING SCOPE depends on who asks; read without it")
    return doubts


def has_dates(query: Query) -> bool:
    for leaf in leaves(query.where):
        value = getattr(leaf, "value", None)
        values = value.items if isinstance(value, List) else (value,)
        if any(isinstance(v, DateLiteral) for v in values):
            return True
        inner = getattr(leaf, "query", None)
        if inner is not None and has_dates(inner):
            return True
    return any(has_dates(item.query) for item in query.fields if isinstance(item, SubQuery))


# --- records -------------------------------------------------------------------------------------

RECORD_COLUMNS = ("object", "record_id", "fields", "at", "certain", "changed")


def _no_records() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype="object") for name in RECORD_COLUMNS})


def _records(reader: Reader, asked: Asked, judged: Judged, *, all_rows: bool) -> pd.DataFrame:
    """One line for each record that was shown: the rows themselves, their parents and their children."""
    frames = []
    limited = asked.query is not None and any(
        item.query.limit is not None for item in asked.query.fields if isinstance(item, SubQuery)
    )
    for returned in asked.returned:
        if returned.children:
            frames.append(_children(reader, returned, judged.rows, all_rows=all_rows, limited=limited))
        else:
            name = ".".join((*returned.path, "Id"))
            frames.append(_lines(reader, returned, judged.rows, judged.rows[name]))
    whole = [frame for frame in frames if len(frame)]
    return pd.concat(whole, ignore_index=True) if whole else _no_records()


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
    gone = _gone(reader, returned)
    if gone in rows:  # a parent that is deleted now may have been so then, and is then not shown
        lines["certain"] &= shown[gone].str.casefold() != "true"
    lines = lines.sort_values("at", kind="stable")
    return lines.groupby(["object", "record_id", "fields"], as_index=False).agg(
        {"at": "min", "certain": "any", "changed": "any"}
    )


def _children(
    reader: Reader, returned: Returned, rows: pd.DataFrame, *, all_rows: bool, limited: bool
) -> pd.DataFrame:
    """The children of each row, judged by when they came, changed and went, as the row itself was."""
    found: list[dict[str, Any]] = []
    path = ".".join((*returned.path, "Id"))
    for record, at, certain, row_changed in rows[["children", "at", "certain", "changed"]].itertuples(
        index=False
    ):
        for child in _nested([record], returned.children):
            value = value_at(child, path)
            made, changed, deleted = _times(child)
            gone = deleted and not (changed and changed > at)
            if not value or (made and made > at) or (gone and not all_rows):
                continue
            name = returned.objects[0] if len(returned.objects) == 1 else reader.object_of(str(value))
            moved = bool(changed is None or changed > at or gone or limited)
            found.append(
                {
                    "object": name,
                    "record_id": str(value),
                    "fields": ",".join(returned.fields),
                    "at": at,
                    "certain": bool(certain) and not moved,
                    "changed": bool(row_changed) or bool(changed and changed > at),
                }
            )
    return pd.DataFrame(found) if found else _no_records()


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
