"""The Slack workspace block: a client that waits out rate limits, and the check of signed callbacks."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from typing import ClassVar

from pydantic import Field
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry import RetryHandler
from slack_sdk.http_retry.builtin_handlers import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    ServerErrorRetryHandler,
)
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web import SlackResponse

from blocks.base import SystemBlock, user_agent
from blocks.check import Check, attempt
from blocks.errors import LeakResponseError, Refused, Unreachable
from blocks.secrets import Reference, resolve
from blocks.vault import VaultServer

# What the incident channel needs. https://docs.slack.dev/reference/scopes
SCOPES = (
    "channels:manage",
    "channels:read",
    "channels:history",
    "chat:write",
    "files:write",
    "pins:write",
    "users:read",
    "users:read.email",
)
# Errors Slack reports as its own trouble. https://docs.slack.dev/reference/methods/chat.postMessage#errors
TRANSIENT = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)


# slack_sdk logs answers it cannot read, whole. What went wrong is told by our errors.
SILENT = logging.getLogger("blocks.slack.silent")
SILENT.setLevel(logging.CRITICAL + 1)


class SlackRefused(Refused):
    """Slack answered and said no. `code` is its own error, for example channel_not_found or name_taken."""

    def __init__(self, problem: str, fix: str, code: str) -> None:
        super().__init__(problem, fix)
        self.code = code


@contextmanager
def slack_errors(what: str, fix: str = "") -> Iterator[None]:
    """Turn slack_sdk's errors into ours, without the response that they print."""
    try:
        yield
    except LeakResponseError:
        raise
    except SlackApiError as error:
        status, code = error.response.status_code, _code(error.response)
        # A code that is no word is a page of somebody in between; it can hold anything and is not shown.
        if code is None or code in TRANSIENT or status == 429 or status >= 500:
            raise Unreachable(
                f"Slack cannot serve now: {code or 'no answer of its own'} ({what}).", "Try again later."
            ) from None
        raise SlackRefused(f"Slack refused: {code} ({what}).", fix or _fix(code), code) from None
    except (SlackClientError, OSError, HTTPException) as error:
        raise Unreachable(
            f"Slack did not answer ({what}): {type(error).__name__}.",
            "Check address, proxy and network.",
        ) from None


def _code(answer: SlackResponse) -> str | None:
    """The error word of a Slack answer; None when there is none. slack_sdk puts other bodies there too."""
    code = answer.data.get("error") if isinstance(answer.data, dict) else None
    return code if isinstance(code, str) and re.fullmatch(r"[a-z0-9_]{2,60}", code) else None


def _fix(code: str) -> str:
    if code in {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"}:
        return "Install the app again and put its bot token where the block looks for it."
    if code in {"missing_scope", "no_permission", "not_allowed_token_type"}:
        return f"Give the app these bot scopes and install it again: {', '.join(SCOPES)}."
    if code in {"channel_not_found", "not_in_channel", "is_archived"}:
        return "Invite the app to the channel, or unarchive it."
    return f"Look up {code} in Slack's documentation of this method."


class SlackWorkspace(SystemBlock):
    """A Slack workspace, reached with the bot token of an app of the responder's own.

    Holds where token and signing secret are kept, never themselves. `check` lists missing bot scopes.
    """

    _block_type_name: ClassVar[str] = "Leak Response Slack Workspace"
    _block_type_slug: ClassVar[str] = "leak-response-slack-workspace"

    base_url: str = Field(
        default="https://slack.com/api/", description="Address of Slack's Web API", pattern=r"^https?://"
    )
    token: list[Reference] = Field(
        description="Where the bot token is kept, first that answers wins", min_length=1
    )
    signing_secret: list[Reference] = Field(
        default_factory=list, description="Where the app's signing secret is kept (for buttons)"
    )
    ca_bundle: str | None = Field(default=None, description="CA file to trust instead of the system's")
    proxy: str | None = Field(default=None, description="HTTP proxy to reach Slack through")
    timeout_s: int = Field(default=15, gt=0, le=300, description="Seconds to wait for an answer")
    vault: VaultServer | None = Field(default=None, description="Where vault: references are read")

    def get_client(self) -> WebClient:
        """A client that honours Retry-After (3 times) and repeats after connection and server errors.

        For calls that may be made twice. chat.postMessage may not: see `posting_client`.
        """
        repeats = [ConnectionErrorRetryHandler(max_retry_count=2), ServerErrorRetryHandler(max_retry_count=2)]
        return self._live.get("client", lambda: self._client(*repeats))

    def posting_client(self) -> WebClient:
        """A client that waits out rate limits and repeats nothing else.

        When a reply to chat.postMessage is lost, the message may be there: look before posting it again.
        """
        return self._live.get("posting", self._client)

    def is_signed(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether a callback carries Slack's signature and is younger than five minutes."""
        secret = resolve(self.signing_secret, self.vault)
        lower = {name.lower(): value for name, value in headers.items()}
        return SignatureVerifier(secret).is_valid_request(body, lower)

    def check(self) -> list[Check]:
        """Reachable, token valid, and every scope the incident channel needs is granted."""
        granted: list[str] = []

        def authenticated() -> None:
            with slack_errors("auth.test"):
                answer = self.get_client().auth_test()
            granted.extend(_header(answer.headers, "x-oauth-scopes").replace(" ", "").split(","))

        checks = [attempt("Slack: reachable, bot token valid", authenticated)]
        if checks[0].ok:
            checks.append(_scopes({scope for scope in granted if scope}))
        if self.signing_secret:
            checks.append(attempt("Slack: signing secret", lambda: resolve(self.signing_secret, self.vault)))
        return checks

    def _client(self, *repeats: RetryHandler) -> WebClient:
        client = WebClient(
            token=resolve(self.token, self.vault),
            base_url=self.base_url,
            timeout=self.timeout_s,
            ssl=ssl.create_default_context(cafile=self.ca_bundle) if self.ca_bundle else None,
            user_agent_prefix=user_agent(),
            logger=SILENT,
            retry_handlers=[RateLimitErrorRetryHandler(max_retry_count=3), *repeats],
        )
        # slack_sdk takes a proxy from the environment and then ignores NO_PROXY; urllib heeds it.
        client.proxy = self.proxy
        return client


def _header(headers: Mapping[str, str | list[str]], name: str) -> str:
    """A response header's value; slack_sdk gives some as lists, in the server's spelling."""
    for key, value in headers.items():
        if key.lower() == name:
            return ",".join(value) if isinstance(value, list) else value
    return ""


def _scopes(granted: set[str]) -> Check:
    name = "Slack: bot scopes"
    if not granted:
        return Check(name, ok=True, note="Slack did not say which scopes the token has.")
    missing = [scope for scope in SCOPES if scope not in granted]
    if not missing:
        return Check(name, ok=True)
    return Check(
        name,
        ok=False,
        problem=f"The bot token lacks: {', '.join(missing)}.",
        fix="Add these bot token scopes on the app's page under OAuth & Permissions and install it again.",
    )
