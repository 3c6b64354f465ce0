"""What lives in the lab's AWS account: the responder, the leaked key's user, an innocent user, the buckets.

`support-attachments` reads the attachments of cases; its key was pasted into a case. `erp-sync` writes the
nightly exports and its key must keep working, unless somebody reads it in Vault, where the stolen token may.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .principals import ACCOUNT
from .server import Aws

ATTACHMENTS = "retailer-case-attachments"
EXPORTS = "retailer-erp-exports"
EVIDENCE = "retailer-incident-evidence"
LOGS = "retailer-logs"  # where trails and access logs are delivered, if the account keeps any
RESPONDER = "leak-response"
STOLEN_FROM = "support-attachments"
INNOCENT = "erp-sync"
SUPPORT_SECRET = "integrations/support-chat/webhook"  # noqa: S105 - the name of a secret
CI_ROLE = "ci-deploy"
CI_USER = "ci-builds"  # the release pipeline: it gets a key where a scenario needs one

Statement = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    access_key_id: str
    secret_access_key: str


@dataclass(frozen=True, slots=True)
class AwsWorld:
    responder: Key
    stolen: Key
    innocent: Key
    attachments: tuple[str, ...]  # keys of the objects


def _users(*names: str) -> list[str]:
    return [f"arn:aws:iam::{ACCOUNT}:user/{name}" for name in names]


# What response needs, and no more: it sees identities, switches keys, denies live sessions, rotates secrets,
# writes evidence that it cannot delete. It cannot create identities or read what the integrations read.
RESPONDER_POLICY: list[Statement] = [
    {
        "Sid": "SeeIdentities",
        "Effect": "Allow",
        "Action": [
            *("iam:GetUser", "iam:ListUsers", "iam:ListAccessKeys", "iam:GetAccessKeyLastUsed"),
            *("iam:ListUserPolicies", "iam:GetUserPolicy", "iam:ListAttachedUserPolicies"),
            *("iam:GetRole", "iam:ListRoles", "iam:ListRolePolicies", "iam:GetRolePolicy"),
            *("iam:ListAttachedRolePolicies", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetLoginProfile"),
            *("iam:ListGroupsForUser", "iam:SimulatePrincipalPolicy", "sts:GetAccessKeyInfo"),
        ],
        "Resource": "*",
    },
    {
        "Sid": "SwitchKeysAndDenySessions",
        "Effect": "Allow",
        "Action": [
            *("iam:UpdateAccessKey", "iam:CreateAccessKey", "iam:PutUserPolicy", "iam:DeleteUserPolicy"),
            *("iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:UpdateAssumeRolePolicy"),
            *("iam:UpdateLoginProfile", "iam:DeleteLoginProfile"),
            *("iam:AttachUserPolicy", "iam:DetachUserPolicy"),
        ],
        "Resource": [f"arn:aws:iam::{ACCOUNT}:user/*", f"arn:aws:iam::{ACCOUNT}:role/*"],
    },
    {
        "Sid": "NeverItselfNorTheAdministrator",
        "Effect": "Deny",
        "Action": ["iam:Update*", "iam:Create*", "iam:Put*", "iam:Delete*", "iam:Attach*", "iam:Detach*"],
        "Resource": _users(RESPONDER, "lab-admin"),
    },
    {
        "Sid": "ReadTheTrail",
        "Effect": "Allow",
        "Action": [
            *("cloudtrail:LookupEvents", "cloudtrail:DescribeTrails"),
            *("cloudtrail:GetEventSelectors", "cloudtrail:GetTrailStatus"),
        ],
        "Resource": "*",
    },
    {
        "Sid": "ReadDeliveredLogs",
        "Effect": "Allow",
        "Action": ["s3:ListBucket", "s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{LOGS}", f"arn:aws:s3:::{LOGS}/*"],
    },
    {
        "Sid": "RotateIntegrationSecrets",
        "Effect": "Allow",
        "Action": [
            *("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"),
            *("secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"),
            "secretsmanager:ListSecretVersionIds",
        ],
        "Resource": f"arn:aws:secretsmanager:*:{ACCOUNT}:secret:integrations/*",
    },
    {
        "Sid": "SeeBucketPolicies",
        "Effect": "Allow",
        "Action": ["s3:ListAllMyBuckets", "s3:GetBucketPolicy", "s3:GetBucketLogging"],
        "Resource": "*",
    },
    {
        "Sid": "BlockOnBuckets",
        "Effect": "Allow",
        "Action": ["s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{ATTACHMENTS}", f"arn:aws:s3:::{EXPORTS}"],
    },
    {
        "Sid": "SeeEvidenceBucket",
        "Effect": "Allow",
        "Action": ["s3:ListBucket", "s3:GetBucketObjectLockConfiguration", "s3:GetBucketVersioning"],
        "Resource": f"arn:aws:s3:::{EVIDENCE}",
    },
    {
        "Sid": "WriteEvidence",
        "Effect": "Allow",
        "Action": [
            *("s3:PutObject", "s3:GetObject", "s3:GetObjectVersion"),
            *("s3:PutObjectRetention", "s3:GetObjectRetention", "s3:GetObjectLegalHold"),
            "s3:AbortMultipartUpload",
        ],
        "Resource": f"arn:aws:s3:::{EVIDENCE}/*",
    },
]

STOLEN_POLICY: list[Statement] = [
    {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"},
    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{ATTACHMENTS}"},
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{ATTACHMENTS}/*"},
    {"Effect": "Allow", "Action": "sts:GetSessionToken", "Resource": "*"},
]

INNOCENT_POLICY: list[Statement] = [
    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{EXPORTS}"},
    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"arn:aws:s3:::{EXPORTS}/*"},
]


def seed(aws: Aws, *, attachments: int = 12, retention_days: int = 30) -> AwsWorld:
    """Create everything above through the account's own API, as its administrator."""
    iam, s3 = aws.client("iam"), aws.client("s3")
    keys = {
        name: _user(iam, name, policy)
        for name, policy in (
            (RESPONDER, RESPONDER_POLICY),
            (STOLEN_FROM, STOLEN_POLICY),
            (INNOCENT, INNOCENT_POLICY),
        )
    }
    _pipeline(iam)
    place = {"LocationConstraint": aws.region}
    s3.create_bucket(Bucket=ATTACHMENTS, CreateBucketConfiguration=place)
    s3.create_bucket(Bucket=EXPORTS, CreateBucketConfiguration=place)
    s3.create_bucket(Bucket=EVIDENCE, CreateBucketConfiguration=place, ObjectLockEnabledForBucket=True)
    s3.put_object_lock_configuration(
        Bucket=EVIDENCE,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": retention_days}},
        },
    )
    names = tuple(f"cases/{number:08d}/attachment.txt" for number in range(1, attachments + 1))
    for name in names:
        s3.put_object(Bucket=ATTACHMENTS, Key=name, Body=f"Attachment of {name}\n".encode())
    s3.put_object(Bucket=EXPORTS, Key="orders/latest.csv", Body=b"order,total\nA-1,19.90\n")
    aws.client("secretsmanager").create_secret(Name=SUPPORT_SECRET, SecretString="webhook-secret-1")
    return AwsWorld(keys[RESPONDER], keys[STOLEN_FROM], keys[INNOCENT], names)


def _user(iam: Any, name: str, statements: list[Statement]) -> Key:
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=_document(statements))
    while True:
        key = iam.create_access_key(UserName=name)["AccessKey"]
        # Scanners for secrets look for word boundaries; a secret that ends in / or + would be a lottery.
        if key["SecretAccessKey"][0].isalnum() and key["SecretAccessKey"][-1].isalnum():
            return Key(key["AccessKeyId"], key["SecretAccessKey"])
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])


def _pipeline(iam: Any) -> None:
    """The release pipeline's user, and a role that the innocent user assumes: its sessions are contained
    differently."""
    trust = {"Effect": "Allow", "Principal": {"AWS": _users(INNOCENT)[0]}, "Action": "sts:AssumeRole"}
    iam.create_user(UserName=CI_USER)
    iam.create_role(RoleName=CI_ROLE, AssumeRolePolicyDocument=_document([trust]))
    iam.put_role_policy(RoleName=CI_ROLE, PolicyName=CI_ROLE, PolicyDocument=_document(INNOCENT_POLICY))
    assume = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Resource": f"arn:aws:iam::{ACCOUNT}:role/{CI_ROLE}",
    }
    iam.put_user_policy(UserName=INNOCENT, PolicyName="assume-ci", PolicyDocument=_document([assume]))


def _document(statements: list[Statement]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
