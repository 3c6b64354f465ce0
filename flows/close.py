"""Close: copy the run history, write the report, seal the ledger, build the pack and lock it away."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.workspace import Workspace, alone
from tasks.evidence.run import build_evidence
from tasks.report.run import write_incident_report


@flow(name="close", flow_run_name="close-{incident_id}")
def close(incident_id: str) -> State[str]:
    """Make the signed evidence pack. The incident itself stays open while anything is unproven.

    Run it again after later work: each pack carries all that came before.

    Args:
        incident_id: A declared incident.
    """
    work = Workspace.open(incident_id)
    with alone(work.folder, "close"):
        write_incident_report(work.incident, work.systems, work.folder, work.ledger)
        made = build_evidence(work.incident, work.systems, work.folder, work.ledger)
    text = f"Evidence pack of {made.pack.entries} ledger entries"
    if made.problems:
        return Failed(message=f"{text}; {'; '.join(made.problems)}")
    return Completed(message=f"{text}, sealed and locked until {made.stored.retain_until:%Y-%m-%d}")
