"""Event logs: what happened is noted at once, and appears as EventLogFile rows after a set delay.

As in an org, logs lag: the newest events are in no file yet, a file is never changed once written, later
events of the same hour come in a file with a higher Sequence, and a Daily file appears when the day is over.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deployments.lab.salesforce.clock import Clock, iso
from deployments.lab.salesforce.event_columns import COLUMNS, types_of
from deployments.lab.salesforce.store import Store

API_VERSION = 67.0


class EventLogs:
    """Notes events and cuts them into files. Thread-safe."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        org_id: str,
        clock: Clock,
        delay_s: float,
        also: Callable[[str, Mapping[str, Any], datetime], None] = lambda *_: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._store = store
        self._org_id = org_id[:15]
        self._clock = clock
        self._also = also  # hears of every event at once
        self._delay = timedelta(seconds=delay_s)
        self._cadence = timedelta(seconds=max(1.0, delay_s / 2))
        self._lock = threading.Lock()
        self._cutting = threading.Lock()
        self._waiting: dict[tuple[str, datetime], list[tuple[datetime, str]]] = defaultdict(list)
        self._last_cut: dict[tuple[str, datetime], datetime] = {}
        self._sequence: dict[tuple[str, datetime], int] = defaultdict(int)
        self._told: dict[tuple[str, datetime], list[Path]] = {}  # by day, what its Daily file holds
        self._hourly: dict[tuple[str, datetime], list[Path]] = defaultdict(list)  # by day, for the Daily file

    def add(self, event_type: str, values: Mapping[str, Any], at: datetime | None = None) -> None:
        """Note one event; columns not given stay empty."""
        at = at or self._clock.now()
        known = {
            "EVENT_TYPE": event_type,
            "TIMESTAMP": f"{at:%Y%m%d%H%M%S}.{at.microsecond // 1000:03d}",
            "TIMESTAMP_DERIVED": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
            "ORGANIZATION_ID": self._org_id,
            **values,
        }
        self._also(event_type, known, at)
        line = ",".join(_quoted(known.get(name, "")) for name in COLUMNS[event_type])
        hour = at.replace(minute=0, second=0, microsecond=0)
        with self._lock:
            self._waiting[event_type, hour].append((at, line))

    def cut(self, *, all_of_it: bool = False) -> int:
        """Write the files that are due (`all_of_it`: every event noted so far); returns how many."""
        with self._cutting:
            return self._cut_hourly(all_of_it) + self._cut_daily()

    def _cut_hourly(self, all_of_it: bool) -> int:
        now = self._clock.now()
        rows: list[dict[str, Any]] = []
        for key, lines in self._due(now, all_of_it):
            rows.append(self._write(key, lines, "Hourly", now))
        if rows:
            self._store.insert("EventLogFile", rows)
        return len(rows)

    def _due(self, now: datetime, all_of_it: bool) -> Iterator[tuple[tuple[str, datetime], list[str]]]:
        # Half the delay passes before an event may be cut, and files are cut every half: no event is
        # later than the delay, and no file holds what has only just happened.
        ripe = now - self._delay / 2
        with self._lock:
            for key in sorted(self._waiting):
                waiting = self._waiting[key]
                if not all_of_it and now - self._last_cut.get(key, now - self._cadence) < self._cadence:
                    continue
                lines = [line for at, line in waiting if all_of_it or at <= ripe]
                if lines:
                    self._waiting[key] = [] if all_of_it else [pair for pair in waiting if pair[0] > ripe]
                    self._last_cut[key] = now
                    yield key, lines
            for key in [key for key, waiting in self._waiting.items() if not waiting]:
                del self._waiting[key]

    def _write(
        self, key: tuple[str, datetime], lines: list[str], interval: str, now: datetime
    ) -> dict[str, Any]:
        event_type, start = key
        body = (_header(event_type) + "\n" + "\n".join(lines) + "\n").encode()
        file_id = self._store.new_id("0AT")
        path = self._folder / f"{file_id}.csv"
        path.write_bytes(body)
        sequence = 0
        if interval == "Hourly":
            self._sequence[key] += 1
            sequence = self._sequence[key]
            self._hourly[event_type, start.replace(hour=0)].append(path)
        return {
            "Id": file_id,
            "EventType": event_type,
            "Interval": interval,
            "LogDate": iso(start),
            "CreatedDate": iso(now),
            "Sequence": sequence,
            "LogFileLength": len(body),
            "LogFileContentType": "text/csv",
            "LogFileFieldNames": ",".join(COLUMNS[event_type]),
            "LogFileFieldTypes": types_of(event_type),
            "ApiVersion": API_VERSION,
        }

    def _cut_daily(self) -> int:
        now = self._clock.now()
        today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        with self._lock:
            open_days = {(event_type, hour.replace(hour=0)) for event_type, hour in self._waiting}
        over = [key for key in self._hourly if key[1] < today and key not in open_days]
        rows = []
        for key in sorted(over):
            lines: list[str] = []
            # A later file of the same day takes the place of the earlier one, so it holds all of the day.
            paths = self._told[key] = self._told.get(key, []) + self._hourly.pop(key)
            for path in paths:
                lines += _body_lines(path)
            rows.append(self._write(key, lines, "Daily", now))
        if rows:
            self._store.insert("EventLogFile", rows)
        return len(rows)

    def content(self, file_id: str) -> bytes | None:
        """The CSV of one EventLogFile row; None when there is none."""
        path = self._folder / f"{file_id}.csv"
        return path.read_bytes() if path.is_file() else None


def _header(event_type: str) -> str:
    return ",".join(f'"{name}"' for name in COLUMNS[event_type])


def _body_lines(path: Path) -> list[str]:
    """Everything below the header, as one piece: a value may itself hold line breaks."""
    text = path.read_text(encoding="utf-8")
    return [text[text.index("\n") + 1 :].rstrip("\n")]


def _quoted(value: Any) -> str:
    return '"' + str(value).replace('"', '""') + '"'
