"""Deadlines that cannot be missed: looks at stored instants, not at ticks, and says each threshold once.

A look decides from the duty history what was reached since the last look, however long ago that was. What
is to be said is stored before it is posted, under a key that stays the same, so that a crash in between
neither loses nor repeats it. What nobody takes care of goes to the next person by the plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from blocks.plan import Plan
from tasks.incident import DutyStatus, Incident, IncidentFolder
from tasks.notify.history import Standing
from tasks.notify.messages import left, stamp
from tasks.notify.records import notify_file
from tasks.notify.roles import after, approver_of

OVERDUE = "overdue"
NAMES = {0.5: "half", 0.25: "quarter", 0.1: "tenth"}
MAX_TEXT = 2600
CHASE_EVERY = timedelta(hours=24)
CHASES = 14  # days on which a vendor that does not answer is called out
DAILY_AT = time(9, 0)


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """One threshold of one duty's due time; a due time that moves has thresholds of its own."""

    rule: str
    due_at: datetime
    threshold: str
    reached_at: datetime


@dataclass(frozen=True, slots=True)
class Reminder:
    """One message about thresholds. `handed_over`: the channel has it in its outbox or out."""

    key: str
    text: str
    role: str
    marks: tuple[Mark, ...]
    at: datetime
    handed_over: bool = False
    told: tuple[str, ...] = ()  # roles it went to since, by escalation
    last_told: datetime | None = None
    taken_by: str | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """Everything the watch has ever said about one incident."""

    reminders: tuple[Reminder, ...] = ()

    def said(self) -> set[tuple[str, datetime, str]]:
        return {(m.rule, m.due_at, m.threshold) for one in self.reminders for m in one.marks}


def watch_file(folder: IncidentFolder) -> Path:
    return notify_file(folder, "watch.json")


def reached(standing: Standing, remind_at: Sequence[float], at: datetime) -> Iterator[Mark]:
    """Every threshold of an open duty reached by `at`, in order; shares are of the whole period."""
    if not standing.open or standing.due_at is None:
        return
    due_at, start = standing.due_at, standing.clock_start or standing.since
    if start < due_at:
        for share in sorted(remind_at, reverse=True):
            instant = due_at - (due_at - start) * share
            if instant <= at:
                yield Mark(standing.rule, due_at, NAMES.get(share, f"{share:.0%}"), instant)
    if at > due_at:
        yield Mark(standing.rule, due_at, OVERDUE, due_at)


def chases(standing: Standing, at: datetime) -> Iterator[Mark]:
    """A vendor's answer that stays out is called out every day; of days missed only the last counts."""
    answer = standing.rule.startswith("VENDOR-") and standing.rule.endswith("-ANSWER")
    if not answer or not standing.open or standing.due_at is None:
        return
    days = min(int((at - standing.due_at) / CHASE_EVERY), CHASES) if at > standing.due_at else 0
    if days:
        yield Mark(standing.rule, standing.due_at, f"chase {days}", standing.due_at + days * CHASE_EVERY)


def look(
    watched: Watched, standings: Mapping[str, Standing], incident: Incident, plan: Plan, at: datetime
) -> Watched:
    """What was said, and added to it what is to be said now: a reminder for each role, or several."""
    said = watched.said()
    fresh: dict[str, list[tuple[Standing, list[Mark]]]] = {}
    for standing in sorted(standings.values(), key=lambda s: (s.due_at is None, s.due_at or at, s.rule)):
        found = [*reached(standing, plan.policies.watch.remind_at, at), *chases(standing, at)]
        marks = [mark for mark in found if (mark.rule, mark.due_at, mark.threshold) not in said]
        if marks:
            fresh.setdefault(approver_of(standing.rule, plan), []).append((standing, marks))
    new = [one for role, items in sorted(fresh.items()) for one in _reminders(incident, role, items, at)]
    return Watched((*watched.reminders, *new))


def _reminders(
    incident: Incident, role: str, items: Iterable[tuple[Standing, list[Mark]]], at: datetime
) -> Iterator[Reminder]:
    lines: list[str] = []
    marks: list[Mark] = []
    for standing, reached_marks in items:
        line = _line(standing, reached_marks, at)
        if lines and sum(map(len, lines)) + len(line) > MAX_TEXT:
            yield _reminder(incident, role, lines, marks, at)
            lines, marks = [], []
        lines.append(line)
        marks += reached_marks
    if lines:
        yield _reminder(incident, role, lines, marks, at)


def _reminder(incident: Incident, role: str, lines: list[str], marks: list[Mark], at: datetime) -> Reminder:
    named = "|".join(f"{mark.rule} {mark.due_at.isoformat()} {mark.threshold}" for mark in marks)
    key = f"watch-{hashlib.sha256(named.encode()).hexdigest()[:16]}"
    text = "\n".join([f"*Deadlines of {incident.id}*", *lines])
    return Reminder(key, text, role, tuple(marks), at, last_told=at)


def _line(standing: Standing, marks: list[Mark], at: datetime) -> str:
    """One duty with every threshold newly reached; the older ones with the time of each."""
    *earlier, last = marks
    names = [f"{mark.threshold} ({stamp(mark.reached_at)})" for mark in earlier] + [f"*{last.threshold}*"]
    what = ", ".join(names)
    open_question = "" if standing.status is DutyStatus.DUE else " (undetermined: answer its questions)"
    due = f"due {stamp(standing.due_at)}, {left(standing.due_at, at)}"
    return f"- {what}: `{standing.rule}`{open_question} {due}: {standing.recipient[:90]}"


# --- escalation ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Escalation:
    key: str
    text: str
    role: str
    reminder: str


def escalations(
    watched: Watched, standings: Mapping[str, Standing], plan: Plan, at: datetime
) -> list[Escalation]:
    """Reminders that nobody took within the plan's time and that still hold, each for the next person."""
    wait = timedelta(minutes=plan.policies.watch.escalate_after_minutes)
    found = []
    for one in watched.reminders:
        since = one.last_told or one.at
        rest = [role for role in after(one.role, plan) if role not in one.told]
        still = sorted({mark.rule for mark in one.marks if _holds(mark, standings)})
        if one.taken_by or not rest or not still or at < since + wait:
            continue
        names = ", ".join(f"`{rule}`" for rule in still[:10])
        more = f" and {len(still) - 10} more" if len(still) > 10 else ""
        text = f"Nobody took the reminder to {', '.join([one.role, *one.told])}: {names}{more}"
        found.append(Escalation(f"{one.key}-to-{rest[0]}", text, rest[0], one.key))
    return found


def _holds(mark: Mark, standings: Mapping[str, Standing]) -> bool:
    standing = standings.get(mark.rule)
    return standing is not None and standing.open and standing.due_at == mark.due_at


def told(watched: Watched, escalation: Escalation, at: datetime) -> Watched:
    return _change(
        watched,
        escalation.reminder,
        lambda one: replace(one, told=(*one.told, escalation.role), last_told=at),
    )


def handed_over(watched: Watched, key: str) -> Watched:
    return _change(watched, key, lambda one: replace(one, handed_over=True))


def taken(watched: Watched, key: str, by: str) -> Watched:
    """Somebody takes care of it; the first one stays."""
    return _change(watched, key, lambda one: replace(one, taken_by=one.taken_by or by))


def _change(watched: Watched, key: str, change: Callable[[Reminder], Reminder]) -> Watched:
    return Watched(tuple(change(one) if one.key == key else one for one in watched.reminders))


def daily_key(plan: Plan, at: datetime) -> str | None:
    """The key of today's summary, from nine on in the organisation's zone; missed days are left out."""
    local = at.astimezone(ZoneInfo(plan.organisation.time_zone))
    return f"daily-{local.date().isoformat()}" if local.time() >= DAILY_AT else None
