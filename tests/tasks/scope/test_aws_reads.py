"""What was read with a leaked AWS key in the lab's account: by event history, trail, and access log."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from blocks.aws import AwsAccount
from deployments.lab.aws.principals import ACCOUNT
from deployments.lab.aws.server import Aws
from deployments.lab.aws.world import ATTACHMENTS, INNOCENT, LOGS, STOLEN_FROM, SUPPORT_SECRET, AwsWorld
from tasks.incident import Coverage, Incident, Suspect, SuspectKind, Window
from tasks.scope.aws_reads import OBJECTS, AwsReads, aws_reads, write_objects
from tasks.scope.aws_trail import read_line

FOUND = ("cases/00000001/attachment.txt", "cases/00000002/attachment.txt", "cases/00000003/attachment.txt")


@pytest.fixture
def server(lab_aws: Aws) -> Aws:
    return lab_aws


@pytest.fixture
def world(lab_aws_world: AwsWorld) -> AwsWorld:
    return lab_aws_world


def stolen(server: Aws, world: AwsWorld, service: str) -> Any:
    return server.client(service, world.stolen.access_key_id, world.stolen.secret_access_key)


def attack(server: Aws, world: AwsWorld) -> datetime:
    """List the bucket, read three objects; the innocent integration reads its own."""
    began = datetime.now(UTC) - timedelta(seconds=1)
    s3 = stolen(server, world, "s3")
    s3.list_buckets()
    for key in FOUND:
        s3.get_object(Bucket=ATTACHMENTS, Key=key)["Body"].read()
    other = server.client("s3", world.innocent.access_key_id, world.innocent.secret_access_key)
    other.get_object(Bucket="retailer-erp-exports", Key="orders/latest.csv")["Body"].read()
    return began


def reads_of(lab_aws_block: AwsAccount, since: datetime, *suspects: tuple[SuspectKind, str]) -> AwsReads:
    now = datetime.now(UTC)
    named = tuple(Suspect(kind, name) for kind, name in suspects)
    incident = Incident("inc-aws", "a key leaked", named, Window(since), now, now, "plan")
    return aws_reads(incident, lab_aws_block, now)


def line(reads: AwsReads, source: str) -> Coverage:
    (found,) = [one for one in reads.coverage if one.source == source]
    return found


def trail(server: Aws, since: datetime) -> None:
    """A trail with the bucket's data events, and its files: what CloudTrail would have delivered."""
    s3, cloudtrail = server.client("s3"), server.client("cloudtrail")
    s3.create_bucket(Bucket=LOGS, CreateBucketConfiguration={"LocationConstraint": server.region})
    cloudtrail.create_trail(Name="objects", S3BucketName=LOGS)
    resources = [{"Type": "AWS::S3::Object", "Values": [f"arn:aws:s3:::{ATTACHMENTS}/"]}]
    cloudtrail.put_event_selectors(
        TrailName="objects", EventSelectors=[{"ReadWriteType": "All", "DataResources": resources}]
    )
    cloudtrail.start_logging(Name="objects")
    records = [
        record
        for record in server.control("events", method="GET")
        if record["eventTime"] >= since.isoformat()[:19]
    ]
    day = f"{datetime.now(UTC):%Y/%m/%d}"
    body = gzip.compress(json.dumps({"Records": records}).encode())
    s3.put_object(
        Bucket=LOGS, Key=f"AWSLogs/{ACCOUNT}/CloudTrail/{server.region}/{day}/one.json.gz", Body=body
    )


def test_without_data_events_all_that_the_key_may_read_is_the_upper_bound(
    server: Aws, world: AwsWorld, lab_aws_block: AwsAccount, tmp_path: Path
) -> None:
    since = attack(server, world)
    reads = reads_of(lab_aws_block, since, (SuspectKind.AWS_ACCESS_KEY, world.stolen.access_key_id))
    assert (reads.bounds.lower, reads.bounds.upper) == (0, len(world.attachments))
    history = line(reads, "CloudTrail event history")
    assert history.present
    assert history.events == 1  # ListBuckets; reads of objects are no management events
    assert history.lag_s == 900
    assert "run again" in history.effect
    assert not line(reads, "CloudTrail data events").present
    assert "0 to 12 objects" in line(reads, f"s3:{ATTACHMENTS}").statement
    write_objects(reads, tmp_path)
    kept = pd.read_parquet(tmp_path / OBJECTS)
    assert len(kept) == 12
    assert not kept["certain"].any()


def test_data_events_tell_the_objects_and_nothing_else_counts(
    server: Aws, world: AwsWorld, lab_aws_block: AwsAccount
) -> None:
    since = attack(server, world)
    trail(server, since)
    later = datetime.now(UTC) + timedelta(milliseconds=1)
    key = (SuspectKind.AWS_ACCESS_KEY, world.stolen.access_key_id)
    # The trail began to record after the window did: what was read before is not known.
    early = reads_of(lab_aws_block, since, key)
    assert {name for _, name in early.objects} == set(FOUND)
    assert (early.bounds.lower, early.bounds.upper) == (3, len(world.attachments))
    stolen(server, world, "s3").get_object(Bucket=ATTACHMENTS, Key=FOUND[0])
    inside = reads_of(lab_aws_block, later, key)
    assert (inside.bounds.lower, inside.bounds.upper) == (0, 0)  # its file has not been delivered yet
    assert "may not be complete" in line(inside, "CloudTrail data events").statement


def test_an_access_log_names_the_principal_and_leaves_the_upper_bound(
    server: Aws, world: AwsWorld, lab_aws_block: AwsAccount
) -> None:
    since = attack(server, world)
    s3 = server.client("s3")
    s3.create_bucket(Bucket=LOGS, CreateBucketConfiguration={"LocationConstraint": server.region})
    s3.put_bucket_acl(
        Bucket=LOGS,
        GrantWrite="uri=http://acs.amazonaws.com/groups/s3/LogDelivery",
        GrantReadACP="uri=http://acs.amazonaws.com/groups/s3/LogDelivery",
    )
    s3.put_bucket_logging(
        Bucket=ATTACHMENTS,
        BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": LOGS, "TargetPrefix": "access/"}},
    )
    at = f"{datetime.now(UTC):%d/%b/%Y:%H:%M:%S} +0000"
    who = {name: f"arn:aws:iam::{ACCOUNT}:user/{name}" for name in (STOLEN_FROM, INNOCENT)}
    rows = [
        f"owner {ATTACHMENTS} [{at}] 198.51.100.7 {user} REQ{n} REST.GET.OBJECT {key} "
        f'"GET /{key} HTTP/1.1" {status} - 24 24 9 8 "-" "aws-cli/2" - hostid SigV4 - AuthHeader host -'
        for n, (user, key, status) in enumerate(
            [
                (who[STOLEN_FROM], "cases/00000001/attachment.txt", 200),
                (who[STOLEN_FROM], "cases/00000002/attach+ment.txt", 404),
                (who[INNOCENT], "cases/00000003/attachment.txt", 200),
            ]
        )
    ]
    s3.put_object(Bucket=LOGS, Key="access/2026-one", Body="\n".join([*rows, "damaged"]).encode())
    reads = reads_of(lab_aws_block, since, (SuspectKind.AWS_USER, STOLEN_FROM))
    assert set(reads.objects) == {(ATTACHMENTS, FOUND[0])}
    assert (reads.bounds.lower, reads.bounds.upper) == (1, len(world.attachments))
    assert "best-effort" in line(reads, f"s3:{ATTACHMENTS}").statement


def test_secrets_read_with_the_key_are_named_to_be_replaced(
    server: Aws, world: AwsWorld, lab_aws_block: AwsAccount
) -> None:
    since = datetime.now(UTC) - timedelta(seconds=1)
    allow = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    server.client("iam").put_user_policy(
        UserName=STOLEN_FROM,
        PolicyName="secrets",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
    )
    stolen(server, world, "secretsmanager").get_secret_value(SecretId=SUPPORT_SECRET)
    reads = reads_of(lab_aws_block, since, (SuspectKind.AWS_ACCESS_KEY, world.stolen.access_key_id))
    assert list(reads.secrets) == [SUPPORT_SECRET]
    assert SUPPORT_SECRET in line(reads, "secrets read in AWS").statement


def test_an_account_that_does_not_answer_is_told_and_is_no_error(
    lab_aws_block: AwsAccount, server: Aws
) -> None:
    lost = AwsAccount(**{**lab_aws_block.model_dump(), "endpoint_url": "http://127.0.0.1:9", "timeout_s": 1})
    reads = reads_of(lost, datetime.now(UTC), (SuspectKind.AWS_ACCESS_KEY, "AKIAAAAAAAAAAAAAAAAA"))
    assert not any(one.present for one in reads.coverage)
    assert {"AWS identities", "CloudTrail event history", "CloudTrail data events"} <= {
        one.source for one in reads.coverage
    }


def test_nothing_is_asked_where_no_aws_identity_is_suspected(lab_aws_block: AwsAccount) -> None:
    reads = reads_of(lab_aws_block, datetime.now(UTC), (SuspectKind.CONNECTED_APP, "Support Chat"))
    assert [one.source for one in reads.coverage] == ["CloudTrail"]


def test_lines_that_are_no_access_log_are_left_out() -> None:
    assert read_line("") is None
    assert read_line('a b [not a time] 1.2.3.4 - R REST.GET.OBJECT k "GET" 200') is None
