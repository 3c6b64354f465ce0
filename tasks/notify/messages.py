"""What the incident channel says: counts, references and times, never personal data and never a secret.

Pure functions from the incident's state to Slack blocks and plain text, so that a test can search them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks.incident import AccessStatus, Containment, Duty, DutyStatus, Incident, ScopeSummary

Blocks = list[dict[str, Any]]
MAX_TEXT = 2900  # Slack refuses a section text over 3,000 characters


@dataclass(frozen=True, slots=True)
class Status:
    """What the pinned message shows. Parts that are not known yet are None, and say so."""

    incident: Incident
    phase: str
    containment: Sequence[Containment] | None
    scope: ScopeSummary | None
    duties: Sequence[Duty] | None
    failed_steps: Sequence[str]
    at: datetime
    sent: frozenset[str] = frozenset()  # rules whose notice is confirmed


def status_blocks(status: Status) -> Blocks:
    """The pinned status message: containment, clocks, open questions, failed steps."""
    incident = status.incident
    suspects = ", ".join(f"{suspect.kind} `{masked(suspect.identifier)}`" for suspect in incident.suspects)
    sections = [
        f"*Incident {incident.id}*: {incident.what_happened}\nSuspects: {suspects}\nPhase: *{status.phase}*",
        containment_text(status.containment),
        scope_text(status.scope),
        duties_text(status.duties, status.at, status.sent),
    ]
    if status.failed_steps:
        sections.append("*Failed steps*\n" + "\n".join(f"- {step}" for step in status.failed_steps))
    context = f"Aware since {stamp(incident.aware_at)}. Updated {stamp(status.at)}."
    return [*(_section(text) for text in sections), _context(context)]


def containment_text(containment: Sequence[Containment] | None) -> str:
    """How many accesses are shut and proven, and each that is not."""
    if containment is None:
        return "*Containment*: not started"
    counts: dict[AccessStatus, int] = {}
    for item in containment:
        counts[item.status] = counts.get(item.status, 0) + 1
    done = counts.get(AccessStatus.CLOSED, 0)
    lines = [f"*Containment*: {done} of {len(containment)} accesses closed and proven"]
    for item in containment:
        if item.status is not AccessStatus.CLOSED:
            who = masked(item.access.principal)
            lines.append(f"- *{item.status}*: {item.access.system} {item.access.kind} of `{who}`")
    return "\n".join(lines)


def scope_text(scope: ScopeSummary | None) -> str:
    """Counts only, with both bounds where they differ."""
    if scope is None:
        return "*Scope*: not known yet"
    records = between(scope.records.lower, scope.records.upper)
    people = between(scope.subjects.lower, scope.subjects.upper)
    return f"*Scope*: {records} records of {people} people in {len(scope.by_residence)} places of residence"


def duties_text(duties: Sequence[Duty] | None, at: datetime, sent: frozenset[str] = frozenset()) -> str:
    """The clocks: what is due first stands first; then how many wait for an answer."""
    if duties is None:
        return "*Duties*: not computed yet"
    due = [duty for duty in duties if duty.status is DutyStatus.DUE and duty.rule not in sent]
    asked = [duty for duty in duties if duty.status is not DutyStatus.NOT_DUE]
    open_questions = sorted({fact for duty in asked for fact in duty.missing})
    lines = [f"*Duties*: {len(due)} due" + (f", {len(sent)} confirmed as sent" if sent else "")]
    for duty in [duty for duty in due if duty.due_at][:8]:
        lines.append(
            f"- `{duty.rule}` by {stamp(duty.due_at)} ({left(duty.due_at, at)}): {duty.recipient[:90]}"
        )
    if open_questions:
        shown = ", ".join(f"`{fact}`" for fact in open_questions[:10])
        more = f" and {len(open_questions) - 10} more" if len(open_questions) > 10 else ""
        lines.append(f"Questions open: {shown}{more}")
    return "\n".join(lines)


def masked(identifier: str) -> str:
    """An AWS key id or an accessor by its ends only; people and apps as the commander named them."""
    opaque = len(identifier) >= 20 and "@" not in identifier and " " not in identifier
    if opaque or identifier.startswith(("AKIA", "ASIA")):
        return f"{identifier[:4]}...{identifier[-4:]}"
    return identifier


def between(lower: int, upper: int) -> str:
    return f"{upper:,}" if lower == upper else f"{lower:,} to {upper:,}"


def stamp(instant: datetime | None) -> str:
    return instant.strftime("%Y-%m-%d %H:%M UTC") if instant else "-"


def left(due_at: datetime | None, at: datetime) -> str:
    """Time left in the largest fitting unit, or that it is over."""
    if due_at is None:
        return "no time yet"
    hours = (due_at - at).total_seconds() / 3600
    if hours < 0:
        return f"overdue by {-hours:.0f} h"
    return f"{hours:.0f} h left" if hours < 72 else f"{hours / 24:.0f} days left"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:MAX_TEXT]}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def plain(blocks: Blocks) -> str:
    """The text that notifications and screen readers use."""
    texts: list[Mapping[str, Any]] = [block["text"] for block in blocks if "text" in block]
    return "\n".join(str(text["text"]) for text in texts)[:MAX_TEXT]
