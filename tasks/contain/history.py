"""What the ledger says was already done: the memory that makes a second run, or a run after a crash, safe.

The before-state of an access is the one recorded by its first ATTEMPT since it was last reopened, so that a
second run, which sees a half-closed world, never overwrites what undo must restore.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tasks.incident import Access, Phase, System

CLOSE = "close"
REOPEN = "reopen"
ISSUE = "issue"  # of phase REMEDIATE: a replacement credential, which containment must leave alone


@dataclass(frozen=True, slots=True)
class Past:
    """One access this incident has touched before."""

    access: Access  # with the first recorded before-state
    first_attempt: datetime
    closed: bool  # the last finished attempt was "ok"
    seconds: float  # as recorded when it was proven closed
    open_attempts: tuple[str, ...] = ()  # ATTEMPTs without a RESULT: a crash came between


@dataclass(frozen=True, slots=True)
class Replacement:
    """A credential that this incident issued in place of a closed one."""

    ref: str  # key id, or accessor of a secret id
    principal: str  # IAM user, or AppRole
    at: datetime  # what the principal's logins yield from then on is its owner's


def read_replaced(entries: Iterable[Mapping[str, Any]]) -> dict[str, Replacement]:
    """The replacements issued so far, by reference. One that a crash cut off is not among them."""
    begun: dict[str, tuple[str, datetime]] = {}
    found = {}
    for entry in entries:
        if entry["phase"] != Phase.REMEDIATE or entry["action"] != ISSUE:
            continue
        if entry["kind"] == "ATTEMPT":
            begun[entry["id"]] = (entry["details"]["principal"], datetime.fromisoformat(entry["at"]))
        elif entry["kind"] == "RESULT" and (ref := entry["details"].get("ref")):
            found[ref] = Replacement(ref, *begun[entry["id"]])
    return found


def size_of(access: Access) -> int:
    """How many things closing the access ends: grants, sessions, or itself alone."""
    return int(access.before.get("grants") or access.before.get("sessions") or 1)


def details_of(access: Access) -> dict[str, Any]:
    """An access as ledger details; `read_access` is the inverse."""
    return {
        "system": access.system,
        "kind": access.kind,
        "principal": access.principal,
        "ref": access.ref,
        "before": dict(access.before),
    }


def read_access(details: Mapping[str, Any]) -> Access:
    """The access that an ATTEMPT's details describe."""
    return Access(
        System(details["system"]),
        details["kind"],
        details["principal"],
        details["ref"],
        details.get("before") or {},
    )


def read_history(entries: Iterable[Mapping[str, Any]]) -> dict[str, Past]:
    """Accesses closed or attempted so far, by `Access.key`, in the order they were first attempted.

    An access whose undo succeeded is forgotten: closing it again starts a new before-state.
    """
    past: dict[str, Past] = {}
    attempts: dict[str, str] = {}  # attempt id -> access key
    for entry in entries:
        if entry["phase"] != Phase.CONTAIN:
            continue
        if entry["kind"] == "ATTEMPT" and entry["action"] == CLOSE:
            _began(past, attempts, entry)
        elif entry["kind"] == "RESULT" and entry["action"] == CLOSE:
            _ended(past, attempts, entry)
        elif entry["kind"] == "RESULT" and entry["action"] == REOPEN and entry["details"]["outcome"] == "ok":
            past.pop(entry["target"], None)
    return past


def _began(past: dict[str, Past], attempts: dict[str, str], entry: Mapping[str, Any]) -> None:
    access = read_access(entry["details"])
    known = past.get(access.key) or Past(access, datetime.fromisoformat(entry["at"]), False, 0.0)
    attempts[entry["id"]] = access.key
    past[access.key] = replace(known, open_attempts=(*known.open_attempts, entry["id"]))


def _ended(past: dict[str, Past], attempts: dict[str, str], entry: Mapping[str, Any]) -> None:
    known = past.get(attempts.get(entry["id"], ""))
    if known is None:
        return
    details = entry["details"]
    past[known.access.key] = replace(
        known,
        closed=details["outcome"] == "ok" or bool(details.get("passed")),
        seconds=float(details.get("seconds") or known.seconds),
        open_attempts=tuple(a for a in known.open_attempts if a != entry["id"]),
    )
