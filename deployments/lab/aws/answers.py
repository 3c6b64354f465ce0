"""Error answers in the shape that each AWS protocol has for them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape

StartResponse = Callable[..., Any]


class AwsError(Exception):
    """A refusal: AWS's code, its message, and the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(code, message, status)
        self.code = code
        self.message = message
        self.status = status


# Codes differ by protocol. Columns: S3, query (IAM, STS), JSON (Secrets Manager, KMS, CloudTrail).
CODES = {
    "unknown-key": ("InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"),
    "bad-token": ("InvalidToken", "InvalidClientTokenId", "UnrecognizedClientException"),
    "bad-signature": ("SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException"),
    "skewed": ("RequestTimeTooSkewed", "SignatureDoesNotMatch", "InvalidSignatureException"),
    "expired": ("ExpiredToken", "ExpiredToken", "ExpiredTokenException"),
    "unsigned": ("AccessDenied", "MissingAuthenticationToken", "MissingAuthenticationTokenException"),
    "denied": ("AccessDenied", "AccessDenied", "AccessDeniedException"),
    "throttled": ("SlowDown", "Throttling", "ThrottlingException"),
    "unavailable": ("ServiceUnavailable", "ServiceUnavailable", "ServiceUnavailableException"),
    "failed": ("InternalError", "ServiceFailure", "InternalServerException"),
}


def error(protocol: str, what: str, message: str) -> AwsError:
    """The refusal `what` as this protocol words it."""
    code = CODES[what][("s3", "query", "json").index(protocol)]
    status = {"throttled": 503 if protocol == "s3" else 400, "unavailable": 503, "failed": 500}.get(what)
    if status is None:
        status = 400 if protocol == "json" or (protocol == "s3" and what in ("expired", "bad-token")) else 403
    return AwsError(code, message, status)


def protocol_of(service: str, environ: Mapping[str, Any]) -> str:
    if service == "s3":
        return "s3"
    return "json" if environ.get("HTTP_X_AMZ_TARGET") else "query"


def send(start_response: StartResponse, protocol: str, refusal: AwsError, method: str) -> Iterable[bytes]:
    request_id = str(uuid.uuid4())
    code, message = escape(refusal.code), escape(refusal.message)
    headers = [("x-amzn-requestid", request_id)]
    if protocol == "json":
        body = json.dumps({"__type": refusal.code, "message": refusal.message})
        headers += [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-errortype", refusal.code)]
    elif protocol == "s3":
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{request_id}</RequestId></Error>"
        )
        headers.append(("Content-Type", "application/xml"))
    else:
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        headers.append(("Content-Type", "text/xml"))
    data = b"" if method == "HEAD" else body.encode()
    headers.append(("Content-Length", str(len(data))))
    start_response(f"{refusal.status} Refused", headers)
    return [data]
