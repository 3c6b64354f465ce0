"""The evidence store block: an S3 bucket under Object Lock, where what is written stays as it was."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field

from blocks.aws import AwsAccount, aws_errors
from blocks.base import SystemBlock
from blocks.check import Check, attempt
from blocks.errors import Refused


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object in the evidence store: where it is, what it is, how long it cannot be changed."""

    bucket: str
    key: str
    version_id: str
    sha256: str  # hex, of the bytes
    size: int
    retain_until: datetime


class EvidenceStore(SystemBlock):
    """An S3 bucket with Object Lock for evidence packs.

    The bucket must have been made with Object Lock and versioning. Every object is written with a
    retention of its own, so that nobody, the responder included, can change or delete it before.
    """

    _block_type_name: ClassVar[str] = "Leak Response Evidence Store"
    _block_type_slug: ClassVar[str] = "leak-response-evidence-store"

    bucket: str = Field(description="Bucket with Object Lock and versioning", min_length=3, max_length=63)
    prefix: str = Field(default="incidents/", description="What every key starts with")
    retention_days: int = Field(default=365, ge=1, le=36500, description="Days an object cannot be changed")
    lock_mode: Literal["COMPLIANCE", "GOVERNANCE"] = Field(
        default="COMPLIANCE", description="COMPLIANCE binds everybody; GOVERNANCE can be lifted by permission"
    )
    aws: AwsAccount = Field(description="The AWS account the bucket belongs to")

    def get_client(self) -> Any:
        """The S3 client."""
        return self.aws.client("s3")

    def put(self, name: str, data: bytes, *, now: datetime) -> StoredObject:
        """Write `data` under prefix + name, locked for `retention_days` from `now`; returns its version.

        Writing the same name again adds a version and leaves the earlier one as it was.
        Raises Unreachable or AwsRefused.
        """
        digest = hashlib.sha256(data)
        until = (now + timedelta(days=self.retention_days)).astimezone(UTC).replace(microsecond=0)
        key = self.prefix + name
        with aws_errors("s3:PutObject with retention", self._fix()):
            answer = self.get_client().put_object(
                Bucket=self.bucket,
                Key=key,
                Body=data,
                ChecksumAlgorithm="SHA256",  # S3 wants it named whenever a retention is set
                ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                ObjectLockMode=self.lock_mode,
                ObjectLockRetainUntilDate=until,
            )
        version = str(answer.get("VersionId", ""))
        return StoredObject(self.bucket, key, version, digest.hexdigest(), len(data), until)

    def get(self, stored: StoredObject) -> bytes:
        """The bytes of exactly that version; raises Refused when they are not what was written."""
        with aws_errors("s3:GetObjectVersion", self._fix()):
            answer = self.get_client().get_object(
                Bucket=stored.bucket, Key=stored.key, VersionId=stored.version_id
            )
            data: bytes = answer["Body"].read()
        if hashlib.sha256(data).hexdigest() != stored.sha256:
            raise Refused(f"{stored.key} differs from what was written.", "Treat the store as compromised.")
        return data

    def retained_until(self, stored: StoredObject) -> datetime:
        """Until when the store itself says that this version is locked."""
        with aws_errors("s3:GetObjectRetention", self._fix()):
            answer = self.get_client().get_object_retention(
                Bucket=stored.bucket, Key=stored.key, VersionId=stored.version_id
            )
        until: datetime = answer["Retention"]["RetainUntilDate"]
        return until.astimezone(UTC)

    def check(self) -> list[Check]:
        """The bucket is there, versioned and locked, and we may write locked objects."""
        checks = [attempt("Evidence store: bucket reachable", self._reach)]
        if checks[0].ok:
            checks += [
                attempt("Evidence store: versioning on", self._versioned),
                attempt("Evidence store: Object Lock on", self._locked),
                attempt("Evidence store: may write locked objects", self._writable),
            ]
        return checks

    def _fix(self) -> str:
        return (
            f"Allow the responder s3:PutObject, s3:PutObjectRetention, s3:GetObjectVersion, "
            f"s3:GetObjectRetention and s3:AbortMultipartUpload on {self.bucket}."
        )

    def _reach(self) -> None:
        with aws_errors(f"s3:HeadBucket {self.bucket}", "Create the bucket or correct its name and region."):
            self.get_client().head_bucket(Bucket=self.bucket)

    def _versioned(self) -> None:
        with aws_errors("s3:GetBucketVersioning", "Allow s3:GetBucketVersioning."):
            state = self.get_client().get_bucket_versioning(Bucket=self.bucket).get("Status")
        if state != "Enabled":
            raise Refused(f"Bucket {self.bucket} is not versioned.", "Turn versioning on.")

    def _locked(self) -> None:
        fix = "Make a bucket with Object Lock enabled, and name it in the block."
        with aws_errors("s3:GetBucketObjectLockConfiguration", fix):
            lock = self.get_client().get_object_lock_configuration(Bucket=self.bucket)
        if lock.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise Refused(f"Bucket {self.bucket} has no Object Lock.", fix)

    def _writable(self) -> None:
        """Begin an upload of a locked object and drop it: needs the same permissions, leaves nothing."""
        client = self.get_client()
        with aws_errors("s3:PutObject with retention", self._fix()):
            upload = client.create_multipart_upload(
                Bucket=self.bucket,
                Key=f"{self.prefix}preflight",
                ObjectLockMode=self.lock_mode,
                ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(days=1),
            )
            client.abort_multipart_upload(
                Bucket=self.bucket, Key=f"{self.prefix}preflight", UploadId=upload["UploadId"]
            )
