"""The record ids that real-time events carry, put to the runs of queries they belong to.

A run whose events name as many records as they say were returned returned just these: nothing more of the
re-run counts for it. Where ids are cut off, those named are certain and the re-run stays the upper bound. A
run that no log file has told yet is added: the stores are minutes late, the files hours.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pandas as pd

from tasks.scope.attribution import Attribution
from tasks.scope.calls import CallKind
from tasks.scope.ids import long_id
from tasks.scope.judge import is_nested
from tasks.scope.logs import column
from tasks.scope.matching import NEAR, Ask, Matched
from tasks.scope.queries import Asked, understand
from tasks.scope.reader import Reader

SOURCE = "real-time event"
NOBODY_TELLS = "no source tells whether the results of the bulk query were downloaded"
SIZE_UNKNOWN = "no event tells how many rows each of them took"
NOT_DOWNLOADED = "its results were not downloaded, as far as BulkApiResultEventStore tells"
OTHERS_JOB = "results of a bulk query that somebody else had made were downloaded: when it ran is not known"


@dataclass(slots=True)
class Execution:
    """One run of a query as ApiEvent tells it: its first page and those that followed."""

    text: str
    at: datetime
    session: str
    user: str
    app: str
    certain: bool
    bulk: bool
    all_rows: bool
    request: str
    ids: dict[str, None] = field(default_factory=dict)
    rows: int = 0  # returned, over all its events
    known: bool = True  # every event says how many rows it returned
    pages: int = 0

    def keep(self, name: str, object_of: Callable[[str], str]) -> None:
        """Only the ids of the rows themselves: an event may name the children that it showed, too."""
        self.ids = {one: None for one in self.ids if object_of(one) in ("", name)}

    @property
    def whole(self) -> bool:
        """Whether the ids are all: as many as rows were returned."""
        return self.known and len(self.ids) == self.rows


def with_observed(
    calls: Matched, attribution: Attribution, records: Mapping[str, str], reader: Reader
) -> Matched:
    """`calls` with the ids of the suspects' events. `records`: EventIdentifier -> `Records` as JSON."""
    events = attribution.of_type("ApiEvent")
    downloads = attribution.of_type("BulkApiResultEventStore")
    if events.empty and downloads.empty:
        return calls
    understood: dict[str, Asked] = {}

    def asked(text: str) -> Asked:
        if text not in understood:
            understood[text] = understand(text, reader.shape)
        return understood[text]

    ran = executions(events, records)
    for run in ran:
        run.keep(asked(run.text).object, reader.object_of)
    fetched = _downloaded(downloads) if "BulkApiResultEventStore" in attribution.log else None
    asks = _joined(list(calls.asks), ran, asked, fetched)
    asks += _others_jobs(downloads, ran, asks, asked)
    queries = {**calls.queries, **{one.digest: one for one in understood.values()}}
    return replace(calls, asks=sorted(asks, key=lambda ask: ask.at), queries=queries)


# --- from events to runs -------------------------------------------------------------------------------


def executions(events: pd.DataFrame, records: Mapping[str, str]) -> list[Execution]:
    """The runs of queries, oldest first; a page belongs to the last run of its text in its session."""
    if events.empty:
        return []
    ran: list[Execution] = []
    last: dict[tuple[str, str], Execution] = {}
    names = ("QUERY", "OPERATION", "API_TYPE", "REQUEST_ID", "ROWS_RETURNED", "EVENT_IDENTIFIER", "RECORDS")
    columns = [column(events, name) for name in names]
    who = (events[name] for name in ("at", "session", "user", "app", "certain"))
    for at, session, user, app, certain, text, operation, api, request, rows, event, inline in zip(
        *who, *columns, strict=True
    ):
        if operation.startswith("Delete"):
            continue
        key, bulk = (session, text), api.casefold() == "bulk"
        known = last.get(key)
        goes_on = operation == "QueryMore" or (bulk and known is not None and known.request == request)
        if known is None or not goes_on:
            known = last[key] = Execution(
                text, at, session, user, app, bool(certain), bulk, operation == "QueryAll", request
            )
            known.known = operation != "QueryMore"  # else the pages before were not seen
            ran.append(known)
        _add(known, rows, records.get(event) or inline)
    return ran


def _add(run: Execution, rows: str, records: str) -> None:
    run.pages += 1
    returned = number(rows)
    if returned is None or returned < 0:  # -1: more than the event counts
        run.known = False
    else:
        run.rows += returned
    run.ids.update(dict.fromkeys(ids_in(records)))


def ids_in(records: str) -> list[str]:
    """The ids of the rows in `Records`: `recordIds`, or those of `records` in older events."""
    told = from_json(records)
    if not isinstance(told, Mapping):
        return []
    ids = told.get("recordIds") or [
        row.get("Id") for row in told.get("records") or () if isinstance(row, Mapping)
    ]
    return [long_id(str(one)) for one in ids if one]


def from_json(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def number(text: str) -> int | None:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None


# --- from runs to asks -----------------------------------------------------------------------------------


def _joined(
    asks: list[Ask],
    ran: Sequence[Execution],
    asked: Callable[[str], Asked],
    fetched: Mapping[tuple[str, str], list[datetime]] | None,
) -> list[Ask]:
    free: dict[str, list[int]] = defaultdict(list)
    for index, ask in enumerate(asks):
        free[ask.session].append(index)
    for run in ran:
        known = asked(run.text)
        place = _place(asks, [*free[run.session], *free.get("", ())], run, known)
        if place is not None:
            for places in (free[run.session], free.get("", [])):
                if place in places:
                    places.remove(place)
            asks[place] = _told(asks[place], run, known, fetched, asks[place])
        else:
            new = Ask(known, run.at, _credential(run), run.certain, source=SOURCE)
            new.session, new.user, new.all_rows = run.session, run.user, run.all_rows
            asks.append(_told(new, run, known, fetched, None))
    return asks


def _place(asks: Sequence[Ask], free: Iterable[int], run: Execution, known: Asked) -> int | None:
    """The ask that this run is: of the same text, else one whose text the logs do not tell."""
    best: tuple[bool, Any, int] | None = None
    for index in free:
        ask = asks[index]
        same = ask.asked.digest == known.digest
        unknown = ask.guessed and ask.asked.object.casefold() in ("", known.object.casefold())
        if not (same or unknown) or abs(ask.at - run.at) > NEAR:
            continue
        if run.bulk != (ask.source == CallKind.BULK.value) and same and ask.source in _CALLS:
            continue
        rank = (not same, abs(ask.at - run.at), index)
        if best is None or rank < best:
            best = rank
    return None if best is None else best[2]


_CALLS = frozenset({CallKind.BULK.value, CallKind.QUERY.value})


def _told(
    ask: Ask,
    run: Execution,
    known: Asked,
    fetched: Mapping[tuple[str, str], list[datetime]] | None,
    before: Ask | None,
) -> Ask:
    """The ask with what the events tell. A bulk query's rows left only if somebody downloaded them."""
    rows = run.rows if run.known else ask.rows
    lost = before is not None and before.rows is not None and run.rows < before.rows and not is_nested(known)
    if lost and before is not None:  # the log counts more rows than the events that came
        rows = before.rows
    ask = replace(
        ask,
        asked=known,
        at=min(ask.at, run.at),
        certain=run.certain,
        rows=rows,
        all_rows=run.all_rows or ask.all_rows,
        ids=frozenset(run.ids),
        whole=run.whole and not lost and not known.aggregate,
        guessed=False,
        pages=max(run.pages, 1),
        doubt="" if run.certain else "weakly attributed",
    )
    if not run.bulk:
        return replace(ask, partly="")
    if fetched is None:  # only the usage log can tell: what it said stays
        return replace(ask, certain=False, doubt=NOBODY_TELLS) if before is None else _as_before(ask, before)
    pages = sum(at >= run.at for at in fetched.get((run.session, run.text), ()))
    if not pages:
        return replace(ask, certain=False, partly="", doubt=NOT_DOWNLOADED)
    return replace(ask, partly=ask.partly or f"its results were downloaded in {pages} calls: {SIZE_UNKNOWN}")


def _as_before(ask: Ask, before: Ask) -> Ask:
    return replace(ask, certain=ask.certain and before.certain, doubt=ask.doubt or before.doubt)


def _downloaded(downloads: pd.DataFrame) -> dict[tuple[str, str], list[datetime]]:
    """When the suspects downloaded results: session and text -> times."""
    found: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    if downloads.empty:
        return found
    table = zip(downloads["session"], column(downloads, "QUERY"), downloads["at"], strict=True)
    for session, text, at in table:
        found[session, text].append(at)
    return found


def _others_jobs(
    downloads: pd.DataFrame, ran: Sequence[Execution], asks: Sequence[Ask], asked: Callable[[str], Asked]
) -> list[Ask]:
    """Downloads of results whose query no suspect ran: the rows left that there were when it ran."""
    known = {run.text for run in ran if run.bulk}
    digests = {ask.asked.digest for ask in asks if ask.source == CallKind.BULK.value}
    found: dict[str, Ask] = {}
    if downloads.empty:
        return []
    table = zip(
        column(downloads, "QUERY"),
        downloads["at"],
        downloads["session"],
        downloads["user"],
        downloads["app"],
        strict=True,
    )
    for text, at, session, user, app in table:
        if not text or text in known or text in found or asked(text).digest in digests:
            continue
        ask = Ask(asked(text), at, "/".join(filter(None, (app, user))), False, source=SOURCE)
        ask.session, ask.user, ask.doubt = session, user, OTHERS_JOB
        found[text] = ask
    return list(found.values())


def _credential(run: Execution) -> str:
    return "/".join(part for part in (run.app, run.user) if part) or f"session:{run.session[:6]}"
