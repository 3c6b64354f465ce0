"""A picture of all deadlines as one SVG, from clock start to due time, on a scale of hours to months.

Pure: the same duties at the same time give the same picture. It loads nothing and fits into a page as it is.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from tasks.incident import Duty, DutyStatus
from tasks.notify.history import Standing
from tasks.notify.messages import stamp

WIDTH, LABEL, RIGHT, ROW, TOP = 1000, 270, 130, 20, 46
MAX_ROWS = 60
COLOURS = {"sent": "#2e7d4f", "overdue": "#c62828", "due": "#1f5fa8", "open": "#8a8f98"}
TICKS = (
    (1, "1 h"),
    (6, "6 h"),
    (24, "1 d"),
    (72, "3 d"),
    (168, "7 d"),
    (720, "30 d"),
    (2160, "90 d"),
    (8760, "1 y"),
)


def timeline_svg(
    duties: Iterable[Duty], standings: Mapping[str, Standing], aware_at: datetime, now: datetime
) -> str:
    """Every duty that is or may be owed and has a due time, soonest first; the line in red is `now`."""
    shown = sorted(
        (duty for duty in duties if duty.status is not DutyStatus.NOT_DUE and duty.due_at),
        key=lambda duty: (duty.due_at or now, duty.rule),
    )
    rest = len(shown) - MAX_ROWS
    rows = shown[:MAX_ROWS]
    last = max([duty.due_at for duty in rows if duty.due_at] + [now, aware_at + timedelta(hours=72)])
    scale = _Scale(aware_at, last)
    height = TOP + ROW * len(rows) + (ROW if rest > 0 else 0) + 14
    parts = [
        *_axis(scale, height),
        *(_row(duty, standings.get(duty.rule), scale, now, n) for n, duty in enumerate(rows)),
    ]
    parts.append(_now_line(scale.x(now), height))
    if rest > 0:
        parts.append(_text(8, height - 12, f"and {rest} more", "#555"))
    title = f"Deadlines of {len(shown)} duties as of {stamp(now)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" width="100%" '
        f'font-family="system-ui,sans-serif" font-size="11"><title>{html.escape(title)}</title>'
        f"{''.join(parts)}</svg>\n"
    )


class _Scale:
    """Hours since awareness on a logarithmic axis; what lies before stands at its left end."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self._start = start
        self._most = math.log1p((end - start).total_seconds() / 3600)

    def x(self, instant: datetime) -> float:
        hours = max(0.0, (instant - self._start).total_seconds() / 3600)
        share = min(1.0, math.log1p(hours) / self._most) if self._most else 0.0
        return round(LABEL + share * (WIDTH - LABEL - RIGHT), 1)

    def ticks(self) -> Iterable[tuple[float, str]]:
        for hours, name in TICKS:
            if math.log1p(hours) <= self._most:
                yield self.x(self._start + timedelta(hours=hours)), name


def _axis(scale: _Scale, height: int) -> Iterable[str]:
    yield _text(LABEL, 14, "time since awareness", "#555")
    for x, name in scale.ticks():
        yield f'<line x1="{x}" y1="36" x2="{x}" y2="{height - 10}" stroke="#ddd"/>'
        yield _text(x, 30, name, "#555", "middle")


def _row(duty: Duty, standing: Standing | None, scale: _Scale, now: datetime, number: int) -> str:
    y = TOP + number * ROW
    assert duty.due_at is not None
    state = _state(duty, standing, now)
    colour = COLOURS[state]
    start = scale.x(duty.clock_start) if duty.clock_start else scale.x(duty.due_at)
    end = scale.x(duty.due_at)
    dash = ' stroke-dasharray="3 3"' if duty.status is DutyStatus.UNDETERMINED else ""
    policy = " (our target)" if duty.policy else ""
    words = {"sent": "sent", "overdue": "overdue", "due": "due", "open": "undetermined"}[state]
    tip = html.escape(f"{duty.rule}: {words}{policy}, {stamp(duty.due_at)}, {duty.recipient}")
    return (
        f"<g><title>{tip}</title>{_text(8, y + 10, duty.rule[:40], '#111')}"
        f'<line x1="{start}" y1="{y + 6}" x2="{end}" y2="{y + 6}" stroke="{colour}" stroke-width="4"{dash}/>'
        f'<circle cx="{end}" cy="{y + 6}" r="5" fill="{colour}"/>'
        f"{_text(WIDTH - 8, y + 10, f'{stamp(duty.due_at)[:16]}', colour, 'end')}</g>"
    )


def _state(duty: Duty, standing: Standing | None, now: datetime) -> str:
    if standing is not None and standing.sent_at is not None:
        return "sent"
    if duty.status is DutyStatus.UNDETERMINED:
        return "open"
    return "overdue" if duty.due_at is not None and duty.due_at < now else "due"


def _now_line(x: float, height: int) -> str:
    line = f'<line x1="{x}" y1="18" x2="{x}" y2="{height - 10}" stroke="#c62828" stroke-dasharray="2 3"/>'
    return line + _text(x, 16, "now", "#c62828", "middle")


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}" text-anchor="{anchor}">{html.escape(text)}</text>'
