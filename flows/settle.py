"""Settle: close what waits for an approval once it is given, then replace it and seal the record again."""

from __future__ import annotations

from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Failed

from flows.approval import suspendable
from flows.artifacts import containment_artifact
from flows.close import close
from flows.contain import cut_what_is_agreed, outcome
from flows.remediate import remediate
from flows.workspace import Workspace
from tasks.contain.approvals import Approvals
from tasks.incident import AccessStatus, Containment

DEPLOYED_AS = "settle/settle"


@flow(name="settle", flow_run_name="settle-{incident_id}")
def settle(incident_id: str) -> State[Any]:
    """Wait for the approvals that an incident asks for; close what is agreed to, replace it, and seal again.

    A deployment's own run is suspended while it waits: resume it with the answer, or answer with
    `leak-response approve`; at the deadline the plan's default is followed. Run it again at any time.

    Args:
        incident_id: A declared incident.
    """
    work = Workspace.open(incident_id)
    closed = cut_what_is_agreed(work, wait=True)
    contained = merged(work, closed)
    state = outcome(work, contained, searched=True)
    if not answered(work):
        return state
    if failed := bring_up(incident_id):
        return Failed(message=f"{state.message}; {'; '.join(failed)}")
    return state


def bring_up(incident_id: str) -> list[str]:
    """Replace what was closed now and seal the record again; what of it failed."""
    later = (remediate(incident_id, return_state=True), close(incident_id, return_state=True))
    return [str(one.message or one.name) for one in later if not one.is_completed()]


def merged(work: Workspace, closed: dict[str, Containment]) -> list[Containment]:
    """What is known of every access, with what was closed now."""
    known = work.folder.read(work.folder.containment, list[Containment]) or []
    by_key = {one.access.key: one for one in known} | closed
    # An approval that another run has followed is told by that run: what it closed waits no more.
    contained = list(by_key.values())
    if closed:
        work.folder.write(work.folder.containment, contained)
        containment_artifact(work.incident.id, contained)
    return contained


def answered(work: Workspace) -> bool:
    """Whether the last thing asked for has its answer."""
    approvals = Approvals(work.folder, work.ledger)
    asked = [one for one in approvals.requests() if one.deadline is not None]
    return not asked or approvals.answer_to(asked[-1].hash) is not None


def waits(work: Workspace) -> bool:
    """Whether any access waits for an approval."""
    contained = work.folder.read(work.folder.containment, list[Containment]) or []
    return any(one.status is AccessStatus.ASKED for one in contained)


def hand_over(work: Workspace) -> bool:
    """Let a run of its own wait, which outlives this one; False where none can be started.

    Only a deployment's run can: elsewhere nobody would be there to take it up.
    """
    if not suspendable():
        return False
    asked = [one for one in Approvals(work.folder, work.ledger).requests() if one.deadline is not None]
    key = asked[-1].hash if asked else "nothing"
    try:
        run = run_deployment(
            DEPLOYED_AS,
            parameters={"incident_id": work.incident.id},
            timeout=0,
            as_subflow=False,
            idempotency_key=f"settle-{work.incident.id}-{key}",
        )
    except ObjectNotFound:
        get_run_logger().warning("no deployment %s: the approval is waited for at the end", DEPLOYED_AS)
        return False
    get_run_logger().info("run %s waits for the approval", getattr(run, "name", ""))
    return True
