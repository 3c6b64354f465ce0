"""Take the snapshot: all sources at once, each in its own thread, under one short time box.

A source that is slow, refuses or breaks is named and holds up nobody. One that answers after the time box is
kept all the same, marked as late. A file that is there already is never read again: the first look counts.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from blocks.errors import LeakResponseError
from blocks.systems import Systems
from tasks.incident import Incident, IncidentFolder, Ledger, Phase, System
from tasks.preserve.aws import aws_sources
from tasks.preserve.salesforce import salesforce_sources
from tasks.preserve.sources import Source
from tasks.preserve.vault import vault_sources

FOLDER = "snapshot"
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Preserved:
    """What became of one source. `problem` is empty when it was read whole."""

    source: str
    system: System
    file: str = ""
    sha256: str = ""
    rows: int = 0
    seconds: float = 0.0
    problem: str = ""
    again: bool = False  # was there from an earlier run


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole T+0 picture, in counts and hashes."""

    taken_at: datetime
    seconds: float
    sources: tuple[Preserved, ...]

    @property
    def unread(self) -> tuple[Preserved, ...]:
        """The sources of which nothing was had."""
        return tuple(source for source in self.sources if not source.file)

    @property
    def incomplete(self) -> tuple[Preserved, ...]:
        """The sources of which something was had, but not all."""
        return tuple(source for source in self.sources if source.file and source.problem)


def preserve(
    incident: Incident,
    systems: Systems,
    folder: IncidentFolder,
    ledger: Ledger,
    *,
    clock: Clock,
    time_box_s: float = 8.0,
) -> Snapshot:
    """Snapshot everything volatile within `time_box_s` seconds. Never raises because a system is down."""
    sources = [
        *salesforce_sources(incident, systems.salesforce),
        *aws_sources(incident, systems.aws),
        *vault_sources(incident, systems.vault),
    ]
    return take(sources, folder, ledger, clock=clock, time_box_s=time_box_s)


def take(
    sources: list[Source], folder: IncidentFolder, ledger: Ledger, *, clock: Clock, time_box_s: float
) -> Snapshot:
    """As `preserve`, of these sources."""
    taken_at, start = clock(), time.monotonic()
    takers = [_Taker(source, folder, ledger, clock) for source in sources]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.finished.wait(max(0.0, start + time_box_s - time.monotonic()))
    preserved = tuple(taker.outcome(time_box_s) for taker in takers)
    snapshot = Snapshot(taken_at, round(time.monotonic() - start, 3), preserved)
    folder.write(folder.sub(FOLDER) / "index.json", snapshot)
    ledger.note(
        Phase.PRESERVE,
        "snapshot",
        FOLDER,
        sources=[p.source for p in preserved if p.file],
        missing=[p.source for p in snapshot.unread],
        seconds=snapshot.seconds,
        rows=sum(p.rows for p in preserved),
    )
    return snapshot


def file_name(source: str) -> str:
    """A source's name as a file's; names that differ stay different."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", source)
    return plain if plain == source else f"{plain}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"


class _Taker(threading.Thread):
    """Reads one source. A daemon: a source that never answers must not keep the program alive."""

    def __init__(self, source: Source, folder: IncidentFolder, ledger: Ledger, clock: Clock) -> None:
        super().__init__(name=f"preserve-{source.name}", daemon=True)
        self.source, self._folder, self._ledger, self._clock = source, folder, ledger, clock
        self.finished = threading.Event()
        self._lock = threading.Lock()
        self._result: Preserved | None = None
        self._late = False

    def run(self) -> None:
        started = time.monotonic()
        try:
            result = self._take(started)
        except LeakResponseError as error:
            result = self._without(error.problem, started)
        except Exception as error:  # a source must not take the others with it; its text may carry data
            result = self._without(f"It broke with {type(error).__name__}.", started)
        with self._lock:
            self._result = result
            late = self._late
        try:
            self._record(result, late)
        finally:
            self.finished.set()

    def outcome(self, time_box_s: float) -> Preserved:
        """What is known when the time box ends."""
        with self._lock:
            if self._result is not None:
                return self._result
            self._late = True
        problem = f"It did not answer within {time_box_s:g} seconds; it is kept if it still does."
        return Preserved(self.source.name, self.source.system, problem=problem, seconds=time_box_s)

    def _take(self, started: float) -> Preserved:
        path = self._folder.sub(FOLDER) / f"{file_name(self.source.name)}.json"
        if path.exists():
            return self._kept(path, started)
        asked_at = self._clock()
        reading = self.source.read()
        self._folder.write(
            path,
            {
                "source": self.source.name,
                "system": self.source.system,
                "asked_at": asked_at,
                "answered_at": self._clock(),
                "count": len(reading.rows),
                "left_out": reading.left_out,
                "rows": reading.rows,
            },
        )
        return self._done(path, len(reading.rows), reading.left_out, started)

    def _kept(self, path: Path, started: float) -> Preserved:
        done = self._done(path, 0, "", started)
        return Preserved(done.source, done.system, done.file, done.sha256, seconds=done.seconds, again=True)

    def _done(self, path: Path, rows: int, problem: str, started: float) -> Preserved:
        return Preserved(
            source=self.source.name,
            system=self.source.system,
            file=f"{FOLDER}/{path.name}",
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            rows=rows,
            seconds=round(time.monotonic() - started, 3),
            problem=problem,
        )

    def _without(self, problem: str, started: float) -> Preserved:
        seconds = round(time.monotonic() - started, 3)
        return Preserved(self.source.name, self.source.system, problem=problem, seconds=seconds)

    def _record(self, result: Preserved, late: bool) -> None:
        action = "preserved-late" if late and result.file else "preserved" if result.file else "not-preserved"
        self._ledger.note(
            Phase.PRESERVE,
            action,
            self.source.name,
            system=self.source.system,
            file=result.file or None,
            sha256=result.sha256 or None,
            rows=result.rows,
            seconds=result.seconds,
            problem=result.problem or None,
        )
