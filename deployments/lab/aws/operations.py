"""Which AWS operation a request is, which IAM action it needs and on which resource."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.core.request import Request
from moto.core.routing import get_service_router
from moto.iam.models import iam_backends
from werkzeug.exceptions import NotFound

from .principals import ACCOUNT, PARTITION


@dataclass(frozen=True, slots=True)
class Operation:
    """One request: `name` as in the API reference, `grants` the (action, resource) pairs it needs."""

    service: str
    name: str
    parameters: Mapping[str, Any]
    grants: tuple[tuple[str, str], ...]
    bucket: str | None = None
    key: str | None = None

    @property
    def data_event(self) -> bool:
        """CloudTrail keeps object-level S3 calls out of its event history."""
        return self.service == "s3" and (self.key is not None or self.name in S3_DATA_ON_BUCKETS)

    @property
    def read_only(self) -> bool:
        return self.name.startswith(("Get", "List", "Describe", "Head", "Lookup", "Simulate"))


S3_DATA_ON_BUCKETS = {"ListObjects", "ListObjectsV2", "ListObjectVersions", "DeleteObjects"}

# S3 operations whose IAM action has another name.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
S3_ACTIONS = {
    "ListBuckets": "ListAllMyBuckets",
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "HeadObject": "GetObject",
    "GetObjectAttributes": "GetObject",
    "SelectObjectContent": "GetObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListParts": "ListMultipartUploadParts",
    "DeleteObjects": "DeleteObject",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketCors": "GetBucketCORS",
    "PutBucketCors": "PutBucketCORS",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketTagging": "PutBucketTagging",
}

# With a version named, S3 asks for the Version form of these.
S3_VERSIONED = {"GetObject", "DeleteObject", "GetObjectAcl", "PutObjectAcl", "GetObjectTagging"}


def identify(service: str, region: str, environ: Mapping[str, Any], body: bytes, caller: str) -> Operation:
    """Read the operation of a request. `caller` is the user name that IAM calls without UserName mean."""
    if service == "s3":
        return _s3(environ, body)
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        name = target.rpartition(".")[2]
        parameters: dict[str, Any] = json.loads(body or b"{}")
    else:
        pairs = parse_qs(body.decode(errors="replace") or environ.get("QUERY_STRING", ""))
        parameters = {key: values[0] for key, values in pairs.items()}
        name = parameters.pop("Action", "")
        if not name:
            name, parameters = _routed(service, environ)
    resource = _resource(service, region, name, parameters, caller)
    return Operation(service, name, parameters, ((f"{service}:{name}", resource),))


def _routed(service: str, environ: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    try:
        operation, parameters = get_service_router(service).match(Request(dict(environ)))
    except (NotFound, NotImplementedError):
        return "", {}
    return operation.name, {name: unquote(value) for name, value in parameters.items()}


def _s3(environ: Mapping[str, Any], body: bytes) -> Operation:
    name, parameters = _routed("s3", environ)
    bucket, key = parameters.get("Bucket"), parameters.get("Key")
    asked = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    action = S3_ACTIONS.get(name, name)
    if "versionId" in asked and action in S3_VERSIONED:
        action = action.replace("Object", "ObjectVersion", 1)
    resource = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}" if bucket else "*"
    grants = [(f"s3:{action}", resource)]
    if name == "DeleteObjects":
        grants = [(f"s3:{act}", f"arn:aws:s3:::{bucket}/{target}") for act, target in _deletions(body)]
    source = environ.get("HTTP_X_AMZ_COPY_SOURCE")
    if source:
        grants.append(("s3:GetObject", f"arn:aws:s3:::{unquote(source).partition('?')[0].lstrip('/')}"))
    if environ.get("HTTP_X_AMZ_BYPASS_GOVERNANCE_RETENTION", "").lower() == "true":
        grants += [("s3:BypassGovernanceRetention", target) for _, target in list(grants)]
    if environ.get("HTTP_X_AMZ_OBJECT_LOCK_MODE"):
        grants.append(("s3:PutObjectRetention", resource))
    if environ.get("HTTP_X_AMZ_OBJECT_LOCK_LEGAL_HOLD"):
        grants.append(("s3:PutObjectLegalHold", resource))
    parameters |= {name: values[0] for name, values in asked.items()}
    return Operation("s3", name, parameters, tuple(grants), bucket, key)


def _deletions(body: bytes) -> list[tuple[str, str]]:
    """IAM action and key of each object in a DeleteObjects body."""
    found = []
    for entry in ElementTree.fromstring(body).iter("{*}Object"):  # noqa: S314 - the caller is signed in
        version = entry.findtext("{*}VersionId")
        found.append(("DeleteObjectVersion" if version else "DeleteObject", entry.findtext("{*}Key") or ""))
    return found


def _resource(service: str, region: str, name: str, parameters: Mapping[str, Any], caller: str) -> str:
    """The ARN an action is on; `*` for actions that have none (lists, account-wide calls)."""
    if service == "iam":
        return _iam_resource(name, parameters, caller)
    if service == "sts":
        return str(parameters.get("RoleArn", "*"))
    if service == "secretsmanager" and "SecretId" in parameters:
        return _secret_arn(str(parameters["SecretId"]), region)
    if service == "kms" and "KeyId" in parameters:
        key = str(parameters["KeyId"])
        return key if key.startswith("arn:") else f"arn:aws:kms:{region}:{ACCOUNT}:key/{key}"
    return "*"


def _iam_resource(name: str, parameters: Mapping[str, Any], caller: str) -> str:
    backend = iam_backends[ACCOUNT][PARTITION]
    if "PolicyArn" in parameters and name.endswith(("Policy", "PolicyVersion", "PolicyVersions")):
        holder = {"Attach", "Detach"} & {name[:6]}
        if not holder:
            return str(parameters["PolicyArn"])
    if "RoleName" in parameters:
        role = next((r for r in backend.roles.values() if r.name == parameters["RoleName"]), None)
        return role.arn if role else f"arn:aws:iam::{ACCOUNT}:role/{parameters['RoleName']}"
    if "GroupName" in parameters and name != "AddUserToGroup":
        return f"arn:aws:iam::{ACCOUNT}:group/{parameters['GroupName']}"
    if name in ("ListUsers", "ListRoles", "ListGroups", "ListPolicies", "GetAccountSummary"):
        return "*"
    if name == "GetAccessKeyLastUsed":
        key_id = parameters.get("AccessKeyId")
        owner = next(
            (u.name for u in backend.users.values() for k in u.access_keys if k.access_key_id == key_id), None
        )
        return f"arn:aws:iam::{ACCOUNT}:user/{owner}" if owner else "*"
    user_name = str(parameters.get("UserName", caller))
    user = backend.users.get(user_name)
    return user.arn if user else f"arn:aws:iam::{ACCOUNT}:user/{user_name}"


def _secret_arn(secret_id: str, region: str) -> str:
    """Policies name a secret by its full ARN, with the six random characters at its end."""
    if secret_id.startswith("arn:"):
        return secret_id
    from moto.secretsmanager.models import secretsmanager_backends

    secrets = secretsmanager_backends[ACCOUNT][region].secrets
    if secret_id in secrets:
        return str(secrets[secret_id].arn)
    return f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{secret_id}"
