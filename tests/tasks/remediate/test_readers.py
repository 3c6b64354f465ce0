"""A new secret is not written where a leaked Vault token can still read it, or it is said that it was."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import hvac
from hvac.exceptions import Forbidden

from deployments.lab.aws.world import STOLEN_FROM
from tasks.contain.engine import contain
from tasks.incident import Access, AccessStatus, Containment, Proof, ProofMethod, Suspect, System
from tasks.remediate.job import Outcome
from tasks.remediate.readers import EXPOSED, WAITED, readers_of
from tasks.remediate.steps import open_steps

from .conftest import KV, Scene
from .test_replace import of

KEY = f"aws-user={STOLEN_FROM}"


def token_access(scene: Scene, status: AccessStatus) -> Access:
    """The leaked token as containment left it: really open, and called so."""
    access = Access(System.VAULT, "vault-token", "support-chat", scene.vault_world.stolen.accessor)
    contained = scene.folder.read(scene.folder.containment, list[Containment]) or []
    left = Containment(access, status, None, 0.0, "left open by the test")
    scene.folder.write(scene.folder.containment, [*contained, left])
    return access


def stolen_reads(scene: Scene) -> dict[str, Any] | None:
    """What the thief's token reads where the integration's secret is; None when it is refused."""
    client = hvac.Client(url=scene.vault.addr, token=scene.vault_world.stolen.token)
    try:
        read = client.secrets.kv.v2.read_secret_version(KV, mount_point="kv", raise_on_deleted_version=True)
    except Forbidden:
        return None
    return dict(read["data"]["data"])


def noted(scene: Scene, action: str) -> list[dict[str, Any]]:
    return [dict(e["details"]) for e in scene.ledger.entries() if e["action"] == action]


def test_nothing_new_is_written_while_the_leaked_token_waits_to_be_closed(scene: Scene) -> None:
    scene.cut(KEY)
    token_access(scene, AccessStatus.ASKED)
    before = scene.kv()

    one = scene.replace(wait_s=0.6)

    key = of(one, "aws-user")
    assert key.outcome is Outcome.WAITING
    assert "waits for an approval" in key.detail
    assert scene.kv() == before == stolen_reads(scene)
    assert len(scene.keys()) == 1
    (waited,) = noted(scene, WAITED)
    assert (waited["count"], waited["remaining"]) == (1, 1)
    assert waited["seconds"] >= 0.6


def test_the_replacement_goes_on_as_soon_as_the_token_is_proven_closed(scene: Scene) -> None:
    scene.cut(KEY)
    access = token_access(scene, AccessStatus.ASKED)

    def close_meanwhile() -> None:
        time.sleep(1.0)
        suspects = (*scene.suspects, Suspect.parse(f"vault-accessor={access.ref}"))
        scene.suspects = suspects
        scene.folder.write(scene.folder.containment, contain(scene.incident, scene.systems, scene.ledger))

    closing = threading.Thread(target=close_meanwhile)
    closing.start()
    one = scene.replace(wait_s=30)
    closing.join()

    key = of(one, "aws-user")
    assert (key.outcome, key.exposed_to) == (Outcome.REPLACED, ())
    assert stolen_reads(scene) is None
    assert scene.kv()["aws_access_key_id"] == key.ref
    (waited,) = noted(scene, WAITED)
    assert waited["remaining"] == 0
    assert 1.0 <= waited["seconds"] < 20
    assert noted(scene, EXPOSED) == []
    # The key was written after the token was closed, not only reported so.
    entries = list(scene.ledger.entries())
    closed = max(i for i, e in enumerate(entries) if e["target"] == access.key and e["kind"] == "RESULT")
    issued = min(i for i, e in enumerate(entries) if e["action"] == "issue")
    assert closed < issued


def test_a_token_that_stays_open_is_said_and_the_new_key_is_to_be_replaced_again(scene: Scene) -> None:
    scene.cut(KEY)
    access = token_access(scene, AccessStatus.REFUSED)

    one = scene.replace()

    key = of(one, "aws-user")
    assert (key.outcome, key.exposed_to) == (Outcome.REPLACED, (access.key,))
    assert not one.done
    read = stolen_reads(scene)
    assert read is not None
    assert read["aws_access_key_id"] == key.ref  # the thief has it, so it must be said
    (said,) = noted(scene, EXPOSED)
    assert (said["principal"], said["refs"]) == (key.ref, [access.key])
    steps = open_steps(scene.incident, scene.systems.plan, scene.folder, scene.ledger)
    (again,) = [step for step in steps if step.kind == "rotate again"]
    assert key.ref is not None
    assert key.ref in again.instructions
    assert access.key in again.instructions

    second = scene.replace()
    assert of(second, "aws-user") == key
    assert len(noted(scene, EXPOSED)) == 1


def test_only_accesses_of_the_same_store_can_read_it() -> None:
    now = datetime.now(UTC)
    shut = Proof(ProofMethod.RECOUNT, True, "gone", now)

    def one(system: System, kind: str, status: AccessStatus) -> Containment:
        proof = shut if status is AccessStatus.CLOSED else None
        return Containment(Access(system, kind, "p", f"{kind}-{status}"), status, proof, 0.0)

    contained = [
        one(System.VAULT, "vault-token", AccessStatus.CLOSED),
        one(System.VAULT, "vault-leases", AccessStatus.FAILED),
        one(System.VAULT, "approle", AccessStatus.FAILED),
        one(System.AWS, "access-key", AccessStatus.ASKED),
        one(System.SALESFORCE, "oauth-grants", AccessStatus.FAILED),
    ]
    vault = readers_of(["vault:kv/integrations/chat"], contained)
    assert (vault.waiting, vault.lasting) == ((), ("vault/approle/approle-failed",))
    aws = readers_of(["aws:secretsmanager/chat", "elsewhere"], contained)
    assert (aws.waiting, aws.lasting) == (("aws/access-key/access-key-asked",), ())
