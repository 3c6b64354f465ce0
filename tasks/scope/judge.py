"""Which of the rows that a re-run gives did each run return, and how sure is that.

A row is judged by when it came and when it went. Where the log says how many rows were returned, that is held
against the count; where LIMIT, a change since, or a weak attribution leaves room, the row is possible but not
certain, and the reason is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from blocks.salesforce.soql.ast import FieldRef
from blocks.salesforce.soql.names import names_of
from tasks.scope.matching import Ask
from tasks.scope.queries import Asked

# Change without a new SystemModstamp, so that nothing tells whether they have changed since.
VOLATILE = frozenset(
    {"lastlogindate", "lastvieweddate", "lastreferenceddate", "numberoffailedlogins", "usecount"}
)
FIXED = frozenset({"id", "createddate", "createdbyid"})


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

    matching: pd.Series[bool]  # there, and match the filter now
    there: pd.Series[bool]  # also those that do not match now but may have then
    changed: pd.Series[bool]  # changed since
    mutable: bool  # the filter looks at fields that can change
    doubts: tuple[str, ...]

    @property
    def moved(self) -> bool:
        """Whether a change since may have moved a row in or out."""
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
    """Judge all runs of one query. `rows` has Id, what of JUDGED the object has, and `matched`."""
    created, modified = _when(rows, "CreatedDate"), _when(rows, "SystemModstamp")
    deleted = pd.Series(False, index=rows.index)
    if "IsDeleted" in rows:
        deleted = rows["IsDeleted"].str.casefold() == "true"
    first = pd.Series(pd.NaT, index=rows.index, dtype="datetime64[us, UTC]")
    certain = pd.Series(False, index=rows.index)
    runs: list[Run] = []
    for there, same in _same_moment(asks, created, modified, deleted):
        changed = modified.isna() | (modified > same[0].at)
        scene = _Scene(there & rows["matched"], there, changed, mutable_filter(asked), tuple(doubts))
        verdicts: dict[tuple[bool, int | None], _Verdict] = {}
        for ask in same:
            key = (ask.certain, ask.rows)
            if key not in verdicts:
                verdict = verdicts[key] = _verdict(ask, asked, scene)
                first = first.mask(verdict.possible & (first.isna() | (first > ask.at)), ask.at)
                certain |= verdict.sure
            runs.append(_run(ask, asked, scene, verdicts[key]))
    kept = rows.assign(at=first, certain=certain, changed=(modified > first) & first.notna())
    return Judged(kept[kept["at"].notna()], runs)


def _when(rows: pd.DataFrame, name: str) -> pd.Series[pd.Timestamp]:
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
    """Whether the filter looks at a field that can change."""
    return any(name.casefold() not in FIXED for name in asked.filters)


def _verdict(ask: Ask, asked: Asked, scene: _Scene) -> _Verdict:
    n = int(scene.matching.sum())
    nothing, there = scene.nothing, scene.there
    limit = _limit(asked)
    if limit is not None and limit < int(there.sum()):
        return _limited(ask, asked, scene, limit)
    if not ask.certain:
        return _Verdict(nothing, there, 0, ask.doubt or "weakly attributed")
    if ask.rows is not None and ask.rows < n and not is_nested(asked):
        note = f"{ask.rows} of {n} rows were observed: which ones cannot be told"
        return _Verdict(nothing, there, min(ask.rows, int(there.sum())), note)
    agreed = ask.rows == n and not is_nested(asked)
    least = min(ask.rows, int(there.sum())) if ask.rows is not None and not is_nested(asked) else 0
    if asked.widened or (scene.doubts and not agreed):
        return _Verdict(nothing, there, least, asked.widened or "; ".join(scene.doubts))
    if scene.moved:
        sure = scene.matching & ~scene.changed
        note = "records changed since may not have matched then, or no longer match"
        return _Verdict(sure, there, max(least, int(sure.sum())), note)
    return _Verdict(scene.matching, there, n)


def _limited(ask: Ask, asked: Asked, scene: _Scene, limit: int) -> _Verdict:
    """A LIMIT cut rows away: which ones is known only under an order that nothing has changed since."""
    assert asked.query is not None
    names = names_of(asked.query)
    keys = [o.by for o in asked.query.order_by]
    paths = [names.plain(key.path) if isinstance(key, FieldRef) else ("",) for key in keys]
    offset = asked.query.offset if isinstance(asked.query.offset, int) else 0
    unique = bool(paths) and paths[-1][-1].casefold() == "id"
    volatile = any(path[-1].casefold() in VOLATILE or len(path) > 1 for path in paths)
    fixed = all(path[-1].casefold() in FIXED for path in paths)
    moved = scene.moved or (not fixed and bool((scene.there & scene.changed).any()))
    there = scene.there
    if unique and not (volatile or moved or scene.doubts or asked.widened) and ask.certain:
        rank = there.cumsum()
        chosen = there & (rank > offset) & (rank <= offset + limit)
        return _Verdict(chosen, chosen, int(chosen.sum()))
    least = 0
    if ask.certain:
        least = min(ask.rows if ask.rows is not None else limit, limit, int(there.sum()))
        if ask.rows is None and (scene.moved or scene.doubts or asked.widened or offset):
            least = 0
    reason = "under an order that may have changed or has ties" if paths else "without an order"
    note = f"LIMIT {limit} {reason}: any of {int(there.sum())} records may be meant"
    return _Verdict(scene.nothing, there, least, note)


def _limit(asked: Asked) -> int | None:
    limit = asked.query.limit if asked.query is not None else None
    return limit if isinstance(limit, int) else None


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
