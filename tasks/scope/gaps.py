"""What is missing among the event log files: parts of an hour, bytes of a file, hours another log counts.

An hour without a file is no gap by itself: where nothing happened, no file is written. It is one when a log
that sees the same calls has some in it.
Source: object reference, EventLogFile (Sequence counts the parts of an hour, from 1; LogFileLength).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from tasks.scope.logs import column, instants

if TYPE_CHECKING:
    from tasks.scope.sources import LogFile

_QUERY = r"/query(?:All)?/?$"


def gaps_of(
    files: Sequence[LogFile], sizes: Mapping[str, int], events: Mapping[str, pd.DataFrame]
) -> dict[str, tuple[str, ...]]:
    """Event type -> its gaps. `files`: those chosen to be read; `sizes`: bytes that came, by file id."""
    found: dict[str, list[str]] = defaultdict(list)
    for kind, gap in (*_parts(files), *_bytes(files, sizes), *_hours(events)):
        found[kind].append(gap)
    return {kind: tuple(gaps) for kind, gaps in found.items()}


def _parts(files: Iterable[LogFile]) -> Iterable[tuple[str, str]]:
    """Hours of which a numbered part is missing."""
    hours: dict[tuple[str, datetime], set[int]] = defaultdict(set)
    for file in files:
        if file.interval == "Hourly" and file.sequence > 0:
            hours[file.event_type, file.log_date].add(file.sequence)
    for (kind, hour), parts in sorted(hours.items()):
        missing = sorted(set(range(1, max(parts) + 1)) - parts)
        if missing:
            numbers = ", ".join(map(str, missing))
            yield kind, f"part {numbers} of {max(parts)} of {hour:%Y-%m-%d %H:00} UTC is missing"


def _bytes(files: Iterable[LogFile], sizes: Mapping[str, int]) -> Iterable[tuple[str, str]]:
    for file in files:
        came = sizes.get(file.id)
        if came is None:
            yield file.event_type, f"{file.name} could not be downloaded"
        elif file.length and came != file.length:
            yield file.event_type, f"{file.name} has {came} of {file.length} bytes"


def _hours(events: Mapping[str, pd.DataFrame]) -> Iterable[tuple[str, str]]:
    """Hours in which one log has calls that another one must have, too, and that has none."""
    usage, rest = events.get("ApiTotalUsage"), events.get("RestApi")
    if usage is not None and not usage.empty:
        calls = usage[column(usage, "API_FAMILY").str.casefold() == "rest"]
        yield from _missing("RestApi", events, calls, "the usage log has {n} REST calls")
    if rest is not None and not rest.empty:
        done = column(rest, "STATUS_CODE").isin(["200", ""])
        asked = rest[done & column(rest, "URI").str.contains(_QUERY)]
        yield from _missing("UniqueQuery", events, asked, "the RestApi log has {n} queries")


def _missing(
    kind: str, events: Mapping[str, pd.DataFrame], others: pd.DataFrame, why: str
) -> Iterable[tuple[str, str]]:
    mine = events.get(kind)
    if mine is None or others.empty or not instants(mine).notna().any():
        return
    have, counts = _by_hour(mine), _by_hour(others)
    for hour, count in sorted(counts.items()):
        # Outside of what this log covers the lag explains it, or the window does.
        if hour not in have and min(have) < hour < max(have):
            yield kind, f"no event at {hour:%Y-%m-%d %H:00} UTC, in which {why.format(n=count)}"


def _by_hour(events: pd.DataFrame) -> dict[pd.Timestamp, int]:
    counts = instants(events).dropna().dt.floor("h").value_counts()
    return {pd.Timestamp(str(hour)): int(count) for hour, count in counts.items()}
