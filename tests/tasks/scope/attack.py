"""What the scoping tests share: a twin org, its ground truth, an attacker's client, and a scoping run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import requests

from blocks.aws import AwsAccount
from blocks.salesforce.org import SalesforceOrg
from blocks.systems import Systems
from blocks.vault import VaultServer
from tasks.incident import Incident, IncidentFolder, Phase, ScopeSummary, Suspect, SuspectKind, Window
from tasks.scope.exposure import affected_records
from tasks.scope.run import scope


@dataclass(frozen=True)
class Twin:
    """A running twin: what org.json says, the responder's block, and the lab's own control."""

    told: dict[str, Any]
    org: SalesforceOrg

    def lab(self, path: str, **kwargs: Any) -> requests.Response:
        token = Path(self.told["admin_token_file"]).read_text(encoding="utf-8")
        headers = {"Authorization": f"Bearer {token}"}
        method = "POST" if "json" in kwargs else "GET"
        url = f"{self.told['url']}/__lab__/{path}"
        reply = requests.request(method, url, headers=headers, verify=self.told["ca"], timeout=60, **kwargs)
        reply.raise_for_status()
        return reply

    def lines(self, path: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lab(path).text.splitlines() if line]

    def truth(self, since: datetime) -> list[dict[str, Any]]:
        """What was served to the stolen app since then."""
        served = self.lines(f"truth?since={since:%Y-%m-%dT%H:%M:%S.000Z}")
        return [
            line
            for line in served
            if line["credential"].startswith("oauth:Support Chat:")
            and datetime.fromisoformat(line["at"]) >= since
        ]


def start_twin(
    folder: Path, contacts: int, seed: int = 1, log_delay_s: float = 0.5
) -> tuple[subprocess.Popen[bytes], Twin]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "deployments.lab.salesforce",
            "--dir",
            str(folder),
            "--contacts",
            str(contacts),
            "--seed",
            str(seed),
            "--log-delay-s",
            str(log_delay_s),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout
    line = process.stdout.readline()
    assert json.loads(line)["ready"], line
    told = json.loads((folder / "org.json").read_text(encoding="utf-8"))
    responder = told["responder"]
    org = SalesforceOrg(
        instance_url=told["url"],
        consumer_key=responder["consumer_key"],
        username=responder["username"],
        secret=[f"file:{responder['private_key_file']}"],
        audience=told["url"],
        ca_bundle=told["ca"],
    )
    return process, Twin(told, org)


class Thief:
    """A stolen refresh token and nothing of the product's code."""

    def __init__(
        self, twin: Twin, username: str | None = None, agent: str = "Fetcher/1.0", ip: str = ""
    ) -> None:
        self.told = twin.told
        self.http = requests.Session()
        self.http.verify, self.http.trust_env = twin.told["ca"], False
        self.http.headers["User-Agent"] = agent
        if ip:
            self.http.headers["X-Lab-Client-IP"] = ip
        stolen = twin.told["stolen"]
        tokens = json.loads(Path(stolen["refresh_tokens_file"]).read_text(encoding="utf-8"))
        form = {
            "grant_type": "refresh_token",
            "refresh_token": tokens[username or stolen["integration_username"]],
            "client_id": stolen["consumer_key"],
            "client_secret": stolen["consumer_secret"],
        }
        reply = self.http.post(f"{self.told['url']}/services/oauth2/token", data=form, timeout=30)
        reply.raise_for_status()
        self.http.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"

    def call(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        base = "" if path.startswith("/services") else "/services/data/v67.0/"
        return self.http.request(method, f"{self.told['url']}{base}{path}", timeout=60, **kwargs)

    def query(self, soql: str, pages: int = 1_000, verb: str = "query") -> list[dict[str, Any]]:
        """All records, or those of the first `pages` pages."""
        reply = self.call("GET", verb, params={"q": soql}).json()
        records = list(reply["records"])
        while not reply["done"] and (pages := pages - 1):
            reply = self.call("GET", reply["nextRecordsUrl"]).json()
            records += reply["records"]
        return records

    def export(self, soql: str, operation: str = "query") -> int:
        """A Bulk 2.0 export, downloaded whole; the job is deleted at once. Returns the bytes taken."""
        job = self.call("POST", "jobs/query", json={"operation": operation, "query": soql}).json()["id"]
        while (state := self.call("GET", f"jobs/query/{job}").json()["state"]) != "JobComplete":
            assert state not in ("Failed", "Aborted")
            time.sleep(0.05)
        taken, locator = 0, ""
        while locator != "null":
            reply = self.call(
                "GET", f"jobs/query/{job}/results", params={"locator": locator} if locator else {}
            )
            reply.raise_for_status()
            taken += len(reply.content)
            locator = reply.headers["Sforce-Locator"]
        assert self.call("DELETE", f"jobs/query/{job}").status_code == 204
        return taken


def colleague(twin: Twin) -> Thief:
    """The ERP's own client, who has done nothing."""
    innocent = Thief.__new__(Thief)
    innocent.told, innocent.http = twin.told, requests.Session()
    innocent.http.verify, innocent.http.trust_env = twin.told["ca"], False
    erp = twin.told["erp"]
    form = {
        "grant_type": "client_credentials",
        "client_id": erp["consumer_key"],
        "client_secret": erp["consumer_secret"],
    }
    reply = innocent.http.post(f"{twin.told['url']}/services/oauth2/token", data=form, timeout=30)
    innocent.http.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"
    return innocent


class Notes:
    """A ledger that only remembers."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []

    def attempt(self, phase: Phase, action: str, target: str, **details: Any) -> str:
        return "1"

    def result(self, attempt_id: str, outcome: str, **details: Any) -> None:
        pass

    def note(self, phase: Phase, action: str, target: str, **details: Any) -> None:
        self.notes.append({"phase": phase, "action": action, **details})

    def entries(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.notes)

    def open_attempts(self) -> list[Mapping[str, Any]]:
        return []


@dataclass
class Scoped:
    summary: ScopeSummary
    folder: IncidentFolder
    truth: list[dict[str, Any]]
    ledger: Notes

    def served(self) -> set[tuple[str, str]]:
        return {(line["object"], line["record_id"]) for line in self.truth}

    def found(self, *, certain: bool = False) -> set[tuple[str, str]]:
        return set(affected_records(self.folder, certain=certain).itertuples(index=False, name=None))


def systems_of(twin: Twin) -> Systems:
    """The org, and a Vault and an AWS that do not answer: scoping must not need them."""
    nowhere = "http://127.0.0.1:9"
    vault = VaultServer(addr=nowhere, role_id="none", secret_id=["env:NO_SUCH_SECRET"])
    none = ["env:NO_SUCH_SECRET"]
    aws = AwsAccount(endpoint_url=nowhere, access_key_id=none, secret_access_key=none)
    unused = cast(Any, None)
    return Systems(twin.org, vault, aws=aws, slack=unused, evidence=unused, plan=unused)


def scoped(
    twin: Twin,
    home: Path,
    since: datetime,
    suspects: tuple[Suspect, ...] | None = None,
    wait_s: float = 30,
) -> Scoped:
    now = datetime.now(UTC)
    suspects = suspects or (Suspect(SuspectKind.CONNECTED_APP, "Support Chat"),)
    incident = Incident("test-1", "an app's tokens leaked", suspects, Window(since), now, now, "lab")
    folder = IncidentFolder.of(incident.id, home)
    ledger = Notes()
    summary = scope(incident, systems_of(twin), folder, ledger, now=now, wait_s=wait_s)
    return Scoped(summary, folder, twin.truth(since), ledger)


def start() -> datetime:
    """Now, to the millisecond that logs and truth keep."""
    time.sleep(0.002)
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
