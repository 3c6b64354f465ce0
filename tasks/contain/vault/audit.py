"""Who read a leaked path, and which tokens a suspect token made, by Vault's audit log.

The log names identities (AppRole, entity) in clear and tokens only by a keyed hash of their accessor, which
Vault itself computes (`sys/audit-hash`): that is how a hash in the log is matched to an accessor that lives.
A token made as an orphan outlives its maker's revocation; only the log knows whose it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks.contain.vault.server import Vault
from tasks.incident import Suspect, SuspectKind

MAKING = ("auth/token/create", "auth/token/create-orphan", "auth/token/create/")


@dataclass(frozen=True, slots=True)
class Reader:
    """One answered read. `accessor_hash` is comparable within one Vault and audit device only."""

    at: datetime
    path: str
    role: str | None  # AppRole
    entity: str | None
    display_name: str
    accessor_hash: str
    address: str | None

    @property
    def suspect(self) -> Suspect | None:
        """The reader as a suspect: its entity, which covers an AppRole's logins; None for a bare token."""
        found_in = f"Vault audit log: read {self.path}"
        return Suspect(SuspectKind.VAULT_ENTITY, self.entity, found_in) if self.entity else None


def readers(
    lines: Iterable[str], mount: str, path: str, *, since: datetime, until: datetime | None = None
) -> list[Reader]:
    """Every answered read of a KV version 2 secret, oldest first; refused reads and damaged lines are left
    out."""
    wanted = f"{mount.strip('/')}/data/{path.strip('/')}"
    found = []
    for entry in _answered(lines, wanted):
        at = datetime.fromisoformat(entry["time"])
        if entry["request"]["path"] != wanted or entry["request"]["operation"] != "read":
            continue
        if since <= at and (until is None or at <= until):
            found.append(_reader(entry, at))
    return sorted(found, key=lambda reader: reader.at)


def made_by(lines: Iterable[str], accessor_hash: str) -> set[str]:
    """Accessor hashes of all tokens that a token has made, and those have made, orphans included."""
    makers: dict[str, set[str]] = {}
    for entry in _answered(lines, "auth/token/create"):
        child = (entry.get("response", {}).get("auth") or {}).get("accessor")
        if child and entry["request"]["path"].startswith(MAKING):
            makers.setdefault(entry["auth"].get("accessor", ""), set()).add(child)
    found: set[str] = set()
    left = {accessor_hash}
    while left:
        left = set().union(*(makers.get(maker, set()) for maker in left)) - found
        found |= left
    return found


def accessors_of(vault: Vault, device: str, hashes: Iterable[str]) -> dict[str, str]:
    """Hash -> accessor, for those of the hashes whose token lives."""
    wanted, accessors = set(hashes), vault.accessors()
    with ThreadPoolExecutor(8) as pool:
        hashed = pool.map(lambda accessor: vault.audit_hash(device, accessor), accessors)
    return {h: accessor for h, accessor in zip(hashed, accessors, strict=True) if h in wanted}


def _answered(lines: Iterable[str], part: str) -> Iterator[Mapping[str, Any]]:
    """The log's answers that hold this text and no error. Most lines are dismissed unparsed."""
    for line in lines:
        if part not in line or '"response"' not in line:
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("type") == "response" and not entry.get("error"):
            yield entry


def _reader(entry: Mapping[str, Any], at: datetime) -> Reader:
    auth = entry["auth"]
    return Reader(
        at,
        entry["request"]["path"],
        (auth.get("metadata") or {}).get("role_name"),
        auth.get("entity_id") or None,
        str(auth.get("display_name", "")),
        str(auth.get("accessor", "")),
        entry["request"].get("remote_address"),
    )
