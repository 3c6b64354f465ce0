"""What became of each duty over time: appeared, moved, withdrawn with the reason, sent, confirmed late.

The history only grows. It is replayed to know where a duty stands, so that a crash between two files neither
loses a change nor writes it twice, and a duty once started never silently disappears.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from tasks.incident import Duty, DutyStatus, IncidentFolder, Ledger, Phase
from tasks.notify.records import append, notify_file, read_all


class Happened(StrEnum):
    APPEARED = "appeared"
    BECAME_DUE = "became due"  # was undetermined
    BECAME_OPEN = "became undetermined"  # was due
    DUE_MOVED = "due moved"
    WITHDRAWN = "withdrawn"
    RETURNED = "returned"  # was withdrawn
    SENT = "sent"
    CONFIRMED_LATE = "confirmed late"
    AMENDED = "amended"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one duty. `before` is the due time that `due_at` replaces."""

    at: datetime
    rule: str
    what: Happened
    status: DutyStatus
    due_at: datetime | None
    why: str
    before: datetime | None = None
    by: str | None = None
    recipient: str = ""
    clock_start: datetime | None = None
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one duty stands after all its changes. `sent_at` is the first confirmed sending."""

    rule: str
    status: DutyStatus
    recipient: str
    since: datetime  # when it first appeared
    clock_start: datetime | None
    due_at: datetime | None
    sent_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Still to be done: owed or perhaps owed, and not confirmed as sent."""
        return self.status is not DutyStatus.NOT_DUE and self.sent_at is None


def history_file(folder: IncidentFolder) -> Path:
    return notify_file(folder, "duty-history.json")


def history(folder: IncidentFolder) -> list[Change]:
    """Every change of every duty, oldest first."""
    return read_all(folder, history_file(folder), Change)


def standings(changes: Iterable[Change]) -> dict[str, Standing]:
    """Replay the history: where every duty that ever appeared stands now."""
    found: dict[str, Standing] = {}
    for change in changes:
        before = found.get(change.rule)
        if before is None:
            before = Standing(
                change.rule, change.status, change.recipient, change.at, change.clock_start, change.due_at
            )
        if change.what in (Happened.SENT, Happened.CONFIRMED_LATE):
            before = replace(before, sent_at=before.sent_at or change.sent_at or change.at)
        elif change.what is not Happened.AMENDED:
            before = replace(
                before,
                status=change.status,
                recipient=change.recipient or before.recipient,
                clock_start=change.clock_start,
                due_at=change.due_at,
            )
        found[change.rule] = before
    return found


def changes_between(known: dict[str, Standing], duties: Sequence[Duty], at: datetime) -> Iterator[Change]:
    """What the newly computed duties change. A duty that is never owed leaves no trace."""
    for duty in duties:
        before = known.get(duty.rule)
        what = _what_happened(before, duty)
        if what is None:
            continue
        moved = before.due_at if before and before.due_at != duty.due_at else None
        yield Change(
            at, duty.rule, what, duty.status, duty.due_at, duty.why, moved, None, duty.recipient,
            duty.clock_start,
        )  # fmt: skip
    computed = {duty.rule for duty in duties}
    for rule, before in known.items():
        if rule not in computed and before.status is not DutyStatus.NOT_DUE:
            why = "the rule is no longer in the rules or in the plan"
            yield Change(at, rule, Happened.WITHDRAWN, DutyStatus.NOT_DUE, None, why, before.due_at)


def _what_happened(before: Standing | None, duty: Duty) -> Happened | None:
    owed = duty.status is not DutyStatus.NOT_DUE
    if before is None:
        return Happened.APPEARED if owed else None
    if before.status is DutyStatus.NOT_DUE:
        return Happened.RETURNED if owed else None
    if not owed:
        return Happened.WITHDRAWN
    if before.status is not duty.status:
        return Happened.BECAME_DUE if duty.status is DutyStatus.DUE else Happened.BECAME_OPEN
    return Happened.DUE_MOVED if before.due_at != duty.due_at else None


def record_duties(
    folder: IncidentFolder, ledger: Ledger, duties: Sequence[Duty], at: datetime
) -> list[Change]:
    """Put what changed into the ledger and the history. The caller holds the lock."""
    changes = list(changes_between(standings(history(folder)), duties, at))
    record_changes(folder, ledger, changes)
    return changes


def record_changes(folder: IncidentFolder, ledger: Ledger, changes: Sequence[Change]) -> None:
    """The ledger first: after a crash in between a note may stand there twice, but none is missing."""
    for change in changes:
        ledger.note(
            Phase.NOTIFY,
            f"duty {change.what}",
            change.rule,
            status=change.status,
            due_at=change.due_at,
            before={"due_at": change.before.isoformat()} if change.before else None,
            confirmed_by=change.by,
            sent_at=change.sent_at,
        )
    append(folder, history_file(folder), Change, changes)
