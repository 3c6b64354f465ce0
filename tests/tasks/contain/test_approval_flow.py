"""An approval in a real deployment: the wait outlives worker and server, and the answer lets it go on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from blocks.systems import Systems
from deployments.lab.process import clean_env
from deployments.lab.twin import Twin
from deployments.prefect_server import OwnServer
from deployments.serving import start_worker
from tasks.contain.approvals import Approvals
from tasks.evidence.ledger import open_ledger
from tasks.incident import AccessStatus, Containment, Incident, IncidentFolder

from .conftest import APP, APP_PLAN, responder
from .test_salesforce import rows

pytestmark = pytest.mark.slow  # a deployment, its worker and its server, stopped and started

Make = Callable[..., Incident]
ROOT = Path(__file__).parents[3]
PLAN = APP_PLAN + "  approval: {default: wait, timeout_minutes: 1, required_for: [login]}\n"


class Serving:
    """A Prefect server and a worker, which can be ended and started again on the same home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.own: OwnServer | None = None
        self.worker: Any = None

    def start(self) -> None:
        self.own = OwnServer(self.home)
        self.own.wait()
        self.worker = start_worker(self.own.server)

    def stop(self) -> None:
        if self.worker is not None:
            self.worker.stop()
        if self.own is not None:
            self.own.stop()
        self.own = self.worker = None

    @property
    def env(self) -> dict[str, str]:
        assert self.own is not None
        return {**self.own.server.env, "LEAK_RESPONSE_HOME": str(self.home), "PYTHONPATH": str(ROOT)}

    def api(self, method: str, path: str, **body: Any) -> Any:
        assert self.own is not None
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                method, f"{self.own.server.api_url}{path}", json=body or None, timeout=30
            )
        answer.raise_for_status()
        return answer.json()

    def start_contain(self, incident_id: str) -> str:
        found = self.api("GET", "/deployments/name/contain/contain")
        parameters = {"incident_id": incident_id}
        made = self.api("POST", f"/deployments/{found['id']}/create_flow_run", parameters=parameters)
        return str(made["id"])

    def follow_up(self, run: str, timeout_s: float = 120) -> str:
        """The id of the run that was scheduled beside this one, once there is one."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            of_flow = {"name": {"any_": ["contain"]}}
            others = {one["id"] for one in self.api("POST", "/flow_runs/filter", flows=of_flow)} - {run}
            if others:
                (found,) = others  # asking twice must not have made two
                return str(found)
            time.sleep(0.5)
        raise AssertionError("no other run was scheduled")

    def wait_for(self, run: str, *wanted: str, timeout_s: float = 120) -> dict[str, Any]:
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            state: dict[str, Any] = self.api("GET", f"/flow_runs/{run}")["state"] or {}
            if state.get("name") in wanted:
                return state
            time.sleep(0.5)
        raise AssertionError(f"still {state.get('name')}: {state.get('message')}")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            env=clean_env(**self.env),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture
def serving(incident_home: Path) -> Iterator[Serving]:
    running = Serving(incident_home)
    running.start()
    yield running
    running.stop()


def save(serving: Serving, systems: Systems, twin: Twin, folder: Path) -> None:
    own = twin.org["responder"]
    org = {
        "instance_url": twin.url,
        "consumer_key": own["consumer_key"],
        "username": own["username"],
        "secret": [f"file:{own['private_key_file']}"],
        "audience": twin.url,
        "ca_bundle": str(twin.ca),
    }
    nothing = ["file:/nowhere"]
    given = {
        "salesforce": org,
        "vault": {"addr": systems.vault.addr, "role_id": "none", "secret_id": nothing},
        "aws": {"endpoint_url": "http://127.0.0.1:9", "access_key_id": nothing, "secret_access_key": nothing},
        "slack": {"token": nothing, "signing_secret": nothing},
        "plan": systems.plan.file,
    }
    (folder / "systems.json").write_text(json.dumps(given))
    done = serving.run("-m", "tests.tasks.contain.save_systems", str(folder / "systems.json"))
    assert done.returncode == 0, done.stderr


def frozen(twin: Twin) -> int:
    return len(rows(twin, "SELECT Id FROM UserLogin WHERE IsFrozen = true"))


APPROVE = "import typer; from deployments.cli.approve import approve; typer.run(approve)"


@pytest.mark.timeout(600)  # two starts of a server and a worker, on whatever machine
def test_a_suspended_run_outlives_worker_and_server_and_goes_on_when_approved(
    twin: Twin,
    serving: Serving,
    systems_of: Callable[..., Systems],
    incident: Make,
    tmp_path: Path,
) -> None:
    save(serving, systems_of(salesforce=responder(twin), plan=PLAN), twin, tmp_path)
    suspect = incident(f"connected-app={APP}")
    folder = IncidentFolder.of(suspect.id)
    folder.write(folder.incident, suspect)
    run = serving.start_contain(suspect.id)
    serving.wait_for(run, "Suspended")
    assert frozen(twin) == 0
    assert rows(twin, f"SELECT Id FROM OauthToken WHERE AppName = '{APP}'") == []  # the rest was cut at once
    serving.stop()

    serving.start()
    (asked,) = Approvals(folder, open_ledger(folder.ledger)).requests()
    assert asked.flow_run == run
    assert {change.access.kind for change in asked.changes.changes} == {"login"}
    said = serving.run("-c", APPROVE, suspect.id, "--hash", asked.hash[:12], "--by", "Ines Moreau")
    assert said.returncode == 0, said.stderr
    assert "goes on" in said.stdout

    ended = serving.wait_for(run, "Completed", "Failed", "NeedsApproval", "Crashed")
    assert ended["name"] == "Completed", ended["message"]
    assert frozen(twin) == 1
    contained = folder.read(folder.containment, list[Containment]) or []
    assert {c.status for c in contained} == {AccessStatus.CLOSED, AccessStatus.MANUAL}
    given = Approvals(folder, open_ledger(folder.ledger)).answer_to(asked.hash)
    assert given is not None
    assert given.by == "Ines Moreau"


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("default", "closed"), [("proceed", True), ("reject", False)])
def test_when_nobody_answers_the_default_is_followed_though_worker_and_server_died(
    default: str,
    closed: bool,
    twin: Twin,
    serving: Serving,
    systems_of: Callable[..., Systems],
    incident: Make,
    tmp_path: Path,
) -> None:
    """Both are dead when the deadline passes; once they are back, what the plan says happens by itself."""
    plan = PLAN.replace("default: wait", f"default: {default}")
    save(serving, systems_of(salesforce=responder(twin), plan=plan), twin, tmp_path)
    suspect = incident(f"connected-app={APP}")
    folder = IncidentFolder.of(suspect.id)
    folder.write(folder.incident, suspect)
    run = serving.start_contain(suspect.id)
    serving.wait_for(run, "Suspended")
    follow_up = serving.follow_up(run)
    approvals = Approvals(folder, open_ledger(folder.ledger))
    (asked,) = approvals.requests()
    assert asked.deadline is not None
    serving.stop()
    assert approvals.answer_to(asked.hash) is None
    assert frozen(twin) == 0
    time.sleep(max(0.0, (asked.deadline - datetime.now(UTC)).total_seconds()) + 1)

    serving.start()
    ended = serving.wait_for(follow_up, "Completed", "Failed", "NeedsApproval", "Crashed")

    given = approvals.answer_to(asked.hash)
    assert given is not None
    assert (given.by, given.approved) == (None, closed)
    assert given.at >= asked.deadline
    assert frozen(twin) == closed
    assert ended["name"] == ("Completed" if closed else "NeedsApproval"), ended["message"]
    if not closed:
        assert "rejected by the default of the plan" in ended["message"]
    entries = list(open_ledger(folder.ledger).entries())
    answered = [e for e in entries if e["action"] == "approval answered"]
    assert [e["details"]["approver"] for e in answered] == ["nobody in time: the plan's default"]
    attempts = [e for e in entries if e["kind"] == "ATTEMPT" and e["target"].startswith("salesforce/login/")]
    assert len(attempts) == closed
    # The run that waited did not go on; Prefect lets it fail once its own wait is over.
    assert serving.api("GET", f"/flow_runs/{run}")["state"]["name"] in ("Suspended", "Failed")
