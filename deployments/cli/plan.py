"""`leak-response plan check`: is the response plan right, and can what it names be reached?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.cli.output import check_writable, write_json

app = typer.Typer(help="The organisation's response plan.", no_args_is_help=True)


@app.callback()
def plan() -> None:
    """The organisation's response plan."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The plan, a YAML file.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the complaints here; - is stdout.")
    ] = None,
) -> None:
    """Read the plan and list everything that is wrong, with file, line and key. Works offline.

    Example: leak-response plan check plan.yaml
    """
    from blocks.plan import validate_plan

    check_writable(json_file)
    complaints = validate_plan(file)
    if json_file:
        write_json(json_file, [{"problem": one.problem, "fix": one.fix} for one in complaints])
    if str(json_file) != "-":
        for one in complaints:
            typer.echo(f"{one.problem} {one.fix}")
        typer.echo(f"{file}: {len(complaints)} complaints" if complaints else f"{file} is a valid plan.")
    if complaints:
        raise typer.Exit(1)
