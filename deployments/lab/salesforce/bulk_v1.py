"""Bulk API 1 (/services/async): not offered yet, and refused in its own error shape."""

from __future__ import annotations

from deployments.lab.salesforce.wire import ApiError, Call, Reply, not_found


def error_reply(call: Call, error: ApiError) -> Reply:
    """Bulk 1 errors are one object, and an expired session is a 400."""
    code = {"INVALID_SESSION_ID": "InvalidSessionId", "NOT_FOUND": "InvalidUrl"}.get(error.code, error.code)
    status = 400 if error.code == "INVALID_SESSION_ID" else error.status
    return Reply.json({"exceptionCode": code, "exceptionMessage": error.message}, status)


def handle(call: Call, rest: list[str]) -> Reply:
    raise not_found()
