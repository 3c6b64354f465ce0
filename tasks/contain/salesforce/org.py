"""What the Salesforce kinds ask of an org: query, count, change records, revoke tokens, list bulk jobs.

A thin face over the block, so that a kind reads like the containment table it comes from.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from blocks.errors import Refused
from blocks.salesforce.errors import SalesforceRefused, response_codes
from blocks.salesforce.org import SalesforceOrg
from blocks.salesforce.org_check import granted_permissions
from tasks.contain.fan_out import fan_out

COLLECTION = 200  # records per composite/sobjects call (REST API Developer Guide)
# Per-record codes that say: it is gone already.
GONE = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND", "INVALID_ID_FIELD"})


class Gone(Refused):
    """The record or job is not there (any more)."""


@dataclass(frozen=True, slots=True)
class Me:
    """The responder's own identity in the org."""

    user_id: str
    username: str
    apps: frozenset[str]  # the app or apps its own session came in by


def quote(text: str) -> str:
    """A SOQL string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    for character, short in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        escaped = escaped.replace(character, short)
    return f"'{escaped}'"


def key_hash(consumer_key: str) -> str:
    """A consumer key as the ledger may carry it."""
    return hashlib.sha256(consumer_key.encode()).hexdigest()[:16]


def one_of(column: str, values: Iterable[str]) -> str:
    """A SOQL condition: the column has one of the values."""
    return f"{column} IN ({', '.join(quote(value) for value in values)})"


class Org:
    """One org, seen with the responder's rights. Thread-safe."""

    def __init__(self, block: SalesforceOrg) -> None:
        self._block = block
        # One lock for each question: what is asked for one kind must not wait for another's failing call.
        self._me_lock, self._may_lock, self._fields_lock = (threading.Lock() for _ in range(3))
        self._me: Me | None = None
        self._granted: dict[str, bool] = {}
        self._fields: dict[str, frozenset[str]] = {}

    @property
    def url(self) -> str:
        """The org's My Domain."""
        return self._block.base_url

    @property
    def me(self) -> Me:
        """Who the responder is here, by its own live session."""
        with self._me_lock:
            if self._me is None:
                user_id = self._block.whoami().user_id
                users = list(self.rows("Id, Username", "User", f"Id = {quote(user_id)}"))
                username = users[0]["Username"] if users else user_id
                self._me = Me(user_id, username, self._own_apps(user_id))
            return self._me

    def _own_apps(self, user_id: str) -> frozenset[str]:
        """The app of our own session; where the org does not show which that is, every app we ever came by.

        Raises Refused when neither is known: closing an app then might cut off the responder itself.
        """
        sessions = self.rows("LoginHistory.Application", "AuthSession", "IsCurrent = true")
        apps = {(row.get("LoginHistory") or {}).get("Application") for row in sessions} - {None}
        if not apps:
            logins = self.rows("Application", "LoginHistory", f"UserId = {quote(user_id)}", "LIMIT 200")
            apps = {row["Application"] for row in logins} - {None}
        if not apps:
            raise Refused(
                "The org does not show which app the responder itself comes in by.",
                "Grant the responder Manage Users, so that it sees its own session and login history.",
            )
        return frozenset(str(app) for app in apps)

    def may(self, permission: str) -> bool:
        """Whether the responder has a permission such as PermissionsCustomizeApplication."""
        with self._may_lock:
            if not self._granted.get(permission):  # a permission that was missing may have been given since
                granted, offered = granted_permissions(self._block, [permission])
                self._granted[permission] = permission in granted or permission not in offered
            return self._granted[permission]

    def fields(self, sobject: str) -> frozenset[str]:
        """API names of an object's fields."""
        with self._fields_lock:
            if sobject not in self._fields:
                described = self._block.rest(
                    "GET", f"sobjects/{sobject}/describe", what=f"describe {sobject}"
                )
                self._fields[sobject] = frozenset(f["name"] for f in described["fields"])
            return self._fields[sobject]

    def rows(self, fields: str, source: str, where: str, tail: str = "") -> Iterator[dict[str, Any]]:
        """Rows of an object, page by page. `where` is SOQL made with `quote` or `one_of`."""
        soql = f"SELECT {fields} FROM {source} WHERE {where} {tail}"  # noqa: S608 - SOQL, literals quoted
        return self._block.query(soql.rstrip(), what=f"query {source}")

    def count(self, source: str, where: str) -> int:
        """How many rows there are."""
        soql = f"SELECT COUNT() FROM {source} WHERE {where}"  # noqa: S608 - SOQL, literals quoted
        return self._block.count(soql, what=f"count {source}")

    def update(self, sobject: str, record_id: str, values: Mapping[str, Any]) -> None:
        """Change one record."""
        self._gone_on_404("PATCH", f"sobjects/{sobject}/{record_id}", values)

    def insert(self, sobject: str, values: Mapping[str, Any]) -> str:
        """Create one record; returns its id."""
        return str(self._block.rest("POST", f"sobjects/{sobject}", json=dict(values))["id"])

    def delete(self, sobject: str, record_id: str) -> None:
        """Delete one record; one that is already gone is fine."""
        with suppress(Gone):
            self._gone_on_404("DELETE", f"sobjects/{sobject}/{record_id}")

    def delete_many(self, sobject: str, ids: Sequence[str]) -> dict[str, str]:
        """Delete records, 200 a call; returns what did not go, id -> Salesforce's code.

        An org that does not take this object in collections is asked record by record.
        """
        failed: dict[str, str] = {}
        chunks = [list(ids[i : i + COLLECTION]) for i in range(0, len(ids), COLLECTION)]

        def delete(chunk: list[str]) -> None:
            try:
                results = self._block.rest(
                    "DELETE", "composite/sobjects", params={"ids": ",".join(chunk), "allOrNone": "false"}
                )
                for record_id, result in zip(chunk, results, strict=True):
                    if not result["success"] and (code := _code(result)) not in GONE:
                        failed[record_id] = code
            except SalesforceRefused:
                for record_id, error in fan_out(lambda one: self.delete(sobject, one), chunk, 8):
                    failed[record_id] = type(error).__name__

        for chunk, error in fan_out(delete, chunks, 8):
            failed.update(dict.fromkeys(chunk, type(error).__name__))
        return failed

    def api(self, method: str, path: str, body: Mapping[str, Any] | None = None, **params: str) -> Any:
        """Any other resource below the API version; raises Gone when there is no such thing."""
        return self._gone_on_404(method, path, body, params or None)

    def pages(self, path: str, key: str) -> Iterator[Mapping[str, Any]]:
        """The items of a Connect REST API collection, page by page."""
        while path:
            page = self.api("GET", path)
            yield from page.get(key) or ()
            path = page.get("nextPageUrl") or ""

    def answer_to(self, form: Mapping[str, str]) -> tuple[int, tuple[str, ...]]:
        """What the token endpoint says to a login form, tried once: HTTP status and error codes."""
        response = self._block.try_login(form)
        return response.status_code, response_codes(response)

    @property
    def own_key(self) -> str:
        """The consumer key of the responder's own app."""
        return self._block.consumer_key

    def classic_job(self, job_id: str) -> Mapping[str, Any]:
        """A job of the older Bulk API; raises Gone when there is none."""
        job: Mapping[str, Any] = self._classic("GET", job_id)
        return job

    def abort_classic(self, job_id: str) -> None:
        """Abort a job of the older Bulk API; one that is gone is fine."""
        with suppress(Gone):
            self._classic("POST", job_id, {"state": "Aborted"})

    def _classic(self, method: str, job_id: str, body: Mapping[str, Any] | None = None) -> Any:
        # This API asks for the session in a header of its own (Bulk API Developer Guide, "Sessions").
        headers = {"X-SFDC-Session": self._block.tokens.current().value, "Accept": "application/json"}
        path = f"/services/async/{self._block.api_version}/job/{job_id}"
        try:
            return self._block.call(
                method, path, what=f"{method} classic job", idempotent=True, headers=headers, json=body
            ).json()
        except SalesforceRefused as error:
            if error.status == 404:
                raise Gone(error.problem, "Nothing to do.") from None
            raise

    def revoke(self, token: str) -> None:
        """Revoke a token; one that is already gone is fine."""
        self._block.revoke(token)

    def jobs(self, family: str) -> Iterator[Mapping[str, Any]]:
        """All Bulk 2.0 jobs of `query` or `ingest`, of every user."""
        path = f"jobs/{family}"
        while path:
            page = self._block.rest("GET", path, what=f"list jobs/{family}")
            yield from page["records"]
            path = "" if page.get("done", True) else page["nextRecordsUrl"]

    def job(self, ref: str) -> Mapping[str, Any]:
        """A Bulk 2.0 job by `query/ID` or `ingest/ID`; raises Gone when it was deleted."""
        job: Mapping[str, Any] = self._gone_on_404("GET", f"jobs/{ref}")
        return job

    def abort_job(self, ref: str) -> None:
        """Abort a Bulk 2.0 job; one that is gone is fine."""
        with suppress(Gone):
            self._gone_on_404("PATCH", f"jobs/{ref}", {"state": "Aborted"})

    def _gone_on_404(
        self,
        method: str,
        path: str,
        values: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        try:
            return self._block.rest(
                method, path, json=None if values is None else dict(values), params=params
            )
        except SalesforceRefused as error:
            if error.status == 404 or GONE.intersection(error.codes):
                raise Gone(error.problem, "Nothing to do.") from None
            raise


def _code(result: Mapping[str, Any]) -> str:
    return str((result.get("errors") or [{}])[0].get("statusCode", "unknown"))
