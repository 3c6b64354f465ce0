"""The lab's control: faults and latency on demand, limits, requests counted, a clean start and end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.deployments.lab.twin import Twin, error_of, start, stop, twin

__all__ = ["twin"]
ONE = "SELECT Id FROM Contact LIMIT 1"


@pytest.fixture(autouse=True)
def no_faults_left(twin: Twin) -> Iterator[None]:
    yield
    twin.control("faults", [])
    twin.control("latency", {"ms": 0})


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("503", (503, "SERVER_UNAVAILABLE")),
        ("500", (500, "UNKNOWN_EXCEPTION")),
        ("request-limit", (403, "REQUEST_LIMIT_EXCEEDED")),
        ("lock-row", (400, "UNABLE_TO_LOCK_ROW")),
    ],
)
def test_a_fault_hits_as_often_as_told_and_only_what_matches(
    twin: Twin, kind: str, expected: tuple[int, str]
) -> None:
    client, other = twin.client(), twin.client("ERP Sync")
    rule = {
        "kind": kind,
        "match": {"method": "get", "path": "/query$", "credential": "^oauth:Leak Response:"},
        "count": 2,
    }
    twin.control("faults", [rule])
    assert other.query(ONE).status_code == 200
    assert client.get("/limits").status_code == 200
    assert [error_of(client.query(ONE)) for _ in range(2)] == [expected, expected]
    assert client.query(ONE).status_code == 200
    assert twin.control("faults").json() == [{"kind": kind, "hits": 2}]


def test_too_many_requests_says_when_to_come_back(twin: Twin) -> None:
    client = twin.client()
    twin.control("faults", [{"kind": "429", "retry_after": 3, "count": 1}])
    reply = client.query(ONE)
    assert (reply.status_code, reply.headers["Retry-After"]) == (429, "3")


def test_an_expired_session_stays_expired(twin: Twin) -> None:
    client = twin.client()
    twin.control("faults", [{"kind": "expired-session", "count": 1, "match": {"path": "/query"}}])
    assert error_of(client.query(ONE)) == (401, "INVALID_SESSION_ID")
    assert error_of(client.query(ONE)) == (401, "INVALID_SESSION_ID")
    assert twin.client().query(ONE).status_code == 200


@pytest.mark.parametrize(("kind", "done"), [("reset-before", 0), ("reset-after", 1)])
def test_resets_before_and_after_the_act(twin: Twin, kind: str, done: int) -> None:
    client = twin.client("Admin Console")
    name = f"Reset {kind}"
    twin.control("faults", [{"kind": kind, "count": 1, "match": {"path": "/sobjects/Account"}}])
    with pytest.raises(requests.ConnectionError):
        client.call("POST", "/sobjects/Account", json={"Name": name})
    assert client.count(f"SELECT COUNT() FROM Account WHERE Name = '{name}'") == done


def test_a_malformed_body_and_a_slow_call(twin: Twin) -> None:
    client = twin.client()
    twin.control("faults", [{"kind": "malformed", "count": 1}])
    with pytest.raises(json.JSONDecodeError):
        json.loads(client.query(ONE).text)
    twin.control("faults", [{"kind": "slow", "seconds": 0.5, "count": 1}])
    began = time.monotonic()
    assert client.query(ONE).status_code == 200
    assert time.monotonic() - began >= 0.5
    twin.control("latency", {"ms": 100})
    began = time.monotonic()
    client.get("/")
    assert time.monotonic() - began >= 0.1


def test_chance_is_repeatable_and_calls_can_be_let_through_first(twin: Twin) -> None:
    client = twin.client()

    def run() -> list[int]:
        twin.control("faults", [{"kind": "503", "probability": 0.5, "seed": 7}])
        return [client.get("/").status_code for _ in range(20)]

    first = run()
    assert run() == first
    assert set(first) == {200, 503}
    twin.control("faults", [{"kind": "503", "skip": 2, "count": 1}])
    assert [client.get("/").status_code for _ in range(4)] == [200, 200, 503, 200]


@pytest.mark.parametrize("rule", [{"kind": "earthquake"}, {"kind": "503", "wen": 1}, {"match": {}}])
def test_a_wrong_rule_is_named(twin: Twin, rule: dict[str, Any]) -> None:
    token = (twin.folder / "admin-token").read_text()
    reply = twin.http(token).post(f"{twin.url}/__lab__/faults", json=[rule])
    assert reply.status_code == 400
    assert "not a fault rule" in reply.json()["error"]


def test_control_needs_its_own_token(twin: Twin) -> None:
    client = twin.client()
    assert client.call("GET", "/services/data").status_code == 200
    assert client.http.get(f"{twin.url}/__lab__/truth").status_code == 401
    key = (twin.folder / "admin-token").read_text()
    assert twin.http().get(f"{twin.url}/__lab__/truth", params={"key": key}).status_code == 200
    assert twin.http().post(f"{twin.url}/__lab__/faults", params={"key": key}, json=[]).status_code == 401


def test_the_daily_limit_runs_out(twin: Twin) -> None:
    client = twin.client()
    twin.control("limits", {"daily_api": 10, "used_api": 8})
    try:
        assert [client.get("/").status_code for _ in range(3)] == [200, 200, 403]
        assert error_of(client.query(ONE)) == (403, "REQUEST_LIMIT_EXCEEDED")
        assert client.call("GET", "/services/oauth2/userinfo").status_code == 200  # not counted
    finally:
        twin.control("limits", {"daily_api": 5_000_000})


def test_requests_are_counted_by_credential_even_when_the_token_is_dead(twin: Twin) -> None:
    thief = twin.attacker()
    own_id = thief.call("GET", "/services/oauth2/userinfo").json()["user_id"]
    assert thief.query(ONE).status_code == 200
    twin.http().post(f"{twin.url}/services/oauth2/revoke", data={"token": thief.token})
    thief.query(ONE)
    made = twin.lines("requests", credential=f"oauth:Support Chat:{own_id}")
    assert [(r["method"], r["path"], r["status"]) for r in made] == [
        ("POST", "/services/oauth2/token", 200),
        ("GET", "/services/oauth2/userinfo", 200),
        ("GET", "/services/data/v67.0/query", 200),
        ("POST", "/services/oauth2/revoke", 200),
        ("GET", "/services/data/v67.0/query", 401),
    ]


def test_records_are_planted_behind_the_api_and_persons_are_told(twin: Twin) -> None:
    case = twin.client().records("SELECT Id FROM Case LIMIT 1")[0]["Id"]
    twin.control("plant", {"object": "Case", "id": case, "set": {"Description": "the key is AKIA"}})
    assert (
        twin.client().records(f"SELECT Description FROM Case WHERE Id = '{case}'")[0]["Description"]
        == "the key is AKIA"
    )
    persons = twin.lines("persons")
    assert {"object", "record_id", "person", "residence"} == set(persons[0])
    assert {p["object"] for p in persons} >= {"Contact", "Lead", "Case"}


def test_it_ends_with_its_parent_and_on_sigterm(tmp_path: Path) -> None:
    running = start(tmp_path / "a", contacts=60)
    assert stop(running) == 0
    other = start(tmp_path / "b", contacts=60)
    other.process.send_signal(signal.SIGTERM)
    assert other.process.wait(timeout=15) in (0, -signal.SIGTERM)
    with pytest.raises(requests.ConnectionError):
        other.http().get(other.url)
    stop(other)


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "deployments.lab.salesforce", "--dir", str(tmp_path), "--port", port]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert f"Port {port} cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
