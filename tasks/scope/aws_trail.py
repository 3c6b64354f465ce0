"""What AWS's logs hold of the suspected keys: CloudTrail's event history, delivered trails, S3 access logs.

The event history (`LookupEvents`) holds management calls of 90 days, but no read of an S3 object: those are
data events, which only a trail that asks for them delivers, or server access logs of the bucket. Which trails
and access logs there are is asked of the account itself.
Sources: CloudTrail user guide ("Viewing recent management events", "Logging data events", "CloudTrail log
file name format"); S3 user guide, "Amazon S3 server access log format".
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

from blocks.aws import AwsAccount, AwsRefused, aws_errors
from blocks.errors import LeakResponseError
from tasks.incident import SuspectKind, Window, utc

HISTORY = timedelta(days=90)
GLOBAL_REGION = "us-east-1"  # where events of IAM and STS are kept
MAX_EVENTS = 5_000  # LookupEvents gives 50 a page, twice a second
LATE = timedelta(hours=6)  # deliveries of the window may come this much after its end
_LINE = re.compile(
    r"^\S+ (?P<bucket>\S+) \[(?P<at>[^\]]+)\] (?P<ip>\S+) (?P<who>\S+) (?P<request>\S+) (?P<operation>\S+) "
    r'(?P<key>\S+) "[^"]*" (?P<status>\d{3}|-)'
)


@dataclass(frozen=True, slots=True)
class Call:
    """One answered call, whichever log holds it."""

    at: datetime
    key_id: str  # the access key, "" where the log names only the principal
    principal: str  # ARN, or what an access log calls the requester
    service: str
    name: str
    bucket: str = ""
    object: str = ""
    secret: str = ""  # name or ARN of a secret or parameter that was read
    address: str = ""
    refused: str = ""
    issued: str = ""  # temporary key that this call handed out
    made: str = ""  # KIND=IDENTIFIER of a way in that this call made or opened
    request: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """Calls of the keys, and what could not be read."""

    calls: tuple[Call, ...]
    problems: tuple[str, ...] = ()


# --- the event history -----------------------------------------------------------------------------------


def history(account: AwsAccount, attribute: str, value: str, window: Window, now: datetime) -> Found:
    """Management calls by `AccessKeyId` or `Username` in all regions of the block. A region that cannot be
    read is a problem; raises when none can."""
    calls: list[Call] = []
    problems: list[str] = []
    refused: LeakResponseError | None = None
    regions = tuple(dict.fromkeys([*account.all_regions(), GLOBAL_REGION]))
    for region in regions:
        try:
            calls += _looked_up(account, region, attribute, value, window, now, problems)
        except LeakResponseError as error:
            refused = error
            problems.append(f"{region}: {error.problem}")
    if refused is not None and len(problems) == len(regions):
        raise refused
    return Found(tuple(sorted(calls, key=lambda call: call.at)), tuple(problems))


def _looked_up(
    account: AwsAccount,
    region: str,
    attribute: str,
    value: str,
    window: Window,
    now: datetime,
    problems: list[str],
) -> list[Call]:
    found: list[Call] = []
    with aws_errors("cloudtrail:LookupEvents"):
        pages = account.client("cloudtrail", region).get_paginator("lookup_events")
        for page in pages.paginate(
            LookupAttributes=[{"AttributeKey": attribute, "AttributeValue": value}],
            StartTime=window.start,
            EndTime=(window.end or now) + timedelta(seconds=1),
        ):
            found += [read_record(json.loads(event["CloudTrailEvent"])) for event in page["Events"]]
            if len(found) >= MAX_EVENTS:
                problems.append(f"{region}: more than {MAX_EVENTS:,} calls, the older were not read")
                break
    return found


def read_record(record: Mapping[str, Any]) -> Call:
    """One CloudTrail record as a call."""
    identity = record.get("userIdentity") or {}
    asked = record.get("requestParameters") or {}
    answer = record.get("responseElements") or {}
    asked = {str(name).casefold(): value for name, value in asked.items()}
    issued = (answer.get("credentials") or {}).get("accessKeyId") if isinstance(answer, Mapping) else None
    return Call(
        utc(str(record["eventTime"])),
        str(identity.get("accessKeyId") or ""),
        str(identity.get("arn") or ""),
        str(record.get("eventSource") or "").partition(".")[0],
        str(record.get("eventName") or ""),
        str(asked.get("bucketname") or asked.get("bucket") or ""),
        str(asked.get("key") or ""),
        _secret(str(record.get("eventName") or ""), asked),
        str(record.get("sourceIPAddress") or ""),
        str(record.get("errorCode") or ""),
        str(issued or ""),
        made=_made(str(record.get("eventName") or ""), asked, answer),
        request=str(record.get("requestID") or ""),
    )


def _made(name: str, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    """A key that outlives the one it was made with, a user or a role that was made or opened."""
    user, role = asked.get("username"), asked.get("rolename")
    if name == "CreateAccessKey" and (key := (answer.get("accessKey") or {}).get("accessKeyId")):
        return f"{SuspectKind.AWS_ACCESS_KEY}={key}"
    if name.startswith("AssumeRole") and (key := (answer.get("credentials") or {}).get("accessKeyId")):
        return f"{SuspectKind.AWS_ACCESS_KEY}={key}"
    if name in ("CreateUser", "CreateLoginProfile", "UpdateLoginProfile") and user:
        return f"{SuspectKind.AWS_USER}={user}"
    if name in ("CreateRole", "UpdateAssumeRolePolicy") and role:
        return f"{SuspectKind.AWS_ROLE}={role}"
    return ""


def _secret(name: str, asked: Mapping[str, Any]) -> str:
    if name in ("GetSecretValue", "BatchGetSecretValue"):
        return str(asked.get("secretid") or ", ".join(asked.get("secretidlist") or ()) or "secrets by filter")
    if name in ("GetParameter", "GetParameters", "GetParametersByPath", "GetParameterHistory"):
        return str(asked.get("name") or asked.get("path") or ", ".join(asked.get("names") or ()))
    return ""


# --- trails delivered to a bucket ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trail:
    """A trail with data events of S3. `covers`: buckets of which it holds every read, "*" for all."""

    name: str
    bucket: str
    prefix: str
    covers: frozenset[str]
    since: datetime | None = None  # when it began to record; None: it does not, or nobody can tell


def data_trails(account: AwsAccount) -> list[Trail]:
    """The account's trails that deliver S3 data events. Raises what AWS refuses."""
    client = account.client("cloudtrail")
    with aws_errors("cloudtrail:DescribeTrails"):
        listed = client.describe_trails().get("trailList") or []
    found = []
    for trail in listed:
        name = trail.get("TrailARN") or trail["Name"]
        with aws_errors("cloudtrail:GetEventSelectors"):
            covers = _covered(client.get_event_selectors(TrailName=name))
        if covers is None:
            continue
        with aws_errors("cloudtrail:GetTrailStatus"):
            status = client.get_trail_status(Name=name)
        since = status.get("StartLoggingTime") if status.get("IsLogging") else None
        found.append(
            Trail(trail["Name"], trail["S3BucketName"], trail.get("S3KeyPrefix") or "", covers, since)
        )
    return found


def _covered(told: Mapping[str, Any]) -> frozenset[str] | None:
    """Buckets of which a trail's selectors ask for every read; None where they ask for no S3 data event."""
    arns: list[str] = []
    asked = False
    for selector in told.get("EventSelectors") or ():
        values = [
            value
            for resource in selector.get("DataResources") or ()
            if resource.get("Type") == "AWS::S3::Object"
            for value in resource.get("Values") or ()
        ]
        asked |= bool(values)
        if selector.get("ReadWriteType", "All") != "WriteOnly":
            arns += values
    for selector in told.get("AdvancedEventSelectors") or ():
        fields = {f["Field"]: f for f in selector.get("FieldSelectors") or ()}
        if "AWS::S3::Object" not in (fields.pop("resources.type", None) or {}).get("Equals", ()):
            continue
        asked = True
        fields.pop("eventCategory", None)
        named = fields.pop("resources.ARN", {"StartsWith": ["arn:aws:s3:::"]})
        if (fields.pop("readOnly", None) or {"Equals": ["true"]}).get("Equals") == ["true"] and not fields:
            arns += named.get("StartsWith", ())  # a further condition leaves reads out
    return frozenset(filter(None, map(_whole_bucket, arns))) if asked else None


def _whole_bucket(arn: str) -> str:
    """The bucket that an ARN of a selector covers as a whole; "*" for all, "" where only a part of one."""
    name, _, key = arn.partition(":::")[2].partition("/")
    return "" if key else name or "*"


def delivered(account: AwsAccount, trail: Trail, window: Window, now: datetime) -> Iterator[Call]:
    """Calls in the files that a trail delivered for the days of the window. Raises what AWS refuses."""
    s3 = account.client("s3")
    base = f"{trail.prefix.rstrip('/')}/AWSLogs/" if trail.prefix else "AWSLogs/"
    days = set(_days(window, now))
    for key in _keys(s3, trail.bucket, base):
        parts = key.removeprefix(base).split("/")
        place = parts.index("CloudTrail") if "CloudTrail" in parts else -1
        if place < 0 or "/".join(parts[place + 2 : place + 5]) not in days or not key.endswith(".json.gz"):
            continue
        with aws_errors("s3:GetObject of a trail's file"):
            body = s3.get_object(Bucket=trail.bucket, Key=key)["Body"].read()
        for record in json.loads(gzip.decompress(body)).get("Records") or ():
            call = read_record(record)
            if window.start <= call.at <= (window.end or now):
                yield call


def _days(window: Window, now: datetime) -> Iterator[str]:
    day, end = (
        window.start.astimezone(UTC).date(),
        (min(now, (window.end or now) + LATE)).astimezone(UTC).date(),
    )
    while day <= end:
        yield f"{day:%Y/%m/%d}"
        day += timedelta(days=1)


def _keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    with aws_errors("s3:ListBucket"):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (entry["Key"] for entry in page.get("Contents") or ())


# --- server access logs ------------------------------------------------------------------------------------


def access_log_of(account: AwsAccount, bucket: str) -> tuple[str, str] | None:
    """Where a bucket's server access logs go (bucket, prefix); None when it writes none or does not tell."""
    try:
        with aws_errors("s3:GetBucketLogging"):
            told = account.client("s3").get_bucket_logging(Bucket=bucket).get("LoggingEnabled")
    except AwsRefused:
        return None
    return (str(told["TargetBucket"]), str(told.get("TargetPrefix") or "")) if told else None


def accessed(account: AwsAccount, place: tuple[str, str], window: Window, now: datetime) -> Iterator[Call]:
    """Calls in a bucket's access logs. They name the principal, never the key. Raises what AWS refuses."""
    s3 = account.client("s3")
    for key in _keys(s3, *place):
        with aws_errors("s3:GetObject of an access log"):
            text = s3.get_object(Bucket=place[0], Key=key)["Body"].read().decode("utf-8", "replace")
        for line in text.splitlines():
            call = read_line(line)
            if call is not None and window.start <= call.at <= (window.end or now):
                yield call


def read_line(line: str) -> Call | None:
    """One line of a server access log; None where it is none."""
    found = _LINE.match(line)
    if found is None:
        return None
    try:
        at = datetime.strptime(found["at"], "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC)
    except ValueError:
        return None
    verb, _, kind = found["operation"].removeprefix("REST.").partition(".")
    name = {"GET.OBJECT": "GetObject", "HEAD.OBJECT": "HeadObject", "GET.BUCKET": "ListObjects"}
    key = "" if found["key"] == "-" else unquote_plus(found["key"])
    status = found["status"]
    return Call(
        at,
        "",
        found["who"],
        "s3",
        name.get(f"{verb}.{kind}", f"{verb}.{kind}"),
        found["bucket"],
        key,
        address=found["ip"],
        refused="" if status.startswith(("2", "3")) else status,
        request=found["request"],
    )
