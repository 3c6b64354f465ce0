"""AWS kinds against the lab's account, where inactive keys and token-issue-time denies are enforced."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from blocks.aws import AwsAccount
from blocks.systems import Systems
from deployments.lab.aws.principals import ACCOUNT
from deployments.lab.aws.server import Aws
from deployments.lab.aws.world import (
    ATTACHMENTS,
    CI_ROLE,
    EXPORTS,
    INNOCENT,
    RESPONDER,
    STOLEN_FROM,
    AwsWorld,
    Key,
)
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
    assert sorted(entry["target"] for entry in new) == [
        f"aws/aws-sessions/role/{CI_ROLE}",
        f"aws/role-trust/{CI_ROLE}",
    ]
    assert len(found) == 4
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
    assert sorted(c.status for c in asked) == [AccessStatus.ASKED, AccessStatus.CLOSED]
    stale = contain(suspect, systems, ledger, approved=shown.hash)
    assert sorted(c.status for c in stale) == [AccessStatus.ASKED, AccessStatus.CLOSED]

    agreed = plan_changes(suspect, systems, ledger)
    assert agreed.hash != shown.hash
    assert shown.difference(agreed)
    done = contain(suspect, systems, ledger, approved=agreed.hash)
    assert {c.status for c in done} == {AccessStatus.CLOSED}


CI_ARN = f"arn:aws:iam::{ACCOUNT}:role/{CI_ROLE}"
STOLEN_ARN = f"arn:aws:iam::{ACCOUNT}:user/{STOLEN_FROM}"


def issued(aws: Aws, key: Key) -> dict[str, str]:
    """Temporary credentials of the key's user."""
    return dict(
        aws.client("sts", key.access_key_id, key.secret_access_key).get_session_token()["Credentials"]
    )


def may_ask_for_sessions(aws: Aws, user: str) -> None:
    allow = {"Effect": "Allow", "Action": "sts:GetSessionToken", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [allow]}
    aws.client("iam").put_user_policy(
        UserName=user, PolicyName="sessions", PolicyDocument=json.dumps(document)
    )


def assumes(aws: Aws, key: Key) -> bool:
    sts = aws.client("sts", key.access_key_id, key.secret_access_key)
    try:
        sts.assume_role(RoleArn=CI_ARN, RoleSessionName="build")
    except ClientError:
        return False
    return True


def hold(jar: Credentials, session: dict[str, str]) -> None:
    text = json.dumps(
        {"secret_access_key": session["SecretAccessKey"], "session_token": session["SessionToken"]}
    )
    jar.add("aws-session", session["AccessKeyId"], text)


def test_a_found_session_is_tried_again_after_the_deny(
    systems: Systems, lab_aws: Aws, lab_aws_world: AwsWorld, ledger: FileLedger, incident: Make
) -> None:
    session, jar = issued(lab_aws, lab_aws_world.stolen), Credentials()
    hold(jar, session)

    found = by_kind(contain(incident(f"aws-user={STOLEN_FROM}"), systems, ledger, jar=jar))

    proof = found["aws-sessions"].proof
    assert proof is not None
    assert proof.method is ProofMethod.ATTEMPT
    assert proof.detail == "1 found sessions were tried on S3 again and refused."
    assert session["SessionToken"] not in ledger.path.read_text()


def test_a_session_that_never_got_in_proves_nothing(
    systems: Systems, lab_aws: Aws, lab_aws_world: AwsWorld, ledger: FileLedger, incident: Make
) -> None:
    """The innocent user may not list buckets at all: its refusal says nothing about the deny."""
    jar = Credentials()
    may_ask_for_sessions(lab_aws, INNOCENT)
    hold(jar, issued(lab_aws, lab_aws_world.innocent))

    found = by_kind(contain(incident(f"aws-user={INNOCENT}"), systems, ledger, jar=jar))

    proof = found["aws-sessions"].proof
    assert proof is not None
    assert proof.method is ProofMethod.RECOUNT


def test_a_temporary_key_in_hand_needs_no_trail(
    systems: Systems, lab_aws: Aws, lab_aws_world: AwsWorld, ledger: FileLedger, incident: Make
) -> None:
    session, jar = issued(lab_aws, lab_aws_world.stolen), Credentials()
    hold(jar, session)  # never used: no log anywhere names it

    found = by_kind(contain(incident(f"aws-access-key={session['AccessKeyId']}"), systems, ledger, jar=jar))

    assert found["aws-sessions"].access.principal == STOLEN_FROM
    assert found["aws-sessions"].status is AccessStatus.CLOSED


def test_a_key_that_was_used_in_another_region_is_found_where_the_plan_says(
    account: AwsAccount,
    systems_of: Callable[..., Systems],
    lab_aws: Aws,
    lab_aws_world: AwsWorld,
    ledger: FileLedger,
    incident: Make,
) -> None:
    session = issued(lab_aws, lab_aws_world.stolen)
    far = lab_aws.client(
        "s3", session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"], region="eu-west-3"
    )
    far.list_buckets()
    suspect = incident(f"aws-access-key={session['AccessKeyId']}")

    blind = contain(suspect, systems_of(aws=account), ledger)
    assert {c.status for c in blind} == {AccessStatus.FAILED}

    plan = PLAN + "policies: {regions: [eu-central-1, eu-west-3]}\n"
    seeing = by_kind(contain(suspect, systems_of(aws=account, plan=plan), ledger))
    assert seeing["aws-sessions"].status is AccessStatus.CLOSED


def test_a_roles_trust_is_replaced_and_put_back_as_it_was(
    systems: Systems, lab_aws: Aws, lab_aws_world: AwsWorld, ledger: FileLedger, incident: Make
) -> None:
    iam = lab_aws.client("iam")
    before = iam.get_role(RoleName=CI_ROLE)["Role"]["AssumeRolePolicyDocument"]
    assert assumes(lab_aws, lab_aws_world.innocent)
    suspect = incident(f"aws-role={CI_ROLE}")

    found = by_kind(contain(suspect, systems, ledger))
    assert set(found) == {"role-trust", "aws-sessions"}
    assert {c.status for c in found.values()} == {AccessStatus.CLOSED}
    assert not assumes(lab_aws, lab_aws_world.innocent)

    contain(suspect, systems, ledger)  # a second run must not take the deny for what was before
    assert all(u.restored for u in reopen(suspect, systems, ledger))
    assert iam.get_role(RoleName=CI_ROLE)["Role"]["AssumeRolePolicyDocument"] == before
    assert assumes(lab_aws, lab_aws_world.innocent)


def test_a_trust_that_somebody_wrote_since_is_not_overwritten_by_undo(
    systems: Systems, lab_aws: Aws, lab_aws_world: AwsWorld, ledger: FileLedger, incident: Make
) -> None:
    suspect, iam = incident(f"aws-role={CI_ROLE}"), lab_aws.client("iam")
    contain(suspect, systems, ledger)
    theirs = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": STOLEN_ARN}, "Action": "sts:AssumeRole"}],
    }
    iam.update_assume_role_policy(RoleName=CI_ROLE, PolicyDocument=json.dumps(theirs))

    undone = {u.access.kind: u for u in reopen(suspect, systems, ledger)}

    assert not undone["role-trust"].restored
    assert iam.get_role(RoleName=CI_ROLE)["Role"]["AssumeRolePolicyDocument"] == theirs


def test_a_console_sign_in_is_worth_nothing_until_undone(
    systems: Systems, lab_aws: Aws, lab_aws_world: AwsWorld, ledger: FileLedger, incident: Make
) -> None:
    iam = lab_aws.client("iam")
    may_ask_for_sessions(lab_aws, INNOCENT)
    policies = iam.list_user_policies(UserName=INNOCENT)["PolicyNames"]
    iam.create_login_profile(UserName=INNOCENT, Password="Correct-Horse-9")
    profile = iam.get_login_profile(UserName=INNOCENT)["LoginProfile"]
    suspect = incident(f"aws-user={INNOCENT}")

    found = by_kind(contain(suspect, systems, ledger))
    assert found["console-login"].status is AccessStatus.CLOSED
    assert found["console-login"].proof is not None
    assert "explicitDeny" in found["console-login"].proof.detail
    # What a sign-in yields is a temporary session, and so is this, made after the old-sessions deny.
    iam.update_access_key(
        UserName=INNOCENT, AccessKeyId=lab_aws_world.innocent.access_key_id, Status="Active"
    )
    fresh = issued(lab_aws, lab_aws_world.innocent)
    signed_in = lab_aws.client("s3", fresh["AccessKeyId"], fresh["SecretAccessKey"], fresh["SessionToken"])
    assert not lists(signed_in, EXPORTS)
    assert lists(s3(lab_aws, lab_aws_world.innocent), EXPORTS)  # long-term keys are another kind's matter

    assert all(u.restored for u in reopen(suspect, systems, ledger, even_leaked=True))
    assert lists(signed_in, EXPORTS)
    assert iam.get_login_profile(UserName=INNOCENT)["LoginProfile"] == profile
    assert iam.list_user_policies(UserName=INNOCENT)["PolicyNames"] == policies


POLICY = (
    '{\n  "Version": "2012-10-17",\n  "Id": "attachments \u2013 by hand",\n'
    f'  "Statement": {{"Sid": "Readers", "Effect": "Allow", "Principal": {{"AWS": ["{STOLEN_ARN}", '
    f'"arn:aws:iam::{ACCOUNT}:user/{INNOCENT}"]}},\n    "Action": ["s3:GetObject", "s3:ListBucket"],\n'
    f'    "Resource": ["arn:aws:s3:::{ATTACHMENTS}", "arn:aws:s3:::{ATTACHMENTS}/*"]}}\n}}'
)


def test_a_buckets_policy_denies_the_suspects_and_comes_back_byte_for_byte(
    systems: Systems, lab_aws: Aws, lab_aws_world: AwsWorld, ledger: FileLedger, incident: Make
) -> None:
    admin = lab_aws.client("s3")
    admin.put_bucket_policy(Bucket=ATTACHMENTS, Policy=POLICY)
    suspect = incident(f"aws-user={STOLEN_FROM}", f"aws-user={INNOCENT}")

    found = contain(suspect, systems, ledger)

    closed = [c for c in found if c.access.kind == "bucket-policy"]
    assert {c.status for c in closed} == {AccessStatus.CLOSED}
    denied = [
        s["Principal"]["AWS"]
        for s in json.loads(admin.get_bucket_policy(Bucket=ATTACHMENTS)["Policy"])["Statement"]
        if s["Effect"] == "Deny"
    ]
    assert sorted(denied) == sorted(c.access.before["arn"] for c in closed)
    assert len(denied) == 2

    assert all(u.restored for u in reopen(suspect, systems, ledger, even_leaked=True))
    assert admin.get_bucket_policy(Bucket=ATTACHMENTS)["Policy"] == POLICY


def test_a_bucket_policy_changed_meanwhile_keeps_the_change(
    systems: Systems, lab_aws: Aws, lab_aws_world: AwsWorld, ledger: FileLedger, incident: Make
) -> None:
    admin = lab_aws.client("s3")
    admin.put_bucket_policy(Bucket=ATTACHMENTS, Policy=POLICY)
    suspect = incident(f"aws-user={STOLEN_FROM}")
    contain(suspect, systems, ledger)
    changed = json.loads(admin.get_bucket_policy(Bucket=ATTACHMENTS)["Policy"])
    theirs = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "*"}
    changed["Statement"].append(theirs)
    admin.put_bucket_policy(Bucket=ATTACHMENTS, Policy=json.dumps(changed))

    reopen(suspect, systems, ledger, even_leaked=True)

    now = json.loads(admin.get_bucket_policy(Bucket=ATTACHMENTS)["Policy"])["Statement"]
    assert now == [json.loads(POLICY)["Statement"], theirs]
