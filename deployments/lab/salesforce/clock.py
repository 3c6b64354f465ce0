"""The twin's one clock, which a rehearsal may set forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Real time plus an offset."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def set(self, instant: datetime) -> None:
        """Let it be that instant now; time goes on from there."""
        self._offset = instant.astimezone(UTC) - datetime.now(UTC)

    def advance(self, seconds: float) -> None:
        self._offset += timedelta(seconds=seconds)


def iso(instant: datetime) -> str:
    """As the REST API writes it: 2026-11-24T09:30:00.000+0000."""
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03d}+0000"


def parse_iso(text: str) -> datetime:
    """The inverse of `iso`; also accepts the other ISO 8601 spellings."""
    return datetime.fromisoformat(text).astimezone(UTC)
