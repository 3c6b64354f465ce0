"""Notify: start every legal clock from what is known, draft the notices, keep the channel up to date."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.artifacts import duties_artifact
from flows.workspace import Workspace, now
from tasks.incident import DutyStatus
from tasks.notify.present import ask_in_slack, prepare_notices
from tasks.notify.run import start_legal_clocks, tell_slack


@flow(name="notify", flow_run_name="notify-{incident_id}")
def notify(incident_id: str, answers: dict[str, Any] | None = None) -> State[str]:
    """Compute every duty with its due time, draft the notices, and put the open questions before people.

    Run it again when scope grows or a question is answered: nothing is said or asked twice.

    Args:
        incident_id: A declared incident.
        answers: What people answered, by fact, for example {"incident.risk_level": "high"}.
    """
    work = Workspace.open(incident_id)
    at = now()
    duties = start_legal_clocks(work.incident, work.systems, work.folder, work.ledger, at, answers)
    duties_artifact(incident_id, duties)
    due = sum(duty.status is DutyStatus.DUE for duty in duties)
    undetermined = sum(duty.status is DutyStatus.UNDETERMINED for duty in duties)
    text = f"{due} duties due, {undetermined} undetermined"
    drafts = prepare_notices(work.incident, work.systems, work.folder, work.ledger, at)
    problems = tell_slack(work.incident, work.systems, work.folder, "notify", at, f"{text}; {drafts}")
    problems += ask_in_slack(work.incident, work.systems, work.folder, work.ledger)
    return Completed(message="; ".join([text, *problems]))
