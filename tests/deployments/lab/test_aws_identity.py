"""The lab's AWS refuses what AWS refuses: dead keys, forged requests, denied actions, revoked sessions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from deployments.lab.aws.server import Aws
from deployments.lab.aws.world import (
    ATTACHMENTS,
    CI_ROLE,
    EVIDENCE,
    EXPORTS,
    INNOCENT,
    RESPONDER,
    STOLEN_FROM,
    AwsWorld,
    Key,
)

Keys = tuple[str, str, str]


def code_of(call: Callable[[], Any]) -> str:
    """The error code AWS answers with; empty when the call succeeds."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def as_user(aws: Aws, service: str, key: Key) -> Any:
    return aws.client(service, key.access_key_id, key.secret_access_key)


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def reads(aws: Aws, world: AwsWorld) -> Callable[[], Any]:
    s3 = as_user(aws, "s3", world.stolen)
    return lambda: s3.get_object(Bucket=ATTACHMENTS, Key=world.attachments[0])["Body"].read()


def session_of(aws: Aws, key: Key) -> Keys:
    credentials = as_user(aws, "sts", key).get_session_token()["Credentials"]
    return credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]


# --- keys and signatures ----------------------------------------------------------------------------


def test_a_deactivated_key_is_refused_everywhere_and_works_again_when_reactivated(
    lab_aws: Aws, lab_aws_world: AwsWorld
) -> None:
    stolen = lab_aws_world.stolen
    read = reads(lab_aws, lab_aws_world)
    assert read().startswith(b"Attachment")
    iam = as_user(lab_aws, "iam", lab_aws_world.responder)
    switch = {"UserName": STOLEN_FROM, "AccessKeyId": stolen.access_key_id}
    iam.update_access_key(**switch, Status="Inactive")
    assert code_of(read) == "InvalidAccessKeyId"
    assert code_of(as_user(lab_aws, "sts", stolen).get_caller_identity) == "InvalidClientTokenId"
    assert code_of(as_user(lab_aws, "kms", stolen).list_keys) == "UnrecognizedClientException"
    assert as_user(lab_aws, "sts", lab_aws_world.innocent).get_caller_identity()["Arn"].endswith(INNOCENT)
    iam.update_access_key(**switch, Status="Active")
    assert read().startswith(b"Attachment")


def test_a_deleted_or_unknown_key_is_refused(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    key = lab_aws_world.stolen.access_key_id
    lab_aws.client("iam").delete_access_key(UserName=STOLEN_FROM, AccessKeyId=key)
    assert code_of(reads(lab_aws, lab_aws_world)) == "InvalidAccessKeyId"


@pytest.mark.parametrize("service", ["s3", "iam", "secretsmanager"])
def test_a_wrong_secret_does_not_pass(lab_aws: Aws, lab_aws_world: AwsWorld, service: str) -> None:
    client = as_user(lab_aws, service, Key(lab_aws_world.stolen.access_key_id, "x" * 40))
    call = {"s3": "list_buckets", "iam": "list_users", "secretsmanager": "list_secrets"}[service]
    assert code_of(getattr(client, call)) in ("SignatureDoesNotMatch", "InvalidSignatureException")


def test_an_unsigned_request_and_a_changed_body_do_not_pass(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    address = f"{lab_aws.endpoint}/{ATTACHMENTS}/{lab_aws_world.attachments[0]}"
    assert requests.get(address, timeout=10).status_code == 403
    s3 = lab_aws.client("s3")
    s3.meta.events.register("before-send.s3.PutObject", lambda request, **_: _swap(request))
    assert (
        code_of(lambda: s3.put_object(Bucket=ATTACHMENTS, Key="x", Body=b"right")) == "SignatureDoesNotMatch"
    )


def _swap(request: Any) -> None:
    request.body = b"wrong"


def test_keys_with_odd_names_are_signed_as_sent(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    s3 = lab_aws.client("s3")
    for key in ("a b/ü+&=.txt", "a//b", "tilde~(1)!.txt"):
        s3.put_object(Bucket=ATTACHMENTS, Key=key, Body=key.encode())
        assert s3.get_object(Bucket=ATTACHMENTS, Key=key)["Body"].read() == key.encode()


def test_a_presigned_address_works_until_it_ends_or_its_key_dies(
    lab_aws: Aws, lab_aws_world: AwsWorld
) -> None:
    def sign(seconds: int) -> str:
        address: str = as_user(lab_aws, "s3", lab_aws_world.stolen).generate_presigned_url(
            "get_object",
            Params={"Bucket": ATTACHMENTS, "Key": lab_aws_world.attachments[0]},
            ExpiresIn=seconds,
        )
        return address

    address = sign(600)
    assert requests.get(address, timeout=10).content.startswith(b"Attachment")
    assert requests.get(address.replace("00000001", "00000002"), timeout=10).status_code == 403
    short = sign(1)
    time.sleep(2.1)
    assert requests.get(short, timeout=10).status_code == 403
    lab_aws.client("iam").update_access_key(
        UserName=STOLEN_FROM, AccessKeyId=lab_aws_world.stolen.access_key_id, Status="Inactive"
    )
    assert requests.get(address, timeout=10).status_code == 403


# --- policies ---------------------------------------------------------------------------------------


def test_the_leaked_key_may_do_what_its_policy_says_and_no_more(
    lab_aws: Aws, lab_aws_world: AwsWorld
) -> None:
    s3 = as_user(lab_aws, "s3", lab_aws_world.stolen)
    assert {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]} == {ATTACHMENTS, EXPORTS, EVIDENCE}
    assert s3.list_objects_v2(Bucket=ATTACHMENTS)["KeyCount"] == len(lab_aws_world.attachments)
    for call in (
        lambda: s3.put_object(Bucket=ATTACHMENTS, Key="x", Body=b"x"),
        lambda: s3.delete_object(Bucket=ATTACHMENTS, Key=lab_aws_world.attachments[0]),
        lambda: s3.get_object(Bucket=EXPORTS, Key="orders/latest.csv"),
        lambda: s3.list_objects_v2(Bucket=EXPORTS),
        lambda: as_user(lab_aws, "iam", lab_aws_world.stolen).create_access_key(UserName=STOLEN_FROM),
    ):
        assert code_of(call) == "AccessDenied"
    secrets = as_user(lab_aws, "secretsmanager", lab_aws_world.stolen)
    assert code_of(secrets.list_secrets) == "AccessDeniedException"


def test_the_responder_cannot_touch_itself_the_administrator_or_customer_data(
    lab_aws: Aws, lab_aws_world: AwsWorld
) -> None:
    iam = as_user(lab_aws, "iam", lab_aws_world.responder)
    s3 = as_user(lab_aws, "s3", lab_aws_world.responder)
    for call in (
        lambda: iam.update_access_key(
            UserName=RESPONDER, AccessKeyId=lab_aws_world.responder.access_key_id, Status="Inactive"
        ),
        lambda: iam.put_user_policy(UserName=RESPONDER, PolicyName="x", PolicyDocument=document()),
        lambda: iam.create_access_key(UserName="lab-admin"),
        lambda: iam.create_user(UserName="backdoor"),
        lambda: iam.delete_access_key(UserName=STOLEN_FROM, AccessKeyId=lab_aws_world.stolen.access_key_id),
        lambda: s3.get_object(Bucket=ATTACHMENTS, Key=lab_aws_world.attachments[0]),
        lambda: s3.delete_object(Bucket=EVIDENCE, Key="incidents/x"),
    ):
        assert code_of(call) == "AccessDenied"


def test_a_conditional_allow_allows_only_when_its_condition_holds(
    lab_aws: Aws, lab_aws_world: AwsWorld
) -> None:
    iam, read = lab_aws.client("iam"), reads(lab_aws, lab_aws_world)
    iam.delete_user_policy(UserName=STOLEN_FROM, PolicyName=STOLEN_FROM)

    def allow(condition: dict[str, Any]) -> str:
        statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": condition}
        iam.put_user_policy(
            UserName=STOLEN_FROM, PolicyName="conditional", PolicyDocument=document(statement)
        )
        return code_of(read)

    assert allow({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}) == ""
    assert allow({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.168.0.0/16"]}}) == "AccessDenied"
    assert allow({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}) == ""
    assert (
        allow({"StringEquals": {"aws:username": STOLEN_FROM}, "Bool": {"aws:SecureTransport": False}}) == ""
    )
    assert allow({"StringEquals": {"aws:username": STOLEN_FROM}, "Bool": {"aws:SecureTransport": True}}) != ""
    assert allow({"StringLike": {"aws:PrincipalTag/team": "*"}}) == "AccessDenied"  # the key is missing
    assert allow({"StringLikeIfExists": {"aws:PrincipalTag/team": "x"}}) == ""
    assert allow({"Null": {"aws:TokenIssueTime": "true"}}) == ""
    assert allow({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}) == ""
    assert allow({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}) == "AccessDenied"


def test_an_unmet_condition_on_a_deny_denies_nothing(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    deny = {
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"DateLessThan": {"aws:TokenIssueTime": datetime.now(UTC).isoformat()}},
    }
    lab_aws.client("iam").put_user_policy(
        UserName=STOLEN_FROM, PolicyName="deny", PolicyDocument=document(deny)
    )
    assert code_of(reads(lab_aws, lab_aws_world)) == ""  # a long-lived key has no issue time


def test_managed_policies_attach_and_deny(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    iam = lab_aws.client("iam")
    iam.attach_user_policy(UserName=STOLEN_FROM, PolicyArn="arn:aws:iam::aws:policy/AWSDenyAll")
    assert code_of(reads(lab_aws, lab_aws_world)) == "AccessDenied"
    assert as_user(lab_aws, "sts", lab_aws_world.stolen).get_caller_identity()["Arn"].endswith(STOLEN_FROM)
    iam.detach_user_policy(UserName=STOLEN_FROM, PolicyArn="arn:aws:iam::aws:policy/AWSDenyAll")
    assert code_of(reads(lab_aws, lab_aws_world)) == ""


def test_a_bucket_policy_denies_one_principal_alone(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    arn = lab_aws.client("iam").get_user(UserName=STOLEN_FROM)["User"]["Arn"]
    statement = {
        "Effect": "Deny",
        "Principal": {"AWS": arn},
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{ATTACHMENTS}", f"arn:aws:s3:::{ATTACHMENTS}/*"],
    }
    responder = as_user(lab_aws, "s3", lab_aws_world.responder)
    responder.put_bucket_policy(Bucket=ATTACHMENTS, Policy=document(statement))
    assert code_of(reads(lab_aws, lab_aws_world)) == "AccessDenied"
    assert lab_aws.client("s3").list_objects_v2(Bucket=ATTACHMENTS)["KeyCount"] > 0
    responder.delete_bucket_policy(Bucket=ATTACHMENTS)
    assert code_of(reads(lab_aws, lab_aws_world)) == ""


# --- sessions ---------------------------------------------------------------------------------------


def test_a_session_outlives_its_key_until_its_issue_time_is_denied(
    lab_aws: Aws, lab_aws_world: AwsWorld
) -> None:
    old = session_of(lab_aws, lab_aws_world.stolen)
    iam = as_user(lab_aws, "iam", lab_aws_world.responder)

    def read_with(keys: Keys) -> str:
        s3 = lab_aws.client("s3", *keys)
        return code_of(lambda: s3.get_object(Bucket=ATTACHMENTS, Key=lab_aws_world.attachments[0]))

    assert read_with(old) == ""
    switch = {"UserName": STOLEN_FROM, "AccessKeyId": lab_aws_world.stolen.access_key_id}
    iam.update_access_key(**switch, Status="Inactive")
    assert read_with(old) == "", "deactivating the key does not end its sessions"
    assert lab_aws.client("sts", *old).get_caller_identity()["Arn"].endswith(STOLEN_FROM)
    deny = {
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"DateLessThan": {"aws:TokenIssueTime": datetime.now(UTC).isoformat()}},
    }
    iam.put_user_policy(UserName=STOLEN_FROM, PolicyName="revoke", PolicyDocument=document(deny))
    assert read_with(old) == "AccessDenied"
    iam.update_access_key(**switch, Status="Active")
    new = session_of(lab_aws, lab_aws_world.stolen)
    assert read_with(new) == "", "a session issued after the moment is not denied"
    assert read_with((new[0], new[1], "forged")) == "InvalidToken"


def test_a_session_ends_when_its_time_is_over(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    sts = as_user(lab_aws, "sts", lab_aws_world.stolen)
    credentials = sts.get_session_token(DurationSeconds=900)["Credentials"]
    ends = credentials["Expiration"] - datetime.now(UTC)
    assert timedelta(seconds=890) < ends <= timedelta(seconds=900)


def test_denying_a_roles_old_sessions_lets_new_ones_work(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    sts = as_user(lab_aws, "sts", lab_aws_world.innocent)
    role = lab_aws.client("iam").get_role(RoleName=CI_ROLE)["Role"]["Arn"]

    def assume() -> Keys:
        credentials = sts.assume_role(RoleArn=role, RoleSessionName="nightly")["Credentials"]
        return credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]

    def lists(keys: Keys) -> str:
        s3 = lab_aws.client("s3", *keys)
        return code_of(lambda: s3.list_objects_v2(Bucket=EXPORTS))

    old = assume()
    assert lists(old) == ""
    deny = {
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"DateLessThan": {"aws:TokenIssueTime": datetime.now(UTC).isoformat()}},
    }
    as_user(lab_aws, "iam", lab_aws_world.responder).put_role_policy(
        RoleName=CI_ROLE, PolicyName="AWSRevokeOlderSessions", PolicyDocument=document(deny)
    )
    assert lists(old) == "AccessDenied"
    assert lists(assume()) == ""


def test_only_those_a_role_trusts_may_assume_it(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    iam = lab_aws.client("iam")
    role = iam.get_role(RoleName=CI_ROLE)["Role"]["Arn"]
    allow = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    iam.put_user_policy(UserName=STOLEN_FROM, PolicyName="assume", PolicyDocument=document(allow))
    sts = as_user(lab_aws, "sts", lab_aws_world.stolen)
    assert code_of(lambda: sts.assume_role(RoleArn=role, RoleSessionName="thief")) == "AccessDenied"


def test_a_session_policy_can_only_narrow(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    sts = as_user(lab_aws, "sts", lab_aws_world.innocent)
    role = lab_aws.client("iam").get_role(RoleName=CI_ROLE)["Role"]["Arn"]
    only_get = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
    credentials = sts.assume_role(RoleArn=role, RoleSessionName="thief", Policy=only_get)["Credentials"]
    s3 = lab_aws.client(
        "s3", credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
    )
    assert code_of(lambda: s3.get_object(Bucket=EXPORTS, Key="orders/latest.csv")) == ""
    assert code_of(lambda: s3.list_objects_v2(Bucket=EXPORTS)) == "AccessDenied"


def test_policies_can_be_asked_without_acting(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    iam = as_user(lab_aws, "iam", lab_aws_world.responder)
    arn = iam.get_user(UserName=STOLEN_FROM)["User"]["Arn"]

    def decisions() -> dict[str, str]:
        answer = iam.simulate_principal_policy(
            PolicySourceArn=arn,
            ActionNames=["s3:GetObject", "s3:PutObject"],
            ResourceArns=[f"arn:aws:s3:::{ATTACHMENTS}/x"],
        )
        return {result["EvalActionName"]: result["EvalDecision"] for result in answer["EvaluationResults"]}

    assert decisions() == {"s3:GetObject": "allowed", "s3:PutObject": "implicitDeny"}
    deny = document({"Effect": "Deny", "Action": "*", "Resource": "*"})
    iam.put_user_policy(UserName=STOLEN_FROM, PolicyName="deny", PolicyDocument=deny)
    assert set(decisions().values()) == {"explicitDeny"}
    nobody = lambda: iam.simulate_principal_policy(PolicySourceArn=arn + "x", ActionNames=["s3:GetObject"])  # noqa: E731
    assert code_of(nobody) == "NoSuchEntity"


def test_the_owner_of_a_key_and_its_last_use_are_found_by_the_key_alone(
    lab_aws: Aws, lab_aws_world: AwsWorld
) -> None:
    iam = as_user(lab_aws, "iam", lab_aws_world.responder)

    def used() -> dict[str, Any]:
        found: dict[str, Any] = iam.get_access_key_last_used(AccessKeyId=lab_aws_world.stolen.access_key_id)
        return found

    assert used()["UserName"] == STOLEN_FROM
    as_user(lab_aws, "sts", lab_aws_world.stolen).get_caller_identity()
    assert used()["AccessKeyLastUsed"]["ServiceName"] == "sts"
    reads(lab_aws, lab_aws_world)()
    assert used()["AccessKeyLastUsed"]["ServiceName"] == "s3"
