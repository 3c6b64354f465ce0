"""Systems over single lab servers, and small helpers to read what containment did."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from blocks.aws import AwsAccount
from blocks.evidence import EvidenceStore
from blocks.plan import load_plan
from blocks.salesforce.org import SalesforceOrg
from blocks.slack import SlackWorkspace
from blocks.systems import Systems
from blocks.vault import VaultServer
from deployments.lab.process import free_port
from deployments.lab.scenarios.attacker import SalesforceThief
from deployments.lab.twin import Twin
from tasks.evidence.ledger import FileLedger, open_ledger
from tasks.incident import Containment, Incident, Mode, Suspect, Window

ROLES = "".join(
    f"  {role}: {{name: A Person, email: {role}@acme.example}}\n"
    for role in (
        "incident_commander",
        "legal",
        "privacy",
        "salesforce_admin",
        "integration_engineer",
        "comms",
    )
)
PLAN = f"""version: 1
organisation: {{name: Acme Retail SE, role: controller, time_zone: Europe/Berlin}}
roles:
{ROLES}"""


@pytest.fixture(autouse=True)
def _strict_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ledger may not carry is an error in these tests, not dropped."""
    monkeypatch.setenv("LEAK_RESPONSE_STRICT_LEDGER", "1")


@pytest.fixture
def ledger(tmp_path: Path) -> FileLedger:
    return open_ledger(tmp_path / "ledger.jsonl")


@pytest.fixture
def incident() -> Callable[..., Incident]:
    def make(*suspects: str, mode: Mode = Mode.CONTAIN) -> Incident:
        at = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
        return Incident(
            id="inc-test-1",
            what_happened="a test",
            suspects=tuple(Suspect.parse(text) for text in suspects),
            window=Window(at),
            aware_at=at,
            declared_at=at,
            plan="plan",
            mode=mode,
        )

    return make


@pytest.fixture
def systems_of(tmp_path: Path) -> Callable[..., Systems]:
    """Systems of which only those given as blocks are there; the others' addresses answer nothing."""

    def make(
        *,
        salesforce: SalesforceOrg | None = None,
        vault: VaultServer | None = None,
        aws: AwsAccount | None = None,
        plan: str = PLAN,
    ) -> Systems:
        nowhere = f"127.0.0.1:{free_port()}"
        secret = tmp_path / "secret"
        secret.write_text("none")
        vault = vault or VaultServer(addr=f"http://{nowhere}", role_id="none", secret_id=[f"file:{secret}"])
        aws = aws or AwsAccount(
            endpoint_url=f"http://{nowhere}",
            access_key_id=[f"file:{secret}"],
            secret_access_key=[f"file:{secret}"],
        )
        file = tmp_path / "plan.yaml"
        file.write_text(plan)
        return Systems(
            salesforce=salesforce
            or SalesforceOrg(
                instance_url=f"https://{nowhere}",
                auth="client_credentials",
                consumer_key="none",
                secret=[f"file:{secret}"],
                retry_s=0,
            ),
            vault=vault,
            aws=aws,
            slack=SlackWorkspace(token=[f"file:{secret}"], signing_secret=[f"file:{secret}"]),
            evidence=EvidenceStore(bucket="none", aws=aws),
            plan=load_plan(file),
        )

    return make


def by_kind(found: list[Containment]) -> dict[str, Containment]:
    """Containments by access kind; for runs with one of each."""
    assert len({c.access.kind for c in found}) == len(found), [c.access.key for c in found]
    return {c.access.kind: c for c in found}


def attempts(ledger: FileLedger) -> list[Mapping[str, Any]]:
    return [entry for entry in ledger.entries() if entry["kind"] == "ATTEMPT"]


# --- an org whose app was stolen ---

APP = "Support Chat"
INTEGRATION = "support-chat@lab.example"
GRANTS = 2600
APP_PLAN = (
    PLAN
    + f"""integrations:
  - name: Support Chat
    owner: integration_engineer
    principals:
      - {{kind: connected-app, identifier: {APP}}}
      - {{kind: salesforce-user, identifier: {INTEGRATION}}}
policies:
  break_glass_admin: break-glass@lab.example
"""
)


@pytest.fixture
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    server = Twin.start(tmp_path_factory.mktemp("twin"), contacts=60, log_delay_s=0)
    yield server
    server.stop()


@pytest.fixture
def systems(twin: Twin, systems_of: Callable[..., Systems]) -> Systems:
    return systems_of(salesforce=responder(twin), plan=APP_PLAN)


@pytest.fixture
def thief(twin: Twin) -> Thief:
    return Thief(twin)


@dataclass
class Thief:
    """Holds every refresh token of the stolen app."""

    twin: Twin

    def __post_init__(self) -> None:
        stolen = self.twin.org["stolen"]
        self.refresh_tokens: dict[str, str] = json.loads(Path(stolen["refresh_tokens_file"]).read_text())
        salesforce = {"url": self.twin.url, "api_version": "67.0", "ca": str(self.twin.ca)}
        self.client = SalesforceThief({"salesforce": salesforce, "stolen": stolen}, "thief/1.0")

    def mint(self, username: str = INTEGRATION) -> str | None:
        return self.client.refresh(self.refresh_tokens[username])

    def reads(self, token: str) -> bool:
        return self.client.query("SELECT Id FROM Contact LIMIT 1", token).ok

    def others(self, count: int) -> list[str]:
        return [name for name in self.refresh_tokens if name != INTEGRATION][:count]


def responder(twin: Twin) -> SalesforceOrg:
    own = twin.org["responder"]
    return SalesforceOrg(
        instance_url=twin.url,
        auth="jwt",
        consumer_key=own["consumer_key"],
        username=own["username"],
        secret=[f"file:{own['private_key_file']}"],
        audience=twin.url,
        ca_bundle=str(twin.ca),
        retry_s=5,
    )
