"""Remediate: what is left for people to do, each with an owner, so that nothing is forgotten."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.artifacts import steps_artifact
from flows.workspace import Workspace, alone
from tasks.remediate.replace import replace_credentials
from tasks.remediate.steps import list_steps


@flow(name="remediate", flow_run_name="remediate-{incident_id}")
def remediate(incident_id: str) -> State[str]:
    """Replace what was cut, once per incident; list what people still have to do, each with an owner.

    Args:
        incident_id: A declared incident.
    """
    work = Workspace.open(incident_id)
    with alone(work.folder, "remediate"):
        replaced = replace_credentials(work.incident, work.systems, work.folder, work.ledger)
        steps = list_steps(work.incident, work.systems, work.folder, work.ledger)
    steps_artifact(incident_id, steps)
    done = sum(one.done for one in replaced)
    restored = f"{done} of {len(replaced)} integrations restored"
    return Completed(message=f"{restored}; {len(steps)} steps for people, each with an owner")
