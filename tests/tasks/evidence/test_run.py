"""Closing as a flow runs it: history, seal, pack, lock and report against the whole lab, nothing leaked."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from blocks.systems import Systems
from deployments.lab.lab import Lab
from tasks.evidence.canaries import find_in_history
from tasks.evidence.ledger import FileLedger
from tasks.evidence.run import Evidence, build_evidence
from tasks.evidence.verify import verify
from tasks.incident import IncidentFolder
from tasks.preserve.run import take_snapshot
from tasks.report.run import write_incident_report
from tests.tasks.evidence.sample import ID, INCIDENT


@pytest.fixture(scope="module", autouse=True)
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=180):
        yield


def test_closing_leaves_a_verified_locked_pack_and_a_clean_history(
    lab: Lab, folder: IncidentFolder, ledger: FileLedger
) -> None:
    systems = Systems.from_lab(lab.json_path)

    @flow(name="close", flow_run_name="close-{incident_id}")
    def close(incident_id: str) -> None:
        take_snapshot(INCIDENT, systems, folder, ledger, 30.0)
        write_incident_report(INCIDENT, systems, folder, ledger)
        made.append(build_evidence(INCIDENT, systems, folder, ledger))

    made: list[Evidence] = []
    close(ID)
    evidence = made[0]
    assert evidence.problems == ()
    assert evidence.seal.sealed and evidence.verification.key_pinned
    assert evidence.pack.absent == ()
    until = evidence.stored.retain_until
    days = systems.plan.policies.evidence_retention_days
    assert until and until > datetime.now(UTC) + timedelta(days=days - 1)
    with zipfile.ZipFile(evidence.pack.path) as archive:
        names = archive.namelist()
        assert f'"name":"close-{ID}"' in archive.read("history/flow_runs.jsonl").decode()
    assert {"report.html", "snapshot/oauth-tokens.json", "coverage.txt"} <= set(names)
    assert verify(evidence.pack.path, folder.path / "public-key.pem").verified
    assert not [e for e in ledger.entries() if "dropped" in e["details"]]
    stolen = lab.info["stolen"]
    secrets = [stolen[name] for name in ("consumer_secret", "aws_secret_access_key", "vault_token")]
    people = ["support-chat@lab.example", stolen["integration_username"]]
    assert find_in_history([*secrets, *people, lab.info["vault"]["root_token"]], settle_s=6) == []
