"""The whole response from the command line: planned, carried out, killed in the middle and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.lab.lab import Lab
from deployments.prefect_server import PrefectServer
from tasks.evidence.verify import verify
from tests.flows.response import TIMEOUT_S, command, environment, respond


@pytest.fixture
def own_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab that this test may change for good."""
    with Lab.start(tmp_path_factory.mktemp("lab"), seed=2, contacts=300, log_delay_s=0.5) as running:
        yield running


def entries(home: Path, incident: str) -> list[dict[str, Any]]:
    path = home / "incidents" / incident / "ledger.jsonl"
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def closes(ledger: list[dict[str, Any]]) -> list[str]:
    return [entry["target"] for entry in ledger if entry["kind"] == "ATTEMPT" and entry["action"] == "close"]


def test_plan_mode_shows_the_change_set_and_changes_nothing(
    lab: Lab, home: Path, prefect_api: PrefectServer
) -> None:
    done, result = respond(lab, home, prefect_api, "--mode", "plan", "--incident", "INC-plan")
    assert done.returncode == 0, done.stderr
    assert result["mode"] == "plan" and result["accesses"] == []
    plan = (home / "incidents" / "INC-plan" / "plan.txt").read_text(encoding="utf-8")
    assert "revoke every user's grant of the app: Support Chat" in plan and "change set " in plan
    assert closes(entries(home, "INC-plan")) == []
    again, _ = respond(lab, home, prefect_api, "--mode", "plan", "--incident", "INC-plan")
    assert again.returncode == 0
    assert (home / "incidents" / "INC-plan" / "plan.txt").read_text(encoding="utf-8") == plan


def test_killed_in_the_middle_of_containment_and_run_again(
    own_lab: Lab, home: Path, prefect_api: PrefectServer
) -> None:
    home.mkdir(parents=True)
    arguments = command(own_lab, home / "first.json", "--incident", "INC-killed", "--log-wait-s", "20")
    with subprocess.Popen(
        arguments, env=environment(home, prefect_api), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        end = time.monotonic() + TIMEOUT_S
        while not closes(entries(home, "INC-killed")):
            assert process.poll() is None and time.monotonic() < end, "it never began to close anything"
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    before = entries(home, "INC-killed")
    done, result = respond(own_lab, home, prefect_api, "--incident", "INC-killed", "--log-wait-s", "20")
    assert done.returncode == 0, done.stderr
    assert result["passed"] and all(access["closed"] for access in result["accesses"])
    assert result["evidence"]["verified"], result["evidence"]["problems"]
    after = entries(home, "INC-killed")
    assert after[: len(before)] == before, "the first run's entries stand as they were"
    closed_before = {
        e["target"] for e in before if e["kind"] == "RESULT" and e["details"].get("outcome") == "ok"
    }
    assert closed_before.isdisjoint(closes(after[len(before) :])), "what was closed is not closed again"
    ids = {
        kind: sorted(entry["id"] for entry in after if entry["kind"] == kind)
        for kind in ("ATTEMPT", "RESULT")
    }
    assert ids["ATTEMPT"] == ids["RESULT"], "no attempt without a result, and none with two"
    pack = Path(result["evidence"]["pack"])
    assert verify(pack, home / "incidents" / "INC-killed" / "public-key.pem").verified

    once_more, result = respond(own_lab, home, prefect_api, "--incident", "INC-killed", "--log-wait-s", "20")
    assert once_more.returncode == 0, once_more.stderr
    assert closes(entries(home, "INC-killed")) == closes(after), "a third run closes nothing"
    assert result["evidence"]["verified"]
