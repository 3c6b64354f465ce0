"""Runs the `respond` flow in this process and shows its progress from the ledger while it works."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blocks.errors import LeakResponseError
from deployments.cli.request import Request
from deployments.serving import register_lab
from tasks.incident import Incident, IncidentFolder, new_incident_id

Progress = Callable[[str], None]
QUIET = ("duty ", "drafted", "preserved")  # dozens of each; the phase's own line counts them


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the response ended, and where its files are."""

    folder: IncidentFolder
    incident: Incident
    completed: bool
    message: str
    started_at: datetime
    ended_at: datetime


def run_response(request: Request, lab: Path | None, on_progress: Progress) -> Outcome:
    """Run the response to its end. Raises what preflight raises, before anything is changed."""
    from flows.declare import SuspectInput
    from flows.respond import respond

    started = datetime.now(UTC)
    incident_id = request.incident_id or new_incident_id(started)
    if lab is not None:
        register_lab(lab, request.plan)
    on_progress(f"Incident {incident_id}; to resume it, pass --incident {incident_id}")
    folder = IncidentFolder.of(incident_id)
    with ledger_progress(folder, on_progress):
        state = respond(
            what_happened=request.what_happened,
            suspects=[SuspectInput(kind=one.kind, identifier=one.identifier) for one in request.suspects],
            window_start=request.window.start,
            aware_at=request.aware_at,
            window_end=request.window.end,
            mode=request.mode,
            plan=request.plan,
            commander=request.commander or "",
            answers=dict(request.answers) or None,
            incident_id=incident_id,
            log_wait_s=request.log_wait_s,
            return_state=True,
        )
    incident = folder.read(folder.incident, Incident)
    if incident is None:
        raise failure_of(state)
    return Outcome(folder, incident, state.is_completed(), state.message or "", started, datetime.now(UTC))


def import_flows() -> None:
    """What takes seconds of an emergency when it is done late."""
    from flows import respond  # noqa: F401


def failure_of(state: Any) -> Exception:
    """The error that kept the incident from being declared."""
    try:
        state.result(raise_on_failure=True)
    except LeakResponseError as error:
        return error
    except Exception as error:
        return LeakResponseError(
            f"The response did not start: {type(error).__name__}.", "See the flow run in the Prefect UI."
        )
    return LeakResponseError("The response did not start.", "See the flow run in the Prefect UI.")


@contextmanager
def ledger_progress(folder: IncidentFolder, on_progress: Progress) -> Iterator[None]:
    """Print what the ledger gains while the response runs: the record is the progress."""
    done = threading.Event()
    seen = folder.ledger.stat().st_size if folder.ledger.exists() else 0
    follower = threading.Thread(target=_follow, args=(folder.ledger, seen, done, on_progress), daemon=True)
    follower.start()
    try:
        yield
    finally:
        done.set()
        follower.join(5)


def _follow(path: Path, position: int, done: threading.Event, on_progress: Progress) -> None:
    rest = b""
    while True:
        last = done.wait(0.2)
        if path.exists():
            with path.open("rb") as ledger:
                ledger.seek(position)
                new = ledger.read()
            position += len(new)
            *lines, rest = (rest + new).split(b"\n")
            for line in lines:
                if text := progress_line(json.loads(line)):
                    on_progress(text)
        if last:
            return


def progress_line(entry: Mapping[str, Any]) -> str | None:
    """One ledger entry for the terminal; attempts are silent, their results speak."""
    if entry["kind"] == "ATTEMPT" or entry["action"].startswith(QUIET):
        return None
    details = entry["details"]
    outcome = f" {details['outcome']}" if "outcome" in details else ""
    proof = f": {details['proof']}" if "proof" in details else ""
    return f"  {entry['phase']:<9} {entry['action']} {entry['target']}{outcome}{proof}"
