"""Who read what, and which tokens a token made, by Vault's audit log, as far as this worker can read it.

The log names identities (AppRole, entity) in clear and tokens only by a keyed hash of their accessor, which
Vault itself computes (`sys/audit-hash`): that is how a hash in the log is matched to an accessor that lives.
A token made as an orphan outlives its maker's revocation; only the log knows whose it is.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from blocks.errors import BadInput
from blocks.vault import VaultServer, vault_errors

MAKING = ("auth/token/create", "auth/token/create-orphan", "auth/token/create/")


def audit_lines(server: VaultServer) -> Iterator[str]:
    """The lines of the server's audit log files, older files first; gzip is read as well.

    Yields nothing where the block names none. Raises BadInput when one that it names cannot be read.
    """
    for path in _files(server):
        try:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as raw:
                yield from io.TextIOWrapper(raw, encoding="utf-8", errors="replace")
        except OSError as error:
            raise BadInput(
                f"Vault's audit log {path} cannot be read: {error.strerror or error}.",
                "Let the worker read it, or correct audit_log in the Vault block.",
            ) from None


def _files(server: VaultServer) -> list[Path]:
    found: list[Path] = []
    for name in server.audit_log:
        path = Path(name)
        found += [p for p in path.iterdir() if p.is_file()] if path.is_dir() else [path]
    return sorted(found, key=lambda p: p.stat().st_mtime if p.exists() else 0)


def hashed(server: VaultServer, values: Iterable[str]) -> dict[str, str]:
    """What stands for each value (an accessor, a token) in the log -> the value."""
    client, device = server.get_client(), server.audit_device

    def one(value: str) -> str:
        with vault_errors("sys/audit-hash", f"Grant update on sys/audit-hash/{device}."):
            return str(client.sys.calculate_hash(path=device, input_to_hash=value)["data"]["hash"])

    wanted = list(dict.fromkeys(values))
    with ThreadPoolExecutor(8, thread_name_prefix="audit-hash") as pool:
        return dict(zip(pool.map(one, wanted), wanted, strict=True))


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


def reads(lines: Iterable[str], *, since: datetime, until: datetime | None = None) -> list[Reader]:
    """Every answered read of a secrets engine, oldest first; not what a token asks about itself (`auth/`)."""
    found = []
    for entry in _answered(lines, '"operation":"read"'):
        at = datetime.fromisoformat(entry["time"])
        own = entry["request"]["path"].startswith(("auth/", "sys/", "identity/"))
        if not own and since <= at and (until is None or at <= until):
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
    auth = entry.get("auth") or {}
    return Reader(
        at,
        entry["request"]["path"],
        (auth.get("metadata") or {}).get("role_name"),
        auth.get("entity_id") or None,
        str(auth.get("display_name", "")),
        str(auth.get("accessor", "")),
        entry["request"].get("remote_address"),
    )
