"""An app's private key for Salesforce: a step for a person with link and due time, proven by two logins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from blocks.plan import load_plan
from blocks.salesforce.org import SalesforceOrg
from blocks.systems import Systems
from blocks.vault import VaultServer
from deployments.lab.scenarios.leaked_ci_key import APP, USERNAME, _connected_app, _key_pair
from deployments.lab.vault import Vault
from deployments.lab.vault_world import VaultWorld, put
from tasks.evidence.ledger import FileLedger, open_ledger
from tasks.incident import (
    Access,
    AccessStatus,
    Containment,
    Incident,
    IncidentFolder,
    Proof,
    ProofMethod,
    Suspect,
    System,
    Window,
)
from tasks.remediate.job import Credential, Outcome
from tasks.remediate.replace import replace_all
from tasks.remediate.steps import open_steps
from tests.deployments.lab.twin import Twin, start, stop

PATH, KEY = "integrations/release-pipeline", "3MVG9ReleasePipelineOfTheTest"


@dataclass
class Pipeline:
    """The pipeline's app in a twin, its secret in Vault, and an incident in which the app was cut."""

    twin: Twin
    vault: Vault
    systems: Any
    ledger: FileLedger
    folder: IncidentFolder
    incident: Incident

    def run(self) -> Credential:
        (one,) = replace_all(self.incident, self.systems, self.folder, self.ledger)
        (app,) = [c for c in one.credentials if c.kind == "connected-app"]
        return app

    def keep(self, private: str) -> None:
        kept = {"sf_consumer_key": KEY, "sf_username": USERNAME, "sf_private_key": private, "other": "kept"}
        put(self.vault, PATH, kept)

    def upload(self, public: str) -> None:
        body = {"object": "ConnectedApplication", "match": {"Name": APP}, "set": {"Certificate": public}}
        self.twin.control("plant", body)

    def destroyed(self) -> list[bool]:
        kv = self.vault.client().secrets.kv.v2
        versions = kv.read_secret_metadata(PATH, mount_point="kv")["data"]["versions"]
        return [bool(one["destroyed"]) for one in versions.values()]


def lab_of(twin: Twin) -> dict[str, Any]:
    """What the scenario's preparation reads of lab.json."""
    return {
        "salesforce": {name: twin.org[name] for name in ("url", "ca", "api_version", "admin")},
        "stolen": twin.org["stolen"],
        "control_token_file": twin.org["admin_token_file"],
    }


def org_of(twin: Twin) -> SalesforceOrg:
    """The responder's own login."""
    responder = twin.org["responder"]
    return SalesforceOrg(
        instance_url=twin.url,
        consumer_key=responder["consumer_key"],
        username=responder["username"],
        secret=[f"file:{responder['private_key_file']}"],
        audience=twin.url,
        ca_bundle=twin.org["ca"],
    )


@pytest.fixture
def pipeline(lab_vault: Vault, lab_vault_world: VaultWorld, tmp_path: Path) -> Iterator[tuple[Pipeline, str]]:
    twin = start(tmp_path / "twin", contacts=60)
    private, public = _key_pair()
    _connected_app(lab_of(twin), KEY, public)
    login = tmp_path / "login"
    login.write_text(lab_vault_world.responder_secret_id)
    vault = VaultServer(
        addr=lab_vault.addr, role_id=lab_vault_world.responder_role_id, secret_id=[f"file:{login}"]
    )
    unused = cast(Any, None)
    plan = load_plan(Path(__file__).parents[3] / "deployments/lab/plan.yaml")
    now = datetime.now(UTC)
    suspects = (Suspect.parse(f"connected-app={APP}"),)
    made = Pipeline(
        twin,
        lab_vault,
        Systems(org_of(twin), vault, aws=unused, slack=unused, evidence=unused, plan=plan),
        open_ledger(tmp_path / "ledger.jsonl"),
        IncidentFolder.of("inc-key-1", tmp_path / "home"),
        Incident("inc-key-1", "a test", suspects, Window(now), now, now, "plan"),
    )
    made.keep(private)
    access = Access(System.SALESFORCE, "oauth-grants", APP, APP)
    proof = Proof(ProofMethod.RECOUNT, True, "none is left", now)
    made.folder.write(
        made.folder.containment, [Containment(access, AccessStatus.CLOSED, proof, 1.0, "closed")]
    )
    yield made, private
    stop(twin)


def test_a_person_replaces_the_key_and_both_keys_are_tried(pipeline: tuple[Pipeline, str]) -> None:
    scene, leaked = pipeline

    asked = scene.run()
    assert (asked.outcome, asked.ref) == (Outcome.PERSON, None)
    steps = open_steps(scene.incident, scene.systems.plan, scene.folder, scene.ledger)
    (step,) = [s for s in steps if s.kind == "replace" and "key pair" in s.instructions]
    assert step.owner == "integration_engineer"
    assert f"{scene.twin.url}/lightning/setup/" in step.instructions
    assert "vault:kv/integrations/release-pipeline" in step.instructions
    assert step.instructions.startswith("By ")

    private, public = _key_pair()
    scene.keep(private)
    early = scene.run()
    assert (early.outcome, early.new_works) == (Outcome.PERSON, False)
    assert "does not log in yet" in early.detail
    assert scene.destroyed() == [False, False]

    scene.upload(public)
    done = scene.run()
    assert done.outcome is Outcome.KEPT, done
    assert (done.new_works, done.old_refused) == (True, True)
    assert scene.destroyed() == [True, False]
    assert scene.run() == done

    written = scene.ledger.path.read_text() + "".join(
        file.read_text() for file in scene.folder.path.rglob("*") if file.is_file()
    )
    for pem in (leaked, private):
        assert pem.splitlines()[1] not in written


def test_a_leaked_key_that_still_logs_in_is_not_done(pipeline: tuple[Pipeline, str]) -> None:
    """The new key belongs to another app, so that the old certificate still stands on this one."""
    scene, _ = pipeline
    scene.run()
    private, public = _key_pair()
    _connected_app(lab_of(scene.twin), f"{KEY}Two", public)
    kept = {"sf_consumer_key": f"{KEY}Two", "sf_username": USERNAME, "sf_private_key": private}
    put(scene.vault, PATH, kept)

    found = scene.run()

    assert (found.outcome, found.new_works, found.old_refused) == (Outcome.PERSON, True, False)
    assert "still logs in" in found.detail
    assert scene.destroyed() == [False, False]
