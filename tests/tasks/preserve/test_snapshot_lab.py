"""The snapshot of the whole lab: Salesforce, AWS and Vault side by side, as a response takes it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.systems import Systems
from deployments.lab.lab import Lab
from tasks.evidence.ledger import FileLedger, open_ledger
from tasks.incident import Incident, IncidentFolder, Suspect, SuspectKind, Window
from tasks.preserve.snapshot import Snapshot, preserve


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def taken(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, IncidentFolder, FileLedger]:
    stolen = lab.info["stolen"]
    suspects = (
        Suspect(SuspectKind.CONNECTED_APP, stolen["app"]),
        Suspect(SuspectKind.SALESFORCE_USER, stolen["integration_username"]),
        Suspect(SuspectKind.AWS_ACCESS_KEY, stolen["aws_access_key_id"]),
        Suspect(SuspectKind.VAULT_ACCESSOR, stolen["vault_accessor"]),
    )
    at = now()
    incident = Incident("INC-snapshot", "x", suspects, Window(at - timedelta(days=30)), at, at, "lab")
    folder = IncidentFolder.of(incident.id, tmp_path_factory.mktemp("home"))
    ledger = open_ledger(folder.ledger, strict=True)
    systems = Systems.from_lab(lab.json_path)
    return preserve(incident, systems, folder, ledger, clock=now, time_box_s=60), folder, ledger


def kept(folder: IncidentFolder, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder.path / "snapshot" / f"{name}.json").read_text())
    return content


def test_every_source_answers(taken: tuple[Snapshot, IncidentFolder, FileLedger]) -> None:
    snapshot, folder, ledger = taken
    assert [(s.source, s.problem) for s in snapshot.unread] == []
    assert {s.source for s in snapshot.sources} >= {
        *("oauth-tokens", "auth-sessions", "bulk-jobs", "login-history", "setup-audit-trail"),
        *("permission-set-assignments", "event-log-files", "vault-leases"),
    }
    assert not [e for e in ledger.entries() if "dropped" in e["details"]]
    assert json.loads((folder.path / "snapshot" / "index.json").read_text())["sources"]


def test_tokens_past_the_limit_are_counted_and_said(
    taken: tuple[Snapshot, IncidentFolder, FileLedger],
) -> None:
    snapshot, folder, _ = taken
    tokens = kept(folder, "oauth-tokens")
    assert tokens["count"] == len(tokens["rows"]) == 2500
    assert tokens["left_out"] == "2,600 tokens were counted, Salesforce hands out 2,500 of them."
    assert [s.source for s in snapshot.incomplete] == ["oauth-tokens"]
    assert set(tokens["rows"][0]) == {
        *("AppName", "AppMenuItemId", "UserId", "UseCount", "LastUsedDate", "CreatedDate"),
    }


def test_no_secret_of_the_lab_is_in_snapshot_or_ledger(
    lab: Lab, taken: tuple[Snapshot, IncidentFolder, FileLedger]
) -> None:
    _, folder, _ = taken
    everything = folder.ledger.read_text()
    everything += "".join(path.read_text() for path in (folder.path / "snapshot").iterdir())
    stolen = lab.info["stolen"]
    secrets = [stolen[name] for name in ("consumer_secret", "aws_secret_access_key", "vault_token")]
    refresh = json.loads(Path(stolen["refresh_tokens_file"]).read_text())
    secrets += list(refresh.values())
    assert len(secrets) == 2603 and not [
        number for number, value in enumerate(secrets) if value in everything
    ]


def test_a_snapshot_of_the_lab_is_quick(lab: Lab, tmp_path: Path) -> None:
    at = now()
    suspect = Suspect(SuspectKind.CONNECTED_APP, lab.info["stolen"]["app"])
    incident = Incident("INC-quick", "x", (suspect,), Window(at - timedelta(days=1)), at, at, "lab")
    folder = IncidentFolder.of(incident.id, tmp_path)
    began = time.monotonic()
    snapshot = preserve(
        incident, Systems.from_lab(lab.json_path), folder, open_ledger(folder.ledger), clock=now, time_box_s=8
    )
    assert time.monotonic() - began < 10
    assert "oauth-tokens" not in {s.source for s in snapshot.unread}
