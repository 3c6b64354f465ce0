"""How the responder logs in: JWT bearer or client credentials, at the org's own My Domain.

The access token lives here alone. Everything that calls Salesforce asks for the current one at each
call, so that a re-login in one thread reaches all others. SOAP and username-password logins are not
offered: Salesforce is retiring both.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt

from blocks.errors import LeakResponseError, Refused, SecretUnavailable, Unreachable
from blocks.salesforce.errors import error_codes

ASSERTION_SECONDS = 180  # Salesforce accepts at most 3 minutes (5 in some docs)
FIXES = {
    "invalid_client": "Check the consumer key; for client credentials also the consumer secret.",
    "invalid_client_id": "Check the consumer key.",
    "invalid_grant": (
        "Pre-authorise the responder's user for its app, check user name, audience and certificate, "
        "and that this machine's clock is right."
    ),
    "inactive_user": "Activate the responder's user.",
    "inactive_org": "The org is locked or closed; ask Salesforce.",
    "invalid_app_access": "Assign the responder's user to the app by profile or permission set.",
    "unsupported_grant_type": "Enable this OAuth flow on the responder's app.",
    "rate_limit_exceeded": "Too many logins; wait a minute.",
}


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and whose it is. The value is a secret: it is kept out of repr."""

    value: str
    user_id: str
    org_id: str

    def __repr__(self) -> str:
        return f"Token(user_id={self.user_id!r}, org_id={self.org_id!r})"


def jwt_form(consumer_key: str, username: str, audience: str, private_key: str, now: float) -> dict[str, str]:
    """The login form of the JWT bearer flow; `now` is the Unix time of the assertion.

    Raises SecretUnavailable when the key is not an RSA private key in PEM form.
    """
    claims = {"iss": consumer_key, "sub": username, "aud": audience, "exp": int(now) + ASSERTION_SECONDS}
    try:
        assertion = jwt.encode(claims, private_key, algorithm="RS256")
    except (jwt.PyJWTError, ValueError, TypeError):
        raise SecretUnavailable(
            "The responder's private key is not a usable RSA key.", "Store the unencrypted PEM text."
        ) from None
    return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}


def client_credentials_form(consumer_key: str, consumer_secret: str) -> dict[str, str]:
    """The login form of the client-credentials flow (in the body: never in the address)."""
    return {
        "grant_type": "client_credentials",
        "client_id": consumer_key,
        "client_secret": consumer_secret,
    }


def read_token(status: int, body: Any) -> Token:
    """The token in a login's answer; raises Refused or Unreachable with what to do."""
    if status != 200 or not isinstance(body, dict) or not isinstance(body.get("access_token"), str):
        codes = error_codes(body)
        shown = ", ".join(codes) or f"HTTP {status}"
        if status >= 500 or status == 429:
            raise Unreachable(f"Salesforce cannot log us in now: {shown}.", "Try again shortly.")
        if status == 200:
            raise Unreachable(
                "The answer to the responder's login could not be read.",
                "It is tried again; if it goes on, check that the address is the My Domain.",
            )
        fix = next(
            (FIXES[code] for code in codes if code in FIXES), "Check that the address is the My Domain."
        )
        raise Refused(f"Salesforce refused the responder's login: {shown}.", fix)
    # `id` is https://HOST/id/ORG/USER
    parts = str(body.get("id", "")).rstrip("/").split("/")
    org_id, user_id = (parts[-2], parts[-1]) if len(parts) >= 2 else ("", "")
    return Token(body["access_token"], user_id, org_id)


class TokenSource:
    """The current token, shared by all threads: one login at a time, and not too many of them.

    A login that just failed is not repeated by every waiting thread, and `max_logins` in `per_s` seconds
    ends a loop of logins whose tokens are refused at once.
    """

    def __init__(
        self,
        login: Callable[[], Token],
        *,
        max_logins: int = 6,
        per_s: float = 60,
        failure_holds_s: float = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._login = login
        self._max_logins = max_logins
        self._per_s = per_s
        self._failure_holds_s = failure_holds_s
        self._clock = clock
        self._guard = threading.Lock()
        self._token: Token | None = None
        self._logins: deque[float] = deque()
        self._failure: tuple[float, LeakResponseError] | None = None

    def current(self) -> Token:
        """The token to use now; logs in if there is none. Raises what the login raises."""
        with self._guard:
            return self._token or self._renewed()

    def renew(self, stale: str) -> Token:
        """A token other than `stale`: the one another thread fetched meanwhile, or a new one."""
        with self._guard:
            if self._token is not None and self._token.value != stale:
                return self._token
            self._token = None
            return self._renewed()

    def _renewed(self) -> Token:
        now = self._clock()
        if self._failure and now - self._failure[0] < self._failure_holds_s:
            raise self._failure[1].with_traceback(None)
        while self._logins and now - self._logins[0] > self._per_s:
            self._logins.popleft()
        if len(self._logins) >= self._max_logins:
            raise Refused(
                f"Logged in {self._max_logins} times within {self._per_s:.0f} s and every token was refused.",
                "The responder's own access is being revoked; check its user, its app and who is logged in.",
            )
        self._logins.append(now)
        try:
            self._token = self._login()
        except LeakResponseError as error:
            self._failure = (self._clock(), error)
            raise
        self._failure = None
        return self._token
