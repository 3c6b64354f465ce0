"""Copy the incident's Prefect run history into its folder, and its hashes into the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from blocks.errors import LeakResponseError
from tasks.evidence.chain import canonical
from tasks.evidence.ledger import Clock, FileLedger, utc_now
from tasks.evidence.run_history import Record, RunHistory, batches, run_history
from tasks.incident import Incident, IncidentFolder, Phase

FOLDER = "history"


@dataclass(frozen=True, slots=True)
class HistoryExport:
    """What was copied: records and SHA-256 by file. `problem` is empty when all of it could be read."""

    runs: int
    counts: dict[str, int]
    hashes: dict[str, str]
    problem: str = ""


def export_history(
    incident: Incident,
    folder: IncidentFolder,
    ledger: FileLedger,
    *,
    flow_run_ids: tuple[str, ...] = (),
    clock: Clock = utc_now,
) -> HistoryExport:
    """Write flow runs, task runs, states, logs, inputs, artifacts and events as JSON Lines into `history/`.

    The runs are those that name the incident, those of `flow_run_ids`, and all runs below them. Never raises
    because Prefect is down: the result and the ledger say what could not be read. A run still going on (the
    one that calls this) is copied as it is now; run it again at the end of everything.
    """
    counts: dict[str, int] = {}
    hashes: dict[str, str] = {}
    problem, runs = "", []
    try:
        with run_history() as history:
            runs = history.runs_of(incident.id, incident.declared_at, flow_run_ids)
            for name, records in _parts(history, incident, runs, clock):
                counts[name], hashes[name] = _write(folder, name, records)
    except LeakResponseError as error:
        problem = error.problem
    ledger.note(
        Phase.CLOSE,
        "run-history-exported",
        incident.id,
        runs=len(runs),
        counts=counts,
        hashes={f"{FOLDER}/{name}": value for name, value in hashes.items()},
        complete=not problem,
    )
    return HistoryExport(len(runs), counts, hashes, problem)


def _parts(
    history: RunHistory, incident: Incident, runs: list[Record], clock: Clock
) -> Iterable[tuple[str, Iterable[Record]]]:
    ids = [run["id"] for run in runs]
    chosen = [{"id": {"any_": batch}} for batch in batches(ids)]
    yield "flow_runs.jsonl", runs
    tasks = [task for flow_runs in chosen for task in history.listed("task_runs", flow_runs=flow_runs)]
    yield "task_runs.jsonl", tasks
    yield "flow_run_states.jsonl", (state for i in ids for state in history.states("flow_run", i))
    yield (
        "task_run_states.jsonl",
        (state for task in tasks for state in history.states("task_run", task["id"])),
    )
    logs = [{"flow_run_id": {"any_": batch}} for batch in batches(ids)]
    yield "logs.jsonl", (log for chosen_logs in logs for log in history.listed("logs", logs=chosen_logs))
    yield "inputs.jsonl", (answer for i in ids for answer in history.inputs(i))
    yield (
        "artifacts.jsonl",
        (item for flow_runs in chosen for item in history.listed("artifacts", flow_runs=flow_runs)),
    )
    since, until = incident.declared_at - timedelta(days=1), clock() + timedelta(minutes=5)
    resources = [[f"prefect.flow-run.{i}" for i in batch] for batch in batches(ids)]
    yield "events.jsonl", (event for some in resources for event in history.events(since, until, some))


def _write(folder: IncidentFolder, name: str, records: Iterable[Record]) -> tuple[int, str]:
    """One file, whole or not at all; returns its records and SHA-256."""
    path = folder.sub(FOLDER) / name
    partial = path.with_name(f".{name}.part")
    digest, count = hashlib.sha256(), 0
    with partial.open("wb") as out:
        partial.chmod(0o600)
        for record in records:
            line = canonical(record) + b"\n"
            out.write(line)
            digest.update(line)
            count += 1
    partial.replace(path)
    return count, digest.hexdigest()
