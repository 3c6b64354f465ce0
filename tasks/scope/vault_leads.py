"""What the suspects' Vault tokens made and read, by Vault's audit log: it has to be closed and replaced, too.

A token that was made as an orphan outlives its maker. A secret that was read is as leaked as the token it was
read with, whichever integration it belongs to. Only the version that was there to be read counts: what has
been written since is its replacement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from blocks.errors import LeakResponseError
from blocks.vault import VaultRefused, VaultServer, vault_errors
from blocks.vault_audit import Reader, audit_lines, hashed, made_by, reads
from tasks.incident import Incident, Suspect, SuspectKind, utc
from tasks.scope.found import FoundCredential, resolved_hits
from tasks.scope.secrets import credentials_in


@dataclass(frozen=True, slots=True)
class VaultLeads:
    """Where the suspects' tokens led. Nothing in it is a secret but what `credentials` keeps to itself."""

    told: bool  # False: no audit log can be read here, so nobody knows
    made: tuple[Suspect, ...] = ()  # tokens they made that live
    read: tuple[Reader, ...] = ()
    credentials: tuple[FoundCredential, ...] = ()
    unread: tuple[str, ...] = ()  # paths whose content could not be searched


def vault_leads(incident: Incident, server: VaultServer) -> VaultLeads:
    """Follow the Vault suspects of an incident. Raises what Vault raises when it cannot be asked at all."""
    names = {kind: {s.identifier for s in incident.suspects if s.kind is kind} for kind in SuspectKind}
    tokens = names[SuspectKind.VAULT_ACCESSOR]
    roles, entities = names[SuspectKind.VAULT_APPROLE], names[SuspectKind.VAULT_ENTITY]
    if not server.audit_log or not (tokens or roles or entities):
        return VaultLeads(told=bool(server.audit_log))
    own = hashed(server, tokens)
    made = {h: maker for h, maker in _made(server, own).items() if h not in own}
    mine = own.keys() | made.keys()
    read = [
        one
        for one in reads(audit_lines(server), since=incident.window.start, until=incident.window.end)
        if one.accessor_hash in mine or one.role in roles or one.entity in entities
    ]
    found, unread = _credentials(server, read)
    known = {(suspect.kind, suspect.identifier) for suspect in incident.suspects}
    new = tuple(one for one in found if (one.kind, one.identifier) not in known)
    return VaultLeads(True, _living(server, made), tuple(read), new, unread)


def _made(server: VaultServer, own: Mapping[str, str]) -> dict[str, str]:
    """Hash of each token that was made -> accessor of the suspect it comes from."""
    return {made: accessor for h, accessor in own.items() for made in made_by(audit_lines(server), h)}


def _living(server: VaultServer, made: Mapping[str, str]) -> tuple[Suspect, ...]:
    if not made:
        return ()
    with vault_errors("list auth/token/accessors", "Grant list and sudo on auth/token/accessors."):
        accessors = list(server.get_client().list("auth/token/accessors")["data"]["keys"])
    return tuple(
        Suspect(SuspectKind.VAULT_ACCESSOR, accessor, f"Vault audit log: made by {made[h]}")
        for h, accessor in hashed(server, accessors).items()
        if h in made
    )


def _credentials(
    server: VaultServer, read: Iterable[Reader]
) -> tuple[tuple[FoundCredential, ...], tuple[str, ...]]:
    """The credentials in the secrets that were read, and the paths that could not be looked into."""
    last = {one.path: one.at for one in read}  # oldest first, so that the last read stays
    hits, unread = [], []
    for path, at in last.items():
        mount, data, name = path.partition("/data/")
        if not data:
            continue  # no KV secret: leases are closed by their own kind
        try:
            text = _text(server, mount, name, at)
        except LeakResponseError:
            unread.append(path)
            continue
        hits += [(hit, f"Vault secret {mount}/{name}") for hit in credentials_in(text)]
    return resolved_hits(hits, server).credentials, tuple(unread)


def _text(server: VaultServer, mount: str, name: str, at: datetime) -> str:
    """The fields of the newest version that was there at that moment; "" when it is gone."""
    kv = server.get_client().secrets.kv.v2
    with vault_errors(f"reading the versions of {mount}/{name}"):
        versions = kv.read_secret_metadata(path=name, mount_point=mount)["data"]["versions"]
    there = [int(n) for n, v in versions.items() if utc(v["created_time"]) <= at and not v["destroyed"]]
    if not there or versions[str(max(there))]["deletion_time"]:
        return ""
    try:
        with vault_errors(f"reading {mount}/{name}"):
            answer: Any = kv.read_secret_version(
                path=name, version=max(there), mount_point=mount, raise_on_deleted_version=True
            )
    except VaultRefused as error:
        if error.status == 404:
            return ""
        raise
    return "\n".join(f"{key}: {value}" for key, value in answer["data"]["data"].items())
