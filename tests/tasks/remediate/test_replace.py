"""Replacing cut credentials on the lab's AWS and Vault: once, proven by use, and nothing written down."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hvac.exceptions import InvalidRequest

from deployments.lab.aws.world import ATTACHMENTS, RESPONDER, STOLEN_FROM
from deployments.lab.vault_world import RESPONDER as VAULT_RESPONDER
from deployments.lab.vault_world import STOLEN_FROM as CHAT
from deployments.lab.vault_world import put
from tasks.incident import Access, AccessStatus, Phase, System
from tasks.remediate.job import Credential, Outcome
from tasks.remediate.replace import Replaced

from .conftest import KEY_SECRET, KV, LOGIN_SECRET, Scene

KEY = f"aws-user={STOLEN_FROM}"


def of(one: Replaced, kind: str) -> Credential:
    (found,) = [c for c in one.credentials if c.kind == kind]
    return found


def reads(scene: Scene, key_id: str, secret: str) -> bool:
    try:
        scene.aws.client("s3", key_id, secret).list_objects_v2(Bucket=ATTACHMENTS)
    except ClientError:
        return False
    return True


def issues(scene: Scene) -> list[Any]:
    return [e for e in scene.ledger.entries() if e["kind"] == "ATTEMPT" and e["action"] == "issue"]


def test_the_new_key_stands_where_consumers_read_it_and_the_old_one_is_dead(scene: Scene) -> None:
    old = scene.kv()
    scene.cut(f"aws-access-key={scene.aws_world.stolen.access_key_id}")

    one = scene.replace()

    key = of(one, "aws-user")
    assert key.outcome is Outcome.REPLACED, key
    assert key.new_works
    assert key.old_refused
    now = scene.kv()
    assert now["aws_access_key_id"] == key.ref != old["aws_access_key_id"]
    assert now["chat_webhook"] == old["chat_webhook"]
    assert reads(scene, now["aws_access_key_id"], now["aws_secret_access_key"])
    assert not reads(scene, old["aws_access_key_id"], old["aws_secret_access_key"])
    staged = scene.secret(KEY_SECRET)
    assert (staged["accessKeyId"], staged["secretAccessKey"]) == (key.ref, now["aws_secret_access_key"])
    assert [v["destroyed"] for v in scene.kv_versions().values()] == [True, False]
    assert [c.ok for c in one.consumers] == [True]
    assert one.outage_over
    assert one.restored_at is not None
    assert one.cut_at is not None
    assert 0 < one.seconds_of_outage == round((one.restored_at - one.cut_at).total_seconds(), 3)
    assert one.seconds_of_access > 0
    for secret in (old["aws_secret_access_key"], now["aws_secret_access_key"]):
        assert secret not in scene.written()


def test_however_often_it_runs_one_key_is_issued_and_containment_leaves_it_alone(scene: Scene) -> None:
    scene.cut(KEY)
    first = scene.replace()
    versions = scene.kv_versions()

    second = scene.replace()
    contained = scene.cut(KEY)
    third = scene.replace()

    assert of(second, "aws-user") == of(third, "aws-user")
    assert of(second, "aws-user").ref == of(first, "aws-user").ref
    assert of(third, "aws-user").outcome is Outcome.REPLACED
    assert third.restored_at == first.restored_at
    assert scene.kv_versions() == versions
    assert len(issues(scene)) == 1
    assert {c.status for c in contained} == {AccessStatus.CLOSED}
    assert sorted(scene.keys().values()) == ["Active", "Inactive"]
    assert scene.ledger.open_attempts() == []


def test_a_key_that_a_colleague_rotated_minutes_ago_is_kept(scene: Scene) -> None:
    scene.cut(f"aws-access-key={scene.aws_world.stolen.access_key_id}")
    theirs = scene.aws.client("iam").create_access_key(UserName=STOLEN_FROM)["AccessKey"]
    put(
        scene.vault,
        KV,
        {
            **scene.kv(),
            "aws_access_key_id": theirs["AccessKeyId"],
            "aws_secret_access_key": theirs["SecretAccessKey"],
        },
    )

    one = scene.replace()

    key = of(one, "aws-user")
    assert key.outcome is Outcome.KEPT
    assert key.ref == theirs["AccessKeyId"]
    assert len(scene.keys()) == 2
    # The colleague had forgotten the second place, and the leaked version.
    assert scene.secret(KEY_SECRET)["accessKeyId"] == theirs["AccessKeyId"]
    assert scene.kv_versions()["1"]["destroyed"]
    assert of(scene.replace(), "aws-user").ref == theirs["AccessKeyId"]
    scene.cut(f"aws-access-key={scene.aws_world.stolen.access_key_id}", KEY)
    assert scene.keys()[theirs["AccessKeyId"]] == "Active"


def test_two_taken_slots_are_a_clear_step_for_a_person(scene: Scene) -> None:
    second = scene.aws.client("iam").create_access_key(UserName=STOLEN_FROM)["AccessKey"]["AccessKeyId"]
    scene.cut(f"aws-access-key={scene.aws_world.stolen.access_key_id}")

    key = of(scene.replace(), "aws-user")

    assert key.outcome is Outcome.PERSON
    assert f"{scene.aws_world.stolen.access_key_id} (leaked, Inactive)" in key.detail
    assert f"{second} (Active)" in key.detail
    assert issues(scene) == []


def test_nothing_is_replaced_before_the_cut(scene: Scene) -> None:
    found = scene.cut(f"aws-access-key={scene.aws_world.stolen.access_key_id}")
    scene.aws.client("iam").update_access_key(
        UserName=STOLEN_FROM, AccessKeyId=scene.aws_world.stolen.access_key_id, Status="Active"
    )

    key = of(scene.replace(), "aws-user")

    assert found
    assert key.outcome is Outcome.WAITING
    assert len(scene.keys()) == 1


def test_an_issue_whose_answer_was_lost_is_named_and_not_issued_again(scene: Scene) -> None:
    """AWS made the key and the connection broke: its secret is gone for ever."""
    scene.cut(f"aws-access-key={scene.aws_world.stolen.access_key_id}")
    scene.aws.control(
        "faults", {"kind": "reset-after", "match": {"operation": "CreateAccessKey"}, "times": 1}
    )

    first = of(scene.replace(), "aws-user")
    assert first.outcome is Outcome.FAILED
    assert len(scene.keys()) == 2
    lost = next(k for k in list(scene.keys()) if k != scene.aws_world.stolen.access_key_id)

    second = of(scene.replace(), "aws-user")
    assert second.outcome is Outcome.PERSON
    assert lost in second.detail

    scene.aws.client("iam").delete_access_key(UserName=STOLEN_FROM, AccessKeyId=lost)
    assert of(scene.replace(), "aws-user").outcome is Outcome.REPLACED


def test_a_place_that_refuses_is_written_by_the_next_run_with_the_same_key(scene: Scene) -> None:
    scene.cut(f"aws-access-key={scene.aws_world.stolen.access_key_id}")
    scene.aws.control(
        "faults", {"kind": "unavailable", "match": {"operation": "UpdateSecretVersionStage"}, "times": 20}
    )
    first = of(scene.replace(), "aws-user")
    assert first.outcome is Outcome.FAILED
    issued = scene.kv()["aws_access_key_id"]
    assert scene.secret(KEY_SECRET)["accessKeyId"] != issued  # what consumers read there is as before
    assert scene.secret(KEY_SECRET, "AWSPENDING")["accessKeyId"] == issued

    scene.aws.control("faults", method="DELETE")
    second = of(scene.replace(), "aws-user")

    assert second.outcome is Outcome.REPLACED
    assert second.ref == issued == scene.secret(KEY_SECRET)["accessKeyId"]
    assert len(issues(scene)) == 1
    with pytest.raises(ClientError):
        scene.secret(KEY_SECRET, "AWSPENDING")


def test_a_key_that_was_staged_before_a_crash_is_promoted_not_issued_again(scene: Scene) -> None:
    """The only copy of the new secret stands under AWSPENDING: the process died before it went on."""
    scene.cut(f"aws-access-key={scene.aws_world.stolen.access_key_id}")
    keys = sorted(scene.keys())
    issue = scene.ledger.attempt(
        Phase.REMEDIATE, "issue", f"aws/access-key/{STOLEN_FROM}", principal=STOLEN_FROM, refs=keys
    )
    new = scene.aws.client("iam").create_access_key(UserName=STOLEN_FROM)["AccessKey"]
    scene.aws.client("secretsmanager").put_secret_value(
        SecretId=KEY_SECRET,
        SecretString=json.dumps(
            {"accessKeyId": new["AccessKeyId"], "secretAccessKey": new["SecretAccessKey"]}
        ),
        VersionStages=["AWSPENDING"],
    )

    key = of(scene.replace(), "aws-user")

    assert key.outcome is Outcome.REPLACED
    assert key.ref == new["AccessKeyId"] == scene.kv()["aws_access_key_id"]
    assert scene.secret(KEY_SECRET)["accessKeyId"] == new["AccessKeyId"]
    assert [
        r["details"]["outcome"] for r in scene.ledger.entries() if r["id"] == issue and r["kind"] == "RESULT"
    ] == ["unknown, re-checked"]


def enters(scene: Scene, login: dict[str, Any]) -> bool:
    try:
        scene.vault.client("").auth.approle.login(login["vault_role_id"], login["vault_secret_id"])
    except InvalidRequest:
        return False
    return True


def test_an_approle_gets_a_new_secret_id_and_containment_leaves_it_alone(scene: Scene) -> None:
    old = scene.secret(LOGIN_SECRET)
    assert enters(scene, old)
    scene.cut(f"vault-approle={CHAT}")
    assert not enters(scene, old)

    first = of(scene.replace(), "vault-approle")

    assert first.outcome is Outcome.REPLACED, first
    assert first.new_works
    assert first.old_refused
    new = scene.secret(LOGIN_SECRET)
    assert enters(scene, new)
    scene.cut(f"vault-approle={CHAT}")
    assert enters(scene, new)
    again = of(scene.replace(), "vault-approle")
    assert (again.outcome, again.ref) == (Outcome.REPLACED, first.ref)
    assert scene.secret(LOGIN_SECRET) == new
    assert len(issues(scene)) == 1
    assert new["vault_secret_id"] not in scene.written()


def test_a_secret_id_lost_in_a_crash_is_destroyed_and_another_issued(scene: Scene) -> None:
    scene.cut(f"vault-approle={CHAT}")
    root = scene.vault.client()
    scene.ledger.attempt(Phase.REMEDIATE, "issue", f"vault/approle/{CHAT}", principal=CHAT, refs=[])
    lost = root.auth.approle.generate_secret_id(CHAT)["data"]

    credential = of(scene.replace(), "vault-approle")

    assert credential.outcome is Outcome.REPLACED
    left = root.auth.approle.list_secret_id_accessors(CHAT)["data"]["keys"]
    assert left == [credential.ref]
    assert lost["secret_id_accessor"] != credential.ref
    assert scene.ledger.open_attempts() == []


def test_what_no_api_replaces_is_a_step_and_the_outage_goes_on(scene: Scene) -> None:
    found = scene.cut(KEY)
    grants = Access(System.SALESFORCE, "oauth-grants", "Support Chat", "Support Chat")
    scene.folder.write(scene.folder.containment, [*found, replace(found[0], access=grants)])

    one = scene.replace()

    assert of(one, "connected-app").outcome is Outcome.PERSON
    assert "vault:kv/integrations/support-chat" in of(one, "connected-app").detail
    assert of(one, "aws-user").outcome is Outcome.REPLACED
    assert one.outage_over is False
    assert one.restored_at is None


def test_a_responder_without_the_right_says_what_to_grant(scene: Scene) -> None:
    scene.cut(KEY, f"vault-approle={CHAT}")
    root = scene.vault.client()
    rules = root.sys.read_acl_policy(VAULT_RESPONDER)["data"]["policy"]
    root.sys.create_or_update_policy(
        VAULT_RESPONDER, rules + '\npath "kv/data/integrations/*" { capabilities = ["deny"] }\n'
    )
    key = of(scene.replace(), "aws-user")
    assert key.outcome is Outcome.FAILED
    assert "Grant the responder's policy this path" in key.detail
    assert len(scene.keys()) == 1
    assert RESPONDER not in key.detail
