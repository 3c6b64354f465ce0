"""Systems over single lab servers, and small helpers to read what containment did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

    def make(*, vault: VaultServer | None = None, aws: AwsAccount | None = None, plan: str = PLAN) -> Systems:
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
            salesforce=SalesforceOrg(
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
