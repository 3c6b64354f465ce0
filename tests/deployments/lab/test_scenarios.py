"""The scripted attacks get in, take what they say, and are shut out by containment for good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from blocks.systems import Systems
from deployments.cli.attacker_process import Attacker
from deployments.lab.lab import Lab
from deployments.lab.scenarios import insider_export, leaked_ci_key
from deployments.lab.scenarios.scenario import Scenario
from tasks.contain.engine import contain
from tasks.evidence.ledger import FileLedger, open_ledger
from tasks.incident import AccessStatus, Containment, Incident, IncidentFolder, Suspect, Window
from tasks.remediate.job import Outcome
from tasks.remediate.replace import replace_all
from tasks.remediate.steps import open_steps


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab.start(tmp_path_factory.mktemp("lab"), contacts=2300, log_delay_s=1.0) as running:
        yield running


def stolen(lab: Lab, scenario: Scenario) -> dict[str, int]:
    """Records served to the attacker, by object, as the ground truth has them."""
    found: dict[str, set[str]] = {}
    for credential in scenario.credentials(lab.info):
        reply = requests.get(
            lab.info["truth_url"],
            params={"credential": credential},
            verify=lab.info["salesforce"]["ca"],
            timeout=60,
        )
        for line in reply.text.splitlines():
            served = json.loads(line)
            found.setdefault(served["object"], set()).add(served["record_id"])
    return {name: len(ids) for name, ids in found.items()}


def its_keys_are_replaced(
    lab: Lab, incident: Incident, found: list[Containment], ledger: FileLedger, home: Path
) -> None:
    """The pipeline is an integration of the plan: a new AWS key stands where it reads, and works; the key of
    its Salesforce login is a step for a person, with link, owner and due time."""
    folder, systems = IncidentFolder.of(incident.id, home / "home"), Systems.from_lab(lab.json_path)
    folder.write(folder.containment, found)
    replaced = {one.integration: one for one in replace_all(incident, systems, folder, ledger)}
    pipeline = replaced["Release Pipeline"]
    by_kind = {one.kind: one for one in pipeline.credentials}
    key = by_kind["aws-user"]
    assert (key.outcome, key.new_works, key.old_refused) == (Outcome.REPLACED, True, True), key
    assert key.places == ("vault:kv/integrations/release-pipeline",)
    assert by_kind["connected-app"].outcome is Outcome.PERSON
    assert pipeline.seconds_of_access > 0
    assert pipeline.seconds_of_outage > 0
    assert pipeline.outage_over is False  # until the person has done it
    steps = [s for s in open_steps(incident, systems.plan, folder, ledger) if s.about == "Release Pipeline"]
    (step,) = [one for one in steps if "new key pair" in one.instructions]
    assert step.owner == "integration_engineer"
    assert f"{lab.info['salesforce']['url']}/lightning/setup/" in step.instructions
    assert step.instructions.startswith("By ")


@pytest.mark.parametrize(
    ("scenario", "kinds", "taken"),
    [
        (
            leaked_ci_key.SCENARIO,
            {"access-key", "aws-sessions", "oauth-grants", "login"},
            {"Contact", "Account", "Order", "User"},
        ),
        (insider_export.SCENARIO, {"login"}, {"Contact", "Case", "Order", "Loyalty_Member__c"}),
    ],
    ids=lambda value: value.name if isinstance(value, Scenario) else "",
)
def test_the_attack_succeeds_until_it_is_contained(
    lab: Lab, tmp_path: Path, scenario: Scenario, kinds: set[str], taken: set[str]
) -> None:
    attacker = Attacker(scenario.module, lab.json_path, tmp_path / "attack.jsonl")
    try:
        attacker.wait_until_exfiltrated()
        got = stolen(lab, scenario)
        assert taken <= got.keys(), got
        assert got["Contact"] > 2000
        now = datetime.now(UTC)
        suspects = tuple(Suspect.parse(text) for text in scenario.suspects(lab.info))
        incident = Incident("inc-scenario-1", scenario.leaked, suspects, Window(now), now, now, "plan")
        ledger = open_ledger(tmp_path / "ledger.jsonl")

        found = contain(incident, Systems.from_lab(lab.json_path), ledger)

        contained = datetime.now(UTC)
        assert {c.access.kind for c in found if c.status is AccessStatus.CLOSED} >= kinds, found
        bad = [c for c in found if c.status not in (AccessStatus.CLOSED, AccessStatus.MANUAL)]
        assert bad == []
        if scenario is leaked_ci_key.SCENARIO:
            its_keys_are_replaced(lab, incident, found, ledger, tmp_path)
        attacker.stop()
    finally:
        attacker.kill()
    lines: list[dict[str, Any]] = [json.loads(line) for line in attacker.log.read_text().splitlines()]
    assert all(line["ok"] for line in lines[:5]), lines[:5]
    assert {line["credential"] for line in lines if line["ok"]} == {line["credential"] for line in lines}
    assert [line for line in lines if line["ok"] and datetime.fromisoformat(line["at"]) > contained] == []
    for secret in scenario.secrets(lab.info):
        assert secret not in ledger.path.read_text()
