"""Sent means a person confirmed it: when, by which channel, under which reference, and who says so.

A confirmed notice starts the clocks that wait for it: California's copy to the attorney general counts from
the day people were told, NIS2's final report from the notification.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from blocks.errors import BadInput
from tasks.incident import Duty, IncidentFolder, Ledger, Phase, utc
from tasks.notify.facts import Fact, Facts
from tasks.notify.history import Change, Happened, history, record_changes, standings
from tasks.notify.records import append, locked, notify_file, read_all
from tasks.notify.rules import Rule


@dataclass(frozen=True, slots=True)
class Sent:
    """One notice that left the house. `draft_hash` is the approved text; else `unapproved` says why."""

    rule: str
    sent_at: datetime
    channel: str  # how, e.g. "online form", "e-mail", "post"
    reference: str  # the recipient's number for it
    by: str
    recorded_at: datetime
    recipient: str | None = None  # one of several named in the duty; None: all of them
    draft_hash: str | None = None
    unapproved: str | None = None
    late_reason: str | None = None
    amends: str | None = None  # reference of the notice that this one supplements


def sent_file(folder: IncidentFolder) -> Path:
    return notify_file(folder, "sent.json")


def all_sent(folder: IncidentFolder) -> list[Sent]:
    """Every confirmation, oldest first."""
    return read_all(folder, sent_file(folder), Sent)


def confirm_sent(
    folder: IncidentFolder, ledger: Ledger, sent: Sent, approved: Mapping[str, str] | None = None
) -> Sent:
    """Record that a notice went out. The same confirmation again changes nothing.

    `approved` are the approved hashes by rule. Raises BadInput for a duty that is not owed, a time in the
    future, a late notice without its reason, a text nobody approved, and a second notice that amends nothing.
    """
    with locked(folder):
        earlier = next((one for one in all_sent(folder) if _same(one, sent)), None)
        if earlier is None:
            _check(folder, sent, approved or {})
            ledger.note(
                Phase.NOTIFY,
                "sent confirmed",
                sent.rule,
                sent_at=sent.sent_at,
                method=sent.channel,
                ref=sent.reference,
                confirmed_by=sent.by,
                content_hash=sent.draft_hash,
                reason=sent.late_reason or sent.unapproved,
                replaces=sent.amends,
            )
            append(folder, sent_file(folder), Sent, [sent])
        record_changes(folder, ledger, _missing_changes(folder, earlier or sent))
    return earlier or sent


def _same(earlier: Sent, sent: Sent) -> bool:
    def what(one: Sent) -> tuple[object, ...]:
        return (one.rule, one.recipient, one.reference, one.sent_at)

    return what(earlier) == what(sent)


def _check(folder: IncidentFolder, sent: Sent, approved: Mapping[str, str]) -> None:
    duty, due_at = _duty(folder, sent.rule)
    if utc(sent.sent_at) > utc(sent.recorded_at):
        raise BadInput(
            f"The notice is said to be sent at {sent.sent_at.isoformat()}, which is still to come.",
            "Confirm it when it is out.",
        )
    if not sent.channel.strip() or not sent.reference.strip():
        raise BadInput("Channel or reference is missing.", "Say how it was sent and under which number.")
    names = duty.recipient.split("; ")
    if sent.recipient is not None and sent.recipient not in names:
        raise BadInput(f"{sent.recipient!r} is no recipient of {sent.rule}.", f"One of: {duty.recipient}.")
    if not sent.unapproved and (sent.draft_hash is None or sent.draft_hash != approved.get(sent.rule)):
        raise BadInput(
            f"No approval covers this text for {sent.rule}.",
            "Have the draft approved first; if it is out already, give the reason why nobody approved it.",
        )
    _check_repeat(sent, [one for one in all_sent(folder) if one.rule == sent.rule])
    if due_at is not None and _is_late(sent, due_at) and not sent.late_reason:
        raise BadInput(
            f"{sent.rule} was due at {due_at:%Y-%m-%d %H:%M} UTC; it was sent late.",
            "Give the reason for the delay: the law asks for it.",
        )


def _check_repeat(sent: Sent, before: list[Sent]) -> None:
    if sent.amends is not None:
        if sent.amends not in {one.reference for one in before}:
            raise BadInput(
                f"No notice of {sent.rule} has the reference {sent.amends!r}.", "Check the number."
            )
    elif before and sent.recipient in {None, *(one.recipient for one in before)}:
        raise BadInput(
            f"{sent.rule} is confirmed as sent already, under {before[-1].reference}.",
            "Name the reference it amends, if this is a supplement.",
        )


def _duty(folder: IncidentFolder, rule: str) -> tuple[Duty, datetime | None]:
    standing = standings(history(folder)).get(rule)
    duty = next((d for d in folder.read(folder.duties, list[Duty]) or [] if d.rule == rule), None)
    if standing is None or duty is None:
        raise BadInput(
            f"{rule} was never owed in this incident.",
            "Check the id of the rule; `leak-response duties` shows them all.",
        )
    return duty, standing.due_at


def _is_late(sent: Sent, due_at: datetime) -> bool:
    return sent.amends is None and sent.sent_at > due_at


def _missing_changes(folder: IncidentFolder, sent: Sent) -> list[Change]:
    """What the history must say of this confirmation and does not yet, for example after a crash."""
    duty, due_at = _duty(folder, sent.rule)
    late = due_at is not None and _is_late(sent, due_at)
    if sent.amends is not None:
        what = Happened.AMENDED
    else:
        told = [one for one in all_sent(folder) if one.rule == sent.rule]
        if not _complete(duty.recipient.split("; "), told):
            return []
        what = Happened.CONFIRMED_LATE if late else Happened.SENT
    known = {(one.rule, one.what, one.sent_at) for one in history(folder)}
    if (sent.rule, what, sent.sent_at) in known:
        return []
    return [
        Change(
            at=sent.recorded_at,
            rule=sent.rule,
            what=what,
            status=duty.status,
            due_at=due_at,
            why=sent.late_reason or f"confirmed under {sent.reference}",
            by=sent.by,
            sent_at=sent.sent_at,
        )
    ]


def _complete(names: list[str], sent: Iterable[Sent]) -> bool:
    told = {one.recipient for one in sent}
    return None in told or told >= set(names)


def clocks_started(folder: IncidentFolder, rules: Mapping[str, Rule]) -> Facts:
    """The instants at which confirmed notices started the clocks of the duties that wait for them."""
    first: dict[str, Sent] = {}
    for one in all_sent(folder):
        first.setdefault(one.rule, one)
    clocks: dict[str, Fact] = {}
    for rule in rules.values():
        waits_for = rule.individuals_rule or rule.deadline.projected_from
        if waits_for in first:
            sent = first[waits_for]
            clocks[f"{rule.deadline.clock_start}.{rule.id}"] = Fact(sent.sent_at, sent.by, sent.recorded_at)
    for sent in first.values():
        told = rules.get(sent.rule)
        if told is not None and told.recipient.type == "data_subject":
            clocks[f"individual_notice_sent.{told.jurisdiction}"] = Fact(
                sent.sent_at, sent.by, sent.recorded_at
            )
    return Facts({}, None, clocks)
