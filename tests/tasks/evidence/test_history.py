"""Run history of a real Prefect server: exported whole, and searched for what must not be in it."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.testing.utilities import prefect_test_harness

from blocks.errors import Unreachable
from tasks.evidence.canaries import Hit, find_in_history, search_history
from tasks.evidence.history import export_history
from tasks.evidence.ledger import FileLedger
from tasks.evidence.run_history import PAGE, run_history
from tasks.incident import Incident, IncidentFolder, Window
from tests.tasks.evidence.sample import INCIDENT


@pytest.fixture(scope="module", autouse=True)
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=180):
        yield


@task
def speak(lines: int, secret: str = "") -> int:
    logger = get_run_logger()
    for line in range(lines):
        logger.info("line %s", line)
    if secret:
        logger.warning("oh no: %s", secret)
    return lines


@flow(name="child", flow_run_name="child-of-{label}")
def child(label: str) -> int:
    create_markdown_artifact("counts: 3", key="counts")
    return speak(2)


@flow(name="parent", flow_run_name="respond-{incident_id}")
def parent(incident_id: str, lines: int = 1) -> int:
    speak(lines)
    return child("nobody")


@flow(name="leaky")
def leaky(parameter: str, log: str, artifact: str, error: str) -> None:
    speak(0, log)
    create_markdown_artifact(artifact, key="leak")
    raise RuntimeError(error)


@task(persist_result=True)
def keeps(value: str) -> str:
    return value + "!"


@flow(name="keeper")
def keeper(value: list[str]) -> None:
    keeps("".join(value))


def incident_now(name: str) -> Incident:
    at = datetime.now(UTC)
    return Incident(name, "x", INCIDENT.suspects, Window(at), at, at, "lab")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_all_of_the_incident_and_only_that_is_exported_past_the_page_limit(
    folder: IncidentFolder, ledger: FileLedger
) -> None:
    incident = incident_now(f"INC-{uuid.uuid4().hex[:8]}")
    parent(incident.id, lines=PAGE + 30)
    parent("INC-another", lines=1)
    export = export_history(incident, folder, ledger)
    assert export.problem == "" and export.runs == 2
    history = folder.path / "history"
    assert [run["name"] for run in lines(history / "flow_runs.jsonl")] == [
        f"respond-{incident.id}",
        "child-of-nobody",
    ]
    tasks = lines(history / "task_runs.jsonl")
    assert len([t for t in tasks if t["name"].startswith("speak")]) == 2
    messages = [log["message"] for log in lines(history / "logs.jsonl")]
    assert sum(message.startswith("line ") for message in messages) == PAGE + 32
    states = {state["type"] for state in lines(history / "flow_run_states.jsonl")}
    assert {"PENDING", "RUNNING", "COMPLETED"} <= states
    assert "counts: 3" in {item["data"] for item in lines(history / "artifacts.jsonl")}
    assert export.counts["task_run_states.jsonl"] >= len(tasks)
    entry = list(ledger.entries())[-1]
    assert entry["details"]["hashes"]["history/logs.jsonl"] == export.hashes["logs.jsonl"]
    assert entry["details"]["counts"] == export.counts and "dropped" not in entry["details"]


def test_a_canary_is_found_wherever_it_leaked() -> None:
    canaries = [f'CANARY-{uuid.uuid4()}\nüñ"{n}' for n in range(6)]
    with pytest.raises(RuntimeError):
        leaky(canaries[0], canaries[1], canaries[2], canaries[3])
    keeper(list(canaries[4]))
    wanted = {(0, "flow_runs"), (1, "logs"), (2, "artifacts"), (3, "flow_run_states"), (3, "events")}
    end = time.monotonic() + 90
    while True:  # a busy server stores an event when it gets to it
        hits = find_in_history(canaries)
        places = {(hit.needle, hit.where) for hit in hits}
        if wanted <= places or time.monotonic() > end:
            break
    assert wanted <= places
    assert (4, "results") in places
    assert not [hit for hit in hits if hit.needle == 5], "what was never told is not found"
    assert search_history(canaries) == len(hits) and isinstance(hits[0], Hit)


def test_a_clean_history_counts_zero_and_empty_needles_find_nothing() -> None:
    assert search_history([f"NEVER-{uuid.uuid4()}", ""], settle_s=3) == 0


def test_prefect_being_down_is_said_and_does_not_stop_the_close(
    folder: IncidentFolder, ledger: FileLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    logging.getLogger("prefect").setLevel(logging.CRITICAL)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        export = export_history(INCIDENT, folder, ledger)
        with pytest.raises(Unreachable, match="could not be read"), run_history() as history:
            list(history.listed("flows"))
    assert "could not be read" in export.problem
    assert list(ledger.entries())[-1]["details"]["complete"] is False
