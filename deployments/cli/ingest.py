"""`leak-response ingest`: bring exported event logs into the local lake, ahead of any incident."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blocks.errors import BadInput
from deployments.cli.output import check_writable, write_json


def ingest(
    logs: Annotated[Path, typer.Option(help="Folder of event log files: CSV, plain or gzipped.")],
    lake: Annotated[
        Path | None, typer.Option(help="Where the lake is kept. Default: the product's home folder.")
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Link originals instead of copying them; nobody may change them.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what was done to this file; - is stdout.")
    ] = None,
) -> None:
    """Bring log files into the lake. Run it again at any time: nothing is done twice.

    Example: leak-response ingest --logs exports/ --json ingested.json
    """
    from tasks.incident import home
    from tasks.scope.ingest import Keep
    from tasks.scope.ingest import ingest as bring_in
    from tasks.scope.lake import Lake

    check_writable(json_file)
    if not logs.is_dir():
        raise BadInput(f"{logs} is not a folder.", "Name the folder that holds the event log files.")
    made = bring_in(logs, Lake(lake or home() / "lake"), keep=Keep.LINK if link else Keep.COPY)
    if json_file:
        write_json(json_file, made)
    if str(json_file) != "-":
        typer.echo(f"{made.files} new files, {len(made.units)} type-days made, {made.rows:,} events in them")
        typer.echo(f"{made.duplicates:,} rows that another file held too were left out")
        for problem in made.problems:
            typer.echo(f"  problem: {problem}")
