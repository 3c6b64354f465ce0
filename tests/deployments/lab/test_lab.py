"""The whole lab: what lab.json promises holds, the leak is in place, and nothing is left when it ends."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import hvac
import psycopg
import pytest
import requests
from botocore.config import Config
from slack_sdk import WebClient

from blocks.plan import load_plan
from blocks.systems import Systems
from deployments.lab import lab as lab_module
from deployments.lab.errors import LabError
from deployments.lab.lab import Lab
from deployments.lab.process import Process
from deployments.lab.slack.server import Slack
from tests.deployments.lab.test_guard import alive, until


@pytest.fixture
def told(lab: Lab) -> dict[str, Any]:
    """lab.json, read from its file as another process would."""
    found: dict[str, Any] = json.loads(lab.json_path.read_text())
    return found


def org(told: dict[str, Any], method: str, path: str, **kwargs: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.request(
            method, told["salesforce"]["url"] + path, verify=told["salesforce"]["ca"], timeout=30, **kwargs
        )


def control(told: dict[str, Any], method: str, path: str, **kwargs: Any) -> requests.Response:
    token = Path(told["control_token_file"]).read_text().strip()
    return org(told, method, f"/__lab__/{path}", headers={"Authorization": f"Bearer {token}"}, **kwargs)


# --- what lab.json says -------------------------------------------------------------------------------


def test_the_product_finds_every_system_ready(lab: Lab) -> None:
    checks = Systems.from_lab(lab.json_path).check()
    assert len(checks) > 30
    assert [f"{check.name}: {check.problem}" for check in checks if not check.ok] == []


def test_only_the_owner_can_read_the_files_that_hold_secrets(lab: Lab) -> None:
    files = [lab.json_path, *(lab.dir / "break-glass").iterdir()]
    assert len(files) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_blocks_hold_references_and_never_a_secret(told: dict[str, Any]) -> None:
    values = json.dumps(told["blocks"])
    secrets = [
        told["vault"]["root_token"],
        told["aws"]["responder"]["secret_access_key"],
        told["slack"]["token"],
        told["slack"]["signing_secret"],
        Path(told["vault"]["responder_secret_id_file"]).read_text(),
        told["salesforce"]["responder"]["client_secret"],
    ]
    assert all(secret and secret not in values for secret in secrets)


def test_secrets_come_from_the_files_while_vault_is_sealed(lab: Lab) -> None:
    lab.vault.seal()
    try:
        systems = Systems.from_lab(lab.json_path)
        assert systems.aws.client("sts").get_caller_identity()["Arn"].endswith("user/leak-response")
        assert systems.salesforce.get_client().query("SELECT COUNT() FROM User")["totalSize"] >= 2600
    finally:
        lab.vault.unseal()


def test_the_plan_is_valid_and_knows_everybody_in_the_lab(lab: Lab, told: dict[str, Any]) -> None:
    plan = load_plan(Path(told["plan"]))
    slack = WebClient(token=told["slack"]["token"], base_url=told["slack"]["base_url"])
    members = {user["name"]: user for user in slack.users_list()["members"]}
    for role in plan.roles.values():
        assert members[str(role.slack)]["profile"]["email"] == role.email, role.key
    kind, _, identifier = told["suspects"][0].partition("=")
    integration = plan.integration_of(kind, identifier)
    assert integration is not None
    named = {(one.kind, one.identifier) for one in integration.principals}
    assert ("salesforce-user", told["stolen"]["integration_username"]) in named
    iam = lab.aws.client("iam")
    for one in (one for each in plan.integrations for one in each.principals):
        if one.kind == "aws-user":
            iam.get_user(UserName=one.identifier)
        elif one.kind == "aws-role":
            iam.get_role(RoleName=one.identifier)
        elif one.kind == "vault-approle":
            lab.vault.client().auth.approle.read_role(one.identifier)
    admin = told["salesforce"]["admin"]["username"]
    assert plan.is_protected("salesforce-user", admin)


# --- the leak -----------------------------------------------------------------------------------------


def test_the_stolen_tokens_key_and_vault_token_all_work(told: dict[str, Any]) -> None:
    stolen = told["stolen"]
    tokens = json.loads(Path(stolen["refresh_tokens_file"]).read_text())
    assert len(tokens) == 2600
    answer = org(
        told,
        "POST",
        "/services/oauth2/token",
        data={
            "grant_type": "refresh_token",
            "refresh_token": tokens[stolen["integration_username"]],
            "client_id": stolen["consumer_key"],
            "client_secret": stolen["consumer_secret"],
        },
    )
    assert answer.status_code == 200, answer.text
    s3 = boto3.client(
        "s3",
        endpoint_url=told["aws"]["endpoint"],
        region_name=told["aws"]["region"],
        aws_access_key_id=stolen["aws_access_key_id"],
        aws_secret_access_key=stolen["aws_secret_access_key"],
        config=Config(s3={"addressing_style": "path"}),
    )
    assert s3.list_objects_v2(Bucket=told["aws"]["buckets"]["attachments"])["KeyCount"] > 0
    vault = hvac.Client(url=told["vault"]["addr"], token=stolen["vault_token"])
    listed = vault.secrets.kv.v2.list_secrets(path="integrations", mount_point="kv")["data"]["keys"]
    assert {"support-chat", "erp-sync"} <= set(listed)
    login = vault.secrets.database.generate_credentials("support-readonly")["data"]
    where = told["postgres"]
    with psycopg.connect(
        host=where["host"],
        port=where["port"],
        dbname=where["dbname"],
        user=login["username"],
        password=login["password"],
    ) as connection:
        assert connection.execute("SELECT count(*) FROM order_archive").fetchone() == (500,)


def test_the_key_and_the_token_lie_in_the_text_of_three_cases(lab: Lab, told: dict[str, Any]) -> None:
    client = Systems.from_lab(lab.json_path).salesforce.get_client()
    cases = [case["Description"] or "" for case in client.query_all_iter("SELECT Id, Description FROM Case")]
    holding = [
        sum(value in text for text in cases)
        for value in (
            told["stolen"]["aws_access_key_id"],
            told["stolen"]["aws_secret_access_key"],
            told["stolen"]["vault_token"],
        )
    ]
    assert holding == [2, 2, 1]


def test_the_ground_truth_names_what_was_served_to_whom(lab: Lab, told: dict[str, Any]) -> None:
    client = Systems.from_lab(lab.json_path).salesforce.get_client()
    record = client.query("SELECT Id, LastName FROM Contact ORDER BY Id DESC LIMIT 1")["records"][0]["Id"]
    lines = [json.loads(line) for line in control(told, "GET", "truth").text.splitlines()]
    served = [line for line in lines if line["record_id"] == record]
    assert served, "the record was served and is not in the truth"
    assert set(served[-1]) == {"at", "credential", "object", "record_id", "fields"}
    assert served[-1]["object"] == "Contact"
    assert "LastName" in served[-1]["fields"]
    assert org(told, "GET", "/__lab__/truth").status_code in (401, 403), "the truth is open to anybody"


# --- start and stop -----------------------------------------------------------------------------------


def test_it_is_ready_in_seconds_and_says_how_many(lab: Lab) -> None:
    assert set(lab.seconds) == {"Salesforce", "Vault", "PostgreSQL", "AWS", "Slack", "total"}
    # Idle, the default lab is ready in about five seconds. A busy machine may take longer, never minutes.
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert lab.seconds["total"] < 10 * busy + 5


def test_two_labs_cannot_share_a_folder_and_no_foreign_folder_is_cleared(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="Another lab is running"):
        Lab.start(lab.dir)
    (tmp_path / "thesis.txt").write_text("important")
    with pytest.raises(LabError, match="is not empty"):
        Lab.start(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "important"
    with pytest.raises(LabError, match="too few for the lab"):
        Lab.start(tmp_path / "small", contacts=49)
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="cannot use the folder"):
        Lab.start(tmp_path / "file")


def test_a_server_that_cannot_start_stops_the_others_and_names_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Process] = []
    real = Process.__init__

    def noting(self: Process, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        started.append(self)

    monkeypatch.setattr(Process, "__init__", noting)
    monkeypatch.setattr(lab_module.Vault, "start", _broken)
    with pytest.raises(LabError, match="was asked to fail"):
        Lab.start(tmp_path / "lab", contacts=50)
    assert len(started) == 4
    assert not any(process.alive for process in started)
    assert not (tmp_path / "lab" / "lab.json").exists()


def _broken(*_args: Any, **_kwargs: Any) -> Any:
    raise LabError("The lab's Vault was asked to fail.", "Do not ask.")


SCRIPT = """
import sys, time
from deployments.lab.lab import Lab
lab = Lab.start(sys.argv[1], contacts=50)
print(*(process.guard_pid for process in lab.processes), flush=True)
time.sleep(600)
"""


def test_killing_the_process_that_runs_the_lab_ends_every_server(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "lab")], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    guards = [int(word) for word in parent.stdout.readline().split()]
    assert len(guards) == 5
    servers = [pid for guard in guards for pid in _children(guard)]
    if Path("/proc").exists():
        assert len(servers) == 5
    told = json.loads((tmp_path / "lab" / "lab.json").read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    assert until(lambda: not any(alive(pid) for pid in [*guards, *servers]), 20)
    with pytest.raises(requests.ConnectionError):
        requests.get(told["vault"]["addr"], timeout=5)
    again = Lab.start(tmp_path / "lab", contacts=50)  # the folder is free again
    again.stop()


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def test_a_server_that_dies_is_noticed(tmp_path: Path) -> None:
    slack = Slack.start(tmp_path)
    try:
        slack.process.check_alive()
        for pid in _children(slack.process.guard_pid) or pytest.skip("needs /proc to find the server"):
            os.kill(pid, signal.SIGKILL)
        assert until(lambda: not slack.process.alive)
        with pytest.raises(LabError, match="Slack server ended with code 137"):
            slack.process.check_alive()
    finally:
        slack.stop()


def test_stopping_takes_little_time_and_may_be_done_twice(tmp_path: Path) -> None:
    slack = Slack.start(tmp_path)
    began = time.monotonic()
    slack.stop()
    slack.stop()
    assert time.monotonic() - began < 10
    assert not slack.process.alive
