"""What can be made to go wrong: slowness, refusals, broken connections and bodies, by rule."""

from __future__ import annotations

import random
import re
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

import orjson

from deployments.lab.salesforce.wire import ApiError, Call, Reply


class Kind(StrEnum):
    SLOW = "slow"  # answers after `seconds`
    UNAVAILABLE = "503"
    SERVER_ERROR = "500"
    BAD_GATEWAY = "502"
    TOO_MANY = "429"
    REQUEST_LIMIT = "request-limit"  # 403 REQUEST_LIMIT_EXCEEDED
    LOCK_ROW = "lock-row"  # 400 UNABLE_TO_LOCK_ROW
    EXPIRED_SESSION = "expired-session"  # 401, and the session really is over
    RESET_BEFORE = "reset-before"  # the connection is reset, nothing was done
    RESET_AFTER = "reset-after"  # it was done, then the connection is reset
    MALFORMED = "malformed"  # it was done, the body is cut in the middle
    PARTIAL = "partial"  # a collection: its first half is done, each record of the rest has a locked row


@dataclass(slots=True)
class Fault:
    """One rule. It applies to calls that match all it names, `count` times or with `probability`."""

    kind: Kind
    method: str | None = None
    path: re.Pattern[str] | None = None
    credential: re.Pattern[str] | None = None
    query: re.Pattern[str] | None = None  # the text of a query
    count: int | None = None
    probability: float = 1.0
    seed: int = 0
    skip: int = 0  # let this many matching calls pass first
    seconds: float = 0.0
    retry_after: int | None = None
    hits: int = 0
    _random: random.Random = field(default_factory=random.Random)

    @classmethod
    def read(cls, rule: dict[str, Any]) -> Self:
        """From the control API's JSON; raises ValueError for what it does not know."""
        match = dict(rule.get("match") or {})
        known = {"kind", "match", "count", "probability", "seed", "skip", "seconds", "retry_after"}
        unknown = (set(rule) - known) | (set(match) - {"method", "path", "credential", "query"})
        if unknown:
            raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}")
        made = cls(
            Kind(rule["kind"]),
            method=match["method"].upper() if match.get("method") else None,
            path=re.compile(match["path"]) if match.get("path") else None,
            credential=re.compile(match["credential"]) if match.get("credential") else None,
            query=re.compile(match["query"]) if match.get("query") else None,
            count=rule.get("count"),
            probability=float(rule.get("probability", 1.0)),
            seed=int(rule.get("seed", 0)),
            skip=int(rule.get("skip", 0)),
            seconds=float(rule.get("seconds", 0.0)),
            retry_after=rule.get("retry_after"),
        )
        made._random = random.Random(made.seed)  # noqa: S311 - repeatable on purpose
        return made

    def applies(self, method: str, path: str, credential: str, query: str = "") -> bool:
        if self.count is not None and self.hits >= self.count:
            return False
        if self.method and self.method != method:
            return False
        if self.path and not self.path.search(path):
            return False
        if self.credential and not self.credential.search(credential):
            return False
        if self.query and not self.query.search(query):
            return False
        if self.probability < 1.0 and self._random.random() >= self.probability:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.hits += 1
        return True


class Faults:
    """The rules in force; the first that applies to a call decides."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.rules: list[Fault] = []
        self.latency_s = 0.0
        self.bulk_rows_per_s = 0.0  # 0: as fast as it goes

    def set(self, rules: list[dict[str, Any]]) -> None:
        """Put these rules in force instead of the old ones."""
        made = [Fault.read(rule) for rule in rules]
        with self._lock:
            self.rules = made

    def pick(self, method: str, path: str, credential: str, query: str = "") -> Fault | None:
        if not self.rules:
            return None
        with self._lock:
            return next((rule for rule in self.rules if rule.applies(method, path, credential, query)), None)


_ERRORS = {
    Kind.REQUEST_LIMIT: ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    Kind.LOCK_ROW: ApiError(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record"),
    Kind.EXPIRED_SESSION: ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid"),
    Kind.SERVER_ERROR: ApiError(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred."),
    Kind.UNAVAILABLE: ApiError(503, "SERVER_UNAVAILABLE", "Server temporarily unavailable"),
    Kind.TOO_MANY: ApiError(429, "TOO_MANY_REQUESTS", "Too many requests"),
}


def instead(fault: Fault) -> Reply | None:
    """The reply a fault gives without acting; None for a fault that lets the call act."""
    if fault.kind is Kind.BAD_GATEWAY:
        reply: Reply | None = Reply(502, b"<html><body>Bad Gateway</body></html>", "text/html")
    else:
        error = _ERRORS.get(fault.kind)
        reply = Reply.error(error) if error else None
    if reply is not None and fault.retry_after is not None:
        reply.headers["Retry-After"] = str(fault.retry_after)
    return reply


def halve(call: Call) -> list[str]:
    """Take the second half of a collection's ids out of the call; returns them."""
    ids = call.query.get("ids", "").split(",")
    half = len(ids) // 2
    call.query = {**call.query, "ids": ",".join(ids[:half])}
    return ids[half:]


def with_locked(reply: Reply | None, ids: list[str]) -> Reply:
    """The answer for the first half, and a locked row for each of the rest."""
    done = orjson.loads(reply.body) if reply and reply.status == 200 else []
    error = {"statusCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access", "fields": []}
    return Reply.json([*done, *({"id": one, "success": False, "errors": [error]} for one in ids)])


def spoil(reply: Reply) -> Reply:
    """The same reply with its body cut in the middle; an answer without one gets half of one."""
    if not reply.body:
        return Reply(200, b"{", headers=reply.headers)
    cut = reply.body[: len(reply.body) // 2]
    return Reply(reply.status, cut, reply.content_type, reply.headers)
