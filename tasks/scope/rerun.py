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

import pandas as pd

from blocks.errors import LeakResponseError
from blocks.salesforce.soql import Query, render
from blocks.salesforce.soql.ast import (
    DateLiteral,
    FieldRef,
    List,
    Or,
    SelectItem,
    SubQuery,
    leaves,
)
from blocks.salesforce.soql.pin import created_before, pin, unlimited
from tasks.scope.disclosed import ChildQuery, Reading, deleted_path, no_records, records_of, unnamed
from tasks.scope.fetch import fetch
from tasks.scope.judge import (
    VOLATILE,
    Run,
    judge,
    keeps_order,
    mutable_filter,
    told_order,
    unknown_run,
)
from tasks.scope.links import Links, changed_since, links_of
from tasks.scope.matching import Ask
from tasks.scope.named import named_alone, with_named
from tasks.scope.queries import Asked
from tasks.scope.reader import Reader
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
        return Found(no_records(), runs, () if asked.aggregate else (note,))
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
        pinned = _pinned(reader, query, ask, zone) if zone.name else _unfiltered(query)
        parts.setdefault(render(pinned), (pinned, []))[1].append(ask)
    return list(parts.values())


def _unfiltered(query: Query) -> Query:
    """Without conditions, its child queries too."""
    fields = tuple(SubQuery(_unfiltered(i.query)) if isinstance(i, SubQuery) else i for i in query.fields)
    return replace(query, fields=fields, where=None)


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
    if asked.query is None and all(ask.whole for ask in asks):  # events name them all: nothing to ask for
        return Found(*named_alone(asked, asks, ""))
    try:
        read = _read(reader, asked, shape, asks, query, until)
        read = replace(read, rows=with_named(read.rows, asks))
        judged = judge(read.rows, asked, asks, read.doubts)
        records = records_of(reader, asked, judged, read)
        runs = [*judged.runs, *unnamed(reader, asked, asks, judged.rows, records, until)]
    except LeakResponseError as error:
        note = f"could not be run again: {error.problem}"
        if any(ask.ids for ask in asks):
            return Found(*named_alone(asked, asks, note), (note,))
        return Found(no_records(), [unknown_run(ask, note) for ask in asks], (note,))
    return Found(records, runs, tuple(filter(None, (asked.widened, *read.doubts))))


# --- reading -------------------------------------------------------------------------------------


def _read(
    reader: Reader,
    asked: Asked,
    shape: ObjectShape,
    asks: Sequence[Ask],
    query: Query,
    until: datetime,
) -> Reading:
    """All rows the runs could have returned, in the query's order where that tells which they were.

    `matched` is False for rows that do not match the filter now but have changed since, and so may have then.
    """
    first = min(ask.at for ask in asks)
    doubts = [*_filter_doubts(query, asked), *reader.doubts(query)]
    if query.where is None and asked.query is not None and asked.query.where is not None:
        doubts.append("the user's time zone is not known, so its dates cannot be told; read without filter")
    query = replace(query, scope=None)
    if any(name.rpartition(".")[2].casefold() in VOLATILE for name in asked.filters):
        query = replace(query, where=None)
    query = replace(unlimited(query), order_by=query.order_by if keeps_order(asked) else ())
    if shape.field("CreatedDate") is not None:
        query = created_before(query, until)
    links = links_of(reader, query, shape, first)
    inner: dict[tuple[str, ...], ChildQuery] = {}
    query = replace(query, fields=_id_items(reader, query, asked, shape, links, first, inner))
    rows = fetch(reader, query).assign(matched=True)
    if links.moved:
        doubts.append(f"the filter looks at records of {', '.join(links.moved)}, which have changed since")
    if mutable_filter(asked) and shape.field("SystemModstamp") is not None:
        rows = _with_changed(reader, query, shape, rows, links, first, until)
    return Reading(_with_linked(rows, links), doubts, inner, any(ask.all_rows for ask in asks))


def _with_changed(
    reader: Reader,
    query: Query,
    shape: ObjectShape,
    rows: pd.DataFrame,
    links: Links,
    first: datetime,
    until: datetime,
) -> pd.DataFrame:
    """And the rows that may have matched then: all of them where what moved cannot be tied to rows."""
    others = replace(query, where=None if links.moved else changed_since(links, first), order_by=())
    if shape.field("CreatedDate") is not None:
        others = created_before(others, until)
    found = fetch(reader, others).assign(matched=False)
    return pd.concat([rows, found[~found["Id"].isin(rows["Id"])]], ignore_index=True)


def _with_linked(rows: pd.DataFrame, links: Links) -> pd.DataFrame:
    """`linked`: when a record that the filter looks at last changed; far ahead where one is deleted now,
    since it may have been so then or not."""
    if not links.paths:
        return rows
    latest = pd.Series("", index=rows.index, dtype="str")
    for path in links.paths:
        stamp, gone = (rows[".".join((*path, name))] for name in ("SystemModstamp", "IsDeleted"))
        stamp = stamp.mask(gone.str.casefold() == "true", "2100-01-01T00:00:00.000+0000")
        latest = latest.mask(stamp > latest, stamp)  # one form, one zone: text sorts as time
    return rows.assign(linked=latest)


def _id_items(
    reader: Reader,
    query: Query,
    asked: Asked,
    shape: ObjectShape,
    links: Links,
    since: datetime,
    inner: dict[tuple[str, ...], ChildQuery],
) -> tuple[SelectItem, ...]:
    """Ids of the row, of each parent and child that the query shows, and what tells when the row was
    there. `inner` is filled with the child queries."""
    names = ["Id", *(name for name in JUDGED if shape.field(name) is not None), *links.columns]
    for returned in asked.returned:
        if returned.path and not returned.children:
            names.append(".".join((*returned.path, "Id")))
            names += [gone] if (gone := deleted_path(reader, returned)) else []
            names += [f"{'.'.join(path)}.SystemModstamp" for path in _between(reader, shape, returned.path)]
    items: list[SelectItem] = [FieldRef(tuple(name.split("."))) for name in dict.fromkeys(names)]
    items += [
        SubQuery(_ids_only(reader, item.query, asked, shape, (), since, inner))
        for item in query.fields
        if isinstance(item, SubQuery)
    ]
    return tuple(items)


def _between(reader: Reader, shape: ObjectShape | None, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The parents passed on the way to the last one: a change of theirs may have led elsewhere."""
    for place, step in enumerate(path[:-1], 1):
        lookup = shape.parent(step) if shape else None
        shape = reader.shape.get(lookup.reference_to[0]) if lookup and len(lookup.reference_to) == 1 else None
        if shape is None or shape.field("SystemModstamp") is None:
            return
        yield path[:place]


def _ids_only(
    reader: Reader,
    query: Query,
    asked: Asked,
    parent: ObjectShape | None,
    above: tuple[str, ...],
    since: datetime,
    inner: dict[tuple[str, ...], ChildQuery],
) -> Query:
    """A child query for ids, and what tells when its rows were there: all children that may have matched."""
    here = (*above, query.object.rpartition(".")[2].casefold())
    found = parent.children.get(here[-1]) if parent else None
    shape = reader.shape.get(found[0]) if found else None
    paths = [(*r.path, "Id") for r in asked.returned if r.children == here]
    names = [("Id",), *((name,) for name in JUDGED), *paths]
    items: list[SelectItem] = [FieldRef(path) for path in dict.fromkeys(names)]
    items += [
        SubQuery(_ids_only(reader, i.query, asked, shape, here, since, inner))
        for i in query.fields
        if isinstance(i, SubQuery)
    ]
    where = query.where
    if where is not None:
        links = links_of(reader, query, shape, since, by_row=False) if shape else Links(moved=(here[-1],))
        where = None if links.moved else Or((where, changed_since(links, since)))
    limit = query.limit if isinstance(query.limit, int) else None
    ordered = told_order(query) and not query.offset
    inner[here] = ChildQuery(limit, ordered, where is None and query.where is not None)
    return replace(query, fields=tuple(items), where=where, limit=None, offset=None)


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
