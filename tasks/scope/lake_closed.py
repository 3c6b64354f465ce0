"""Log files that the lake holds already: at incident time neither downloaded nor parsed again.

A unit of the lake stands for its files only where it was made from files that would be read now, and from all
of them: where a file was replaced since, the files themselves are read. Of the lake's rows only the suspects'
leave it; the marks spread between them and the newer files until neither finds more, so the answer is the one
that reading everything gives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tasks.incident import Window
from tasks.scope.attribution import NO_KEYS, Marks, attribute
from tasks.scope.engine import name, text
from tasks.scope.ingest import is_stale, read_sums, stored_units
from tasks.scope.lake import Lake, Unit
from tasks.scope.lake_job import Known, spread, suspect_events
from tasks.scope.logs import column, instants, join_logs

if TYPE_CHECKING:
    from tasks.scope.sources import LogFile

_ID = re.compile(r"-([A-Za-z0-9]{15,18})\.csv(?:\.gz)?$")
_TOLD = ("TIMESTAMP_DERIVED", "TIMESTAMP", "API_FAMILY", "STATUS_CODE", "URI")  # what coverage looks at


@dataclass(frozen=True, slots=True)
class Original:
    """A file as it came, in the lake."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Closed:
    """What of the wanted files the lake holds."""

    lake: Lake
    units: tuple[tuple[Unit, tuple[str, ...]], ...]  # with their columns
    files: frozenset[str]  # ids of the files behind these units
    originals: Mapping[str, Original]  # by file id, also of files whose unit cannot be used
    problems: tuple[str, ...]
    # Brings the suspects' rows to the types and columns that scoping knows, where a folder was not prepared.
    shaped: Callable[[Mapping[str, pd.DataFrame]], dict[str, pd.DataFrame]] = dict

    def told(self) -> dict[str, pd.DataFrame]:
        """By type the times of all rows, and what else tells gaps."""
        found: dict[str, pd.DataFrame] = {}
        with self.lake.engine.connect() as db:
            for kind in dict.fromkeys(unit.type for unit, _ in self.units):
                parts = [self._told_sql(unit, columns) for unit, columns in self.units if unit.type == kind]
                found[kind] = db.execute(" UNION ALL ".join(parts)).df().fillna("").astype("str")
        return found

    def different(self, *columns: str) -> list[pd.DataFrame]:
        """The different values of these columns together, unit by unit, as far as a unit has them."""
        found = []
        with self.lake.engine.connect() as db:
            for unit, there in self.units:
                chosen = ", ".join(name(column) for column in columns if column in there)
                if chosen:
                    path = text(self.lake.events_file(unit))
                    rows = db.execute(f"SELECT DISTINCT {chosen} FROM read_parquet({path})")  # noqa: S608
                    found.append(rows.df().fillna("").astype("str"))
        return found

    def _told_sql(self, unit: Unit, columns: Sequence[str]) -> str:
        chosen = ", ".join(name(c) if c in columns else f"'' AS {name(c)}" for c in _TOLD)
        return f"SELECT {chosen} FROM read_parquet({text(self.lake.events_file(unit))})"  # noqa: S608


def file_id(path: str) -> str:
    """The id of an event log file from the name it was saved under; "" where the name has none."""
    found = _ID.search(path)
    return found[1] if found else ""


def closed_in(lake: Lake, files: Sequence[LogFile]) -> Closed:
    """What of these files the lake holds."""
    wanted = {file.id: file.event_type for file in files}
    originals: dict[str, Original] = {}
    units: list[tuple[Unit, tuple[str, ...]]] = []
    behind: set[str] = set()
    problems: list[str] = []
    for unit in stored_units(lake):
        sums = read_sums(lake.originals(unit))
        ids = {file_id(saved): saved for saved in sums}
        there = {one: saved for one, saved in ids.items() if wanted.get(one) == unit.type}
        for one, saved in there.items():
            originals[one] = Original(lake.originals(unit) / saved, sums[saved])
        info = lake.info(unit)
        if info is None or not there or len(there) < len(sums) or is_stale(lake, unit):
            continue
        units.append((unit, info.columns))
        behind |= set(there)
        problems += [f"{unit.type} {unit.day}: {problem}" for problem in info.problems]
    return Closed(lake, tuple(units), frozenset(behind), originals, tuple(problems))


def with_suspects(
    closed: Closed, events: Mapping[str, pd.DataFrame], marks: Marks, window: Window, now: datetime
) -> dict[str, pd.DataFrame]:
    """`events` and the suspects' rows of the lake: attributing these gives what attributing all would give.

    This product's own calls are among them: what is left out is decided once, by `attribute`.
    """
    known = Known(marks)
    nameless = _of_no_app(closed, events, marks, window, now)
    while True:
        known = known.union([spread(closed.lake, closed.units, known, window, now)])
        rows = suspect_events(closed.lake, known, window, now=now, units=closed.units, nameless=nameless)
        held = closed.shaped(rows)
        joined = {
            kind: join_logs([frame for frame in (events.get(kind), held.get(kind)) if frame is not None])
            for kind in dict.fromkeys((*events, *held))
        }
        found = attribute(joined, marks, window, now=now, own=None)
        requests = frozenset(found.events["request_id"].unique()) - NO_KEYS
        grown = known.union([Known(found.marks, requests)])
        if grown == known:
            return joined
        known = grown


def _of_no_app(
    closed: Closed, events: Mapping[str, pd.DataFrame], marks: Marks, window: Window, now: datetime
) -> pd.DataFrame | None:
    """Session and login of the events outside of the lake, where the log that names the app of every call is
    missing; None where it is there, or no app is suspected."""
    if not (marks.apps or marks.app_names):
        return None
    usage = [frame for kind, frame in (*events.items(), *closed.told().items()) if kind == "ApiTotalUsage"]
    end = window.end or now
    if any((at.isna() | ((at >= window.start) & (at <= end))).any() for at in map(instants, usage)):
        return None
    keys = [
        pd.DataFrame({"session": column(rows, "SESSION_KEY"), "login": column(rows, "LOGIN_KEY")})
        for rows in events.values()
    ]
    return pd.concat(keys) if keys else pd.DataFrame({"session": [], "login": []}, dtype="str")
