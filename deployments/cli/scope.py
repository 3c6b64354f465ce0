"""`leak-response scope`: whose data left, from exported logs and records alone. Works offline."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from blocks.errors import BadInput
from deployments.cli.output import check_writable, write_json
from tasks.incident import INCIDENT_ID, Incident, IncidentFolder, ScopeSummary, Suspect, Window, utc


def scope(
    logs: Annotated[
        Path, typer.Option(help="Folder of exported event logs: CSV, gzip or Parquet, any names.")
    ],
    records: Annotated[Path, typer.Option(help="Folder of exported records: one or more files per object.")],
    suspect: Annotated[list[str], typer.Option(help="What leaked, as KIND=IDENTIFIER; may be repeated.")],
    window_start: Annotated[
        str, typer.Option(help="Since when it may have been misused (ISO 8601 with offset).")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the result: exposures, subjects, runs, ledger.")],
    window_end: Annotated[str, typer.Option(help="Until when; leave out while it may be going on.")] = "",
    plan: Annotated[
        Path | None, typer.Option(help="Response plan (YAML): its time zone reads dates in queries.")
    ] = None,
    incident: Annotated[str, typer.Option("--incident", help="Id to give the incident.")] = "offline",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the counts here; - is stdout.")
    ] = None,
) -> None:
    """Work out whose data left, with lower and upper bounds, from files alone.

    Example: leak-response scope --logs logs --records export --suspect 'connected-app=Support Chat'
    --window-start 2026-11-24T08:00:00+00:00 --out result --json result.json
    """
    from tasks.evidence.ledger import open_ledger
    from tasks.scope.offline import Folders, scope_files

    check_writable(json_file)
    if not INCIDENT_ID.fullmatch(incident):
        raise BadInput(f"Incident id {incident!r} cannot be used.", "Use 3-64 letters, digits and dashes.")
    now = datetime.now(UTC)
    suspects = tuple(Suspect.parse(text) for text in suspect)
    start = utc(window_start, "--window-start")
    window = Window(start, utc(window_end, "--window-end") if window_end else None)
    case = Incident(incident, "scope from exported files", suspects, window, now, now, "offline")
    folders = Folders(logs, records)
    folder = _folder(out)
    ledger = open_ledger(folder.ledger)
    summary = scope_files(case, folders, folder, ledger, now=now, zone=_zone(plan))
    folder.write(folder.incident, case)
    if json_file:
        write_json(json_file, as_json(summary))
    if str(json_file) != "-":
        _show(summary, out)


def _folder(out: Path) -> IncidentFolder:
    try:
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise BadInput(f"--out {out} cannot be made ({error.strerror}).", "Name a folder of yours.") from None
    return IncidentFolder(out.absolute())


def _zone(plan: Path | None) -> str:
    if plan is None:
        return ""
    from blocks.plan import load_plan

    return load_plan(plan).organisation.time_zone


def as_json(summary: ScopeSummary) -> dict[str, Any]:
    """Counts with both bounds, in the shape of the rehearsal's `scope`, and the coverage line by line."""
    return {
        "records": {"lower": summary.records.lower, "upper": summary.records.upper},
        "subjects": {"lower": summary.subjects.lower, "upper": summary.subjects.upper},
        "records_by_object": summary.records_by_object,
        "by_residence": summary.by_residence,
        "by_category": summary.by_category,
        "queries": summary.queries,
        "unparsed_queries": summary.unparsed_queries,
        "coverage": [
            {
                "source": line.source,
                "present": line.present,
                "events": line.events,
                "statement": line.statement,
                "licensed": line.licensed,
                "gaps": line.gaps,
                "lag_s": line.lag_s,
                "effect": line.effect,
            }
            for line in summary.coverage
        ],
        "as_of": summary.as_of,
    }


def _show(summary: ScopeSummary, out: Path) -> None:
    typer.echo(f"records   {summary.records.lower} to {summary.records.upper}")
    typer.echo(f"people    {summary.subjects.lower} to {summary.subjects.upper}")
    for name, bounds in summary.by_residence.items():
        typer.echo(f"  {name:<8} {bounds.lower} to {bounds.upper}")
    typer.echo("What these counts rest on:")
    for line in summary.coverage:
        typer.echo(f"  {'+' if line.present else '-'} {line.source}: {line.statement}")
    typer.echo(f"Written to {out}: exposure/*.parquet, scope.json, ledger.jsonl")
