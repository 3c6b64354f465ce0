"""`leak-response approve`: agree by name to exactly the changes that were shown, and let them be made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from blocks.errors import BadInput

if TYPE_CHECKING:
    from tasks.contain.approvals import Request


def approve(
    incident: Annotated[str, typer.Argument(help="The incident's id.")],
    hash_: Annotated[
        str, typer.Option("--hash", help="Hash of the change set, or its beginning; empty: show what waits.")
    ] = "",
    by: Annotated[str, typer.Option(help="Who agrees; the name goes on record.")] = "",
    reject: Annotated[bool, typer.Option("--reject", help="Say no instead.")] = False,
    run: Annotated[bool, typer.Option(help="Contain at once what was agreed to.")] = True,
) -> None:
    """Approve or reject a change set. Exit code 1 when containment is not complete afterwards.

    Example: leak-response approve INC-20261124-093012-7f3a --hash 3f9a1c20 --by 'Ines Moreau'
    """
    # Nothing here may import Prefect: its server is chosen later, when something is to be run.
    from tasks.contain.approvals import Approvals
    from tasks.evidence.ledger import open_ledger
    from tasks.incident import IncidentFolder, home

    if not (home() / "incidents" / incident).is_dir():
        raise BadInput(
            f"There is no incident {incident} in {home()}.", "Check the id, or LEAK_RESPONSE_HOME."
        )
    folder = IncidentFolder.of(incident)
    approvals = Approvals(folder, open_ledger(folder.ledger, actor="leak-response approve"))
    if not hash_:
        for request in approvals.requests():
            _show(request, approvals)
        return
    request = approvals.find(hash_)
    approvals.answer(request.hash, by, approved=not reject, now=datetime.now(UTC))
    typer.echo(f"{'rejected' if reject else 'approved'} {request.hash[:12]} by {by}")
    if run:
        _go_on(incident, request, "reject" if reject else "approve")


def _show(request: Request, approvals: object) -> None:
    until = (
        f"until {request.deadline:%Y-%m-%d %H:%M} UTC, then: {request.default}" if request.deadline else ""
    )
    typer.echo(f"{request.hash[:12]}  {len(request.changes.changes)} changes  {until}")
    for line in request.changes.lines()[:-1]:
        typer.echo(f"  {line}")
    if request.difference:
        typer.echo("  since it was asked before:")
        for line in request.difference:
            typer.echo(f"    {line}")


def _go_on(incident: str, request: Request, decision: str) -> None:
    """Wake the run that waits for it, if one does; else contain here and now what was agreed to."""
    from deployments.prefect_server import prefect_server
    from tasks.incident import home

    if decision == "reject" and not request.flow_run:
        return
    with prefect_server(home()):
        if request.flow_run and _resumed(request.flow_run, decision):
            typer.echo(f"the waiting run {request.flow_run} goes on")
            return
        if decision == "reject":
            return
        from flows.contain import contain
        from flows.settle import bring_up

        state = contain(incident, wait=False, return_state=True)
        typer.echo(state.message or state.name)
        failed = bring_up(incident) if _responded(incident) else []
    for text in failed:
        typer.echo(text)
    if failed or not state.is_completed():
        raise typer.Exit(1)


def _responded(incident: str) -> bool:
    """Whether the phases after containment have been run: then they are run again for what is new."""
    from tasks.incident import IncidentFolder
    from tasks.remediate.steps import steps_file

    return steps_file(IncidentFolder.of(incident)).exists()


def _resumed(flow_run: str, decision: str) -> bool:
    """Whether the suspended run could be resumed; who decided it reads in the incident's folder."""
    from uuid import UUID

    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.responses import SetStateStatus
    from prefect.exceptions import PrefectException

    given = {"decision": decision, "approver": "see the ledger"}
    with get_client(sync_client=True) as client:
        try:
            # Input that does not fit the form is answered with 200 too: the status alone tells.
            answer = client.resume_flow_run(UUID(flow_run), run_input=given)
        except (PrefectException, HTTPError):
            return False  # it is gone or on another server: then containment is run here
    return bool(answer.status == SetStateStatus.ACCEPT)
