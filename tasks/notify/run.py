"""The notify phase: compute the duties, store them, and keep the incident channel up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
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
from tasks.notify.answers import answer_all, vendor_answers, with_stored_answers
from tasks.notify.duties import duties, in_order
from tasks.notify.facts import Facts
from tasks.notify.history import history, record_duties, standings
from tasks.notify.known import known_facts
from tasks.notify.messages import Status
from tasks.notify.outlet import outlet_for
from tasks.notify.records import locked
from tasks.notify.rules import all_rules
from tasks.notify.sent import clocks_started
from tasks.notify.vendors import vendor_duties


def start_clocks(
    incident: Incident,
    plan: Plan,
    folder: IncidentFolder,
    ledger: Ledger,
    *,
    now: datetime,
    answers: Mapping[str, Any] | None = None,
) -> list[Duty]:
    """Every duty that follows from what is known now, stored in the incident's folder with its history.

    `answers` are stored as the commander's. Can be run again as scope grows or people answer. Raises BadInput
    for an answer that is none.
    """
    if answers:
        answer_all(folder, ledger, answers, incident.commander or "incident commander", now, plan)
    keep_plan(folder, plan)
    with locked(folder):
        found = compute(incident, plan, folder)
        changes = record_duties(folder, ledger, found, now)
        folder.write(folder.duties, found)
    counts = {str(status): sum(duty.status is status for duty in found) for status in DutyStatus}
    ledger.note(Phase.NOTIFY, "duties computed", incident.id, counts=counts, changes=len(changes))
    return found


def plan_file(folder: IncidentFolder) -> Path:
    return folder.path / "plan.yaml"


def keep_plan(folder: IncidentFolder, plan: Plan) -> None:
    """Keep the plan that this incident is answered by, so that people can work on it without any server."""
    path = plan_file(folder)
    if plan.text and (not path.exists() or path.read_text(encoding="utf-8") != plan.text):
        path.touch(mode=0o600)
        path.write_text(plan.text, encoding="utf-8")


def compute(incident: Incident, plan: Plan, folder: IncidentFolder) -> list[Duty]:
    """All rules and the plan's contracts against what plan, scope, people and confirmed notices say.

    The law is that of the day on which the organisation became aware.
    """
    facts = facts_of(incident, plan, folder)
    contracts = vendor_duties(incident, plan, facts, vendor_answers(folder))
    return in_order([*duties(facts, incident.aware_at.date()), *contracts])


def facts_of(incident: Incident, plan: Plan, folder: IncidentFolder) -> Facts:
    """All facts: the plan's, scope's, the clocks that notices started, and the answers, which win."""
    scope = folder.read(folder.scope, ScopeSummary)
    facts = known_facts(incident, plan.facts(), scope).with_answers(clocks_started(folder, all_rules()))
    return with_stored_answers(folder, facts)


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
        sent=frozenset(rule for rule, one in standings(history(folder)).items() if one.sent_at),
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
    outlet = outlet_for(systems.slack, systems.mail, systems.plan, folder)
    outlet.update_status(current_status(incident, folder, phase, at, failed_steps))
    if message:
        outlet.post(f"phase-{phase}", message, thread=phase)
    return outlet.problems


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
