"""Remediate: what is left for people to do, each with an owner, so that nothing is forgotten."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.artifacts import steps_artifact
from flows.workspace import Workspace
from tasks.remediate.steps import list_steps


@flow(name="remediate", flow_run_name="remediate-{incident_id}")
def remediate(incident_id: str) -> State[str]:
    """List the manual steps, failed accesses and replacements that are still owed, with their owners.

    Args:
        incident_id: A declared incident.
    """
    work = Workspace.open(incident_id)
    steps = list_steps(work.incident, work.systems, work.folder, work.ledger)
    steps_artifact(incident_id, steps)
    return Completed(message=f"{len(steps)} steps for people, each with an owner")
