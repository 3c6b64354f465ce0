"""The state of the suspected AWS identities and what CloudTrail saw of their keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from blocks.aws import AwsAccount, AwsRefused, aws_errors
from tasks.incident import Incident, SuspectKind, System
from tasks.preserve.sources import Reading, Source

MAX_EVENTS = 5000  # LookupEvents gives 50 a page at two calls a second; a snapshot cannot wait for more


def aws_sources(incident: Incident, account: AwsAccount) -> list[Source]:
    """For each suspected key, user and role; nothing when none is suspected."""
    sources: list[Source] = []
    for suspect in incident.suspects:
        name = suspect.identifier
        if suspect.kind is SuspectKind.AWS_ACCESS_KEY:
            sources.append(Source(f"aws-key-{name}", System.AWS, partial(_one, _key, account, name)))
            sources.append(Source(f"cloudtrail-{name}", System.AWS, partial(trail, account, name)))
        elif suspect.kind is SuspectKind.AWS_USER:
            sources.append(Source(f"aws-user-{name}", System.AWS, partial(_one, _user, account, name)))
        elif suspect.kind is SuspectKind.AWS_ROLE:
            sources.append(Source(f"aws-role-{name}", System.AWS, partial(_one, _role, account, name)))
    return sources


def _one(read: Callable[[AwsAccount, str], dict[str, Any]], account: AwsAccount, name: str) -> Reading:
    return Reading([read(account, name)])


def trail(account: AwsAccount, key_id: str) -> Reading:
    """CloudTrail's events of one access key in every region the plan names, newest first."""
    found: list[Any] = []
    left_out = []
    lookup = [{"AttributeKey": "AccessKeyId", "AttributeValue": key_id}]
    for region in account.all_regions():
        with aws_errors("cloudtrail:LookupEvents"):
            pages = account.client("cloudtrail", region).get_paginator("lookup_events")
            for page in pages.paginate(LookupAttributes=lookup):
                found += [{"region": region, **_event(event)} for event in page["Events"]]
                if len(found) >= MAX_EVENTS:
                    left_out.append(f"{region}: more than {MAX_EVENTS:,} events, the older were not read")
                    break
    return Reading(found, "; ".join(left_out) + "." if left_out else "")


def _event(event: dict[str, Any]) -> dict[str, Any]:
    """An event with its own JSON opened, so that it can be read and searched."""
    kept = {name: value for name, value in event.items() if name != "CloudTrailEvent"}
    return {**kept, "event": json.loads(event.get("CloudTrailEvent") or "null")}


def _key(account: AwsAccount, key_id: str) -> dict[str, Any]:
    with aws_errors("iam:GetAccessKeyLastUsed"):
        used = account.client("iam").get_access_key_last_used(AccessKeyId=key_id)
    name = used.get("UserName")
    last = used.get("AccessKeyLastUsed")
    return {"access_key_id": key_id, "last_used": last, "user": _user(account, name) if name else None}


def _user(account: AwsAccount, name: str) -> dict[str, Any]:
    iam = account.client("iam")
    with aws_errors("iam:GetUser"):
        user = iam.get_user(UserName=name)["User"]
        keys = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
        attached = iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
        inline = {
            policy: iam.get_user_policy(UserName=name, PolicyName=policy)["PolicyDocument"]
            for policy in iam.list_user_policies(UserName=name)["PolicyNames"]
        }
    return {
        "user": user,
        "keys": keys,
        "attached": attached,
        "inline": inline,
        "console": _console(iam, name),
    }


def _console(iam: Any, name: str) -> Any:
    """The user's console login, None when there is none."""
    try:
        with aws_errors("iam:GetLoginProfile"):
            return iam.get_login_profile(UserName=name)["LoginProfile"]
    except AwsRefused as refused:
        if refused.code == "NoSuchEntity":
            return None
        return {"unread": refused.code}


def _role(account: AwsAccount, name: str) -> dict[str, Any]:
    iam = account.client("iam")
    with aws_errors("iam:GetRole"):
        role = iam.get_role(RoleName=name)["Role"]
        attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        inline = {
            policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
        }
    return {"role": role, "attached": attached, "inline": inline}
