"""The notify phase: compute the duties, store them, and keep the incident channel up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from prefect import task

from blocks.plan import Plan
from blocks.systems import Systems
from tasks.incident import (
    Containment,
    Duty,
    DutyStatus,
    Incident,
    IncidentFolder,
    Ledger,
    Phase,
    ScopeSummary,
)
from tasks.notify.channel import Channel
from tasks.notify.duties import duties
from tasks.notify.known import known_facts
from tasks.notify.messages import Status


def start_clocks(
    incident: Incident,
    plan: Plan,
    folder: IncidentFolder,
    ledger: Ledger,
    *,
    now: datetime,
    answers: Mapping[str, Any] | None = None,
) -> list[Duty]:
    """Every duty that follows from what is known now, stored in the incident's folder.

    Can be run again as scope grows or people answer. Raises BadInput for an answer that is none.
    """
    scope = folder.read(folder.scope, ScopeSummary)
    facts = known_facts(incident, plan.facts(), scope, answers)
    found = duties(facts, now.date())
    folder.write(folder.duties, found)
    counts = {str(status): sum(duty.status is status for duty in found) for status in DutyStatus}
    ledger.note(Phase.NOTIFY, "duties computed", incident.id, counts=counts)
    return found


def current_status(
    incident: Incident, folder: IncidentFolder, phase: str, at: datetime, failed_steps: Sequence[str] = ()
) -> Status:
    """What the pinned message should show now, read from the incident's folder."""
    return Status(
        incident=incident,
        phase=phase,
        containment=folder.read(folder.containment, list[Containment]),
        scope=folder.read(folder.scope, ScopeSummary),
        duties=folder.read(folder.duties, list[Duty]),
        failed_steps=failed_steps,
        at=at,
    )


@task(name="tell Slack", persist_result=False)
def tell_slack(
    incident: Incident,
    systems: Systems,
    folder: IncidentFolder,
    phase: str,
    at: datetime,
    message: str | None = None,
    failed_steps: Sequence[str] = (),
) -> list[str]:
    """Update the pinned status and post a phase's message once; returns what Slack did not take."""
    channel = Channel(systems.slack, systems.plan, folder)
    channel.update_status(current_status(incident, folder, phase, at, failed_steps))
    if message:
        channel.post(f"phase-{phase}", message, thread=phase)
    return channel.problems


@task(name="start the legal clocks", persist_result=False)
def start_legal_clocks(
    incident: Incident,
    systems: Systems,
    folder: IncidentFolder,
    ledger: Ledger,
    now: datetime,
    answers: Mapping[str, Any] | None = None,
) -> list[Duty]:
    """`start_clocks` as a step of a flow."""
    return start_clocks(incident, systems.plan, folder, ledger, now=now, answers=answers)
