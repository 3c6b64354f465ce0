"""`leak-response respond`: start the response from the command line, against a lab or a saved plan."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from blocks.errors import BadInput
from deployments.cli.output import check_writable, write_json
from deployments.cli.request import Request, lab_plan
from tasks.incident import INCIDENT_ID, Mode, Suspect, Window, home, utc


def respond(
    suspect: Annotated[list[str], typer.Option(help="What leaked, as KIND=IDENTIFIER; may be repeated.")],
    window_start: Annotated[
        str, typer.Option(help="Since when it may have been misused (ISO 8601 with offset).")
    ],
    aware_at: Annotated[
        str, typer.Option(help="When the organisation became aware: legal clocks start here.")
    ] = "",
    lab: Annotated[Path | None, typer.Option(help="The lab.json of a running lab.")] = None,
    plan: Annotated[
        str, typer.Option(help="Name of the saved plan and systems, when not against a lab.")
    ] = "",
    window_end: Annotated[
        str, typer.Option(help="Until when; leave out while it may still be going on.")
    ] = "",
    mode: Annotated[Mode, typer.Option(help="plan: show what would be done; contain: do it.")] = Mode.CONTAIN,
    incident: Annotated[
        str, typer.Option("--incident", "--incident-id", help="Resume this incident; nothing is done twice.")
    ] = "",
    what: Annotated[str, typer.Option(help="What happened, in one sentence without personal data.")] = "",
    commander: Annotated[str, typer.Option(help="Who leads the response.")] = "",
    answers: Annotated[Path | None, typer.Option(help="YAML file of facts that people answered.")] = None,
    log_wait_s: Annotated[float, typer.Option(min=0, help="Seconds to wait for event logs.")] = 60,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the result here; - is stdout.")
    ] = None,
) -> None:
    """Preserve, cut, prove, scope, start the clocks, seal the record.

    Example: leak-response respond --lab /tmp/lab/lab.json --suspect 'connected-app=Support Chat'
    --window-start 2026-11-24T08:00:00+00:00 --aware-at 2026-11-24T09:30:00+00:00 --json result.json
    """
    check_writable(json_file)
    check_lab(lab)
    if incident and not INCIDENT_ID.fullmatch(incident):
        raise BadInput(f"Incident id {incident!r} cannot be used.", "Use 3-64 letters, digits and dashes.")
    if (lab is None) == (not plan):
        raise BadInput(
            "Neither or both of --lab and --plan were given.", "Name the lab.json or a saved plan."
        )
    request = Request(
        what_happened=what or f"Suspected leak of {', '.join(map(str, suspect))}",
        suspects=tuple(Suspect.parse(text) for text in suspect),
        window=Window(
            utc(window_start, "--window-start"), utc(window_end, "--window-end") if window_end else None
        ),
        aware_at=utc(aware_at, "--aware-at") if aware_at else datetime.now(UTC),
        mode=mode,
        incident_id=incident or None,
        commander=commander or None,
        plan=lab_plan(lab) if lab is not None else plan,
        answers=read_answers(answers),
        log_wait_s=log_wait_s,
    )
    from deployments.cli.result import compared_scope, credentials_of, result_json
    from deployments.cli.run_flow import import_flows, run_response
    from deployments.prefect_server import prefect_server

    os.environ["LEAK_RESPONSE_HOME"] = str(home())
    with prefect_server(home(), meanwhile=import_flows) as server:
        typer.echo(f"Prefect: {server.ui_url}", err=True)
        outcome = run_response(request, lab, on_progress=lambda text: typer.echo(text, err=True))
    if json_file:
        result = result_json(outcome)
        if lab is not None and outcome.incident.mode is Mode.CONTAIN:
            known = json.loads(lab.read_text(encoding="utf-8"))
            credentials = credentials_of(outcome.incident.suspects)
            result["scope"] = compared_scope(outcome.folder, known, credentials)
        write_json(json_file, result)
    typer.echo(outcome.message, err=True)
    if not outcome.completed:
        raise typer.Exit(1)


def check_lab(path: Path | None) -> None:
    """Refuse what is no lab.json before a server is started for it."""
    if path is None:
        return
    fix = "Give the lab.json that `leak-response lab up --dir DIR` writes, and keep the lab running."
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read: {type(error).__name__}.", fix) from None
    if not isinstance(described, dict) or "blocks" not in described:
        raise BadInput(f"{path} does not describe a lab.", fix)


def read_answers(path: Path | None) -> dict[str, Any]:
    """Answers by fact, checked against the fact schema; BadInput names what is wrong."""
    if path is None:
        return {}
    from tasks.notify.facts import load_facts
    from tasks.notify.yaml12 import read_yaml

    load_facts(path)
    values: dict[str, Any] = read_yaml(path.read_text(encoding="utf-8-sig"), path.name) or {}
    return values
