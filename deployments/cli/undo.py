"""`leak-response undo`: give back what an incident took away, from what the ledger recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blocks.errors import BadInput
from deployments.cli.output import check_writable, write_json


def undo(
    incident: Annotated[str, typer.Argument(help="The incident's id.")],
    access: Annotated[
        list[str] | None, typer.Option(help="Only this access (its key); may be repeated.")
    ] = None,
    even_leaked: Annotated[
        int,
        typer.Option(
            "--even-leaked",
            count=True,
            help="Give it twice to reopen also what is known to have leaked or was planted.",
        ),
    ] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what became of each access here; - is stdout.")
    ] = None,
) -> None:
    """Reopen what was closed, newest first, each checked. Exit code 1 when something did not come back.

    Example: leak-response undo INC-20261124-093012-7f3a --access salesforce/login/005000000000001AAA
    """
    from tasks.incident import home

    check_writable(json_file)
    if not (home() / "incidents" / incident).is_dir():
        raise BadInput(
            f"There is no incident {incident} in {home()}.", "Check the id, or LEAK_RESPONSE_HOME."
        )
    if even_leaked == 1:
        raise BadInput(
            "Reopening what leaked lets whoever stole it in again.",
            "If you mean it, give --even-leaked a second time.",
        )
    from deployments.prefect_server import prefect_server

    with prefect_server(home()):
        from flows.workspace import Workspace
        from tasks.contain.undo import TWICE, reopen

        work = Workspace.open(incident)
        done = reopen(
            work.incident, work.systems, work.ledger, keys=access or None, even_leaked=even_leaked >= TWICE
        )
    if json_file:
        write_json(json_file, done)
    if str(json_file) != "-":
        for one in done:
            word = "reopened" if one.restored else "FAILED" if one.failed else "stays shut"
            typer.echo(f"{word:<11}{one.access.key}  {one.detail}")
    if any(one.failed for one in done):
        raise typer.Exit(1)
