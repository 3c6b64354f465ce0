"""The HTTP session under every Salesforce call: time-outs, retries with full jitter, re-login, request ids.

simple-salesforce has none of these and captures the access token where it can; this session puts the
current token on each request as it leaves, so that any client object built on it survives a re-login.

What is tried again, and when:
  connection refused, 429, REQUEST_LIMIT_EXCEEDED, UNABLE_TO_LOCK_ROW   any call: the server did nothing
  lost reply, time-out, 500, 502, 503, 504                              reads, PUT, PATCH, DELETE, and a POST
                                                                        the caller calls `idempotent=True`
  401 or INVALID_SESSION_ID                                             once, after one login
Nothing else: other 400s and 403s stay what they are. A DELETE or PATCH whose reply was lost can meet its
own effect on the second try (404, already aborted): callers treat that as done.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from blocks.base import user_agent
from blocks.errors import Refused, Unreachable
from blocks.salesforce.errors import response_codes
from blocks.salesforce.login import TokenSource

REQUEST_ID_PREFIX = "lkr-"  # our calls are found, and left out of scope, by it
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
EXPIRED = frozenset({"INVALID_SESSION_ID", "InvalidSessionId"})
REFUSED_FOR_NOW = frozenset({"REQUEST_LIMIT_EXCEEDED", "UNABLE_TO_LOCK_ROW"})  # nothing was done
NEVER_CONNECTED = (ConnectTimeoutError, NewConnectionError)  # a name that does not resolve is one of these
CONNECT_S = 5.0


def new_request_id() -> str:
    """An X-SFDC-REQUEST-ID of 22 characters, the length of Salesforce's own (EventLogFile REQUEST_ID)."""
    return REQUEST_ID_PREFIX + uuid.uuid4().hex[:18]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long one call is tried. Full jitter: a random wait between 0 and a doubling cap."""

    attempts: int = 6
    base_s: float = 0.3
    cap_s: float = 10
    total_s: float = 60  # from the first try; a wait that would end later is not begun

    def delay(self, failures: int, retry_after: float | None, rng: random.Random) -> float:
        """Seconds to wait after the `failures`-th failure; at least what Retry-After asks for."""
        jitter = rng.uniform(0, min(self.cap_s, self.base_s * 2.0 ** (failures - 1)))
        return jitter if retry_after is None else retry_after + jitter


class BearerAuth(requests.auth.AuthBase):
    """Puts the current token on a request as it leaves, whatever token the client had captured.

    A token goes to its own org only: any other host is refused.
    """

    def __init__(self, tokens: TokenSource, origin: str) -> None:
        self.tokens = tokens
        self.origin = origin

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if origin_of(request.url or "") != self.origin:
            raise Refused(
                "A call with the responder's token was about to leave its org.", "This was stopped."
            )
        token = self.tokens.current().value
        request.headers["Authorization"] = f"Bearer {token}"
        if "X-SFDC-Session" in request.headers:  # Bulk API 1.0
            request.headers["X-SFDC-Session"] = token
        return request


def no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request as it is: for login, revoke, and proofs with another's token."""
    return request


def origin_of(url: str) -> str:
    """Scheme, host and port of an address, in one spelling."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}"


class OrgSession(requests.Session):
    """A requests.Session for one org, safe for many threads (pool of 32). The module says what is retried."""

    def __init__(
        self,
        *,
        ca_bundle: str | None = None,
        proxy: str | None = None,
        timeout_s: float = 30,
        policy: RetryPolicy | None = None,
        pool: int = 32,
        rng: random.Random | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.trust_env = False  # else REQUESTS_CA_BUNDLE beats `verify`, and .netrc beats our token
        self.verify = ca_bundle or True
        if proxy:
            self.proxies = {"http": proxy, "https": proxy}
        self.headers["User-Agent"] = user_agent()
        self.timeout = (min(CONNECT_S, timeout_s), timeout_s)
        self.policy = policy or RetryPolicy()
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._sleep = sleep
        self._clock = clock
        self._one_at_a_time = threading.Lock()
        for scheme in ("https://", "http://"):
            self.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=pool, max_retries=0))

    def log_in_with(self, tokens: TokenSource, instance_url: str) -> None:
        """From now on every call carries the current token of `tokens`."""
        self.auth = BearerAuth(tokens, origin_of(instance_url))

    def request(  # type: ignore[override]
        self, method: str, url: str, *, idempotent: bool | None = None, **kwargs: Any
    ) -> requests.Response:
        """As requests.Session.request, tried again as the module's text says.

        Raises Unreachable when no answer came. An answer is returned whatever its status: the client
        above turns it into its error.
        """
        kwargs.setdefault("timeout", self.timeout)
        kwargs.setdefault("allow_redirects", False)  # a redirect could lead the token elsewhere
        call = _Call(
            send=lambda: self._once(method, url, **kwargs),
            repeatable=method.upper() in REPEATABLE if idempotent is None else idempotent,
            replayable=_replayable(kwargs.get("data")) and not kwargs.get("files"),
            tokens=self.auth.tokens if isinstance(self.auth, BearerAuth) and not kwargs.get("auth") else None,
        )
        return self._until_answered(call)

    def _until_answered(self, call: _Call) -> requests.Response:
        until = self._clock() + self.policy.total_s
        failures, relogged, in_turn = 0, False, False
        while True:
            outcome = self._send(call, in_turn)
            if outcome.expired and call.tokens and call.replayable and not relogged:
                relogged = True
                call.tokens.renew(outcome.token_sent)
                continue
            failures += 1
            wait = self.policy.delay(failures, outcome.retry_after, self._rng)
            late = self._clock() + wait > until
            if not outcome.worth_repeating(call) or failures >= self.policy.attempts or late:
                return outcome.settle(failures)
            in_turn = outcome.row_locked
            self._sleep(wait)

    def _send(self, call: _Call, in_turn: bool) -> _Outcome:
        """One try. Calls that met a locked row take turns: side by side they would lock each other out."""
        try:
            if not in_turn:
                return _Outcome(call.send(), None)
            with self._one_at_a_time:
                return _Outcome(call.send(), None)
        except LOST as error:
            return _Outcome(None, error)

    def _once(self, method: str, url: str, **kwargs: Any) -> requests.Response:
        kwargs["headers"] = {**(kwargs.get("headers") or {}), "X-SFDC-REQUEST-ID": new_request_id()}
        return super().request(method, url, **kwargs)


LOST = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


@dataclass(frozen=True, slots=True)
class _Call:
    send: Callable[[], requests.Response]
    repeatable: bool  # doing it twice is the same as doing it once
    replayable: bool  # its body can be sent again
    tokens: TokenSource | None


class _Outcome:
    """What one try came to: an answer, or an error that kept it from us."""

    def __init__(self, response: requests.Response | None, error: requests.RequestException | None) -> None:
        self.response = response
        self.error = error
        self.codes = () if response is None or response.status_code < 400 else response_codes(response)

    @property
    def expired(self) -> bool:
        if self.response is None:
            return False
        return self.response.status_code == 401 or bool(EXPIRED.intersection(self.codes))

    @property
    def row_locked(self) -> bool:
        return "UNABLE_TO_LOCK_ROW" in self.codes

    @property
    def token_sent(self) -> str:
        assert self.response is not None
        return str(self.response.request.headers.get("Authorization", "")).removeprefix("Bearer ")

    @property
    def retry_after(self) -> float | None:
        """Seconds the server asks to wait: a number or an HTTP date."""
        value = self.response.headers.get("Retry-After") if self.response is not None else None
        if not value:
            return None
        try:
            return max(0.0, float(value))
        except ValueError:
            pass
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except ValueError:
            return None

    def worth_repeating(self, call: _Call) -> bool:
        if not call.replayable:
            return False
        if self.error is not None:
            return not _untrusted(self.error) and (call.repeatable or _never_sent(self.error))
        assert self.response is not None
        if self.response.status_code == 429 or REFUSED_FOR_NOW.intersection(self.codes):
            return True
        return self.response.status_code in {500, 502, 503, 504} and call.repeatable

    def settle(self, failures: int) -> requests.Response:
        """The answer, or Unreachable; the address is left out: it can hold a query."""
        if self.response is not None:
            return self.response
        assert self.error is not None
        host = (
            urlsplit(self.error.request.url or "").netloc if self.error.request is not None else "Salesforce"
        )
        if _untrusted(self.error):
            raise Unreachable(
                f"The certificate of {host} is not trusted.", "Set ca_bundle to the CA that signed it."
            ) from None
        acted = "" if _never_sent(self.error) else " It may have acted on the call: look before repeating it."
        raise Unreachable(
            f"{host} did not answer after {failures} tries: {type(self.error).__name__}.{acted}",
            "Check the address, the network and status.salesforce.com.",
        ) from None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what lies under it, in requests' and urllib3's way of nesting."""
    seen: set[int] = set()
    pending: list[Any] = [error]
    while pending:
        cause = pending.pop()
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        pending += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]


def _never_sent(error: BaseException) -> bool:
    """Whether the call cannot have reached the server: no connection was made."""
    return any(isinstance(cause, NEVER_CONNECTED) for cause in _causes(error))


def _untrusted(error: BaseException) -> bool:
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def _replayable(body: Any) -> bool:
    return body is None or isinstance(body, str | bytes | bytearray | dict | list | tuple)
