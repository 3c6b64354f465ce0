"""Access kind `bucket-policy`: a bucket whose own policy lets a suspect in, whatever IAM says.

Closing adds one deny statement for the principal to the policy that stands; undo takes it out again and
leaves the policy byte for byte as it was, unless somebody has changed it in between: then only our statement
goes.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from typing import Any

from blocks.aws import AwsRefused, aws_errors
from tasks.contain.aws.account import principals
from tasks.contain.aws.documents import joined, named_in, pieces, statements
from tasks.contain.kinds import AccessKind, Reopened
from tasks.contain.world import World
from tasks.incident import Access, Proof, System

NO_POLICY = frozenset({"NoSuchBucketPolicy", "NoSuchBucket"})


class BucketPolicy(AccessKind):
    """One access per bucket and suspect that its policy allows by name. A policy that allows everybody is no
    access of the suspect's: a deny would not stop the suspect from coming without a name."""

    system = System.AWS
    name = "bucket-policy"
    action = "deny the principal in the bucket's policy"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._writing = threading.Lock()  # two principals of one bucket must not overwrite each other

    def observe(self) -> list[Access]:
        arns = {self.world.aws.arn(p): next(iter(p.values())) for p in principals(self.world)}
        found = []
        for bucket in self._buckets():
            text = self._policy(bucket)
            if text is None:
                continue
            allowed = {
                named
                for statement in statements(json.loads(text))
                if statement.get("Effect") == "Allow"
                for named in named_in(statement)
            }
            for arn in sorted(allowed & arns.keys()):
                access = self.access(
                    arns[arn], f"{bucket}/{arn}", bucket=bucket, arn=arn, policy=pieces(text)
                )
                if not self._denied(access):
                    found.append(access)
        return found

    def close(self, access: Access) -> None:
        bucket = access.before["bucket"]
        with self._writing:
            document = json.loads(self._policy(bucket) or '{"Version": "2012-10-17", "Statement": []}')
            others = [s for s in statements(document) if s.get("Sid") != self._sid(access)]
            document["Statement"] = [*others, self._deny(access)]
            with aws_errors("s3:PutBucketPolicy"):
                self._s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))

    def prove(self, access: Access) -> Proof:
        denied = self._denied(access)
        return self.recount(
            denied, f"The bucket's policy {'denies' if denied else 'does not deny'} the principal."
        )

    def reopen(self, access: Access) -> Reopened:
        bucket = access.before["bucket"]
        with self._writing:
            text = self._policy(bucket)
            if text is not None:
                document = json.loads(text)
                document["Statement"] = [s for s in statements(document) if s.get("Sid") != self._sid(access)]
                self._restore(access, document)
        if self._denied(access):
            return Reopened(False, "The deny statement is still there.")
        return Reopened(True, "The bucket's policy no longer denies the principal.")

    def _restore(self, access: Access, document: dict[str, Any]) -> None:
        """Write the policy without our statement: in the words of before when it says the same."""
        bucket = access.before["bucket"]
        text = joined(access.before.get("policy") or [])
        same = text and statements(json.loads(text)) == document["Statement"]
        with aws_errors("s3:PutBucketPolicy or s3:DeleteBucketPolicy"):
            if document["Statement"]:
                self._s3.put_bucket_policy(Bucket=bucket, Policy=text if same else json.dumps(document))
            else:
                self._s3.delete_bucket_policy(Bucket=bucket)

    def _denied(self, access: Access) -> bool:
        text = self._policy(access.before["bucket"])
        return text is not None and self._deny(access) in statements(json.loads(text))

    def _deny(self, access: Access) -> dict[str, Any]:
        bucket = f"arn:aws:s3:::{access.before['bucket']}"
        return {
            "Sid": self._sid(access),
            "Effect": "Deny",
            "Principal": {"AWS": access.before["arn"]},
            "Action": "s3:*",
            "Resource": [bucket, f"{bucket}/*"],
        }

    def _sid(self, access: Access) -> str:
        """Letters and digits alone; one per incident and principal."""
        incident = re.sub(r"[^A-Za-z0-9]", "", self.world.incident.id)
        return f"LeakResponse{incident}{hashlib.sha256(access.before['arn'].encode()).hexdigest()[:8]}"

    def _buckets(self) -> list[str]:
        with aws_errors("s3:ListAllMyBuckets"):
            return [bucket["Name"] for bucket in self._s3.list_buckets()["Buckets"]]

    def _policy(self, bucket: str) -> str | None:
        try:
            with aws_errors("s3:GetBucketPolicy"):
                text: str = self._s3.get_bucket_policy(Bucket=bucket)["Policy"]
        except AwsRefused as error:
            if error.code in NO_POLICY:
                return None
            raise
        return text

    @property
    def _s3(self) -> Any:
        return self.world.aws.client("s3")
