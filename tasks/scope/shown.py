"""What reports and list views showed, by ReportEvent and ListViewEvent: the records of each row, the columns.

A showing is cut into numbered events; all its rows are known when the numbers have no hole and the rows are
as many as the event says. It then takes the place of the run that other logs name; else it only makes the
records that it names certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pandas as pd

from blocks.errors import LeakResponseError
from tasks.incident import Coverage
from tasks.scope.attribution import Attribution
from tasks.scope.ids import long_id
from tasks.scope.logs import column
from tasks.scope.matching import NEAR, Ask, Matched
from tasks.scope.observed import from_json, number, with_observed
from tasks.scope.queries import Asked, Returned, digest
from tasks.scope.reader import Reader
from tasks.scope.realtime import WITH_RECORDS
from tasks.scope.shape import ObjectShape

# What the results of a list view carry beside its columns (REST API Developer Guide, "List View Results").
SENT = ("Id", "CreatedDate", "LastModifiedDate", "SystemModstamp")
STORES = {"ReportEvent": ("REPORT_ID", "report event"), "ListViewEvent": ("LIST_VIEW_ID", "list view event")}


@dataclass(slots=True)
class Showing:
    """One run of a report or one reading of a list view."""

    source: str
    what: str  # id of the report or list view, 15 characters
    at: datetime
    session: str
    user: str
    app: str
    certain: bool
    columns: tuple[str, ...]
    entities: tuple[str, ...]
    total: int | None
    cells: list[list[str]] = field(default_factory=list)
    parts: set[int] = field(default_factory=set)

    @property
    def whole(self) -> bool:
        return len(self.cells) == self.total and self.parts == set(range(1, len(self.parts) + 1))


def with_shown(
    calls: Matched, attribution: Attribution, records: Mapping[str, str], reader: Reader
) -> Matched:
    """`calls` with the records that the suspects' reports and list views showed."""
    asks, queries, reports = list(calls.asks), dict(calls.queries), list(calls.reports)
    for one in showings(attribution, records):
        same = [ask for ask in asks if _same(ask, one)]
        reports = [text for text in reports if text[:15] != one.what] if one.whole else reports
        if not one.whole and same:
            ids = frozenset(i for cells in one.cells for i in cells)
            for ask in same:
                asks[asks.index(ask)] = replace(ask, ids=ids, guessed=False)
            continue
        if one.whole:
            asks = [ask for ask in asks if ask not in same]
        for ask in _asks(one, reader):
            asks.append(ask)
            queries[ask.asked.digest] = ask.asked
    return replace(calls, asks=sorted(asks, key=lambda ask: ask.at), queries=queries, reports=reports)


def _same(ask: Ask, one: Showing) -> bool:
    """Whether other logs told of this showing: a report or view of the session then, of its object. Another
    showing told by events is another."""
    if ask.source == one.source:
        return False
    kind = one.source.removesuffix(" event")
    near = ask.session == one.session and abs(ask.at - one.at) <= NEAR
    named = kind in ask.source or ask.asked.digest == digest(one.what)
    return near and named and ask.asked.object in ("", *one.entities)


def showings(attribution: Attribution, records: Mapping[str, str]) -> list[Showing]:
    found: dict[str, Showing] = {}
    for store, (id_column, source) in STORES.items():
        events = attribution.of_type(store)
        if events.empty:
            continue
        names = (
            id_column, "COLUMN_HEADERS", "QUERIED_ENTITIES", "ROWS_PROCESSED", "SEQUENCE",
            "EXECUTION_IDENTIFIER", "EVENT_IDENTIFIER", "RECORDS",
        )  # fmt: skip
        who = (events[name] for name in ("at", "session", "user", "app", "certain"))
        for at, session, user, app, certain, what, headers, entities, total, part, run, event, inline in zip(
            *who, *(column(events, name) for name in names), strict=True
        ):
            key = run or event
            if key not in found:
                found[key] = Showing(
                    source, what[:15], at, session, user, app, bool(certain),
                    _listed(headers), _listed(entities), number(total),
                )  # fmt: skip
            found[key].parts.add(number(part) or 1)
            found[key].cells += _cells(records.get(event) or inline)
    return sorted(found.values(), key=lambda one: one.at)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for one in text.strip("[] ").split(",") if (part := one.strip()))


def _cells(records: str) -> list[list[str]]:
    """The record ids in each row of `Records`; a row is kept also when it names none."""
    told = from_json(records)
    rows: Any = told.get("rows") if isinstance(told, Mapping) else None
    return [
        [long_id(str(cell)) for cell in (row.get("datacells") or ()) if len(str(cell)) in (15, 18)]
        for row in rows or ()
        if isinstance(row, Mapping)
    ]


def _asks(one: Showing, reader: Reader) -> Iterator[Ask]:
    """One run for each kind of record shown, with the fields that the columns show of it."""
    by_object: dict[str, dict[str, None]] = {}
    for cells in one.cells:
        for record_id in cells:
            by_object.setdefault(reader.object_of(record_id), {})[record_id] = None
    root = next((name for name in _roots(one, by_object)), "")
    sent = SENT if one.source == STORES["ListViewEvent"][1] else ()
    fields = fields_of((*one.columns, *sent), root, reader)
    for name, ids in by_object.items():
        shape = reader.shape.get(name) if name else None
        if shape is None:
            continue
        asked = _asked(one, shape, fields.get(name, ()))
        ask = Ask(asked, one.at, _credential(one), one.certain, source=one.source)
        ask.session, ask.user, ask.ids, ask.whole = one.session, one.user, frozenset(ids), True
        ask.rows = len(ids)
        yield ask


def _roots(one: Showing, by_object: Mapping[str, object]) -> Sequence[str]:
    """The object a report or view is about: the one whose id stands first in its rows."""
    return list(by_object) or one.entities


def _asked(one: Showing, shape: ObjectShape, fields: Sequence[str]) -> Asked:
    widened = "" if fields else "no column says what of it was shown: all its fields are assumed"
    shown = tuple(fields) or tuple(f.name for f in shape.fields)
    text = f"{one.source} {one.what} {shape.name} {','.join(shown)}"
    return Asked(digest(text), shape.name, (Returned((shape.name,), shown),), widened=widened)


def fields_of(columns: Sequence[str], root: str, reader: Reader) -> dict[str, tuple[str, ...]]:
    """Object -> the fields that these column headers show of it; all fields where a header is an alias."""
    found: dict[str, dict[str, None]] = {}
    for header in columns:
        path = header.split(".")
        shape = reader.shape.get(root) if root else None
        first = reader.shape.get(path[0]) if len(path) > 1 else None
        if first is not None and (shape is None or shape.parent(path[0]) is None or path[0] == root):
            shape, path = first, path[1:]
        for step in path[:-1]:
            lookup = shape.parent(step) if shape else None
            shape = reader.shape.get(lookup.reference_to[0]) if lookup and lookup.reference_to else None
        known = shape.field(path[-1]) if shape else None
        if shape is not None and known is not None:
            found.setdefault(shape.name, {})[known.name] = None
        elif root and (whole := reader.shape.get(root)) is not None:
            found.setdefault(root, {}).update(dict.fromkeys(f.name for f in whole.fields))
    return {name: tuple(fields) for name, fields in found.items()}


def _credential(one: Showing) -> str:
    return "/".join(part for part in (one.app, one.user) if part) or f"session:{one.session[:6]}"


def add_observed(
    calls: Matched,
    attribution: Attribution,
    reader: Reader,
    read: Callable[[str, pd.DataFrame], Mapping[str, str]] | None,
) -> tuple[Matched, tuple[Coverage, ...]]:
    """`calls` with all that real-time events tell. `read`: store and events -> EventIdentifier -> `Records`;
    None where the events themselves carry them."""
    records: dict[str, str] = {}
    problems: list[str] = []
    for store in sorted(WITH_RECORDS):
        events = attribution.of_type(store)
        if read is None or events.empty:
            continue
        try:
            records |= read(store, events)
        except LeakResponseError as error:
            problems.append(f"{store}: the record ids could not be read ({error.problem})")
    calls = with_observed(calls, attribution, records, reader)
    calls = with_shown(calls, attribution, records, reader)
    named = [ask for ask in calls.asks if ask.ids or ask.whole]
    if not named and not problems:
        return calls, ()
    whole = sum(ask.whole for ask in named)
    text = f"Real-time events name the records of {len(named)} runs, of {whole} of them all"
    text = "; ".join([text, *problems]) + "."
    times = sorted(ask.at for ask in named)
    first, last = (times[0], times[-1]) if times else (None, None)
    return calls, (Coverage("record ids in events", bool(named), first, last, len(named), text),)
