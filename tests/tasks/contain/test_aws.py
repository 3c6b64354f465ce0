"""AWS kinds against the lab's account, where inactive keys and token-issue-time denies are enforced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from blocks.aws import AwsAccount
from blocks.systems import Systems
from deployments.lab.aws.server import Aws
from deployments.lab.aws.world import ATTACHMENTS, CI_ROLE, EXPORTS, RESPONDER, STOLEN_FROM, AwsWorld, Key
from tasks.contain.engine import contain, plan_changes
from tasks.contain.jar import Credentials
from tasks.contain.undo import reopen
from tasks.evidence.ledger import FileLedger
from tasks.incident import AccessStatus, Incident, ProofMethod

from .conftest import PLAN, attempts, by_kind

Make = Callable[..., Incident]


@pytest.fixture
def account(lab_aws: Aws, lab_aws_world: AwsWorld, tmp_path: Path) -> AwsAccount:
    key = lab_aws_world.responder
    (tmp_path / "aws-id").write_text(key.access_key_id)
    (tmp_path / "aws-secret").write_text(key.secret_access_key)
    return AwsAccount(
        endpoint_url=lab_aws.endpoint,
        region=lab_aws.region,
        access_key_id=[f"file:{tmp_path / 'aws-id'}"],
        secret_access_key=[f"file:{tmp_path / 'aws-secret'}"],
    )


@pytest.fixture
def systems(account: AwsAccount, systems_of: Callable[..., Systems]) -> Systems:
    return systems_of(aws=account)


def lists(client: Any, bucket: str = ATTACHMENTS) -> bool:
    try:
        client.list_objects_v2(Bucket=bucket)
    except ClientError:
        return False
    return True


def s3(aws: Aws, key: Key) -> Any:
    return aws.client("s3", key.access_key_id, key.secret_access_key)


def session_of(aws: Aws, key: Key) -> Any:
    """An S3 client on temporary credentials of the key's user."""
    issued = aws.client("sts", key.access_key_id, key.secret_access_key).get_session_token()["Credentials"]
    return aws.client("s3", issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])


def test_a_key_known_by_its_id_alone_is_deactivated_with_its_sessions(
    systems: Systems, lab_aws: Aws, lab_aws_world: AwsWorld, ledger: FileLedger, incident: Make
) -> None:
    key = lab_aws_world.stolen
    session = session_of(lab_aws, key)
    assert lists(s3(lab_aws, key))
    assert lists(session)

    found = by_kind(contain(incident(f"aws-access-key={key.access_key_id}"), systems, ledger))

    assert set(found) == {"access-key", "aws-sessions"}
    assert {c.status for c in found.values()} == {AccessStatus.CLOSED}
    assert {c.access.principal for c in found.values()} == {STOLEN_FROM}
    assert not lists(s3(lab_aws, key))
    assert not lists(session)
    assert lists(s3(lab_aws, lab_aws_world.innocent), EXPORTS)


def test_the_found_secret_is_tried_after_closing_and_never_written(
    systems: Systems, lab_aws_world: AwsWorld, ledger: FileLedger, incident: Make
) -> None:
    key = lab_aws_world.stolen
    jar = Credentials()
    jar.add("aws-access-key", key.access_key_id, key.secret_access_key)

    found = by_kind(contain(incident(f"aws-access-key={key.access_key_id}"), systems, ledger, jar=jar))

    proof = found["access-key"].proof
    assert proof is not None
    assert proof.method is ProofMethod.ATTEMPT
    assert "InvalidAccessKeyId" in proof.detail or "InvalidClientTokenId" in proof.detail
    assert key.secret_access_key not in ledger.path.read_text()


def test_more_suspects_later_do_only_what_is_new(
    systems: Systems, lab_aws_world: AwsWorld, ledger: FileLedger, incident: Make
) -> None:
    first = incident(f"aws-access-key={lab_aws_world.stolen.access_key_id}")
    contain(first, systems, ledger)
    done = attempts(ledger)

    second = incident(f"aws-access-key={lab_aws_world.stolen.access_key_id}", f"aws-role={CI_ROLE}")
    found = contain(second, systems, ledger)

    new = attempts(ledger)[len(done) :]
    assert [entry["target"] for entry in new] == [f"aws/aws-sessions/role/{CI_ROLE}"]
    assert len(found) == 3
    assert {c.status for c in found} == {AccessStatus.CLOSED}


def test_undo_lifts_the_deny_and_keeps_the_leaked_key_shut_unless_asked_twice(
    systems: Systems, lab_aws: Aws, lab_aws_world: AwsWorld, ledger: FileLedger, incident: Make
) -> None:
    key = lab_aws_world.stolen
    suspect = incident(f"aws-access-key={key.access_key_id}")
    contain(suspect, systems, ledger)

    undone = {u.access.kind: u for u in reopen(suspect, systems, ledger)}
    assert undone["aws-sessions"].restored
    assert not undone["access-key"].restored
    assert lab_aws.client("iam").list_user_policies(UserName=STOLEN_FROM)["PolicyNames"] == [STOLEN_FROM]
    assert not lists(s3(lab_aws, key))

    assert all(u.restored for u in reopen(suspect, systems, ledger, even_leaked=True))
    assert lists(s3(lab_aws, key))


def test_a_key_nobody_holds_is_an_error_not_a_success(
    systems: Systems, ledger: FileLedger, incident: Make
) -> None:
    found = contain(incident("aws-access-key=AKIAIOSFODNN7NOTHERE"), systems, ledger)
    assert {c.status for c in found} == {AccessStatus.FAILED}
    assert all("AKIAIOSFODNN7NOTHERE" in c.detail for c in found)
    assert attempts(ledger) == []


def test_a_temporary_key_is_followed_to_its_user_by_the_trail(
    systems: Systems, lab_aws: Aws, lab_aws_world: AwsWorld, ledger: FileLedger, incident: Make
) -> None:
    key = lab_aws_world.stolen
    session = session_of(lab_aws, key)
    session.list_buckets()  # a management event: the trail of default settings shows no data events

    temporary = session._request_signer._credentials.access_key

    found = by_kind(contain(incident(f"aws-access-key={temporary}"), systems, ledger))

    assert found["aws-sessions"].status is AccessStatus.CLOSED
    assert not lists(session)
    assert lists(s3(lab_aws, key))  # the long-term key was not named


def test_protected_and_own_identities_are_refused(
    account: AwsAccount,
    systems_of: Callable[..., Systems],
    lab_aws: Aws,
    lab_aws_world: AwsWorld,
    ledger: FileLedger,
    incident: Make,
) -> None:
    plan = PLAN + f"policies:\n  protected: [{{kind: aws-user, identifier: {STOLEN_FROM}}}]\n"
    systems = systems_of(aws=account, plan=plan)
    suspect = incident(f"aws-user={RESPONDER}", f"aws-access-key={lab_aws_world.stolen.access_key_id}")

    found = contain(suspect, systems, ledger)

    assert {c.status for c in found} == {AccessStatus.REFUSED}
    assert {(c.access.principal, c.detail.partition(".")[0]) for c in found} == {
        (RESPONDER, "It is the responder's own AWS identity"),
        (STOLEN_FROM, "The plan protects it"),
    }
    assert attempts(ledger) == []
    assert lists(s3(lab_aws, lab_aws_world.stolen))


def test_over_the_limit_it_stops_and_asks_and_the_approved_hash_lets_it_go_on(
    account: AwsAccount,
    systems_of: Callable[..., Systems],
    lab_aws_world: AwsWorld,
    ledger: FileLedger,
    incident: Make,
) -> None:
    plan = PLAN + "systems:\n  aws: {owner: integration_engineer, max_closes: 1}\n"
    systems = systems_of(aws=account, plan=plan)
    suspect = incident(f"aws-access-key={lab_aws_world.stolen.access_key_id}")
    shown = plan_changes(suspect, systems)

    asked = contain(suspect, systems, ledger)
    assert sorted(c.status for c in asked) == [AccessStatus.CLOSED, AccessStatus.REFUSED]
    stale = contain(suspect, systems, ledger, approved=shown.hash)
    assert sorted(c.status for c in stale) == [AccessStatus.CLOSED, AccessStatus.REFUSED]

    agreed = plan_changes(suspect, systems, ledger)
    assert agreed.hash != shown.hash
    assert shown.difference(agreed)
    done = contain(suspect, systems, ledger, approved=agreed.hash)
    assert {c.status for c in done} == {AccessStatus.CLOSED}
