"""Manual steps that a named person has confirmed: kept in the ledger, read back by every later run.

A confirmation carries the proof that was made with it: an attempt where the person handed over what it takes
(a consumer key, the former secret), a recount where a system can be asked, else the person's word alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks.contain.history import REOPEN, details_of, read_access
from tasks.incident import Access, Ledger, Phase, Proof, ProofMethod

CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Somebody says that an access was closed by hand."""

    access: Access
    by: str
    at: datetime
    proof: Proof


def write_confirmation(ledger: Ledger, confirmation: Confirmation) -> None:
    """Put it on record."""
    proof = confirmation.proof
    ledger.note(
        Phase.CONTAIN,
        CONFIRMED,
        confirmation.access.key,
        **details_of(confirmation.access),
        confirmed_by=confirmation.by,
        confirmed_at=confirmation.at,
        method=proof.method,
        passed=proof.passed,
        proof=proof.detail,
    )


def read_confirmations(entries: Iterable[Mapping[str, Any]]) -> dict[str, Confirmation]:
    """The newest confirmation of each access, by `Access.key`; one that was reopened since counts no more."""
    found: dict[str, Confirmation] = {}
    for entry in entries:
        if entry["phase"] != Phase.CONTAIN:
            continue
        if entry["kind"] == "NOTE" and entry["action"] == CONFIRMED:
            confirmation = _read(entry["details"])
            found[confirmation.access.key] = confirmation
        elif entry["kind"] == "RESULT" and entry["action"] == REOPEN and entry["details"]["outcome"] == "ok":
            found.pop(entry["target"], None)
    return found


def _read(details: Mapping[str, Any]) -> Confirmation:
    at = datetime.fromisoformat(details["confirmed_at"])
    proof = Proof(ProofMethod(details["method"]), bool(details["passed"]), details.get("proof", ""), at)
    return Confirmation(read_access(details), details.get("confirmed_by", ""), at, proof)
