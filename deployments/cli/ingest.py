"""`leak-response ingest`: bring event logs and records into the local lake, ahead of any incident."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blocks.errors import BadInput
from deployments.cli.output import check_writable, write_json

if TYPE_CHECKING:
    from tasks.scope.lake import Lake


def ingest(
    logs: Annotated[
        Path | None, typer.Option(help="Folder of event log files: CSV, plain or gzipped.")
    ] = None,
    records: Annotated[
        Path | None, typer.Option(help="Folder of exported records; who is who is worked out.")
    ] = None,
    plan: Annotated[
        str, typer.Option(help="Saved systems: bring the org's own log files and population.")
    ] = "",
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
    """Bring log files and records into the lake. Run it again at any time: nothing is done twice.

    Example: leak-response ingest --logs exports/ --records records/ --json ingested.json
    """
    from tasks.incident import home
    from tasks.scope.ingest import Keep
    from tasks.scope.ingest import ingest as bring_in
    from tasks.scope.lake import Lake

    check_writable(json_file)
    if not (logs or records or plan):
        raise BadInput("Nothing to bring in.", "Give --logs, --records or --plan.")
    for folder in (logs, records):
        if folder is not None and not folder.is_dir():
            raise BadInput(f"{folder} is not a folder.", "Name the folder that holds the exported files.")
    target = Lake(lake or home() / "lake")
    keep = Keep.LINK if link else Keep.COPY
    done: dict[str, Any] = {"logs": bring_in(logs, target, keep=keep)} if logs else {}
    if plan:
        done |= _from_org(plan, target)
    if records:
        done |= _from_records(records, target)
    if json_file:
        write_json(json_file, done)
    if str(json_file) != "-":
        _say(done)


def _from_org(plan: str, lake: Lake) -> dict[str, Any]:
    from datetime import UTC, datetime

    from blocks.systems import Systems
    from tasks.scope.lake_org import bring_logs, bring_people
    from tasks.scope.reader import OrgReader

    reader, now = OrgReader(Systems.load(plan).salesforce), datetime.now(UTC)
    return {
        "org_logs": bring_logs(reader, lake, now=now),
        "org_people": bring_people(reader, lake, now=now),
    }


def _from_records(folder: Path, lake: Lake) -> dict[str, Any]:
    from tasks.scope.lake_records import ingest_records, resolve_stored

    stored = ingest_records(folder, lake)
    return {"people": resolve_stored(stored, lake), "record_problems": list(stored.problems)}


def _say(done: dict[str, Any]) -> None:
    problems = [*done.get("record_problems", ())]
    for made in (done[name] for name in ("logs", "org_logs") if name in done):
        typer.echo(f"{made.files} new files, {len(made.units)} type-days made, {made.rows:,} events in them")
        typer.echo(f"{made.duplicates:,} rows that another file held too were left out")
        problems += made.problems
    for people in (done[name] for name in ("people", "org_people") if name in done):
        typer.echo(f"{people.records:,} records are about {people.people:,} people")
    for problem in problems:
        typer.echo(f"  problem: {problem}")
