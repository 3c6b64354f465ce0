"""Run a logged query again, safely, to learn which records it returned: ids only, pinned to its moment.

Side effects are stripped, dates are pinned, deleted rows are included and then judged by when they were
deleted. A query that ran a thousand times is read once, and each run is judged by its own time.
What cannot be known is widened and said: LIMIT without a stable order, records changed since, filters that
look at other records.

Source: SOQL reference, and the re-run rules that follow from it (sharing differs by user, so a re-run by the
responder is an upper bound).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from blocks.salesforce.soql.names import names_of
from blocks.salesforce.soql.pin import created_before, pin, unlimited
from tasks.scope.matching import Ask
from tasks.scope.queries import Asked, Returned
from tasks.scope.reader import BULK_FROM, OrgReader, flat, value_at
from tasks.scope.shape import ObjectShape

# Change without a new SystemModstamp, so that nothing tells whether they have changed since.
VOLATILE = frozenset(
    {"lastlogindate", "lastvieweddate", "lastreferenceddate", "numberoffailedlogins", "usecount"}
)
FIXED = frozenset({"id", "createddate", "createdbyid"})
JUDGED = ("CreatedDate", "SystemModstamp", "IsDeleted")


@dataclass(frozen=True, slots=True)
class Zone:
    """How the user who asked reads a date."""

    name: str = "UTC"
    fiscal_year_start_month: int = 1


@dataclass(slots=True)
class Found:
    """The records of one group of identical queries.

    `records`: object, record_id, fields, at (first time), certain, changed. `runs`: one row for each run with
    observed and re-run counts. `more` is how many further records the runs must have returned at the least,
    beyond those that are certain.
    """

    records: pd.DataFrame
    runs: list[Run] = field(default_factory=list)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a query: what the log observed, what the re-run gives, and why they may differ."""

    query: str  # digest
    object: str
    at: datetime
    credential: str
    source: str
    observed: int | None
    rerun: int | None
    certain: bool
    least: int  # at least so many rows of the object were returned
    note: str = ""

    @property
    def difference(self) -> int | None:
        return None if self.observed is None or self.rerun is None else self.observed - self.rerun


def rerun(
    reader: OrgReader, asked: Asked, asks: Sequence[Ask], zones: Mapping[str, Zone], until: datetime
) -> Found:
    """The records that these runs of one query returned. `asks` must not be empty, and all be of `asked`.

    `until` is the last moment of any run: rows made later are not read, and equal reads are made once.
    """
    shape = reader.shape.get(asked.object) if asked.object else None
    if asked.aggregate or shape is None or not asked.returned:
        note = "aggregate only" if asked.aggregate else asked.widened or "no record returned"
        runs = [_unknown_run(ask, note, asked.aggregate) for ask in asks]
        return Found(_no_records(), runs, () if asked.aggregate else (note,))
    parts = _same_meaning(reader, asked, asks, zones)
    found = [_one(reader, asked, shape, part, query, until) for query, part in parts]
    records = pd.concat([f.records for f in found], ignore_index=True)
    runs = [run for f in found for run in f.runs]
    return Found(records, runs, tuple(dict.fromkeys(note for f in found for note in f.notes)))


def _same_meaning(
    reader: OrgReader, asked: Asked, asks: Sequence[Ask], zones: Mapping[str, Zone]
) -> list[tuple[Query, list[Ask]]]:
    """The pinned query and the runs that meant just that: TODAY is another day tomorrow, and elsewhere."""
    query = asked.query if asked.query is not None else Query((), asked.object)
    if not has_dates(query):
        return [(_pinned(reader, query, asks[0], Zone()), list(asks))]
    parts: dict[str, tuple[Query, list[Ask]]] = {}
    for ask in asks:
        pinned = _pinned(reader, query, ask, zones.get(ask.user, Zone()))
        parts.setdefault(render(pinned), (pinned, []))[1].append(ask)
    return list(parts.values())


def _pinned(reader: OrgReader, query: Query, ask: Ask, zone: Zone) -> Query:
    return pin(
        query,
        ask.at,
        zone.name,
        fiscal_year_start_month=zone.fiscal_year_start_month,
        is_date=lambda name, path: _is_date(reader, name, path),
    )


def _one(
    reader: OrgReader,
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
        return Found(_no_records(), [_unknown_run(ask, note) for ask in asks], (note,))
    judged = _judge(rows, asked, asks, doubts)
    records = _records(reader, asked, judged)
    notes = tuple(filter(None, (asked.widened, *doubts)))
    return Found(records, judged.runs, notes)


# --- reading -------------------------------------------------------------------------------------


def _read(
    reader: OrgReader,
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
    doubts = _filter_doubts(query, asked)
    query = replace(query, scope=None)
    if any(name.rpartition(".")[2].casefold() in VOLATILE for name in asked.filters):
        query = replace(query, where=None)
    ordered = query.order_by if query.limit is not None else ()
    query = replace(unlimited(query), order_by=ordered)
    if shape.field("CreatedDate") is not None:
        query = created_before(query, until)
    query = replace(query, fields=_id_items(query, asked, shape))
    rows = _fetch(reader, query).assign(matched=True)
    if query.where is None or not _mutable_filter(asked) or shape.field("SystemModstamp") is None:
        return rows, doubts
    since = Comparison(FieldRef(("SystemModstamp",)), Op.GT, DateTime(first))
    changed = replace(query, where=since, order_by=())
    if shape.field("CreatedDate") is not None:
        changed = created_before(changed, until)
    others = _fetch(reader, changed).assign(matched=False)
    others = others[~others["Id"].isin(rows["Id"])]
    return pd.concat([rows, others], ignore_index=True), doubts


def _id_items(query: Query, asked: Asked, shape: ObjectShape) -> tuple[SelectItem, ...]:
    """Ids of the row, of each parent and child that the query shows, and what tells when the row was
    there."""
    names = ["Id", *(name for name in JUDGED if shape.field(name) is not None)]
    names += [".".join((*r.path, "Id")) for r in asked.returned if r.path and not r.children]
    items: list[SelectItem] = [FieldRef(tuple(name.split("."))) for name in dict.fromkeys(names)]
    items += [
        SubQuery(_ids_only(item.query, asked, ())) for item in query.fields if isinstance(item, SubQuery)
    ]
    return tuple(items)


def _ids_only(query: Query, asked: Asked, above: tuple[str, ...]) -> Query:
    here = (*above, query.object.rpartition(".")[2].casefold())
    paths = [(*r.path, "Id") for r in asked.returned if r.children == here]
    items: list[SelectItem] = [FieldRef(path) for path in dict.fromkeys([("Id",), *paths])]
    items += [SubQuery(_ids_only(i.query, asked, here)) for i in query.fields if isinstance(i, SubQuery)]
    return replace(query, fields=tuple(items))


def _fetch(reader: OrgReader, query: Query) -> pd.DataFrame:
    """Rows with a text column for each id, and `children`: the nested records of child queries."""
    soql = render(query)
    return reader.once(soql, lambda: _fetched(reader, query, soql))


def _fetched(reader: OrgReader, query: Query, soql: str) -> pd.DataFrame:
    columns = [".".join(item.path) for item in query.fields if isinstance(item, FieldRef)]
    if not any(isinstance(item, SubQuery) for item in query.fields):
        counted = render(replace(query, fields=(Function("COUNT", ()),), order_by=()))
        if reader.org.count(counted, what="scope count") > BULK_FROM:
            return reader.bulk(soql, columns)
        return flat(reader.query(soql, all_rows=True), columns)
    records = list(reader.query(soql, all_rows=True))
    rows = flat(iter(records), columns)
    return rows.assign(children=pd.Series(records, dtype="object"))


def _is_date(reader: OrgReader, object_name: str, path: Sequence[str]) -> bool:
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


# --- judging -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Judged:
    rows: pd.DataFrame  # those that some run returned or may have returned
    runs: list[Run]


def _judge(rows: pd.DataFrame, asked: Asked, asks: Sequence[Ask], doubts: list[str]) -> _Judged:
    """Which rows each run returned, by when they came and went; `at` and `certain` on each row."""
    created = _when(rows, "CreatedDate")
    modified = _when(rows, "SystemModstamp")
    deleted = (
        rows["IsDeleted"].str.casefold().eq("true") if "IsDeleted" in rows else pd.Series(False, rows.index)
    )
    first = pd.Series(pd.NaT, index=rows.index, dtype="datetime64[us, UTC]")
    certain = pd.Series(False, index=rows.index)
    mutable = _mutable_filter(asked)
    runs: list[Run] = []
    for there, same in _same_moment(asks, created, modified, deleted):
        matching = there & rows["matched"]
        n = int(matching.sum())
        changed = modified.isna() | (modified > same[0].at)
        for ask in same:
            sure, chosen, note = _sure(ask, asked, matching, there, changed, mutable, doubts)
            first = first.mask(chosen & (first.isna() | (first > ask.at)), ask.at)
            certain |= sure
            runs.append(_run(ask, asked, bool(sure.sum() == chosen.sum()), n, note))
    kept = rows.assign(at=first, certain=certain, changed=(modified > first) & first.notna())
    return _Judged(kept[kept["at"].notna()], runs)


def _when(rows: pd.DataFrame, name: str) -> pd.Series[pd.Timestamp]:
    if name not in rows:
        return pd.Series(pd.NaT, index=rows.index, dtype="datetime64[us, UTC]")
    return pd.to_datetime(rows[name], utc=True, errors="coerce", format="ISO8601").astype(
        "datetime64[us, UTC]"
    )


def _same_moment(
    asks: Sequence[Ask],
    created: pd.Series[pd.Timestamp],
    modified: pd.Series[pd.Timestamp],
    deleted: pd.Series[bool],
) -> Iterator[tuple[pd.Series[bool], list[Ask]]]:
    """Runs between which nothing came or went share one answer: a thousand runs are judged a few times."""
    marks = pd.DatetimeIndex(pd.concat([created, modified[deleted]]).dropna()).sort_values()
    groups: dict[tuple[int, bool], list[Ask]] = {}
    for ask in sorted(asks, key=lambda ask: ask.at):
        place = int(marks.searchsorted(pd.Timestamp(ask.at), side="right"))
        groups.setdefault((place, ask.all_rows), []).append(ask)
    for (_, all_rows), same in groups.items():
        at = pd.Timestamp(same[0].at)
        there = created.isna() | (created <= at)
        if not all_rows:
            there &= ~(deleted & (modified <= at))
        yield there, same


def _mutable_filter(asked: Asked) -> bool:
    return any(name.casefold() not in FIXED for name in asked.filters)


def _sure(
    ask: Ask,
    asked: Asked,
    matching: pd.Series[bool],
    there: pd.Series[bool],
    changed: pd.Series[bool],
    mutable: bool,
    doubts: list[str],
) -> tuple[pd.Series[bool], pd.Series[bool], str]:
    """(rows surely returned, rows possibly returned, why they differ) for one run.

    `matching` rows match the filter now; `there` adds those that may have matched then.
    """
    nothing = pd.Series(False, index=there.index)
    n = int(matching.sum())
    limit = asked.query.limit if asked.query is not None else None
    if isinstance(limit, int) and limit < int(there.sum()):
        return _limited(ask, asked, there, limit, changed)
    if not ask.certain:
        return nothing, there, "stands alone in the query log" if ask.rows is None else "weakly attributed"
    if ask.rows is not None and ask.rows < n and not _has_children(asked):
        return nothing, there, f"{ask.rows} of {n} rows were observed: which ones cannot be told"
    agreed = ask.rows == n
    if asked.widened or (doubts and not agreed):
        return nothing, there, asked.widened or "; ".join(doubts)
    if mutable and bool((there & changed).any()):
        return (
            matching & ~changed,
            there,
            "records changed since may not have matched then, or no longer match",
        )
    return matching, there, ""


def _limited(
    ask: Ask, asked: Asked, there: pd.Series[bool], limit: int, changed: pd.Series[bool]
) -> tuple[pd.Series[bool], pd.Series[bool], str]:
    """A LIMIT cut rows away: which ones is known only under an order that nothing has changed since."""
    nothing = pd.Series(False, index=there.index)
    assert asked.query is not None
    names = names_of(asked.query)
    keys = [o.by for o in asked.query.order_by]
    paths = [names.plain(key.path) if isinstance(key, FieldRef) else ("",) for key in keys]
    offset = asked.query.offset if isinstance(asked.query.offset, int) else 0
    unique = bool(paths) and paths[-1][-1].casefold() == "id"
    volatile = any(path[-1].casefold() in VOLATILE or len(path) > 1 for path in paths)
    fixed = all(path[-1].casefold() in FIXED for path in paths)
    moved = not fixed and bool((there & changed).any())
    if not (unique and not volatile and not moved and ask.certain):
        reason = "without an order" if not paths else "under an order that may have changed or ties"
        return nothing, there, f"LIMIT {limit} {reason}: any of {int(there.sum())} records may be meant"
    rank = there.cumsum()
    chosen = there & (rank > offset) & (rank <= offset + limit)
    return chosen, chosen, ""


def _has_children(asked: Asked) -> bool:
    return any(r.children for r in asked.returned)


def _run(ask: Ask, asked: Asked, certain: bool, n: int, note: str) -> Run:
    limit = asked.query.limit if asked.query is not None and isinstance(asked.query.limit, int) else n
    shown = min(n, limit)
    least = shown if ask.rows is None or _has_children(asked) else min(ask.rows, shown)
    if not ask.certain or (asked.widened and ask.rows is None):
        least = 0
    return Run(
        asked.digest, asked.object, ask.at, ask.credential, ask.source, ask.rows, shown, certain, least, note
    )


def _unknown_run(ask: Ask, note: str, aggregate: bool = False) -> Run:
    least = 0 if aggregate or ask.rows is None or not ask.certain else ask.rows
    return Run(
        ask.asked.digest,
        ask.asked.object,
        ask.at,
        ask.credential,
        ask.source,
        ask.rows,
        None,
        aggregate,
        least,
        note,
    )


# --- records -------------------------------------------------------------------------------------

RECORD_COLUMNS = ("object", "record_id", "fields", "at", "certain", "changed")


def _no_records() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype="object") for name in RECORD_COLUMNS})


def _records(reader: OrgReader, asked: Asked, judged: _Judged) -> pd.DataFrame:
    """One line for each record that was shown: the rows themselves, their parents and their children."""
    frames = []
    for returned in asked.returned:
        if returned.children:
            frames.append(_children(reader, returned, judged.rows))
        else:
            name = ".".join((*returned.path, "Id"))
            frames.append(_lines(reader, returned, judged.rows, judged.rows[name]))
    whole = [frame for frame in frames if len(frame)]
    return pd.concat(whole, ignore_index=True) if whole else _no_records()


def _lines(reader: OrgReader, returned: Returned, rows: pd.DataFrame, ids: pd.Series[str]) -> pd.DataFrame:
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
    lines = lines.sort_values("at", kind="stable")
    return lines.groupby(["object", "record_id", "fields"], as_index=False).agg(
        {"at": "min", "certain": "any", "changed": "any"}
    )


def _children(reader: OrgReader, returned: Returned, rows: pd.DataFrame) -> pd.DataFrame:
    found: list[dict[str, Any]] = []
    path = ".".join((*returned.path, "Id"))
    for record, at, certain, changed in rows[["children", "at", "certain", "changed"]].itertuples(
        index=False
    ):
        for child in _nested([record], returned.children):
            value = value_at(child, path)
            if value:
                name = returned.objects[0] if len(returned.objects) == 1 else reader.object_of(str(value))
                found.append(
                    {
                        "object": name,
                        "record_id": str(value),
                        "fields": ",".join(returned.fields),
                        "at": at,
                        "certain": certain,
                        "changed": changed,
                    }
                )
    return pd.DataFrame(found) if found else _no_records()


def _nested(records: Sequence[Mapping[str, Any]], relationships: Sequence[str]) -> list[Mapping[str, Any]]:
    current: list[Mapping[str, Any]] = list(records)
    for name in relationships:
        inner = [value_at(record, name) for record in current]
        current = [child for answer in inner if answer for child in answer.get("records", ())]
    return current
