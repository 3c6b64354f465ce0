"""`leak-response blocks`: make the block types known to Prefect, and save a lab's systems as blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Prefect blocks: what the response talks to.", no_args_is_help=True)


@app.callback()
def blocks() -> None:
    """Prefect blocks: what the response talks to."""


@app.command()
def register(
    lab: Annotated[Path | None, typer.Option(help="Also save the systems of this lab.json.")] = None,
    name: Annotated[str, typer.Option(help="Name under which the systems are saved.")] = "default",
) -> None:
    """Register every block type with the Prefect server named by PREFECT_API_URL.

    Example: leak-response blocks register --lab /tmp/lab/lab.json --name lab
    """
    from blocks.systems import register_all
    from deployments.serving import register_lab

    for slug in register_all():
        typer.echo(f"registered {slug}")
    if lab is not None:
        register_lab(lab, name)
        typer.echo(f"saved the lab's systems and plan as {name!r}")
