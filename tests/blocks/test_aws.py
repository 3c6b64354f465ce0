"""The AWS and evidence blocks against the lab's account, where keys, signatures and policies are enforced."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.aws import AwsAccount, AwsRefused, aws_errors
from blocks.check import failed
from blocks.errors import Refused, Unreachable
from blocks.evidence import EvidenceStore
from deployments.lab.aws.server import Aws
from deployments.lab.aws.world import ATTACHMENTS, EVIDENCE, RESPONDER, AwsWorld

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def account(lab: Aws, folder: Path, key_id: str, secret: str, **values: Any) -> AwsAccount:
    (folder / "aws.json").write_text(json.dumps({"id": key_id, "secret": secret}))
    return AwsAccount(
        region=lab.region,
        endpoint_url=lab.endpoint,
        access_key_id=[f"file:{folder / 'aws.json'}#id"],
        secret_access_key=[f"file:{folder / 'aws.json'}#secret"],
        **values,
    )


@pytest.fixture
def aws(lab_aws: Aws, lab_aws_world: AwsWorld, tmp_path: Path) -> AwsAccount:
    key = lab_aws_world.responder
    return account(lab_aws, tmp_path, key.access_key_id, key.secret_access_key)


@pytest.fixture
def evidence(aws: AwsAccount) -> EvidenceStore:
    return EvidenceStore(bucket=EVIDENCE, prefix="incidents/", retention_days=400, aws=aws)


def test_the_responder_of_the_lab_has_what_it_needs(aws: AwsAccount, evidence: EvidenceStore) -> None:
    assert failed(aws.check()) == []
    assert failed(evidence.check()) == []


def test_the_check_changes_nothing(lab_aws: Aws, aws: AwsAccount, evidence: EvidenceStore) -> None:
    def state() -> Any:
        iam, s3 = lab_aws.client("iam"), lab_aws.client("s3")
        users = [user["UserName"] for user in iam.list_users()["Users"]]
        keys = [iam.list_access_keys(UserName=name)["AccessKeyMetadata"] for name in users]
        policies = [iam.list_user_policies(UserName=name)["PolicyNames"] for name in users]
        uploads = s3.list_multipart_uploads(Bucket=EVIDENCE).get("Uploads", [])
        objects = s3.list_object_versions(Bucket=EVIDENCE).get("Versions", [])
        return users, keys, policies, uploads, objects

    before = state()
    aws.check()
    evidence.check()
    assert state() == before


def test_missing_permissions_are_named(lab_aws: Aws, aws: AwsAccount, evidence: EvidenceStore) -> None:
    lab_aws.client("iam").delete_user_policy(UserName=RESPONDER, PolicyName=RESPONDER)
    names = {check.name: check.fix for check in failed(aws.check())}
    assert "iam:UpdateAccessKey" in names["AWS: may iam:UpdateAccessKey"]
    assert "AWS: may cloudtrail:LookupEvents" in names and "AWS: may iam:PutUserPolicy" in names
    assert "AWS: reachable, access key valid" not in names
    assert failed(evidence.check())[0].name == "Evidence store: bucket reachable"


def test_a_wrong_key_is_refused_without_repeating_it(lab_aws: Aws, tmp_path: Path) -> None:
    checks = account(lab_aws, tmp_path, "AKIAIOSFODNN7EXAMPLE", "wr0ng-s3cret").check()
    assert len(checks) == 1 and not checks[0].ok
    assert "valid, active access key" in checks[0].fix
    assert "wr0ng" not in str(checks) and "AKIAIOSFODNN7EXAMPLE" not in str(checks)


def test_nobody_listening_is_unreachable(aws: AwsAccount) -> None:
    dead = AwsAccount(**{**aws.model_dump(), "endpoint_url": "http://127.0.0.1:9", "timeout_s": 1})
    with pytest.raises(Unreachable, match="did not answer"), aws_errors("sts:GetCallerIdentity"):
        dead.client("sts").get_caller_identity()


def test_a_leaked_key_can_be_tried_before_and_after(aws: AwsAccount, lab_aws_world: AwsWorld) -> None:
    leaked = lab_aws_world.stolen
    s3 = aws.client_with("s3", access_key_id=leaked.access_key_id, secret_access_key=leaked.secret_access_key)
    s3.get_object(Bucket=ATTACHMENTS, Key=lab_aws_world.attachments[0])
    aws.client("iam").update_access_key(
        UserName="support-attachments", AccessKeyId=leaked.access_key_id, Status="Inactive"
    )
    with pytest.raises(AwsRefused) as caught, aws_errors("s3:GetObject with the leaked key"):
        s3.get_object(Bucket=ATTACHMENTS, Key=lab_aws_world.attachments[0])
    assert caught.value.code in {"InvalidAccessKeyId", "AccessDenied", "InvalidClientTokenId"}


def test_the_environment_lends_no_key(aws: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert RESPONDER in aws.client("sts").get_caller_identity()["Arn"]


def test_regions_are_each_named_once(aws: AwsAccount) -> None:
    assert AwsAccount(**{**aws.model_dump(), "regions": ["us-east-1", aws.region]}).all_regions() == (
        aws.region,
        "us-east-1",
    )


def test_evidence_stays_as_it_was_written(lab_aws: Aws, evidence: EvidenceStore) -> None:
    first = evidence.put("INC-1/pack.tar", b"first", now=NOW)
    second = evidence.put("INC-1/pack.tar", b"second", now=NOW)
    assert first.version_id and first.version_id != second.version_id
    assert (evidence.get(first), evidence.get(second)) == (b"first", b"second")
    assert first.retain_until == NOW + timedelta(days=400) == evidence.retained_until(first)
    admin = lab_aws.client("s3")
    with pytest.raises(AwsRefused) as caught, aws_errors("delete a locked version"):
        admin.delete_object(
            Bucket=EVIDENCE, Key=first.key, VersionId=first.version_id, BypassGovernanceRetention=True
        )
    assert caught.value.code == "AccessDenied"
    with pytest.raises(Refused, match="differs from what was written"):
        evidence.get(
            type(first)(**{name: getattr(first, name) for name in first.__slots__} | {"sha256": "0" * 64})
        )


def test_a_bucket_without_lock_is_refused(aws: AwsAccount, lab_aws: Aws) -> None:
    iam = lab_aws.client("iam")
    iam.put_user_policy(
        UserName=RESPONDER,
        PolicyName="all-s3",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        ),
    )
    names = {check.name for check in failed(EvidenceStore(bucket=ATTACHMENTS, aws=aws).check())}
    assert {"Evidence store: versioning on", "Evidence store: Object Lock on"} <= names
    missing = EvidenceStore(bucket="no-such-bucket", aws=aws).check()
    assert [check.name for check in missing] == ["Evidence store: bucket reachable"] and not missing[0].ok
