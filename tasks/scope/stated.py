"""One line of the coverage statement: a source, and what a reader must know of it to rely on the bounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.incident import Coverage, Window

SHOWN_GAPS = 5


@dataclass(frozen=True, slots=True)
class Source:
    """A source of evidence. `lag`: how late its events usually come. `without`: what its absence does."""

    name: str
    tells: str
    without: str
    lag: timedelta
    licence: str = ""  # what must be bought for it; "" where every org has it


def absent(source: Source, why: str) -> Coverage:
    """The source cannot be read; `why` names the reason."""
    licensed = False if source.licence else None
    text = f"{source.name} {why}: {source.without}."
    lag = int(source.lag.total_seconds())
    return Coverage(source.name, False, None, None, 0, text, licensed, (), lag, source.without)


def present(
    source: Source,
    times: Iterable[datetime],
    window: Window,
    now: datetime,
    *,
    said: str = "",
    gaps: tuple[str, ...] = (),
    count: int | None = None,
) -> Coverage:
    """The source was read. `said`: what else its line says. `count`: its events, if not one for each time."""
    found = sorted(times)
    first, last = (found[0], found[-1]) if found else (None, None)
    events = len(found) if count is None else count
    span = f" from {minute(first)} to {minute(last)} UTC" if first and last else " in the window"
    parts = [f"{source.name}: {events} events{span}; {source.tells}"]
    effects = []
    if said:
        parts.append(said)
    if gaps:
        parts.append(f"gaps: {few(gaps)}")
        effects.append("what happened in the gaps is in no count")
    if fresh := _fresh(source, window, now):
        parts.append(fresh)
        effects.append("later events will raise the counts, run again")
    parts += effects
    return Coverage(
        source.name,
        True,
        first,
        last,
        events,
        "; ".join(parts) + ".",
        True if source.licence else None,
        gaps,
        int(source.lag.total_seconds()),
        "; ".join(effects),
    )


def _fresh(source: Source, window: Window, now: datetime) -> str:
    """That the window is so fresh that this source cannot have told all of it yet; "" when it is not."""
    end = window.end or now
    if not source.lag or now - end >= source.lag:
        return ""
    return f"it comes up to {spoken(source.lag)} late and may not be complete up to {minute(end)} UTC"


def few(gaps: tuple[str, ...]) -> str:
    more = len(gaps) - SHOWN_GAPS
    return ", ".join(gaps[:SHOWN_GAPS]) + (f" and {more} more" if more > 0 else "")


def minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def spoken(lag: timedelta) -> str:
    """A duration in the largest unit that has no rest."""
    seconds = int(lag.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size and not seconds % size:
            n = seconds // size
            return f"{n} {unit}{'' if n == 1 else 's'}"
    return f"{seconds} seconds"
