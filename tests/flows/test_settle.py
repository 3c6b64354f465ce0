"""An approval inside the whole response: nothing else waits for it, and what it lets be closed is closed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.lab.lab import Lab
from deployments.prefect_server import PrefectServer
from deployments.serving import LAB_PLAN
from tasks.contain.approvals import Approvals, Request
from tasks.evidence.ledger import open_ledger
from tasks.evidence.verify import verify
from tasks.incident import AccessStatus, Containment, IncidentFolder
from tests.flows.response import command, environment
from tests.tasks.contain.test_approval_flow import Serving

pytestmark = pytest.mark.slow  # whole responses that wait for a person, one with worker and server killed

APPROVE = "import typer; from deployments.cli.approve import approve; typer.run(approve)"


@pytest.fixture
def asking_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab whose plan wants an approval before a login is frozen."""
    with Lab.start(tmp_path_factory.mktemp("lab"), seed=3, contacts=300, log_delay_s=0.5) as running:
        plan = Path(running.info["plan"])
        text = plan.read_text(encoding="utf-8")
        asking = text.replace(
            "    timeout_minutes: 15\n", "    timeout_minutes: 2\n    required_for: [login]\n"
        )
        assert asking != text
        plan.write_text(asking, encoding="utf-8")
        yield running


def until(what: Callable[[], Any], timeout_s: float = 180) -> Any:
    """What `what` gives once it is something."""
    end = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.2)
    return found


def asked(folder: IncidentFolder) -> Request | None:
    waiting = [one for one in Approvals(folder, open_ledger(folder.ledger)).requests() if one.deadline]
    return waiting[-1] if waiting else None


def statuses(folder: IncidentFolder) -> dict[str, set[AccessStatus]]:
    found: dict[str, set[AccessStatus]] = {}
    for one in folder.read(folder.containment, list[Containment]) or []:
        found.setdefault(one.access.kind, set()).add(one.status)
    return found


def actions(folder: IncidentFolder) -> list[str]:
    return [str(entry["action"]) for entry in open_ledger(folder.ledger).entries()]


def packs(folder: IncidentFolder) -> list[Path]:
    return sorted((folder.path / "packs").glob("*.zip"))


@pytest.mark.timeout(600)
def test_what_needs_no_approval_is_done_and_the_rest_once_it_is_given(
    asking_lab: Lab, home: Path, prefect_api: PrefectServer
) -> None:
    home.mkdir(parents=True)
    folder, env = IncidentFolder.of("INC-asked", home), environment(home, prefect_api)
    login = ("--suspect", "salesforce-user=support-chat@lab.example", "--log-wait-s", "20")
    started = command(asking_lab, home / "r.json", "--incident", "INC-asked", *login)
    with subprocess.Popen(started, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        until(lambda: packs(folder) or process.poll() is not None)
        assert process.poll() is None, process.stderr.read().decode()[-2000:] if process.stderr else ""
        # Scoped, told, listed and sealed, while the login still waits.
        assert statuses(folder)["login"] == {AccessStatus.ASKED}
        assert statuses(folder)["oauth-grants"] == {AccessStatus.CLOSED}
        assert {"scope", "replacements"} <= set(actions(folder))
        before = len(packs(folder))
        request = asked(folder)
        assert request is not None
        assert "approval answered" not in actions(folder)

        said = subprocess.run(
            [sys.executable, "-c", APPROVE, "INC-asked", "--hash", request.hash[:12], "--by", "Ines Moreau"],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert said.returncode == 0, said.stderr
        _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors.decode()[-2000:]
    assert set().union(*statuses(folder).values()) == {AccessStatus.CLOSED, AccessStatus.MANUAL}
    result = json.loads((home / "r.json").read_text(encoding="utf-8"))
    assert result["passed"]
    done = actions(folder)
    assert done.count("replacements") >= 2
    assert done.index("approval answered") < len(done) - done[::-1].index("replacements")
    assert len(packs(folder)) > before
    assert verify(packs(folder)[-1], folder.path / "public-key.pem").verified
    frozen = [
        e for e in open_ledger(folder.ledger).entries() if e["kind"] == "ATTEMPT" and "/login/" in e["target"]
    ]
    assert len([e for e in frozen if e["action"] == "close"]) == 1  # though two processes heard the answer


@pytest.mark.timeout(900)
def test_the_default_is_followed_though_worker_and_server_died_while_it_waited(
    asking_lab: Lab, incident_home: Path
) -> None:
    serving = Serving(incident_home)
    serving.start()
    try:
        register = f"register_lab(Path({str(asking_lab.json_path)!r}))"
        save = f"from pathlib import Path; from deployments.serving import register_lab; {register}"
        registered = serving.run("-c", save)
        assert registered.returncode == 0, registered.stderr
        incident, now = "INC-served", datetime.now(UTC)
        parameters = {
            "what_happened": "a test",
            "suspects": [
                {"kind": "connected-app", "identifier": "Support Chat"},
                {"kind": "salesforce-user", "identifier": "support-chat@lab.example"},
            ],
            "window_start": (now - timedelta(hours=1)).isoformat(),
            "plan": LAB_PLAN,
            "incident_id": incident,
            "log_wait_s": 20,
        }
        found = serving.api("GET", "/deployments/name/respond/respond")
        run = serving.api("POST", f"/deployments/{found['id']}/create_flow_run", parameters=parameters)["id"]
        ended = serving.wait_for(run, "NeedsApproval", "Completed", "Failed", "Crashed", timeout_s=240)
        assert ended["name"] == "NeedsApproval", ended["message"]
        assert "another run waits for it" in ended["message"]
        assert "not complete" not in ended["message"]
        folder = IncidentFolder.of(incident, incident_home)
        assert statuses(folder)["login"] == {AccessStatus.ASKED}
        request = until(lambda: (one := asked(folder)) and one.flow_run and one)
        serving.wait_for(request.flow_run, "Suspended")
        assert packs(folder)
    finally:
        serving.stop()
    assert "approval answered" not in actions(folder)
    time.sleep(max(0.0, (request.deadline - datetime.now(UTC)).total_seconds()) + 1)
    assert statuses(folder)["login"] == {AccessStatus.ASKED}

    serving.start()
    try:
        until(lambda: statuses(folder)["login"] == {AccessStatus.CLOSED}, 240)
        until(lambda: actions(folder)[-1:] and "replacements" in actions(folder)[-12:], 120)
    finally:
        serving.stop()
    answer = Approvals(folder, open_ledger(folder.ledger)).answer_to(request.hash)
    assert answer is not None
    assert (answer.by, answer.approved) == (None, True)
