"""Preflight of AWS: is the responder's key valid, and are the actions the response needs allowed?

AWS decides on permission before it looks whether the thing exists. So a changing action tried on a name
that does not exist answers AccessDenied or NoSuchEntity, and changes nothing either way.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from blocks.check import Check, attempt

if TYPE_CHECKING:
    from blocks.aws import AwsAccount

NOBODY = "leak-response-preflight-does-not-exist"
NO_KEY = "AKIA0000000000000000"
ABSENT = frozenset({"NoSuchEntity", "NoSuchEntityException", "404"})
NO_TRUST = '{"Effect":"Deny","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}'
TRUST = f'{{"Version":"2012-10-17","Statement":[{NO_TRUST}]}}'
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}'


def check_aws(aws: AwsAccount) -> list[Check]:
    """All of AWS's checks; permissions are tried only when the key works."""
    from blocks.aws import aws_errors

    def identity() -> None:
        with aws_errors("sts:GetCallerIdentity"):
            aws.client("sts").get_caller_identity()

    checks = [attempt("AWS: reachable, access key valid", identity)]
    if checks[0].ok:
        checks += [_allowed(action, call) for action, call in _tries(aws)]
    return checks


def _tries(aws: AwsAccount) -> list[tuple[str, Callable[[], Any]]]:
    iam = aws.client("iam")
    account = aws.client("sts").get_caller_identity()["Arn"].split(":")[4]
    nobody = f"arn:aws:iam::{account}:user/{NOBODY}"
    own_key = aws.get_client().get_credentials().access_key  # an unknown key is AccessDenied for everybody
    now = datetime.now(UTC)
    return [
        ("iam:GetUser", lambda: iam.get_user(UserName=NOBODY)),
        ("iam:ListAccessKeys", lambda: iam.list_access_keys(UserName=NOBODY)),
        ("iam:GetAccessKeyLastUsed", lambda: iam.get_access_key_last_used(AccessKeyId=own_key)),
        (
            "iam:UpdateAccessKey",
            lambda: iam.update_access_key(UserName=NOBODY, AccessKeyId=NO_KEY, Status="Inactive"),
        ),
        (
            "iam:PutUserPolicy",
            lambda: iam.put_user_policy(UserName=NOBODY, PolicyName=NOBODY, PolicyDocument=POLICY),
        ),
        ("iam:DeleteUserPolicy", lambda: iam.delete_user_policy(UserName=NOBODY, PolicyName=NOBODY)),
        ("iam:CreateAccessKey", lambda: iam.create_access_key(UserName=NOBODY)),
        ("iam:GetLoginProfile", lambda: iam.get_login_profile(UserName=NOBODY)),
        (
            "iam:SimulatePrincipalPolicy",
            lambda: iam.simulate_principal_policy(PolicySourceArn=nobody, ActionNames=["s3:GetObject"]),
        ),
        ("iam:GetRole", lambda: iam.get_role(RoleName=NOBODY)),
        (
            "iam:PutRolePolicy",
            lambda: iam.put_role_policy(RoleName=NOBODY, PolicyName=NOBODY, PolicyDocument=POLICY),
        ),
        (
            "iam:UpdateAssumeRolePolicy",
            lambda: iam.update_assume_role_policy(RoleName=NOBODY, PolicyDocument=TRUST),
        ),
        ("s3:ListAllMyBuckets", lambda: aws.client("s3").list_buckets()),
        (
            "cloudtrail:LookupEvents",
            lambda: aws.client("cloudtrail").lookup_events(StartTime=now, EndTime=now, MaxResults=1),
        ),
    ]


def _allowed(action: str, call: Callable[[], Any]) -> Check:
    from blocks.aws import AwsRefused, aws_errors

    def tried() -> None:
        try:
            with aws_errors(action, f"Allow {action} in the responder's IAM policy."):
                call()
        except AwsRefused as refused:
            if refused.code not in ABSENT:
                raise

    return attempt(f"AWS: may {action}", tried)
