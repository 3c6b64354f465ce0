"""Which call ran which query: the query log names no user and no row count, only session and login.

Within a session each query text is paired with the nearest call that could have run it. A query without
a call is kept (it may have run inside a composite request). A call without a query text takes the last
one in its session that reads the same object, since the log may hold a text only once; failing that the
whole object.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pandas as pd

from tasks.scope.attribution import Attribution
from tasks.scope.calls import Call, CallKind
from tasks.scope.logs import column, instants
from tasks.scope.queries import Asked, understand, whole_object
from tasks.scope.shape import OrgShape

NEAR = timedelta(
    seconds=30
)  # a bulk job may start this long after its query was logged, or the other way round


ALONE = "query log alone"


@dataclass(slots=True)
class Ask:
    """One run of one query."""

    asked: Asked
    at: datetime
    credential: str
    certain: bool  # the call is the suspects' beyond doubt, and it succeeded
    rows: int | None = None  # observed, over all its pages
    all_rows: bool = False
    source: str = ""  # which log and kind of call
    session: str = ""
    user: str = ""
    doubt: str = ""  # why it is not certain
    partly: str = ""  # why at least a row left, but not which and how many; empty when that is known
    guessed: bool = False  # the query is not known to be this one
    pages: int = 1  # how many answers `rows` are the sum of
    ids: frozenset[str] = frozenset()  # records of the row's own object that an event names
    whole: bool = False  # `ids` are all that were returned


@dataclass(slots=True)
class Matched:
    """All runs of queries, reads of single records, and what could not be resolved."""

    asks: list[Ask] = field(default_factory=list)
    records: list[Call] = field(default_factory=list)
    unresolved: list[Call] = field(default_factory=list)
    recon: int = 0
    writes: int = 0
    refused: int = 0
    queries: dict[str, Asked] = field(default_factory=dict)  # by digest
    reports: list[str] = field(default_factory=list)  # report and list-view ids in the query log


@dataclass(slots=True)
class _Text:
    asked: Asked
    at: datetime
    certain: bool
    user: str
    taken: bool = False


def match(attribution: Attribution, calls: Iterable[Call], shape: OrgShape) -> Matched:
    """Pair the suspects' query texts with their calls."""
    out = Matched()
    calls = list(calls)
    blind = [call.at for call in calls if not call.session]
    texts = _texts(attribution.of_type("UniqueQuery"), shape, out)
    if blind:
        texts[""] = [
            t for found in _texts(_unclaimed(attribution, blind), shape, out).values() for t in found
        ]
    by_session: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        _sort(call, by_session, out)
    for session in sorted(set(by_session) | set(texts)):
        _session(by_session.get(session, []), texts.get(session, []), shape, out, session)
    out.asks.sort(key=lambda ask: ask.at)
    return out


def _sort(call: Call, by_session: dict[str, list[Call]], out: Matched) -> None:
    if call.kind in (CallKind.QUERY, CallKind.PAGE, CallKind.BULK):
        by_session[call.session].append(call)
    elif call.kind is CallKind.FAILED:
        out.refused += 1  # it takes no text: a text near it may be what a composite call ran
    elif call.kind is CallKind.RECORD:
        out.records.append(call)
    elif call.kind is CallKind.RECON:
        out.recon += 1
    elif call.kind is CallKind.WRITE:
        out.writes += 1
    elif call.rows != 0:
        out.unresolved.append(call)


def _unclaimed(attribution: Attribution, moments: Sequence[datetime]) -> pd.DataFrame:
    """Query texts of sessions nobody claims, at the time of calls that name no session: perhaps theirs."""
    log = attribution.log.get("UniqueQuery")
    if log is None or log.empty:
        return pd.DataFrame()
    mine = attribution.events.loc[attribution.events["type"] == "UniqueQuery", "row"]
    rest = log[~log.index.isin(mine)]
    rest = rest.assign(at=instants(rest), certain=False, session="", user="")
    first = pd.Series(sorted(moments))
    place = first.searchsorted(rest["at"])
    near = pd.Series(False, index=rest.index)
    for offset in (-1, 0):
        one = first.reindex((place + offset).clip(0, len(first) - 1)).set_axis(rest.index)
        near |= (rest["at"] - one).abs() <= NEAR
    return rest[near]


def _texts(rows: pd.DataFrame, shape: OrgShape, out: Matched) -> dict[str, list[_Text]]:
    found: dict[str, list[_Text]] = defaultdict(list)
    if rows.empty:
        return found
    understood: dict[str, Asked] = {}
    table = zip(
        rows["at"],
        rows["certain"],
        rows["session"],
        rows["user"],
        column(rows, "QUERY_IDENTIFIER"),
        column(rows, "QUERY_TYPE"),
        strict=True,
    )
    for at, certain, session, user, text, kind in table:
        if kind.casefold() in ("report", "filter") and " " not in text.strip():
            out.reports.append(text.strip())
            continue
        if text not in understood:
            understood[text] = understand(text, shape)
            out.queries[understood[text].digest] = understood[text]
        found[session].append(_Text(understood[text], at, bool(certain), str(user)))
    return found


def _session(calls: list[Call], texts: list[_Text], shape: OrgShape, out: Matched, session: str) -> None:
    starts = [call for call in calls if call.kind is not CallKind.PAGE]
    asks: list[Ask] = []
    pending: list[Call] = []
    for call, text in _pairs(starts, texts):
        if text is None:
            pending.append(call)
        else:
            text.taken = True
            asks.append(_ask(call, text.asked))
    asks += [_unpaired(call, texts, shape) for call in pending]
    asks.sort(key=lambda ask: ask.at)
    _add_pages(asks, [call for call in calls if call.kind is CallKind.PAGE], out)
    for text in texts:
        if not text.taken:
            lonely = Ask(text.asked, text.at, f"session:{session[:6]}", False, source=ALONE)
            lonely.session, lonely.user = session, text.user
            lonely.all_rows = True  # nothing says that it was not queryAll
            lonely.doubt = "the query text stands alone: no log names the call that ran it"
            asks.append(lonely)
    out.asks.extend(asks)


def _pairs(calls: Sequence[Call], texts: Sequence[_Text]) -> list[tuple[Call, _Text | None]]:
    """Each call with the nearest free text that fits it, calls in their order."""
    free: dict[tuple[str, bool], list[_Text]] = defaultdict(list)
    for text in sorted(texts, key=lambda text: text.at):
        free[text.asked.object.casefold(), text.asked.aggregate].append(text)
    pairs: list[tuple[Call, _Text | None]] = []
    for call in sorted(calls, key=lambda call: call.at):
        best: tuple[timedelta, list[_Text], int] | None = None
        for waiting in free.values():
            if waiting and _fits(call, waiting[0].asked):
                place = bisect_left(waiting, call.at, key=lambda text: text.at)
                for index in (place - 1, place):
                    if 0 <= index < len(waiting):
                        gap = abs(waiting[index].at - call.at)
                        if gap <= NEAR and (best is None or gap < best[0]):
                            best = (gap, waiting, index)
        pairs.append((call, best[1].pop(best[2]) if best else None))
    return pairs


def _fits(call: Call, asked: Asked) -> bool:
    if call.kind is CallKind.BULK and asked.aggregate:
        return False
    return not call.entity or not asked.object or call.entity.casefold() == asked.object.casefold()


def _ask(call: Call, asked: Asked) -> Ask:
    return Ask(
        asked,
        call.at,
        call.credential,
        call.certain,
        call.rows,
        call.all_rows,
        call.kind.value,
        call.session,
        call.user,
        call.doubt,
        call.partly,
    )


def _unpaired(call: Call, texts: Sequence[_Text], shape: OrgShape) -> Ask:
    """A call whose text is not in the log at its time."""
    earlier = [t for t in texts if t.at <= call.at + NEAR and _fits(call, t.asked) and call.entity]
    if earlier:
        ask = _ask(call, max(earlier, key=lambda text: text.at).asked)
    else:
        ask = _ask(call, whole_object(call.entity, "the query text is not in the logs", shape))
    ask.certain, ask.guessed, ask.doubt = False, True, "the text of this query is not in the logs"
    return ask


def _add_pages(asks: Sequence[Ask], pages: Iterable[Call], out: Matched) -> None:
    """The later pages of a query belong to the one before them in the session that reads the same object and
    whose first page ended where they begin; a page that was sent twice shows its rows once."""
    paged = [a for a in asks if a.source == CallKind.QUERY.value and not a.asked.aggregate]
    for chain in _chains(pages):
        ask = _began(paged, chain)
        for page in chain:
            if ask is not None:
                ask.pages += 1
                if ask.rows is not None and page.rows is not None:
                    ask.rows += page.rows
            elif page.rows != 0:
                out.unresolved.append(page)


def _chains(pages: Iterable[Call]) -> list[list[Call]]:
    """Pages by the query locator they came from, each once; one that names none stands alone."""
    chains: dict[str, dict[str, Call]] = {}
    for page in pages:
        cursor, _, offset = page.locator.rpartition("-")
        key = cursor or f"alone {len(chains)}"
        chains.setdefault(key, {}).setdefault(offset, page)
    return [list(chain.values()) for chain in chains.values()]


def _began(paged: list[Ask], chain: Sequence[Call]) -> Ask | None:
    """The query that a chain of pages goes on with; it is taken out of `paged`, having one chain only."""
    first = chain[0]
    before = [
        ask
        for ask in paged[: bisect_right(paged, first.at, key=lambda ask: ask.at)]
        if first.entity.casefold() in ("", ask.asked.object.casefold())
    ]
    offsets = [int(page.locator.rpartition("-")[2]) for page in chain if page.locator]
    fitting = [ask for ask in before if offsets and ask.rows == min(offsets)]
    ask = next(reversed(fitting or before), None)
    if ask is not None and first.locator:
        paged.remove(ask)
    return ask
