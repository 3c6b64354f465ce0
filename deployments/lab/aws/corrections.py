"""What moto answers wrongly, put right. Each function here is one correction, with what AWS does instead.

The corrections that need only a better answer are made in moto's own classes when the server starts
(`install`); the calls that moto does not serve, or serves with constants, are answered here (`own_answer`).
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.kms.models import KmsBackend
from moto.s3.models import S3Backend, s3_backends
from moto.secretsmanager.models import SecretsManagerBackend
from moto.sts.models import STSBackend

from . import principals, simulate
from .answers import AwsError, error
from .bootstrap import install_managed_policies
from .operations import Operation
from .principals import ACCOUNT, PARTITION, Principal, UserSession
from .trail import Trail


def install() -> None:
    """Put the corrections into moto. Called once, before the first request."""
    install_managed_policies()
    _secret_stages()
    _secret_versions()
    _object_lock()
    _locked_uploads()
    _disabled_kms_keys()
    _issue_times()


def _replace(backend: type, name: str, corrected: Callable[..., Any]) -> None:
    setattr(backend, name, corrected)


def own_answer(
    principal: Principal, operation: Operation, body: bytes, region: str, trail: Trail
) -> tuple[str, bytes] | None:
    """Content type and body of a call that moto does not serve rightly; None to let moto answer."""
    match operation.service, operation.name:
        case "cloudtrail", "LookupEvents":
            return "application/x-amz-json-1.1", json.dumps(
                trail.lookup(region, operation.parameters)
            ).encode()
        case "s3", "GetObjectRetention":
            return "application/xml", _retention_xml(operation)
        case "sts", "GetSessionToken" | "GetFederationToken":
            return "text/xml", _session_xml(principal, operation)
        case "sts", "GetCallerIdentity":
            return "text/xml", _identity_xml(principal)
        case "iam", "SimulatePrincipalPolicy":
            return "text/xml", simulate.answer(operation.parameters, principal)
        case "secretsmanager", "RotateSecret":
            _refuse_rotation(operation)
    return None


# --- Secrets Manager: a plain read follows the AWSCURRENT label (moto: the version written last as such) ---


def _secret_stages() -> None:
    move: Callable[..., tuple[str, str]] = SecretsManagerBackend.update_secret_version_stage

    def corrected(self: SecretsManagerBackend, **kwargs: Any) -> tuple[str, str]:
        secret: Any = self.secrets.get(kwargs["secret_id"])
        stage, target = kwargs["version_stage"], kwargs.get("move_to_version_id") or ""
        if secret is not None and target in secret.versions and not kwargs.get("remove_from_version_id"):
            _refuse_label_taken(secret.versions, stage, target)
        answer = move(self, **kwargs)
        if secret is not None and stage == "AWSCURRENT" and target:
            secret.set_default_version_id(target)
        return answer

    _replace(SecretsManagerBackend, "update_secret_version_stage", corrected)


def _secret_versions() -> None:
    """A version was created when it was written (moto: whenever the list is asked for)."""
    listed: Callable[..., str] = SecretsManagerBackend.list_secret_version_ids

    def corrected(self: SecretsManagerBackend, secret_id: str) -> str:
        versions: Any = self.secrets[secret_id].versions
        answer = json.loads(listed(self, secret_id))
        for version in answer["Versions"]:
            version["CreatedDate"] = versions[version["VersionId"]]["createdate"]
        return json.dumps(answer)

    _replace(SecretsManagerBackend, "list_secret_version_ids", corrected)


def _refuse_rotation(operation: Operation) -> None:
    """There is no Lambda here to rotate with. moto would report success and leave two current versions."""
    if operation.parameters.get("RotationLambdaARN"):
        raise AwsError(
            "AccessDeniedException",
            "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy "
            "grants access to the principal secretsmanager.amazonaws.com.",
            400,
        )
    raise AwsError(
        "InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.", 400
    )


def _refuse_label_taken(versions: dict[str, Any], stage: str, target: str) -> None:
    """AWS moves a label only away from the version that the call names as its holder."""
    for version_id, version in versions.items():
        if stage in version["version_stages"] and version_id != target:
            raise AwsError(
                "InvalidParameterException",
                f"The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently "
                f"attached to version {version_id}, so you must explicitly reference that version in "
                "RemoveFromVersionId.",
                400,
            )


# --- S3 Object Lock: COMPLIANCE cannot be shortened, weakened or lifted; GOVERNANCE only with the bypass ----


def _object_lock() -> None:
    put: Callable[..., None] = S3Backend.put_object_retention

    def corrected(
        self: S3Backend, bucket_name: str, key_name: str, version_id: str | None, retention: tuple[Any, Any]
    ) -> None:
        key: Any = self.get_object(bucket_name, key_name, version_id=version_id)
        mode, until = retention
        if key is not None and key.lock_mode and _instant(key.lock_until) > datetime.now(UTC):
            weaker = mode != key.lock_mode or until is None or _instant(until) < _instant(key.lock_until)
            if mode == "COMPLIANCE" and key.lock_mode == "GOVERNANCE":
                weaker = until is None or _instant(until) < _instant(key.lock_until)
            if weaker and not (key.lock_mode == "GOVERNANCE" and _bypass()):
                raise AwsError("AccessDenied", "Access Denied because object protected by object lock.", 403)
        put(self, bucket_name, key_name, version_id=version_id, retention=retention)

    _replace(S3Backend, "put_object_retention", corrected)


def _locked_uploads() -> None:
    """An object uploaded in parts is locked like any other: as asked at its start, or by the default."""
    begin: Callable[..., Any] = S3Backend.create_multipart_upload
    complete: Callable[..., Any] = S3Backend.complete_multipart_upload

    def corrected_begin(self: S3Backend, *args: Any, **kwargs: Any) -> Any:
        from flask import request

        upload = begin(self, *args, **kwargs)
        names = ("mode", "retain-until-date", "legal-hold")
        upload.lab_lock = [request.headers.get(f"x-amz-object-lock-{name}") for name in names]
        return upload

    def corrected_complete(self: S3Backend, bucket_name: str, multipart_id: str, body: Any) -> Any:
        bucket: Any = self.get_bucket(bucket_name)
        mode, until, hold = bucket.multiparts[multipart_id].lab_lock
        key = complete(self, bucket_name, multipart_id, body)
        if key is not None:
            if mode is None and bucket.object_lock_enabled and bucket.has_default_lock:
                mode, until = bucket.default_lock_mode, bucket.default_retention()
            key.lock_mode, key.lock_until, key.lock_legal_status = mode, until, hold
        return key

    _replace(S3Backend, "create_multipart_upload", corrected_begin)
    _replace(S3Backend, "complete_multipart_upload", corrected_complete)


def _bypass() -> bool:
    """Whether the request now being served carries the (already authorised) governance bypass."""
    from flask import request

    return request.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"


def _retention_xml(operation: Operation) -> bytes:
    """moto fails on objects that got their retention from the bucket's default."""
    backend = s3_backends[ACCOUNT][PARTITION]
    name, path = operation.bucket or "", operation.key or ""
    bucket = backend.buckets.get(name)
    if bucket is None:
        raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404)
    key = backend.get_object(name, path, version_id=operation.parameters.get("versionId"))
    if key is None:
        raise AwsError("NoSuchKey", "The specified key does not exist.", 404)
    if not bucket.object_lock_enabled:
        raise AwsError("InvalidRequest", "Bucket is missing Object Lock Configuration", 400)
    if not key.lock_mode:
        raise AwsError(
            "NoSuchObjectLockConfiguration",
            "The specified object does not have a ObjectLock configuration",
            404,
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Mode>{key.lock_mode}</Mode><RetainUntilDate>{key.lock_until}</RetainUntilDate></Retention>"
    ).encode()


def _instant(text: str) -> datetime:
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


# --- KMS: a disabled key neither encrypts nor decrypts nor signs (moto: it still does) ----------------------


def _disabled_kms_keys() -> None:
    def refuse_disabled(backend: KmsBackend, key_id: str) -> None:
        key = backend.keys.get(backend.any_id_to_key_id(key_id))
        if key is not None and key.key_state == "Disabled":
            raise AwsError("DisabledException", f"{key.arn} is disabled.", 400)
        if key is not None and key.key_state == "PendingDeletion":
            raise AwsError("KMSInvalidStateException", f"{key.arn} is pending deletion.", 400)

    def guarded(name: str) -> None:
        original: Callable[..., Any] = getattr(KmsBackend, name)

        def corrected(self: KmsBackend, key_id: str, *args: Any, **kwargs: Any) -> Any:
            refuse_disabled(self, key_id)
            return original(self, key_id, *args, **kwargs)

        _replace(KmsBackend, name, corrected)

    for name in ("encrypt", "sign", "verify", "generate_data_key", "generate_mac", "verify_mac"):
        guarded(name)

    decrypt: Callable[..., tuple[bytes, str]] = KmsBackend.decrypt

    def corrected_decrypt(self: KmsBackend, *args: Any, **kwargs: Any) -> tuple[bytes, str]:
        plaintext, arn = decrypt(self, *args, **kwargs)
        refuse_disabled(self, arn)
        return plaintext, arn

    _replace(KmsBackend, "decrypt", corrected_decrypt)


# --- STS: temporary keys have an issue time, and a user's own are usable (moto: one constant example key) ---


def _issue_times() -> None:
    assume: Callable[..., Any] = STSBackend.assume_role

    def corrected(self: STSBackend, *args: Any, **kwargs: Any) -> Any:
        role = assume(self, *args, **kwargs)
        principals.issued[role.access_key_id] = datetime.now(UTC)
        return role

    _replace(STSBackend, "assume_role", corrected)


def _session_xml(principal: Principal, operation: Operation) -> bytes:
    if principal.kind != "User" or principal.session_token is not None:
        raise error("query", "denied", f"Cannot call {operation.name} with session credentials")
    now = datetime.now(UTC)
    federated = str(operation.parameters["Name"]) if operation.name == "GetFederationToken" else None
    letters = string.ascii_letters + string.digits
    session = UserSession(
        key_id="ASIA" + "".join(secrets.choice(string.ascii_uppercase + "234567") for _ in range(16)),
        secret="".join(secrets.choice(letters) for _ in range(40)),
        token="IQoJb3JpZ2luX2VjE" + "".join(secrets.choice(letters) for _ in range(220)),
        user_name=principal.name,
        issued_at=now,
        expires_at=now + timedelta(seconds=int(operation.parameters.get("DurationSeconds", 43200))),
        federated_name=federated,
        policy=operation.parameters.get("Policy"),
    )
    principals.user_sessions[session.key_id] = session
    user = ""
    if federated is not None:
        arn = f"arn:aws:sts::{ACCOUNT}:federated-user/{federated}"
        user = (
            f"<FederatedUser><FederatedUserId>{ACCOUNT}:{federated}</FederatedUserId><Arn>{arn}</Arn>"
            "</FederatedUser><PackedPolicySize>6</PackedPolicySize>"
        )
    name = operation.name
    return (
        f'<{name}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{name}Result><Credentials>'
        f"<AccessKeyId>{session.key_id}</AccessKeyId><SecretAccessKey>{session.secret}</SecretAccessKey>"
        f"<SessionToken>{session.token}</SessionToken>"
        f"<Expiration>{session.expires_at.strftime('%Y-%m-%dT%H:%M:%SZ')}</Expiration></Credentials>{user}"
        f"</{name}Result><ResponseMetadata><RequestId>{secrets.token_hex(16)}</RequestId></ResponseMetadata>"
        f"</{name}Response>"
    ).encode()


def _identity_xml(principal: Principal) -> bytes:
    """moto does not know whose the sessions above are, and answers with an example."""
    return (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"<Arn>{principal.arn}</Arn><UserId>{principal.user_id}</UserId><Account>{ACCOUNT}</Account>"
        f"</GetCallerIdentityResult><ResponseMetadata><RequestId>{secrets.token_hex(16)}</RequestId>"
        "</ResponseMetadata></GetCallerIdentityResponse>"
    ).encode()
