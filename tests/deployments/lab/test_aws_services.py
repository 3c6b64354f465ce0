"""The lab's AWS answers as AWS does where stock moto does not: locks, secret stages, trail, disabled keys."""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.exceptions
import pytest
import requests

from deployments.lab.aws.server import Aws
from deployments.lab.aws.world import ATTACHMENTS, EVIDENCE, STOLEN_FROM, SUPPORT_SECRET, AwsWorld
from tests.deployments.lab.test_aws_identity import as_user, code_of


def put_evidence(s3: Any, **more: Any) -> dict[str, str]:
    version = s3.put_object(Bucket=EVIDENCE, Key="incidents/pack", Body=b"sealed", **more)["VersionId"]
    return {"Bucket": EVIDENCE, "Key": "incidents/pack", "VersionId": version}


def retention(mode: str, days: float) -> dict[str, Any]:
    return {"Mode": mode, "RetainUntilDate": datetime.now(UTC) + timedelta(days=days)}


# --- Object Lock ------------------------------------------------------------------------------------


def test_a_compliance_lock_cannot_be_shortened_weakened_or_bypassed_by_anybody(
    lab_aws: Aws, lab_aws_world: AwsWorld
) -> None:
    s3 = lab_aws.client("s3")
    lock = {
        "ObjectLockMode": "COMPLIANCE",
        "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(days=10),
    }
    where = put_evidence(s3, **lock)
    for change in (
        lambda: s3.put_object_retention(**where, Retention=retention("COMPLIANCE", 5)),
        lambda: s3.put_object_retention(**where, Retention=retention("GOVERNANCE", 20)),
        lambda: s3.put_object_retention(
            **where, Retention=retention("GOVERNANCE", 20), BypassGovernanceRetention=True
        ),
        lambda: s3.delete_object(**where),
        lambda: s3.delete_object(**where, BypassGovernanceRetention=True),
    ):
        assert code_of(change) == "AccessDenied"
    s3.put_object_retention(**where, Retention=retention("COMPLIANCE", 20))
    until = s3.get_object_retention(**where)["Retention"]["RetainUntilDate"]
    assert until > datetime.now(UTC) + timedelta(days=19)
    assert s3.get_object(**where)["Body"].read() == b"sealed"


def test_a_governance_lock_gives_way_to_the_bypass_alone(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    s3 = lab_aws.client("s3")
    lock = {
        "ObjectLockMode": "GOVERNANCE",
        "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(days=10),
    }
    where = put_evidence(s3, **lock)
    shorter = retention("GOVERNANCE", 5)
    assert code_of(lambda: s3.put_object_retention(**where, Retention=shorter)) == "AccessDenied"
    s3.put_object_retention(**where, Retention=shorter, BypassGovernanceRetention=True)
    assert code_of(lambda: s3.delete_object(**where)) == "AccessDenied"
    s3.delete_object(**where, BypassGovernanceRetention=True)


def test_the_responders_evidence_gets_the_buckets_default_retention_and_can_read_it(
    lab_aws: Aws, lab_aws_world: AwsWorld
) -> None:
    s3 = as_user(lab_aws, "s3", lab_aws_world.responder)
    where = put_evidence(s3)
    found = s3.get_object_retention(**where)["Retention"]
    assert found["Mode"] == "COMPLIANCE"
    assert found["RetainUntilDate"] > datetime.now(UTC) + timedelta(days=29)
    bypass = lambda: s3.put_object_retention(  # noqa: E731
        **where, Retention=retention("COMPLIANCE", 1), BypassGovernanceRetention=True
    )
    assert code_of(bypass) == "AccessDenied"


def test_asking_for_a_retention_that_is_not_there_says_so(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    s3 = lab_aws.client("s3")
    assert code_of(lambda: s3.get_object_retention(Bucket=EVIDENCE, Key="nothing")) == "NoSuchKey"
    name = lab_aws_world.attachments[0]
    assert code_of(lambda: s3.get_object_retention(Bucket=ATTACHMENTS, Key=name)) == "InvalidRequest"


def test_a_large_pack_goes_up_in_parts_under_the_lock(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    s3 = as_user(lab_aws, "s3", lab_aws_world.responder)
    data = bytes(range(256)) * 40_000  # 10 MB: more than one part
    s3.upload_fileobj(io.BytesIO(data), EVIDENCE, "incidents/large")
    found = s3.get_object(Bucket=EVIDENCE, Key="incidents/large")
    assert found["Body"].read() == data
    assert found["ObjectLockMode"] == "COMPLIANCE"  # the bucket's default
    until = datetime.now(UTC) + timedelta(days=90)
    asked = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    s3.upload_fileobj(io.BytesIO(data), EVIDENCE, "incidents/asked", ExtraArgs=asked)
    lock = s3.get_object_retention(Bucket=EVIDENCE, Key="incidents/asked")["Retention"]
    assert lock["Mode"] == "GOVERNANCE"
    assert abs(lock["RetainUntilDate"] - until) < timedelta(seconds=2)
    version = found["VersionId"]
    delete = lambda: lab_aws.client("s3").delete_object(  # noqa: E731
        Bucket=EVIDENCE, Key="incidents/large", VersionId=version
    )
    assert code_of(delete) == "AccessDenied"


# --- Secrets Manager --------------------------------------------------------------------------------


def test_a_plain_read_follows_the_current_label_when_it_is_moved(
    lab_aws: Aws, lab_aws_world: AwsWorld
) -> None:
    secrets = as_user(lab_aws, "secretsmanager", lab_aws_world.responder)
    old = secrets.get_secret_value(SecretId=SUPPORT_SECRET)["VersionId"]
    new = secrets.put_secret_value(
        SecretId=SUPPORT_SECRET, SecretString="webhook-secret-2", VersionStages=["AWSPENDING"]
    )["VersionId"]
    assert secrets.get_secret_value(SecretId=SUPPORT_SECRET)["SecretString"] == "webhook-secret-1"
    pending = secrets.get_secret_value(SecretId=SUPPORT_SECRET, VersionStage="AWSPENDING")
    assert pending["SecretString"] == "webhook-secret-2"
    move = {"SecretId": SUPPORT_SECRET, "VersionStage": "AWSCURRENT", "MoveToVersionId": new}
    assert code_of(lambda: secrets.update_secret_version_stage(**move)) == "InvalidParameterException"
    secrets.update_secret_version_stage(**move, RemoveFromVersionId=old)
    assert secrets.get_secret_value(SecretId=SUPPORT_SECRET)["SecretString"] == "webhook-secret-2"
    previous = secrets.get_secret_value(SecretId=SUPPORT_SECRET, VersionStage="AWSPREVIOUS")
    assert previous["SecretString"] == "webhook-secret-1"
    stages = secrets.describe_secret(SecretId=SUPPORT_SECRET)["VersionIdsToStages"]
    assert set(stages[new]) == {"AWSCURRENT", "AWSPENDING"}  # a label stays until it is taken away
    assert stages[old] == ["AWSPREVIOUS"]


def test_a_second_rotation_moves_the_previous_label_on(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    secrets = lab_aws.client("secretsmanager")
    for number in (2, 3):
        current = secrets.get_secret_value(SecretId=SUPPORT_SECRET)["VersionId"]
        new = secrets.put_secret_value(
            SecretId=SUPPORT_SECRET, SecretString=f"webhook-secret-{number}", VersionStages=["AWSPENDING"]
        )["VersionId"]
        secrets.update_secret_version_stage(
            SecretId=SUPPORT_SECRET,
            VersionStage="AWSCURRENT",
            MoveToVersionId=new,
            RemoveFromVersionId=current,
        )
        secrets.update_secret_version_stage(
            SecretId=SUPPORT_SECRET, VersionStage="AWSPENDING", RemoveFromVersionId=new
        )
    stages = secrets.describe_secret(SecretId=SUPPORT_SECRET)["VersionIdsToStages"]
    labels = sorted(label for found in stages.values() for label in found)
    assert labels == ["AWSCURRENT", "AWSPREVIOUS"]
    previous = secrets.get_secret_value(SecretId=SUPPORT_SECRET, VersionStage="AWSPREVIOUS")
    assert previous["SecretString"] == "webhook-secret-2"


def test_rotation_by_lambda_is_refused_and_leaves_one_current_version(
    lab_aws: Aws, lab_aws_world: AwsWorld
) -> None:
    secrets = lab_aws.client("secretsmanager")
    function = f"arn:aws:lambda:{lab_aws.region}:123456789012:function:rotate"
    rotate = lambda **more: secrets.rotate_secret(SecretId=SUPPORT_SECRET, **more)  # noqa: E731
    assert code_of(rotate) == "InvalidRequestException"
    assert code_of(lambda: rotate(RotationLambdaARN=function)) == "AccessDeniedException"
    stages = secrets.describe_secret(SecretId=SUPPORT_SECRET)["VersionIdsToStages"]
    assert list(stages.values()) == [["AWSCURRENT"]]


# --- CloudTrail -------------------------------------------------------------------------------------


def lookup(aws: Aws, world: AwsWorld, **asked: Any) -> dict[str, Any]:
    answer: dict[str, Any] = as_user(aws, "cloudtrail", world.responder).lookup_events(**asked)
    return answer


def by_key(key_id: str) -> list[dict[str, str]]:
    return [{"AttributeKey": "AccessKeyId", "AttributeValue": key_id}]


def test_the_trail_finds_what_a_key_did_refusals_too_newest_first_in_pages(
    lab_aws: Aws, lab_aws_world: AwsWorld
) -> None:
    stolen = lab_aws_world.stolen
    s3 = as_user(lab_aws, "s3", stolen)
    for _ in range(5):
        s3.list_buckets()
    code_of(lambda: as_user(lab_aws, "kms", stolen).list_keys())
    s3.get_object(Bucket=ATTACHMENTS, Key=lab_aws_world.attachments[0])  # a data event: not in the history
    names, token, pages = [], None, 0
    while True:
        more = {"NextToken": token} if token else {}
        answer = lookup(
            lab_aws,
            lab_aws_world,
            LookupAttributes=by_key(stolen.access_key_id),
            MaxResults=2,
            **more,
        )
        names += [event["EventName"] for event in answer["Events"]]
        pages += 1
        token = answer.get("NextToken")
        if not token:
            break
    assert names == ["ListKeys", *["ListBuckets"] * 5]
    assert pages == 3
    event = lookup(lab_aws, lab_aws_world, LookupAttributes=by_key(stolen.access_key_id))["Events"][0]
    record = json.loads(event["CloudTrailEvent"])
    assert event["Username"] == STOLEN_FROM
    assert record["errorCode"] == "AccessDeniedException"
    assert record["sourceIPAddress"] == "127.0.0.1"
    assert record["userIdentity"]["accessKeyId"] == stolen.access_key_id
    assert lookup(lab_aws, lab_aws_world, LookupAttributes=by_key("AKIA0000000000000000"))["Events"] == []


def test_the_trail_keeps_no_secret_and_filters_by_time(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    secrets = as_user(lab_aws, "secretsmanager", lab_aws_world.responder)
    secrets.put_secret_value(SecretId=SUPPORT_SECRET, SecretString="must-not-be-logged")
    own = by_key(lab_aws_world.responder.access_key_id)
    answer = lookup(lab_aws, lab_aws_world, LookupAttributes=own)
    assert "PutSecretValue" in [event["EventName"] for event in answer["Events"]]
    assert "must-not-be-logged" not in json.dumps(answer, default=str)
    late = datetime.now(UTC) + timedelta(hours=1)
    assert lookup(lab_aws, lab_aws_world, LookupAttributes=own, StartTime=late, EndTime=late)["Events"] == []


def test_data_events_are_in_the_labs_own_list(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    as_user(lab_aws, "s3", lab_aws_world.stolen).get_object(
        Bucket=ATTACHMENTS, Key=lab_aws_world.attachments[3]
    )
    reads = [event for event in lab_aws.control("events", method="GET") if event["eventName"] == "GetObject"]
    assert [event["requestParameters"]["Key"] for event in reads] == [lab_aws_world.attachments[3]]


def test_events_land_only_after_the_delay(tmp_path_factory: pytest.TempPathFactory) -> None:
    aws = Aws.start(tmp_path_factory.mktemp("aws"), log_delay_s=1.5)
    try:
        aws.client("sts").get_caller_identity()
        assert _global_events(aws) == []
        time.sleep(1.6)
        assert [event["EventName"] for event in _global_events(aws)] == ["GetCallerIdentity"]
    finally:
        aws.stop()


def _global_events(aws: Aws) -> list[Any]:
    """IAM's and STS's events are kept in us-east-1, wherever they were called from."""
    found: list[Any] = aws.client("cloudtrail", region="us-east-1").lookup_events(
        LookupAttributes=[{"AttributeKey": "EventSource", "AttributeValue": "sts.amazonaws.com"}]
    )["Events"]
    return found


# --- KMS, faults, requests --------------------------------------------------------------------------


def test_a_disabled_kms_key_does_nothing_until_it_is_enabled(lab_aws: Aws) -> None:
    kms = lab_aws.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    kms.disable_key(KeyId=key)
    assert code_of(lambda: kms.decrypt(CiphertextBlob=sealed)) == "DisabledException"
    assert code_of(lambda: kms.encrypt(KeyId=key, Plaintext=b"x")) == "DisabledException"
    assert code_of(lambda: kms.generate_data_key(KeyId=key, KeySpec="AES_256")) == "DisabledException"
    kms.enable_key(KeyId=key)
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"x"


def test_faults_meet_the_calls_they_name_and_end(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    iam = as_user(lab_aws, "iam", lab_aws_world.responder)
    lab_aws.control("faults", {"kind": "throttled", "match": {"operation": "ListAccessKeys"}, "times": 2})
    listing = lambda: iam.list_access_keys(UserName=STOLEN_FROM)  # noqa: E731
    assert code_of(lambda: iam.get_user(UserName=STOLEN_FROM)) == ""
    assert [code_of(listing) for _ in range(3)] == ["Throttling", "Throttling", ""]
    lab_aws.control("faults", {"kind": "unavailable"})
    assert code_of(listing) == "ServiceUnavailable"
    lab_aws.control("faults", method="DELETE")
    assert code_of(listing) == ""


def test_a_connection_cut_after_the_act_leaves_the_act_done(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    iam = as_user(lab_aws, "iam", lab_aws_world.responder)
    lab_aws.control("faults", {"kind": "reset-after", "match": {"operation": "UpdateAccessKey"}, "times": 1})
    with pytest.raises(botocore.exceptions.HTTPClientError):
        iam.update_access_key(
            UserName=STOLEN_FROM, AccessKeyId=lab_aws_world.stolen.access_key_id, Status="Inactive"
        )
    assert iam.list_access_keys(UserName=STOLEN_FROM)["AccessKeyMetadata"][0]["Status"] == "Inactive"


def test_requests_are_counted_by_key_with_their_status(lab_aws: Aws, lab_aws_world: AwsWorld) -> None:
    since = datetime.now(UTC).isoformat()
    s3 = as_user(lab_aws, "s3", lab_aws_world.stolen)
    s3.get_object(Bucket=ATTACHMENTS, Key=lab_aws_world.attachments[0])
    code_of(lambda: s3.put_object(Bucket=ATTACHMENTS, Key="x", Body=b"x"))
    seen = lab_aws.control(f"requests?since={since.replace('+', '%2B')}", method="GET")
    wanted = f"aws:{lab_aws_world.stolen.access_key_id}"
    assert [(r["operation"], r["status"]) for r in seen if r["credential"] == wanted] == [
        ("GetObject", 200),
        ("PutObject", 403),
    ]


def test_the_control_address_needs_its_token_and_motos_own_is_closed(lab_aws: Aws) -> None:
    for path in ("__lab__/requests", "__lab__/reset", "moto-api/reset"):
        assert requests.post(f"{lab_aws.endpoint}/{path}", timeout=10).status_code == 403
