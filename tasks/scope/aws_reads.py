"""What was read with the suspected AWS keys: objects of S3 with both bounds, secrets to be replaced.

An object whose read a log holds is certain. Where no log tells of reads of a bucket, every object that the
key may read counts for the upper bound; where a log tells, it holds all there is, but for what is late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from blocks.aws import AwsAccount, AwsRefused, aws_errors
from blocks.errors import LeakResponseError
from tasks.incident import Bounds, Coverage, Incident, Suspect, SuspectKind, Window
from tasks.scope import aws_trail
from tasks.scope.aws_trail import Call, Trail
from tasks.scope.stated import Source, absent, few, present

OBJECTS = "s3_objects.parquet"
KINDS = frozenset({SuspectKind.AWS_ACCESS_KEY, SuspectKind.AWS_USER, SuspectKind.AWS_ROLE})
READS = frozenset({"GetObject", "SelectObjectContent", "CopyObject", "GetObjectTorrent"})
HISTORY = Source(
    "CloudTrail event history",
    "management calls of the suspected keys of the last 90 days",
    "which secrets, keys and buckets were looked at with the suspected keys is not known",
    timedelta(minutes=15),
)
TRAIL = Source(
    "CloudTrail data events",
    "each read of an object",
    "no log but a bucket's own access log tells which objects were read",
    timedelta(minutes=15),
)
ACCESS_LOG = Source(
    "S3 server access logs",
    "reads of objects by principal, on a best-effort basis",
    "no log but CloudTrail's data events tells which objects were read",
    timedelta(hours=6),
)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a suspected key: a user or role, and its ARN for asking what it may do."""

    name: str
    arn: str
    keys: frozenset[str]


@dataclass(slots=True)
class AwsReads:
    """What was read, and what that rests on."""

    objects: dict[tuple[str, str], datetime] = field(default_factory=dict)  # certain: first read
    possible: set[tuple[str, str]] = field(default_factory=set)
    secrets: dict[str, datetime] = field(default_factory=dict)
    coverage: list[Coverage] = field(default_factory=list)

    @property
    def bounds(self) -> Bounds:
        return Bounds(len(self.objects), len(self.possible | set(self.objects)))


def aws_reads(incident: Incident, account: AwsAccount, now: datetime) -> AwsReads:
    """What the AWS suspects read in the window. A log that cannot be read widens the bounds and is named."""
    suspects = [suspect for suspect in incident.suspects if suspect.kind in KINDS]
    reads = AwsReads()
    if not suspects:
        text = "No AWS key, user or role is suspected: its trail was not asked."
        reads.coverage.append(Coverage("CloudTrail", True, None, None, 0, text))
        return reads
    holders = _holders(account, suspects, reads)
    calls = _history(account, suspects, holders, incident.window, now, reads)
    keys = _keys(suspects, holders, calls)
    for call in calls:
        if call.secret and not call.refused:
            reads.secrets.setdefault(call.secret, call.at)
    _objects(account, holders, keys, incident.window, now, reads)
    if reads.secrets:
        reads.coverage.append(_secrets(reads.secrets))
    return reads


def _secrets(read: Mapping[str, datetime]) -> Coverage:
    times = sorted(read.values())
    names = few(tuple(sorted(read)))
    text = f"{len(read)} secrets were read with the suspected keys and have to be replaced: {names}."
    return Coverage("secrets read in AWS", True, times[0], times[-1], len(read), text)


# --- who, and which calls ---------------------------------------------------------------------------------


def _holders(account: AwsAccount, suspects: Sequence[Suspect], reads: AwsReads) -> list[Holder]:
    found: dict[str, Holder] = {}
    for suspect in suspects:
        try:
            holder = _holder(account, suspect)
        except LeakResponseError as error:
            text = (
                f"Who holds {suspect} could not be learnt ({error.problem}): what it may read is not known."
            )
            reads.coverage.append(Coverage("AWS identities", False, None, None, 0, text))
            continue
        if holder is not None:
            known = found.get(holder.arn)
            found[holder.arn] = Holder(
                holder.name, holder.arn, holder.keys | (known.keys if known else frozenset())
            )
    return list(found.values())


def _holder(account: AwsAccount, suspect: Suspect) -> Holder | None:
    iam, name = account.client("iam"), suspect.identifier
    if suspect.kind is SuspectKind.AWS_ROLE:
        with aws_errors("iam:GetRole"):
            return Holder(name, iam.get_role(RoleName=name)["Role"]["Arn"], frozenset())
    keys: frozenset[str] = frozenset()
    if suspect.kind is SuspectKind.AWS_ACCESS_KEY:
        keys = frozenset({name})
        with aws_errors("iam:GetAccessKeyLastUsed"):
            owner = iam.get_access_key_last_used(AccessKeyId=name).get("UserName")
        if not owner:
            return None
        name = str(owner)
    with aws_errors("iam:GetUser"):
        arn = str(iam.get_user(UserName=name)["User"]["Arn"])
        if not keys:
            listed = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
            keys = frozenset(str(key["AccessKeyId"]) for key in listed)
    return Holder(name, arn, keys)


def _history(
    account: AwsAccount,
    suspects: Sequence[Suspect],
    holders: Sequence[Holder],
    window: Window,
    now: datetime,
    reads: AwsReads,
) -> list[Call]:
    """Calls of the suspected keys and of temporary keys that these were used to get."""
    names = {s.identifier for s in suspects if s.kind is SuspectKind.AWS_ACCESS_KEY}
    names |= {key for holder in holders for key in holder.keys}
    asked = [("AccessKeyId", name) for name in sorted(names)]
    asked += [("Username", s.identifier) for s in suspects if s.kind is not SuspectKind.AWS_ACCESS_KEY]
    calls: dict[tuple[str, str], Call] = {}
    problems: list[str] = []
    seen: set[tuple[str, str]] = set()
    try:
        while asked:
            one = asked.pop()
            if one in seen:
                continue
            seen.add(one)
            found = aws_trail.history(account, *one, window, now)
            problems += found.problems
            for call in found.calls:
                calls[call.request or f"{call.at}{call.name}", call.name] = call
                if call.issued:
                    asked.append(("AccessKeyId", call.issued))
    except LeakResponseError as error:
        reads.coverage.append(absent(HISTORY, f"could not be read ({error.problem})"))
        return []
    ordered = sorted(calls.values(), key=lambda call: call.at)
    refused = sum(bool(call.refused) for call in ordered)
    told = [f"{refused} of them refused", *dict.fromkeys(problems)]
    if window.start < now - aws_trail.HISTORY:
        told.append("the window begins before the 90 days that it keeps")
    reads.coverage.append(
        present(
            HISTORY, [call.at for call in ordered], window, now, said="; ".join(told), gaps=tuple(problems)
        )
    )
    return ordered


def _keys(suspects: Sequence[Suspect], holders: Sequence[Holder], calls: Iterable[Call]) -> frozenset[str]:
    named = {s.identifier for s in suspects if s.kind is SuspectKind.AWS_ACCESS_KEY}
    issued = {call.issued for call in calls if call.issued}
    used = {call.key_id for call in calls if call.key_id}
    return frozenset(named | issued | used | {key for holder in holders for key in holder.keys})


# --- objects -----------------------------------------------------------------------------------------


def _objects(
    account: AwsAccount,
    holders: Sequence[Holder],
    keys: frozenset[str],
    window: Window,
    now: datetime,
    reads: AwsReads,
) -> None:
    trails = _trails(account, reads)
    found: dict[str, list[Call]] = {}
    for trail in trails:
        calls = _read(lambda trail=trail: aws_trail.delivered(account, trail, window, now), TRAIL, reads)  # type: ignore[misc]
        if calls is not None:
            found[trail.name] = [call for call in calls if _theirs(call, keys, holders)]
            reads.coverage.append(
                present(TRAIL, [c.at for c in found[trail.name]], window, now, said=f"trail {trail.name}")
            )
    told = [t for t in trails if t.name in found and t.since is not None and t.since <= window.start]
    for call in (call for calls in found.values() for call in calls):
        _note(call, reads)
    for bucket in _buckets(account, reads):
        _one_bucket(account, bucket, told, holders, keys, window, now, reads)


def _trails(account: AwsAccount, reads: AwsReads) -> list[Trail]:
    try:
        trails = aws_trail.data_trails(account)
    except LeakResponseError as error:
        reads.coverage.append(absent(TRAIL, f"cannot be looked for ({error.problem})"))
        return []
    if not trails:
        reads.coverage.append(absent(TRAIL, "are not recorded: no trail asks for them"))
    return trails


def _read(read: Callable[[], Iterator[Call]], source: Source, reads: AwsReads) -> list[Call] | None:
    try:
        return list(read())
    except LeakResponseError as error:
        reads.coverage.append(absent(source, f"could not be read ({error.problem})"))
    except (ValueError, OSError, EOFError) as error:
        reads.coverage.append(absent(source, f"could not be read (damaged file: {type(error).__name__})"))
    return None


def _theirs(call: Call, keys: frozenset[str], holders: Sequence[Holder]) -> bool:
    """By key; by principal alone where the log does not name keys, or the suspect is a role."""
    if call.key_id:
        return call.key_id in keys or any(not h.keys and _same(call.principal, h) for h in holders)
    return any(_same(call.principal, holder) for holder in holders)


def _same(principal: str, holder: Holder) -> bool:
    role = holder.arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
    return principal == holder.arn or principal.startswith(f"{role}/")


def _note(call: Call, reads: AwsReads) -> None:
    if call.name in READS and call.object and not call.refused:
        place = (call.bucket, call.object)
        reads.objects[place] = min(call.at, reads.objects.get(place, call.at))


def _buckets(account: AwsAccount, reads: AwsReads) -> list[str]:
    try:
        with aws_errors("s3:ListAllMyBuckets"):
            return [str(bucket["Name"]) for bucket in account.client("s3").list_buckets()["Buckets"]]
    except LeakResponseError as error:
        text = f"The buckets cannot be listed ({error.problem}): which objects could be read is not known."
        reads.coverage.append(Coverage("S3 buckets", False, None, None, 0, text))
        return sorted({bucket for bucket, _ in reads.objects})


def _one_bucket(
    account: AwsAccount,
    bucket: str,
    trails: Sequence[Trail],
    holders: Sequence[Holder],
    keys: frozenset[str],
    window: Window,
    now: datetime,
    reads: AwsReads,
) -> None:
    """The objects of one bucket: certain ones by log; all that may be read where no log tells."""
    if not holders or not any(_may_read(account, holder, bucket) for holder in holders):
        return
    told = any({bucket, "*"} & trail.covers for trail in trails)
    place = aws_trail.access_log_of(account, bucket)
    if place is not None:
        calls = _read(lambda: aws_trail.accessed(account, place, window, now), ACCESS_LOG, reads)
        if calls is not None:
            mine = [call for call in calls if call.bucket == bucket and _theirs(call, keys, holders)]
            for call in mine:
                _note(call, reads)
            said = f"bucket {bucket}; they name the principal, not the key"
            reads.coverage.append(present(ACCESS_LOG, [c.at for c in mine], window, now, said=said))
    there = None if told else _listed(account, bucket)
    reads.possible |= {(bucket, key) for key in there or ()}
    sure = {key for name, key in reads.objects if name == bucket}
    text = _bucket_text(bucket, sure, there, told=told, logged=place is not None)
    times = [at for (name, _), at in reads.objects.items() if name == bucket]
    first, last = (min(times), max(times)) if times else (None, None)
    reads.coverage.append(Coverage(f"s3:{bucket}", told or there is not None, first, last, len(sure), text))


def _bucket_text(bucket: str, sure: set[str], there: set[str] | None, *, told: bool, logged: bool) -> str:
    read = f"objects of {bucket} were read with the suspected keys"
    if told:
        return f"{len(sure)} {read}: data events hold every read."
    if there is None:
        return f"At least {len(sure)} {read}; the bucket cannot be listed: how many more is not known."
    why = "its access log is kept on a best-effort basis" if logged else "no log holds reads of its objects"
    return f"{len(sure)} to {len(there | sure)} {read}: {why}, and they may read all."


def _may_read(account: AwsAccount, holder: Holder, bucket: str) -> bool:
    """Whether the holder's policies let it read objects of the bucket; yes where that cannot be asked."""
    try:
        with aws_errors("iam:SimulatePrincipalPolicy"):
            answer = account.client("iam").simulate_principal_policy(
                PolicySourceArn=holder.arn,
                ActionNames=["s3:GetObject"],
                ResourceArns=[f"arn:aws:s3:::{bucket}/*"],
            )
    except LeakResponseError:
        return True
    return any(result["EvalDecision"] == "allowed" for result in answer["EvaluationResults"])


def _listed(account: AwsAccount, bucket: str) -> set[str] | None:
    try:
        with aws_errors("s3:ListBucket"):
            pages = account.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
            return {str(entry["Key"]) for page in pages for entry in page.get("Contents") or ()}
    except AwsRefused:
        return None


def write_objects(reads: AwsReads, folder: Path) -> None:
    """Keep which objects were read, or may have been, beside the exposed records."""
    rows = [
        {
            "bucket": bucket,
            "key": key,
            "first_read": reads.objects.get((bucket, key)),
            "certain": (bucket, key) in reads.objects,
        }
        for bucket, key in sorted(reads.possible | set(reads.objects))
    ]
    if rows:
        frame = pd.DataFrame(rows)
        frame["first_read"] = pd.to_datetime(frame["first_read"], utc=True)
        partial = (folder / OBJECTS).with_suffix(".part")
        frame.to_parquet(partial, index=False)
        partial.replace(folder / OBJECTS)
