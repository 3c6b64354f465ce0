"""Fetch the event log files of the window into the incident folder, with their hashes; say what is
missing.

Logs lag: hourly files come three to six hours late, daily ones the next day, and a file may be replaced
by a newer one. So each run takes whatever is there and new, keeps the originals as evidence, and stops
waiting when a call that we made ourselves has appeared in the logs (then everything before it has, too)
or time is up.

Source: EventLogFile in the Salesforce object reference.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from tasks.incident import Coverage, Window, utc
from tasks.scope.gaps import gaps_of
from tasks.scope.ingest import link_or_copy
from tasks.scope.lake import Lake
from tasks.scope.lake_closed import Closed, closed_in
from tasks.scope.logs import LogRead, instants, join_logs, read_log
from tasks.scope.reader import OrgReader
from tasks.scope.stated import few

# What each type tells, and what its absence does to the bounds.
TYPES: dict[str, str] = {
    "RestApi": "without it REST reads of single records are unknown and no event names its session",
    "BulkApi2": "without it exports by Bulk API 2.0 are seen only as queries, without their row counts",
    "UniqueQuery": "without it no query text is known: every object read counts as a whole",
    "Login": "without it a login cannot be tied to its sessions",
    "ApiTotalUsage": "without it calls that no other log holds are not even counted",
    "API": "without it reads by SOAP are unknown",
    "BulkApi": "without it exports by the first Bulk API are unknown",
    "Report": "without it reports that were run are unknown",
    "ReportExport": "without it reports that were exported are unknown",
}
LAG = timedelta(hours=6)  # hourly files come three to six hours late
MARGIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class LogFile:
    """One EventLogFile row."""

    id: str
    event_type: str
    interval: str
    log_date: datetime
    created: datetime
    sequence: int
    length: int

    @property
    def day(self) -> str:
        return f"{self.log_date:%Y-%m-%d}"

    @property
    def name(self) -> str:
        hour = f"T{self.log_date:%H}" if self.interval == "Hourly" else ""
        return f"{self.event_type}-{self.day}{hour}-{self.interval.lower()}-{self.sequence}-{self.id}.csv"


@dataclass(frozen=True, slots=True)
class Logs:
    """The events by type, the coverage statement, and what was wrong with the files."""

    events: Mapping[str, pd.DataFrame]
    coverage: tuple[Coverage, ...]
    problems: tuple[str, ...]
    complete: bool  # everything up to the moment of asking has arrived
    closed: Closed | None = None  # further events, which the lake holds


def listed(reader: OrgReader, window: Window, now: datetime) -> list[LogFile]:
    """The files whose hour or day touches the window. Raises Refused without *View Event Log Files*."""
    since = (window.start - MARGIN).replace(hour=0, minute=0, second=0, microsecond=0)
    where = f"LogDate >= {since:%Y-%m-%dT%H:%M:%SZ}"
    if window.end is not None:  # and the last hours, where our own markers will land
        recent = (now - MARGIN).replace(minute=0, second=0, microsecond=0)
        where += (
            f" AND (LogDate <= {window.end:%Y-%m-%dT%H:%M:%SZ} OR LogDate >= {recent:%Y-%m-%dT%H:%M:%SZ})"
        )
    rows = reader.query(
        "SELECT Id, EventType, Interval, LogDate, CreatedDate, Sequence, LogFileLength "  # noqa: S608
        f"FROM EventLogFile WHERE {where}"
    )
    return [
        LogFile(
            str(row["Id"]),
            str(row["EventType"]),
            str(row["Interval"] or "Daily"),
            utc(str(row["LogDate"])),
            utc(str(row["CreatedDate"])),
            int(row["Sequence"] or 0),
            int(row["LogFileLength"] or 0),
        )
        for row in rows
    ]


def chosen(files: Iterable[LogFile]) -> list[LogFile]:
    """The files to read: the newest of each slot, all sequences, and a daily file instead of its hours.

    An hourly file that came after the daily one is kept: it holds events that the daily file missed.
    """
    newest: dict[tuple[str, str, datetime, int], LogFile] = {}
    for file in files:
        slot = (file.event_type, file.interval, file.log_date, file.sequence)
        if slot not in newest or file.created > newest[slot].created:
            newest[slot] = file
    daily: dict[tuple[str, str], datetime] = {}
    for file in newest.values():
        if file.interval == "Daily":
            key = (file.event_type, file.day)
            daily[key] = max(daily.get(key, file.created), file.created)
    kept = [
        file
        for file in newest.values()
        if file.interval == "Daily"
        or (file.event_type, file.day) not in daily
        or file.created > daily[file.event_type, file.day]
    ]
    return sorted(kept, key=lambda file: (file.event_type, file.log_date, file.sequence, file.id))


class LogStore:
    """The originals in the incident folder and their manifest: each is downloaded once and never changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._manifest = folder / "manifest.json"
        self.entries: dict[str, dict[str, str | int]] = (
            json.loads(self._manifest.read_text(encoding="utf-8")) if self._manifest.exists() else {}
        )
        self._parsed: dict[str, LogRead] = {}

    def fetch(self, reader: OrgReader, files: Sequence[LogFile]) -> int:
        """Download those not yet here; returns how many came."""
        fresh = [file for file in files if file.id not in self.entries]
        for file in fresh:
            data = reader.read(f"sobjects/EventLogFile/{file.id}/LogFile")
            path = self.folder / file.name
            partial = path.with_suffix(".part")
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                out.write(data)
            partial.replace(path)
            self.entries[file.id] = {
                "file": file.name,
                "sha256": hashlib.sha256(data).hexdigest(),
                "bytes": len(data),
                "announced_bytes": file.length,
                "created": file.created.isoformat(),
            }
        if fresh:
            self._write_manifest()
        return len(fresh)

    def adopt(self, files: Sequence[LogFile], closed: Closed) -> None:
        """Take files from the lake's originals instead of downloading them again; the hash is the lake's."""
        fresh = [file for file in files if file.id not in self.entries and file.id in closed.originals]
        for file in fresh:
            original = closed.originals[file.id]
            link_or_copy(original.path, self.folder / file.name)
            self.entries[file.id] = {
                "file": file.name,
                "sha256": original.sha256,
                "bytes": original.path.stat().st_size,
                "announced_bytes": file.length,
                "created": file.created.isoformat(),
            }
        if fresh:
            self._write_manifest()

    def _write_manifest(self) -> None:
        partial = self._manifest.with_suffix(".part")
        partial.write_text(json.dumps(self.entries, indent=2, sort_keys=True), encoding="utf-8")
        partial.replace(self._manifest)

    def read(self, files: Sequence[LogFile]) -> tuple[dict[str, pd.DataFrame], tuple[str, ...]]:
        """The rows of these files by event type, each row once, and what was wrong with the files."""
        parts: dict[str, list[pd.DataFrame]] = {}
        problems: list[str] = []
        for file in files:
            entry = self.entries.get(file.id)
            if entry is None:
                continue
            if file.length and entry["bytes"] != file.length:
                problems.append(
                    f"{file.name}: {entry['bytes']} bytes came where {file.length} were announced."
                )
            if file.id not in self._parsed:
                self._parsed[file.id] = read_log(self.folder / str(entry["file"]))
            log = self._parsed[file.id]
            problems.extend(log.problems)
            parts.setdefault(file.event_type, []).append(log.events)
        return {kind: join_logs(frames) for kind, frames in parts.items()}, tuple(problems)


@dataclass(frozen=True, slots=True)
class Markers:
    """Calls of our own whose appearance in the logs shows that everything before them has arrived."""

    values: Mapping[str, tuple[str, str]]  # event type -> column, value to be found there

    def landed(self, events: Mapping[str, pd.DataFrame]) -> frozenset[str]:
        return frozenset(
            kind
            for kind, (name, value) in self.values.items()
            if kind in events
            and name in events[kind].columns
            and events[kind][name].str.contains(value, regex=False).any()
        )


def collect(
    reader: OrgReader,
    window: Window,
    folder: Path,
    markers: Markers,
    *,
    now: datetime,
    wait_s: float,
    poll_s: float = 0.5,
    sleep: Callable[[float], None] = time.sleep,
    lake: Lake | None = None,
) -> Logs:
    """Download and read the logs until all markers have landed or `wait_s` seconds have passed.

    Files that the lake holds are taken from there.
    """
    store = LogStore(folder)
    deadline = time.monotonic() + wait_s
    while True:
        files = [file for file in chosen(listed(reader, window, now)) if file.event_type in TYPES]
        closed = closed_in(lake, files) if lake is not None else None
        if closed:
            store.adopt(files, closed)
        store.fetch(reader, files)
        events, problems = store.read([file for file in files if not closed or file.id not in closed.files])
        landed = markers.landed(events)
        if len(landed) == len(markers.values) or time.monotonic() >= deadline:
            break
        sleep(min(poll_s, max(0.0, deadline - time.monotonic())))
    missing = frozenset(markers.values) - landed
    told = dict(events)
    if closed:
        problems = (*closed.problems, *problems)
        for kind, rows in closed.told().items():
            told[kind] = pd.concat([rows, told[kind]], ignore_index=True).fillna("") if kind in told else rows
    gaps = gaps_of(files, {key: int(entry["bytes"]) for key, entry in store.entries.items()}, told)
    return Logs(events, coverage_of(told, window, missing, now, gaps), problems, not missing, closed)


def coverage_of(
    events: Mapping[str, pd.DataFrame],
    window: Window,
    late: frozenset[str],
    now: datetime,
    gaps: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[Coverage, ...]:
    """One line for each type of event log file: what it holds, and what its absence, gaps or lag mean."""
    gaps = gaps or {}
    return tuple(
        _stated(_covered(kind, events.get(kind), window, kind in late, now), kind, gaps.get(kind, ()), late)
        for kind in TYPES
    )


def _stated(line: Coverage, kind: str, gaps: tuple[str, ...], late: frozenset[str]) -> Coverage:
    """The line with what its gaps and lag do to the bounds."""
    effects = [] if line.present else [TYPES[kind]]
    if gaps:
        effects.append("what happened in the gaps is in no count")
    if kind in late:
        effects.append("later events will raise the counts, run again")
    said = f"{line.statement.removesuffix('.')}; gaps: {few(gaps)}; what happened in them is in no count."
    text = said if gaps else line.statement
    return replace(
        line,
        statement=text,
        licensed=True if line.present else None,
        gaps=gaps,
        lag_s=int(LAG.total_seconds()),
        effect="; ".join(effects),
    )


def _covered(kind: str, rows: pd.DataFrame | None, window: Window, late: bool, now: datetime) -> Coverage:
    name = f"EventLogFile {kind}"
    if rows is None or rows.empty:
        text = (
            f"No {kind} file for the window (no such event, no licence, or not written yet): {TYPES[kind]}."
        )
        return Coverage(name, False, None, None, 0, text)
    at = instants(rows).dropna()
    if at.empty:
        return Coverage(
            name, True, None, None, len(rows), f"{kind}: no readable time; all rows count as inside."
        )
    first, last = at.min().to_pydatetime(), at.max().to_pydatetime()
    text = f"{kind}: {len(rows)} events from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
    if late:
        end = window.end or now
        text += (
            f"; not yet complete up to {end:%Y-%m-%d %H:%M}: later events will raise the counts, run again"
        )
    return Coverage(name, True, first, last, len(rows), f"{text}.")
