"""A Salesforce twin of its own for a test module, and a bare client for it (no library of the product)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from simple_salesforce import Salesforce

API = "/services/data/v67.0"
STOLEN, RESPONDER = "Support Chat", "Leak Response"


@dataclass
class Twin:
    """A running twin and what `org.json` says of it."""

    process: subprocess.Popen[bytes]
    folder: Path
    org: dict[str, Any]

    @property
    def url(self) -> str:
        return str(self.org["url"])

    def http(self, token: str | None = None, **headers: str) -> requests.Session:
        """A client session that trusts the twin's authority and sends this token."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self.org["ca"]
        session.headers.update(headers)
        if token:
            session.headers["Authorization"] = f"Bearer {token}"
        return session

    def token_call(self, **form: str) -> requests.Response:
        return self.http().post(f"{self.url}/services/oauth2/token", data=form, timeout=20)

    def login(self, app: str = RESPONDER) -> str:
        """An access token by client credentials."""
        keys = self.org["apps"][app]
        reply = self.token_call(
            grant_type="client_credentials",
            client_id=keys["consumer_key"],
            client_secret=keys["consumer_secret"],
        )
        assert reply.status_code == 200, reply.text
        return str(reply.json()["access_token"])

    def refresh_tokens(self) -> dict[str, str]:
        tokens: dict[str, str] = json.loads(Path(self.org["stolen"]["refresh_tokens_file"]).read_text())
        return tokens

    def refresh(self, username: str) -> requests.Response:
        """Use the stolen app's refresh token of this user."""
        return self.token_call(
            grant_type="refresh_token",
            refresh_token=self.refresh_tokens()[username],
            client_id=self.org["stolen"]["consumer_key"],
            client_secret=self.org["stolen"]["consumer_secret"],
        )

    def assertion(self, who: str = "responder", key_of: str | None = None, **claims: Any) -> str:
        """A signed JWT of this identity; claims given replace the right ones."""
        told = self.org[who]
        right = {
            "iss": told["consumer_key"],
            "sub": told["username"],
            "aud": "https://login.salesforce.com",
            "exp": int(time.time()) + 180,
        }
        key = Path(self.org[key_of or who]["private_key_file"]).read_text()
        return jwt.encode({**right, **claims}, key, algorithm="RS256")

    def client(self, app: str = RESPONDER) -> Client:
        return Client(self, self.login(app))

    def attacker(self, username: str | None = None) -> Client:
        """Logged in with a stolen refresh token."""
        reply = self.refresh(username or self.org["stolen"]["integration_username"])
        assert reply.status_code == 200, reply.text
        return Client(self, reply.json()["access_token"])

    def simple_salesforce(self, app: str = RESPONDER) -> Salesforce:
        return Salesforce(
            session_id=self.login(app),
            instance_url=self.url,
            version="67.0",
            session=self.http(),
        )

    # --- the lab's control -----------------------------------------------------------------------

    def control(self, name: str, body: Any = None, **query: str) -> requests.Response:
        """A control call: POST with a body, else GET."""
        token = (self.folder / "admin-token").read_text()
        method = "GET" if body is None else "POST"
        reply = self.http(token).request(
            method, f"{self.url}/__lab__/{name}", json=body, params=query, timeout=60
        )
        assert reply.status_code == 200, reply.text
        return reply

    def lines(self, name: str, **query: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.control(name, **query).text.splitlines()]


@dataclass
class Client:
    """One access token and short calls with it."""

    twin: Twin
    token: str

    def __post_init__(self) -> None:
        self.http = self.twin.http(self.token)

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        where = path if path.startswith("/services/") else API + path
        return self.http.request(method, self.twin.url + where, timeout=30, **more)

    def get(self, path: str, **params: str) -> requests.Response:
        return self.call("GET", path, params=params)

    def query(self, soql: str, **headers: str) -> requests.Response:
        return self.call("GET", "/query", params={"q": soql}, headers=headers)

    def records(self, soql: str) -> list[dict[str, Any]]:
        reply = self.query(soql)
        assert reply.status_code == 200, reply.text
        records: list[dict[str, Any]] = reply.json()["records"]
        return records

    def count(self, soql: str) -> int:
        return int(self.query(soql).json()["totalSize"])

    def bulk_query(self, soql: str, operation: str = "query") -> str:
        """Start a bulk query and wait until it is done; returns its id."""
        reply = self.call("POST", "/jobs/query", json={"operation": operation, "query": soql})
        assert reply.status_code == 200, reply.text
        job_id = str(reply.json()["id"])
        wait_for(lambda: self.get(f"/jobs/query/{job_id}").json()["state"] in ("JobComplete", "Failed"))
        return job_id


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Poll until the condition holds; returns what it returned."""
    deadline = time.monotonic() + seconds
    while not (made := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return made


def error_of(reply: requests.Response) -> tuple[int, str]:
    """Status and errorCode of a refusal."""
    return reply.status_code, reply.json()[0]["errorCode"]


def start(folder: Path, *more: str, contacts: int = 300) -> Twin:
    """Start a twin in the folder and wait until it answers."""
    command = [sys.executable, "-m", "deployments.lab.salesforce", "--dir", str(folder)]
    process = subprocess.Popen(
        [*command, "--contacts", str(contacts), "--log-delay-s", "1", *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the twin ended before it was ready"
    assert json.loads(line)["ready"] is True
    return Twin(process, folder, json.loads((folder / "org.json").read_text()))


def stop(twin: Twin) -> int:
    """Close its standard input, as the end of its parent does; returns the exit code."""
    assert twin.process.stdin is not None
    twin.process.stdin.close()
    code = twin.process.wait(timeout=15)
    if twin.process.stdout:
        twin.process.stdout.close()
    return code


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    running = start(tmp_path_factory.mktemp("twin"))
    yield running
    stop(running)
