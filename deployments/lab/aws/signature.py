"""Checks a request's Signature Version 4, in the header or in a presigned address.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

SKEW = timedelta(minutes=15)
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class Signature:
    """What the request says about its signature."""

    key_id: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str
    at: str  # 20261124T093000Z
    token: str | None
    presigned_for: timedelta | None = None

    @property
    def instant(self) -> datetime:
        return datetime.strptime(self.at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def read(headers: Mapping[str, str], query: str) -> Signature | None:
    """The signature of a request; None when it carries none. Raises ValueError when it is malformed."""
    authorization = headers.get("authorization", "")
    if authorization.startswith("AWS4-HMAC-SHA256"):
        parts = dict(re.findall(r"(Credential|SignedHeaders|Signature)=([^,\s]+)", authorization))
        scope = parts["Credential"].split("/")
        return Signature(
            key_id=scope[0],
            region=scope[2],
            service=scope[3],
            signed_headers=tuple(parts["SignedHeaders"].split(";")),
            value=parts["Signature"],
            at=headers.get("x-amz-date", ""),
            token=headers.get("x-amz-security-token"),
        )
    asked = dict(parse_qsl(query, keep_blank_values=True))
    if "X-Amz-Signature" in asked:
        scope = asked["X-Amz-Credential"].split("/")
        return Signature(
            key_id=scope[0],
            region=scope[2],
            service=scope[3],
            signed_headers=tuple(asked["X-Amz-SignedHeaders"].split(";")),
            value=asked["X-Amz-Signature"],
            at=asked["X-Amz-Date"],
            token=asked.get("X-Amz-Security-Token"),
            presigned_for=timedelta(seconds=int(asked["X-Amz-Expires"])),
        )
    return None


def matches(
    signature: Signature, secret: str, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> bool:
    """Whether the request was signed with this secret and its body is the one that was signed.

    `url` is path and query exactly as they came over the wire; header names are in lower case.
    """
    declared = headers.get("x-amz-content-sha256")
    if declared and re.fullmatch(r"[0-9a-f]{64}", declared) and _sha256(body) != declared:
        return False
    if declared is None:
        unsigned = signature.presigned_for is not None and signature.service == "s3"
        declared = UNSIGNED_PAYLOAD if unsigned else _sha256(body)
    path, _, query = url.partition("?")
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    canonical = "\n".join(
        [
            method.upper(),
            # S3 signs the path as it is sent; everybody else encodes it once more.
            path if signature.service == "s3" else quote(path, safe="/~"),
            "&".join(f"{name}={value}" for name, value in sorted(pairs) if name != "X-Amz-Signature"),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signature.signed_headers),
            "",
            ";".join(signature.signed_headers),
            declared,
        ]
    )
    scope = f"{signature.at[:8]}/{signature.region}/{signature.service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{signature.at}\n{scope}\n{_sha256(canonical.encode())}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, to_sign.encode(), "sha256").hex(), signature.value)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
