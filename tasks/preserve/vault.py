"""The suspected Vault identities as Vault sees them now, and every lease that is out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from blocks.vault import VaultRefused, VaultServer, vault_errors
from tasks.incident import Incident, SuspectKind, System
from tasks.preserve.sources import Reading, Source

MAX_LEASES = 10_000


def vault_sources(incident: Incident, server: VaultServer) -> list[Source]:
    """The suspected tokens, AppRoles and entities, and all leases; nothing when none is suspected."""
    readers: dict[SuspectKind, Callable[[VaultServer, str], dict[str, Any]]] = {
        SuspectKind.VAULT_ACCESSOR: _token,
        SuspectKind.VAULT_APPROLE: _approle,
        SuspectKind.VAULT_ENTITY: _entity,
    }
    sources = [
        Source(f"{s.kind}-{s.identifier}", System.VAULT, partial(_one, readers[s.kind], server, s.identifier))
        for s in incident.suspects
        if s.kind in readers
    ]
    if sources:
        sources.append(Source("vault-leases", System.VAULT, lambda: leases(server)))
    return sources


def _one(read: Callable[[VaultServer, str], dict[str, Any]], server: VaultServer, name: str) -> Reading:
    return Reading([read(server, name)])


def leases(server: VaultServer) -> Reading:
    """The id of every lease of secrets and logins; ids are references, not secrets.

    Walks down from the mounts: listing the root would need more than `sys/leases/lookup/*` grants.
    """
    with vault_errors("sys/mounts and sys/auth"):
        sys = server.get_client().sys
        secrets, logins = sys.list_mounted_secrets_engines()["data"], sys.list_auth_methods()["data"]
    found: list[Any] = []
    folders = [*secrets, *(f"auth/{mount}" for mount in logins)]
    while folders and len(found) < MAX_LEASES:
        folder = folders.pop()
        for key in _list(server, folder):
            (folders if key.endswith("/") else found).append(folder + key)
    left_out = f"There are more than {MAX_LEASES:,} leases; the others were not read." if folders else ""
    return Reading([{"lease_id": lease} for lease in sorted(found)], left_out)


def _list(server: VaultServer, prefix: str) -> list[str]:
    try:
        with vault_errors(f"listing leases below {prefix}", "Allow list on sys/leases/lookup/*."):
            keys: list[str] = server.get_client().sys.list_leases(prefix)["data"]["keys"]
    except VaultRefused as refused:
        if refused.status == 404:  # the last lease below it has just ended
            return []
        raise
    return keys


def _token(server: VaultServer, accessor: str) -> dict[str, Any]:
    """What the token may do and until when; looked up by accessor, so its value is never seen."""
    with vault_errors("auth/token/lookup-accessor"):
        data: dict[str, Any] = server.get_client().auth.token.lookup_accessor(accessor)["data"]
    return {name: value for name, value in data.items() if name != "id"}


def _approle(server: VaultServer, role: str) -> dict[str, Any]:
    mount = server.approle_mount
    client = server.get_client()
    with vault_errors(f"auth/{mount}/role/{role}"):
        settings = client.auth.approle.read_role(role, mount_point=mount)["data"]
    try:
        with vault_errors(f"auth/{mount}/role/{role}/secret-id"):
            accessors = client.auth.approle.list_secret_id_accessors(role, mount_point=mount)["data"]["keys"]
    except VaultRefused as refused:
        if refused.status != 404:  # 404: it has none
            raise
        accessors = []
    return {"role": role, "settings": settings, "secret_id_accessors": accessors}


def _entity(server: VaultServer, name: str) -> dict[str, Any]:
    identity = server.get_client().secrets.identity
    try:
        with vault_errors("identity/entity/name"):
            data: dict[str, Any] = identity.read_entity_by_name(name)["data"]
    except VaultRefused as refused:
        if refused.status != 404:
            raise
        with vault_errors("identity/entity/id"):
            data = identity.read_entity(name)["data"]
    return data
