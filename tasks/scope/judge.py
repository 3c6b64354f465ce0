"""Which of the rows that a re-run gives did each run return, and how sure is that.

A row is judged by when it came and when it went. Where the log says how many rows were returned, that is held
against the count: it may tell that none of the rows that changed since was among them, or that all were.
Where LIMIT, a change since, paging that stopped, or a weak attribution leaves room, the row is possible but
not certain, and the reason is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pandas as pd

from blocks.salesforce.soql import Query
from blocks.salesforce.soql.ast import FieldRef, SemiJoin, leaves
from blocks.salesforce.soql.names import function_fields, names_of
from tasks.scope.matching import Ask
from tasks.scope.queries import Asked

# Change without a new SystemModstamp, so that nothing tells whether they have changed since.
VOLATILE = frozenset(
    {"lastlogindate", "lastvieweddate", "lastreferenceddate", "numberoffailedlogins", "usecount"}
)
FIXED = frozenset({"id", "createddate", "createdbyid"})
LEAST_PAGE = 200  # the smallest batchSize that a query call may ask for (REST API Developer Guide)


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
    nested: bool = False  # the log may count child rows, too: the counts cannot be compared
    named: int | None = None  # rows that are named as possible, those that changed since among them

    @property
    def difference(self) -> int | None:
        return None if self.observed is None or self.rerun is None else self.observed - self.rerun


@dataclass(slots=True)
class Judged:
    """`rows` that some run returned or may have, with `at` (first time), `certain` and `changed` (since)."""

    rows: pd.DataFrame
    runs: list[Run]


@dataclass(frozen=True, slots=True)
class _Scene:
    """The rows as they were at one moment."""

    there: pd.Series[bool]  # all that were there: those that match now and those that may have matched then
    matching: pd.Series[bool]  # there, and match the filter now
    changed: pd.Series[bool]  # they, or a record that the filter looks at, changed since
    mutable: bool  # the filter looks at fields that can change
    doubts: tuple[str, ...]

    @property
    def loose(self) -> pd.Series[bool]:
        """Rows that a change since may have moved in or out."""
        return self.there & (self.changed | ~self.matching) if self.mutable else self.nothing

    @property
    def moved(self) -> bool:
        return self.mutable and bool((self.there & self.changed).any())

    @property
    def nothing(self) -> pd.Series[bool]:
        return pd.Series(False, index=self.there.index)


@dataclass(frozen=True, slots=True)
class _Verdict:
    sure: pd.Series[bool]
    possible: pd.Series[bool]
    least: int
    note: str = ""


def judge(rows: pd.DataFrame, asked: Asked, asks: Sequence[Ask], doubts: Sequence[str]) -> Judged:
    """Judge all runs of one query. `rows` has Id, what of JUDGED the object has, `matched`, and `linked`:
    when a record that the filter looks at last changed."""
    created, modified = when(rows, "CreatedDate"), when(rows, "SystemModstamp")
    linked = when(rows, "linked")
    deleted = pd.Series(False, index=rows.index)
    if "IsDeleted" in rows:
        deleted = rows["IsDeleted"].str.casefold() == "true"
    first = pd.Series(pd.NaT, index=rows.index, dtype="datetime64[us, UTC]")
    certain = pd.Series(False, index=rows.index)
    runs: list[Run] = []
    for there, same in _same_moment(asks, created, modified, deleted):
        changed = modified.isna() | (modified > same[0].at) | (linked > same[0].at)
        scene = _Scene(there, there & rows["matched"], changed, mutable_filter(asked), tuple(doubts))
        verdicts: dict[tuple[object, ...], _Verdict] = {}
        for ask in same:
            key = (ask.certain, ask.guessed, ask.partly, ask.rows, ask.ids, ask.whole)
            if key not in verdicts:
                verdict = verdicts[key] = _by_ids(_verdict(ask, asked, scene), ask, rows["Id"])
                first = first.mask(verdict.possible & (first.isna() | (first > ask.at)), ask.at)
                certain |= verdict.sure
            runs.append(_run(ask, asked, scene, verdicts[key]))
    kept = rows.assign(at=first, certain=certain, changed=(modified > first) & first.notna())
    return Judged(kept[kept["at"].notna()], runs)


def when(rows: pd.DataFrame, name: str) -> pd.Series[pd.Timestamp]:
    if name not in rows:
        return pd.Series(pd.NaT, index=rows.index, dtype="datetime64[us, UTC]")
    read = pd.to_datetime(rows[name], utc=True, errors="coerce", format="ISO8601")
    return read.astype("datetime64[us, UTC]")


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


def mutable_filter(asked: Asked) -> bool:
    """Whether the filter on the rows themselves looks at what can change."""
    query = asked.query
    if query is None:
        return False
    names = names_of(query)
    for leaf in leaves(query.where):
        if isinstance(leaf, SemiJoin):
            return True
        for found in function_fields(leaf.left):
            path = names.plain(found.path)
            if len(path) > 1 or path[0].casefold() not in FIXED:
                return True
    return False


def _verdict(ask: Ask, asked: Asked, scene: _Scene) -> _Verdict:
    """What one run returned: as if it is known to have run and to have been delivered, then what is not known
    taken back."""
    if ask.rows == 0:
        return _Verdict(scene.nothing, scene.nothing, 0)
    if ask.guessed:
        return _Verdict(scene.nothing, scene.there, 0, ask.doubt)
    found = _returned(ask, asked, scene)
    if not ask.certain:
        return replace(found, sure=scene.nothing, least=0, note=ask.doubt or "weakly attributed")
    if ask.partly:
        some = int(bool(ask.rows) and found.possible.any())
        return replace(found, sure=scene.nothing, least=some, note=ask.partly)
    return found


def _by_ids(found: _Verdict, ask: Ask, ids: pd.Series[str]) -> _Verdict:
    """What the record ids of an event say: those were returned, and nothing else where they are all."""
    if not ask.ids and not ask.whole:
        return found
    named = ids.str.slice(0, 15).isin({one[:15] for one in ask.ids})
    settled = ask.certain and not ask.partly
    sure = named if settled else named & False
    count = int(sure.sum())
    if ask.whole:
        least = count if settled else min(found.least, int(named.sum()))
        return _Verdict(sure, named, least, "" if settled else found.note)
    return _Verdict(found.sure | sure, found.possible | named, max(found.least, count), found.note)


def _returned(ask: Ask, asked: Asked, scene: _Scene) -> _Verdict:
    there, limit = scene.there, _limit(asked)
    rows = None if is_nested(asked) else ask.rows  # the log may count child rows, too
    cut = limit is not None and limit < int(there.sum()) and (rows is None or rows >= limit)
    if cut or _offset(asked):
        return _limited(asked, scene, limit, rows)
    n, loose = int(scene.matching.sum()), scene.loose
    doubts = asked.widened or "; ".join(scene.doubts)
    if doubts and (rows != n or asked.widened):
        return _Verdict(scene.nothing, there, min(rows or 0, int(there.sum())), doubts)
    fixed = scene.matching & ~loose
    sure = int(fixed.sum())
    if rows is None:  # what changed since may have been deleted then, and restored
        note = _MOVED if loose.any() else ""
        fixed &= ~scene.changed
        return _Verdict(fixed, there if loose.any() else scene.matching, int(fixed.sum()), note)
    if rows < sure:
        return _stopped(ask, asked, scene, rows)
    if rows == sure and not (loose.any() and _whole_pages(ask, rows)):
        return _Verdict(fixed, fixed, sure)
    if rows == sure + int(loose.sum()):
        return _Verdict(there, there, rows)
    return _Verdict(fixed, there, max(sure, min(rows, int(there.sum()))), _MOVED if loose.any() else "")


def _stopped(ask: Ask, asked: Asked, scene: _Scene, rows: int) -> _Verdict:
    """Fewer rows were sent than match: paging stopped, or the user may see fewer. Whole pages of a known
    order are told; another number may be what the user may see, anywhere in that order."""
    if _whole_pages(ask, rows) and _told_order(asked, scene):
        return _ranked(scene, 0, rows, rows)
    note = f"{rows} of {int(scene.matching.sum())} rows were observed: which ones cannot be told"
    return _Verdict(scene.nothing, scene.there, rows, note)


def _ranked(scene: _Scene, offset: int, count: int, rows: int | None) -> _Verdict:
    """So many rows from an offset on, of an order that is known. A row that changed since may have been
    deleted then, and restored: those after it may have stood one place earlier."""
    latest = scene.there.astype("int64").cumsum()
    earliest = latest - (scene.there & scene.changed).astype("int64").cumsum()
    sure = scene.there & ~scene.changed & (earliest > offset) & (latest <= offset + count)
    first = earliest + scene.changed
    possible = scene.there & (latest > offset) & (first <= offset + count)
    if sure.sum() == rows:
        return _Verdict(sure, sure, int(sure.sum()))
    least = int(sure.sum()) if rows is None else rows
    return _Verdict(sure, possible, least, "" if sure.sum() == possible.sum() else _MOVED)


def _whole_pages(ask: Ask, rows: int) -> bool:
    size, rest = divmod(rows, max(1, ask.pages))
    return not rest and size >= LEAST_PAGE and not size % 100


def _told_order(asked: Asked, scene: _Scene) -> bool:
    """Whether the rows still stand in the order in which they were sent: none of them can have moved."""
    if asked.query is None or not told_order(asked.query) or scene.doubts or asked.widened:
        return False
    fixed = all(path[-1] in FIXED for path in _order(asked.query))
    return not (scene.moved or (not fixed and bool((scene.there & scene.changed).any())))


def told_order(query: Query) -> bool:
    """Whether ORDER BY leaves no ties, and its values change only where SystemModstamp tells."""
    paths = _order(query)
    tells = all(len(path) == 1 and path[-1] not in VOLATILE and path[-1] for path in paths)
    return bool(paths) and paths[-1] == ("id",) and tells


def _order(query: Query) -> list[tuple[str, ...]]:
    """The paths of ORDER BY, lower case; one that is no plain field gives an empty name."""
    names = names_of(query)
    keys = [order.by for order in query.order_by]
    paths = [names.plain(key.path) if isinstance(key, FieldRef) else ("",) for key in keys]
    return [tuple(step.casefold() for step in path) for path in paths]


def keeps_order(asked: Asked) -> bool:
    """Whether the order of the rows tells which of them were sent."""
    return asked.query is not None and told_order(asked.query)


def _limited(asked: Asked, scene: _Scene, limit: int | None, rows: int | None) -> _Verdict:
    """A LIMIT cut rows away: which ones is known only under an order that nothing has changed since."""
    offset, there = _offset(asked), scene.there
    n = int(there.sum())
    if limit == 0:
        return _Verdict(scene.nothing, scene.nothing, 0)
    if _told_order(asked, scene):
        most = n if limit is None else limit
        return _ranked(scene, offset, most if rows is None else min(rows, most), rows)
    least = min(n, limit if limit is not None else n) if rows is None else min(rows, n)
    if rows is None and (scene.moved or scene.doubts or asked.widened or offset):
        least = 0
    ordered = asked.query is not None and asked.query.order_by
    reason = "under an order that may have changed or has ties" if ordered else "without an order"
    note = f"LIMIT {limit} {reason}: any of {n} records may be meant"
    return _Verdict(scene.nothing, there, least, note)


_MOVED = "records changed since may not have matched then, or no longer match"


def _limit(asked: Asked) -> int | None:
    limit = asked.query.limit if asked.query is not None else None
    return limit if isinstance(limit, int) else None


def _offset(asked: Asked) -> int:
    offset = asked.query.offset if asked.query is not None else None
    return offset if isinstance(offset, int) else 0


def is_nested(asked: Asked) -> bool:
    """Whether the query returns child records, which the log may or may not count."""
    return any(r.children for r in asked.returned)


def _run(ask: Ask, asked: Asked, scene: _Scene, verdict: _Verdict) -> Run:
    n, limit = int(scene.matching.sum()), _limit(asked)
    return Run(
        asked.digest,
        asked.object,
        ask.at,
        ask.credential,
        ask.source,
        ask.rows,
        n if limit is None else min(n, limit),
        bool(verdict.sure.sum() == verdict.possible.sum()),
        verdict.least,
        verdict.note,
        is_nested(asked),
        int(verdict.possible.sum()),
    )


def unknown_run(ask: Ask, note: str, aggregate: bool = False) -> Run:
    """A run whose records cannot be told; an aggregate shows none."""
    least = 0 if aggregate or ask.rows is None or not ask.certain else ask.rows
    asked = ask.asked
    return Run(
        asked.digest,
        asked.object,
        ask.at,
        ask.credential,
        ask.source,
        ask.rows,
        None,
        aggregate,
        least,
        note,
    )
