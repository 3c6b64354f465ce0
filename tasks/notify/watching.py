"""Carries out one look of the watch: stores what is to be said, says it, escalates, sums up daily."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from blocks.plan import Plan
from tasks.incident import Incident, IncidentFolder, Ledger, Phase
from tasks.notify.buttons import take_button
from tasks.notify.history import history, standings
from tasks.notify.messages import plain, status_blocks
from tasks.notify.outlet import Outlet
from tasks.notify.records import locked
from tasks.notify.run import current_status
from tasks.notify.watch import (
    Watched,
    daily_key,
    escalations,
    handed_over,
    look,
    taken,
    told,
    watch_file,
)

THREAD = "clocks"


def watched_incidents(home: Path) -> Iterator[str]:
    """Ids of all incidents here that still have an open duty, oldest first."""
    for path in sorted((home / "incidents").glob("*/incident.json")):
        folder = IncidentFolder(path.parent)
        if any(one.open for one in standings(history(folder)).values()):
            yield path.parent.name


def watch_incident(
    incident: Incident, plan: Plan, folder: IncidentFolder, ledger: Ledger, outlet: Outlet, at: datetime
) -> list[str]:
    """One look: what was reached is said once, what nobody took goes on; returns what could not be posted."""
    known = standings(history(folder))
    with locked(folder):
        before = _watched(folder)
        watched = look(before, known, incident, plan, at)
        folder.write(watch_file(folder), watched)
    for one in watched.reminders[len(before.reminders) :]:
        ledger.note(Phase.NOTIFY, "thresholds reached", one.key, role=one.role, duties=len(one.marks))
    outlet.update_status(current_status(incident, folder, "notify", at))
    for one in watched.reminders:
        if not one.handed_over:
            outlet.post(one.key, one.text, THREAD, take_button(incident.id, one.key, one.text), (one.role,))
            _store(folder, partial(handed_over, key=one.key))
    for step in escalations(watched, known, plan, at):
        outlet.post(step.key, step.text, THREAD, to=(step.role,))
        ledger.note(Phase.NOTIFY, "escalated", step.reminder, role=step.role)
        _store(folder, partial(told, escalation=step, at=at))
    if key := daily_key(plan, at):
        outlet.post(key, plain(status_blocks(current_status(incident, folder, "daily summary", at))))
    return outlet.problems


def take(folder: IncidentFolder, ledger: Ledger, key: str, by: str) -> None:
    """Somebody takes care of a reminder: it goes to nobody else. The first one stays."""
    with locked(folder):
        before = _watched(folder)
        folder.write(watch_file(folder), taken(before, key, by))
    if any(one.key == key and one.taken_by is None for one in before.reminders):
        ledger.note(Phase.NOTIFY, "reminder taken", key, approver=by)


def _watched(folder: IncidentFolder) -> Watched:
    return folder.read(watch_file(folder), Watched) or Watched()


def _store(folder: IncidentFolder, change: Callable[[Watched], Watched]) -> None:
    with locked(folder):
        folder.write(watch_file(folder), change(_watched(folder)))
