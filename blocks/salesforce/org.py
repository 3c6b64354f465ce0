"""The Salesforce org block: logs in at the org's My Domain and hands out clients that survive trouble."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import requests
from pydantic import Field, model_validator
from simple_salesforce.api import Salesforce

from blocks.base import SystemBlock
from blocks.check import Check
from blocks.errors import Unreachable
from blocks.salesforce.errors import refusal, response_codes, salesforce_errors
from blocks.salesforce.login import Token, TokenSource, client_credentials_form, jwt_form, read_token
from blocks.salesforce.session import REPEATABLE, OrgSession, RetryPolicy, no_auth
from blocks.secrets import Reference, resolve
from blocks.vault import VaultServer

UNREADABLE_TRIES = 3  # of a call whose answer is not JSON


class SalesforceOrg(SystemBlock):
    """A Salesforce org, reached as the responder's own integration user through its own app.

    Logs in at the org's My Domain by JWT bearer or client credentials. Holds where the private key or
    consumer secret is kept, never itself. `check` lists the permissions the responder's user lacks.
    """

    _block_type_name: ClassVar[str] = "Leak Response Salesforce Org"
    _block_type_slug: ClassVar[str] = "leak-response-salesforce-org"

    instance_url: str = Field(
        description="The org's My Domain, for example https://acme.my.salesforce.com",
        pattern=r"^https://[^/]+/?$",
    )
    auth: Literal["jwt", "client_credentials"] = Field(default="jwt", description="How the responder logs in")
    consumer_key: str = Field(description="Consumer key of the responder's app (not a secret)")
    username: str | None = Field(default=None, description="The responder's user name; needed for jwt")
    secret: list[Reference] = Field(
        description=(
            "Where the RSA private key (jwt) or consumer secret (client_credentials) is kept, "
            "first that answers wins"
        ),
        min_length=1,
    )
    audience: str = Field(
        default="https://login.salesforce.com",
        description="Audience of the JWT; https://test.salesforce.com for a sandbox",
    )
    api_version: str = Field(default="67.0", description="API version", pattern=r"^\d{2,3}\.0$")
    ca_bundle: str | None = Field(default=None, description="CA file to trust instead of the system's")
    proxy: str | None = Field(default=None, description="HTTP proxy to reach Salesforce through")
    timeout_s: float = Field(default=30, gt=0, le=600, description="Seconds to wait for an answer")
    retry_s: float = Field(default=60, ge=0, le=3600, description="Seconds until a failing call is given up")
    vault: VaultServer | None = Field(default=None, description="Where vault: references are read")

    @model_validator(mode="after")
    def _jwt_needs_username(self) -> SalesforceOrg:
        if self.auth == "jwt" and not self.username:
            raise ValueError("auth jwt needs username: the responder's user name")
        return self

    # --- clients ---

    @property
    def session(self) -> OrgSession:
        """The session shared by all calls and threads; it logs in at its first call."""
        return self._live.get("session", self._session)

    @property
    def tokens(self) -> TokenSource:
        """The responder's current access token, for what cannot use `session`."""
        return self._live.get("tokens", lambda: TokenSource(self._log_in))

    @property
    def base_url(self) -> str:
        """The org's address without a slash at the end."""
        return self.instance_url.rstrip("/")

    def get_client(self) -> Salesforce:
        """simple-salesforce on our session: use `query`, `query_all_iter`, `restful`, `bulk2`.

        Wrap calls in `salesforce_errors`, or use `rest`. Not `oauth2` (token in the address), not
        `mdapi` (its own session), not `sf.Account...` for long loops; see `revoke` and `rest`.
        """
        return Salesforce(
            # Not the token: the session puts the current one on every request as it leaves.
            session_id="held-by-session",
            instance_url=self.base_url,
            session=self.session,
            version=self.api_version,
        )

    def whoami(self) -> Token:
        """The responder's own identity (`user_id`, `org_id`); logs in if need be."""
        return self.tokens.current()

    # --- calls ---

    def call(
        self,
        method: str,
        path: str,
        *,
        what: str = "",
        fix: str = "",
        idempotent: bool | None = None,
        **kwargs: Any,
    ) -> requests.Response:
        """One call, its answer whole. `path` is below /services/data/vXX.0/, or starts with a slash.

        `what` names the call in errors (default: method and path without what follows `?`). Keyword
        arguments are those of requests. Raises SalesforceRefused, SalesforceUnavailable, Unreachable.
        """
        shown = what or f"{method} {path.partition('?')[0]}"
        with salesforce_errors(shown, fix):
            response = self.session.request(method, self._url(path), idempotent=idempotent, **kwargs)
            if response.status_code >= 300:
                raise refusal(shown, response.status_code, response_codes(response), fix)
        return response

    def rest(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        what: str = "",
        fix: str = "",
        idempotent: bool | None = None,
    ) -> Any:
        """One call, its JSON answer; None when the answer is empty (204). As `call` otherwise.

        An answer that is not JSON is asked for again, if the call may be repeated.
        """
        repeatable = method.upper() in REPEATABLE if idempotent is None else idempotent
        for _ in range(UNREADABLE_TRIES if repeatable else 1):
            response = self.call(
                method, path, what=what, fix=fix, idempotent=idempotent, json=json, params=params
            )
            if not response.content:
                return None
            try:
                return response.json()
            except ValueError:
                continue
        raise Unreachable(
            f"Salesforce answered {what or path.partition('?')[0]} with something that is not JSON.",
            "Try again; check that the address is the org's My Domain.",
        )

    def query(
        self, soql: str, *, what: str = "", all_rows: bool = False, tooling: bool = False
    ) -> Iterator[dict[str, Any]]:
        """All rows of a query, page by page, in constant memory. `what` names it in errors."""
        shown = what or "query"
        path = f"{'tooling/' if tooling else ''}{'queryAll' if all_rows else 'query'}"
        page = self.rest("GET", path, params={"q": soql}, what=shown)
        while True:
            yield from page["records"]
            if page.get("done", True):
                return
            page = self.rest("GET", page["nextRecordsUrl"], what=f"{shown} (next page)")

    def count(self, soql: str, *, what: str = "") -> int:
        """The `totalSize` of a `SELECT COUNT() FROM ...`."""
        return int(self.rest("GET", "query", params={"q": soql}, what=what or "count")["totalSize"])

    def revoke(self, token: str) -> bool:
        """Revoke an OAuth token (refresh, access or DeleteToken); False when it was already gone.

        A form POST without our bearer: the token stays out of the address and out of our own rights.
        Repeatable: revoking twice is revoking once.
        """
        what = "revoke a token"
        with salesforce_errors(what):
            response = self.session.request(
                "POST",
                f"{self.base_url}/services/oauth2/revoke",
                data={"token": token},
                auth=no_auth,
                idempotent=True,
            )
            codes = response_codes(response) if response.status_code >= 300 else ()
            if "invalid_token" in codes:
                return False
            if response.status_code >= 300:
                raise refusal(what, response.status_code, codes)
        return True

    def try_with(self, access_token: str, path: str = "limits") -> requests.Response:
        """One GET with another's access token and no retry: the proof that it is refused (401)."""
        session = self._bare(RetryPolicy(attempts=1))
        session.headers["Authorization"] = f"Bearer {access_token}"
        with session:
            return session.get(self._url(path), auth=no_auth)

    def try_login(self, form: Mapping[str, str]) -> requests.Response:
        """One POST of a login form (for example a stolen refresh token's) and no retry: proof of refusal."""
        with self._bare(RetryPolicy(attempts=1)) as session:
            return session.post(f"{self.base_url}/services/oauth2/token", data=dict(form), auth=no_auth)

    def check(self) -> list[Check]:
        """Login works, API version known, permissions and objects the response needs, calls left."""
        from blocks.salesforce.org_check import check_org

        return check_org(self)

    # --- making them ---

    def _url(self, path: str) -> str:
        if path.startswith("/"):
            return self.base_url + path
        return f"{self.base_url}/services/data/v{self.api_version}/{path}"

    def _bare(self, policy: RetryPolicy) -> OrgSession:
        return OrgSession(ca_bundle=self.ca_bundle, proxy=self.proxy, timeout_s=self.timeout_s, policy=policy)

    def _session(self) -> OrgSession:
        session = self._bare(RetryPolicy(total_s=self.retry_s))
        session.log_in_with(self.tokens, self.base_url)
        return session

    def _log_in(self) -> Token:
        secret = resolve(self.secret, self.vault)
        if self.auth == "jwt":
            assert self.username  # the validator saw to it
            form = jwt_form(self.consumer_key, self.username, self.audience, secret, time.time())
        else:
            form = client_credentials_form(self.consumer_key, secret)
        with salesforce_errors("login"), self._bare(RetryPolicy(total_s=self.retry_s)) as session:
            response = session.request(
                "POST",
                f"{self.base_url}/services/oauth2/token",
                data=form,
                auth=no_auth,
                idempotent=True,
            )
            return read_token(response.status_code, _json(response))


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
