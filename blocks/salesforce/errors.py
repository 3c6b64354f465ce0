"""Salesforce's refusals as our errors: its codes are kept, its texts (which can quote data) are not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from simple_salesforce.exceptions import SalesforceError

from blocks.errors import LeakResponseError, Refused, Unreachable

# Codes by which Salesforce says "not now, nothing was done".
NOT_NOW = frozenset({"REQUEST_LIMIT_EXCEEDED", "UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE"})

FIXES = {
    "REQUEST_LIMIT_EXCEEDED": "The org's API limit is used up; wait, or ask Salesforce to raise it.",
    "UNABLE_TO_LOCK_ROW": "Another transaction holds the record; try again.",
    "INVALID_SESSION_ID": "Log in again; if it persists, the responder's own access was revoked.",
    "INSUFFICIENT_ACCESS": "Give the responder the permission this needs; preflight lists it.",
    "INSUFFICIENT_ACCESS_OR_READONLY": "Give the responder the permission this needs; preflight lists it.",
    "API_DISABLED_FOR_ORG": "Give the responder's user the permission API Enabled.",
    "API_CURRENTLY_DISABLED": "Give the responder's user the permission API Enabled.",
    "INVALID_TYPE": "The responder cannot see this object, or the org does not have it; check object access.",
    "INVALID_FIELD": "The responder cannot see this field, or the org does not have it; check field access.",
}


class SalesforceRefused(Refused):
    """Salesforce answered and said no. `codes` are its own error codes, `status` the HTTP status."""

    def __init__(self, problem: str, fix: str, status: int, codes: tuple[str, ...]) -> None:
        super().__init__(problem, fix)
        self.status = status
        self.codes = codes


class SalesforceUnavailable(Unreachable):
    """Salesforce answered that it cannot serve now (5xx, limits, locks); the retries are used up."""

    def __init__(self, problem: str, fix: str, status: int, codes: tuple[str, ...]) -> None:
        super().__init__(problem, fix)
        self.status = status
        self.codes = codes


def error_codes(body: Any) -> tuple[str, ...]:
    """The error codes in a Salesforce error body of any of its shapes: REST list, OAuth or Bulk mapping."""
    items = body if isinstance(body, list) else [body]
    keys = ("errorCode", "error", "exceptionCode", "statusCode")
    return tuple(
        str(item[key])
        for item in items
        if isinstance(item, dict)
        for key in keys
        if isinstance(item.get(key), str)
    )


def response_codes(response: requests.Response) -> tuple[str, ...]:
    """The error codes of a response; none when its body is not JSON."""
    try:
        return error_codes(response.json())
    except ValueError:
        return ()


def refusal(what: str, status: int, codes: tuple[str, ...], fix: str = "") -> LeakResponseError:
    """The error that stands for an HTTP status and Salesforce's codes."""
    shown = ", ".join(codes) or f"HTTP {status}"
    advice = fix or next(
        (FIXES[code] for code in codes if code in FIXES), "Look the code up in the API guide."
    )
    if status >= 500 or status == 429 or NOT_NOW.intersection(codes):
        return SalesforceUnavailable(f"Salesforce cannot serve now: {shown} ({what}).", advice, status, codes)
    return SalesforceRefused(f"Salesforce refused: {shown} ({what}).", advice, status, codes)


@contextmanager
def salesforce_errors(what: str, fix: str = "") -> Iterator[None]:
    """Turn simple-salesforce's and requests' errors into ours. `what` is shown: no secret, no data."""
    try:
        yield
    except LeakResponseError:
        raise
    except SalesforceError as error:
        status = int(getattr(error, "status", 0) or 0)
        raise refusal(what, status, error_codes(getattr(error, "content", None)), fix) from None
    except (requests.RequestException, ValueError) as error:
        raise Unreachable(
            f"Salesforce's answer could not be read ({what}): {type(error).__name__}.",
            "Try again; check that the address is the org's My Domain.",
        ) from None
