"""Scope: whose data left, as far as the logs go; run it again as later logs arrive."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.artifacts import scope_artifact
from flows.workspace import Workspace
from tasks.scope.run import scope_incident


@flow(name="scope", flow_run_name="scope-{incident_id}")
def scope(incident_id: str, wait_s: float = 60) -> State[str]:
    """Work out records, people, residences and kinds of data, with both bounds and the coverage statement.

    Args:
        incident_id: A declared incident.
        wait_s: Seconds to wait for event logs that have not arrived.
    """
    work = Workspace.open(incident_id)
    summary = scope_incident(work.incident, work.systems, work.folder, work.ledger, wait_s)
    scope_artifact(incident_id, summary)
    records, people = summary.records, summary.subjects
    return Completed(
        message=f"{records.lower} to {records.upper} records of {people.lower} to {people.upper} people"
    )
