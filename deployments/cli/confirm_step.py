"""`leak-response confirm`: record who closed by hand what no API can close, with a proof where possible."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blocks.errors import BadInput


def confirm(
    incident: Annotated[str, typer.Argument(help="The incident's id.")],
    access: Annotated[
        str, typer.Argument(help="The step, for example salesforce/app-block/Support Chat; empty: list them.")
    ] = "",
    by: Annotated[str, typer.Option(help="Who did it; the name goes on record.")] = "",
    consumer_key: Annotated[
        str, typer.Option(help="The app's consumer key (no secret): a login by the app is tried.")
    ] = "",
    former_secret_file: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="File with the app's former secret: it is tried once, not kept."
        ),
    ] = None,
) -> None:
    """Confirm a manual step. Exit code 1 when the proof shows that it is still open.

    Example: leak-response confirm INC-20261124-093012-7f3a 'app-block/Support Chat' --by 'Priya Nair'
    """
    from tasks.incident import IncidentFolder, home

    if not (home() / "incidents" / incident).is_dir():
        raise BadInput(
            f"There is no incident {incident} in {home()}.", "Check the id, or LEAK_RESPONSE_HOME."
        )
    if not access:
        from tasks.contain.manual_steps import waiting_steps

        for step in waiting_steps(IncidentFolder.of(incident)):
            typer.echo(f"{step.access.key}  ({step.status})\n  {step.detail}")
        return
    if len(by.strip()) < 3:
        raise BadInput("A confirmation names who gives it.", "Pass --by with a name.")
    from deployments.prefect_server import prefect_server

    with prefect_server(home()):
        done, detail = _confirm(incident, access, by, consumer_key, former_secret_file)
    typer.echo(detail)
    if not done:
        raise typer.Exit(1)


def _confirm(
    incident: str, access: str, by: str, consumer_key: str, former_secret_file: Path | None
) -> tuple[bool, str]:
    from flows.workspace import Workspace
    from tasks.contain.jar import Credentials
    from tasks.contain.manual_steps import confirm as record
    from tasks.contain.salesforce.manual import CONSUMER_KEY, FORMER_SECRET
    from tasks.incident import AccessStatus

    work, jar = Workspace.open(incident), Credentials()
    app = access.rpartition("/")[2]
    if consumer_key:
        jar.add(CONSUMER_KEY, app, consumer_key)
    if former_secret_file:
        jar.add(FORMER_SECRET, app, former_secret_file.read_text(encoding="utf-8").strip())
    found = record(work.incident, work.systems, work.folder, work.ledger, access, by, jar=jar)
    closed = found.status is AccessStatus.CLOSED
    proof = f"{found.proof.method}: {found.proof.detail}" if found.proof else ""
    return closed, f"{'closed' if closed else 'STILL OPEN'}  {found.access.key}  {proof}"
