"""`leak-response subject`: was this person affected? Looked up by hashed key; the address goes nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blocks.errors import BadInput
from deployments.cli.output import check_writable, write_json
from tasks.incident import IncidentFolder, home

if TYPE_CHECKING:
    from blocks.vault import VaultServer


def subject(
    contact: Annotated[str, typer.Argument(help="The person's e-mail address, or phone number as +49...")],
    incident: Annotated[str, typer.Option("--incident", help="The incident's id.")],
    folder: Annotated[
        Path | None, typer.Option(help="The folder `scope --out` wrote; default: the incident's own.")
    ] = None,
    lab: Annotated[Path | None, typer.Option(help="lab.json whose Vault keeps the salt.")] = None,
    plan: Annotated[str, typer.Option(help="Name of the saved systems whose Vault keeps the salt.")] = "",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the answer here; - is stdout.")
    ] = None,
) -> None:
    """Answer one person's question "was I affected?". Exit code 1: not found among those affected.

    Example: leak-response subject ada@example.com --incident INC-20261124-093012-7f3a --lab lab.json
    """
    from tasks.scope.subject import Affected, answer, salt_used

    check_writable(json_file)
    where = folder or home() / "incidents" / incident
    if not where.is_dir():
        raise BadInput(
            f"There is no incident {incident}.", f"Name one under {where.parent}, or its --folder."
        )
    found = IncidentFolder(where.absolute())
    told = answer(found, incident, contact, salt_used(found, _vault(lab, plan)))
    if json_file:
        write_json(json_file, told)
    if str(json_file) != "-":
        typer.echo(f"{told.affected.upper()}: {told.statement}")
        for one in told.shown:
            typer.echo(f"  {one.object}: {one.records} records, fields {', '.join(one.fields)}")
        if told.as_of:
            typer.echo(f"As of {told.as_of:%Y-%m-%d %H:%M} UTC; run the scope again as later logs arrive.")
    if told.affected is Affected.NOT_FOUND:
        raise typer.Exit(1)


def _vault(lab: Path | None, plan: str) -> VaultServer | None:
    from blocks.systems import Systems

    if lab is not None:
        return Systems.from_lab(lab).vault
    return Systems.load(plan).vault if plan else None
