"""Waiting for an approval: suspended in a deployment's run, elsewhere by files in the incident's folder."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Literal

from prefect import get_run_logger
from prefect.context import FlowRunContext
from prefect.deployments import run_deployment
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment
from pydantic import Field

from flows.workspace import Workspace, now
from tasks.contain.approvals import Approvals, Decision, Request

POLL_S = 1.0
LONGEST_WAIT_S = 30 * 24 * 3600  # of a suspended run, where the plan says to wait for as long as it takes
GRACE_S = 120  # for the run that follows the plan's default to come first


class ApprovalInput(RunInput):
    """What the approver fills in."""

    decision: Literal["approve", "reject"] = Field(description="Whether the shown changes may be made.")
    approver: str = Field(min_length=3, description="Your name; it goes on record.")


def wait_for(work: Workspace, request: Request) -> Decision:
    """Wait until somebody decides or the plan's default does.

    In a deployment's own run the run is suspended: nothing waits in memory, and it starts again from the top
    when it is resumed. A second run is scheduled for the deadline, to follow the plan's default.
    """
    approvals = Approvals(work.folder, work.ledger)
    get_run_logger().warning(
        "%d closes wait for approval of %s until %s; then the plan says: %s",
        len(request.changes.changes),
        request.hash[:12],
        request.deadline,
        request.default,
    )
    if not suspendable():
        return _poll(approvals, request)
    if approvals.decide(request, now()) is Decision.PENDING:
        given = _suspend(work, approvals, request)
        approvals.answer(request.hash, given.approver, approved=given.decision == "approve", now=now())
    return approvals.decide(request, now())


def suspendable() -> bool:
    """Whether this run can be suspended: a deployment's own run, not a part of another."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return bool(deployment.id) and run is not None and run.parent_task_run_id is None


def _suspend(work: Workspace, approvals: Approvals, request: Request) -> ApprovalInput:
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    approvals.waits_in(request, str(context.flow_run.id))
    if request.deadline is not None and request.default != "wait":
        _follow_up(work, request, request.deadline)
    left = (request.deadline - now()).total_seconds() + GRACE_S if request.deadline else 0.0
    timeout = LONGEST_WAIT_S if request.default == "wait" else max(left, GRACE_S)
    text = (
        f"{len(request.changes.changes)} closes wait for approval; see approvals in the incident's folder. "
        f"Hash {request.hash}"
    )
    given: ApprovalInput = suspend_flow_run(
        wait_for_input=ApprovalInput.with_initial_data(description=text),
        key=f"approve-{request.hash[:16]}",
        timeout=int(timeout),
    )
    return given


def _follow_up(work: Workspace, request: Request, deadline: datetime) -> None:
    """One more run at the deadline; it survives worker and server, and asking twice makes one."""
    run_deployment(
        deployment.id,
        parameters={"incident_id": work.incident.id},
        scheduled_time=deadline + timedelta(seconds=1),
        timeout=0,
        as_subflow=False,
        idempotency_key=f"approval-{work.incident.id}-{request.hash}",
    )


def _poll(approvals: Approvals, request: Request) -> Decision:
    """Look for an answer until there is one, or until the deadline has passed."""
    while True:
        decision = approvals.decide(request, now())
        late = request.deadline is not None and now() >= request.deadline
        if decision is not Decision.PENDING or late:
            return decision
        time.sleep(POLL_S)
