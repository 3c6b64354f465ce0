"""The snapshot against real servers: what it keeps, what it never keeps, and that nobody can hold it up."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.aws import AwsAccount
from blocks.errors import Unreachable
from blocks.salesforce.org import SalesforceOrg
from blocks.vault import VaultServer
from deployments.lab.aws.server import Aws
from deployments.lab.aws.world import AwsWorld
from deployments.lab.vault_world import VaultWorld
from tasks.evidence.ledger import FileLedger, open_ledger
from tasks.incident import Incident, IncidentFolder, Suspect, SuspectKind, System, Window
from tasks.preserve.aws import aws_sources
from tasks.preserve.salesforce import salesforce_sources
from tasks.preserve.snapshot import file_name, take
from tasks.preserve.sources import Reading, Source
from tasks.preserve.vault import vault_sources


def now() -> datetime:
    return datetime.now(UTC)


def incident_of(*suspects: Suspect) -> Incident:
    return Incident("INC-preserve", "x", suspects, Window(now() - timedelta(hours=1)), now(), now(), "lab")


@pytest.fixture
def folder(tmp_path: Path) -> IncidentFolder:
    return IncidentFolder.of("INC-preserve", tmp_path)


@pytest.fixture
def ledger(folder: IncidentFolder) -> FileLedger:
    return open_ledger(folder.ledger, strict=True)


def kept(folder: IncidentFolder, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder.path / "snapshot" / f"{name}.json").read_text())
    return content


def test_vault_tokens_and_leases_are_kept_without_the_token(
    lab_vault_block: VaultServer, lab_vault_world: VaultWorld, folder: IncidentFolder, ledger: FileLedger
) -> None:
    stolen = lab_vault_world.stolen
    incident = incident_of(
        Suspect(SuspectKind.VAULT_ACCESSOR, stolen.accessor),
        Suspect(SuspectKind.VAULT_APPROLE, "support-chat"),
    )
    snapshot = take(vault_sources(incident, lab_vault_block), folder, ledger, clock=now, time_box_s=20)
    assert [p.problem for p in snapshot.sources] == ["", "", ""]
    (token,) = kept(folder, f"vault-accessor-{stolen.accessor}")["rows"]
    assert token["accessor"] == stolen.accessor and "support-chat" in token["policies"]
    assert set(stolen.leases) <= {row["lease_id"] for row in kept(folder, "vault-leases")["rows"]}
    (role,) = kept(folder, "vault-approle-support-chat")["rows"]
    assert role["secret_id_accessors"]
    everything = "".join(path.read_text() for path in (folder.path / "snapshot").iterdir())
    everything += folder.ledger.read_text()
    assert stolen.token not in everything
    assert not [password for _, password in stolen.logins if password in everything]


def test_aws_key_user_and_trail_are_kept(
    lab_aws_block: AwsAccount,
    lab_aws: Aws,
    lab_aws_world: AwsWorld,
    folder: IncidentFolder,
    ledger: FileLedger,
) -> None:
    key = lab_aws_world.stolen
    attacker = lab_aws_block.client_with(
        "s3", access_key_id=key.access_key_id, secret_access_key=key.secret_access_key
    )
    attacker.list_buckets()
    incident = incident_of(
        Suspect(SuspectKind.AWS_ACCESS_KEY, key.access_key_id),
        Suspect(SuspectKind.AWS_USER, "support-attachments"),
        Suspect(SuspectKind.AWS_ROLE, "no-such-role"),
    )
    deadline = time.monotonic() + 20
    while not lab_aws_block.client("cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "AccessKeyId", "AttributeValue": key.access_key_id}]
    )["Events"]:
        assert time.monotonic() < deadline, "CloudTrail shows the attacker's call"
        time.sleep(0.3)
    snapshot = take(aws_sources(incident, lab_aws_block), folder, ledger, clock=now, time_box_s=20)
    assert [p.source for p in snapshot.unread] == ["aws-role-no-such-role"]
    assert "NoSuchEntity" in snapshot.unread[0].problem
    (row,) = kept(folder, f"aws-key-{key.access_key_id}")["rows"]
    assert row["user"]["keys"][0]["Status"] == "Active" and row["user"]["inline"]
    events = kept(folder, f"cloudtrail-{key.access_key_id}")["rows"]
    assert "ListBuckets" in {event["EventName"] for event in events}
    assert events[0]["event"]["userIdentity"]["accessKeyId"] == key.access_key_id
    assert key.secret_access_key not in "".join(p.read_text() for p in (folder.path / "snapshot").iterdir())


def test_hashes_in_the_ledger_are_those_of_the_files(
    lab_vault_block: VaultServer, lab_vault_world: VaultWorld, folder: IncidentFolder, ledger: FileLedger
) -> None:
    incident = incident_of(Suspect(SuspectKind.VAULT_ACCESSOR, lab_vault_world.stolen.accessor))
    take(vault_sources(incident, lab_vault_block), folder, ledger, clock=now, time_box_s=20)
    noted = {e["details"]["file"]: e["details"] for e in ledger.entries() if e["action"] == "preserved"}
    assert len(noted) == 2
    for name, details in noted.items():
        path = folder.path / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == details["sha256"]
        assert path.stat().st_mode & 0o077 == 0 and "dropped" not in details


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never answers."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    yield listener.getsockname()[1]
    listener.close()


def test_a_silent_org_holds_up_nothing(
    lab_vault_block: VaultServer,
    lab_vault_world: VaultWorld,
    silent_port: int,
    folder: IncidentFolder,
    ledger: FileLedger,
    tmp_path: Path,
) -> None:
    (tmp_path / "consumer-secret").write_text("x")
    org = SalesforceOrg(
        instance_url=f"https://127.0.0.1:{silent_port}",
        auth="client_credentials",
        consumer_key="key",
        secret=[f"file:{tmp_path / 'consumer-secret'}"],
    )
    incident = incident_of(
        Suspect(SuspectKind.CONNECTED_APP, "Support Chat"),
        Suspect(SuspectKind.VAULT_ACCESSOR, lab_vault_world.stolen.accessor),
    )
    sources = salesforce_sources(incident, org) + vault_sources(incident, lab_vault_block)
    began = time.monotonic()
    snapshot = take(sources, folder, ledger, clock=now, time_box_s=3)
    assert time.monotonic() - began < 5
    assert {p.system for p in snapshot.unread} == {System.SALESFORCE} and len(snapshot.unread) == 7
    assert all("within 3 seconds" in p.problem for p in snapshot.unread)
    assert {p.system for p in snapshot.sources if p.file} == {System.VAULT}
    entry = next(e for e in ledger.entries() if e["action"] == "snapshot")
    assert "auth-sessions" in entry["details"]["missing"]


def test_a_late_answer_is_kept_and_marked(folder: IncidentFolder, ledger: FileLedger) -> None:
    go = threading.Event()

    def slow() -> Reading:
        go.wait(20)
        return Reading([{"a": 1}])

    snapshot = take([Source("slow", System.AWS, slow)], folder, ledger, clock=now, time_box_s=0.2)
    assert snapshot.unread[0].source == "slow"
    go.set()
    deadline = time.monotonic() + 10
    while not [e for e in ledger.entries() if e["action"] == "preserved-late"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert kept(folder, "slow")["rows"] == [{"a": 1}]


def test_refusals_and_bugs_are_named_without_their_text(folder: IncidentFolder, ledger: FileLedger) -> None:
    def refuses() -> Reading:
        raise Unreachable("Salesforce did not answer.", "Look.")

    def breaks() -> Reading:
        raise KeyError("anna@example.org")

    sources = [Source("one", System.SALESFORCE, refuses), Source("two", System.AWS, breaks)]
    snapshot = take(sources, folder, ledger, clock=now, time_box_s=5)
    assert [p.problem for p in snapshot.unread] == ["Salesforce did not answer.", "It broke with KeyError."]
    assert "anna" not in folder.ledger.read_text()


def test_the_first_look_is_never_overwritten(folder: IncidentFolder, ledger: FileLedger) -> None:
    answers = iter(([{"n": 1}], [{"n": 2}]))
    source = Source("jobs", System.SALESFORCE, lambda: Reading(next(answers), "Half of it."))
    first = take([source], folder, ledger, clock=now, time_box_s=5).sources[0]
    second = take([source], folder, ledger, clock=now, time_box_s=5).sources[0]
    assert first.problem == "Half of it." and first.rows == 1
    assert second.again and second.sha256 == first.sha256
    assert kept(folder, "jobs")["rows"] == [{"n": 1}]


def test_file_names_stay_apart() -> None:
    assert file_name("aws-user-a") == "aws-user-a"
    assert len({file_name(name) for name in ("x/../a", "x/.._a", "x_.._a")}) == 3
    assert "/" not in file_name("../../etc/passwd")
