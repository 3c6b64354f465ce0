"""Contain, then undo, in Vault: all is as it was but for what cannot come back, and that is listed here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from blocks.systems import Systems
from deployments.lab.postgres import Postgres
from deployments.lab.vault import Vault
from deployments.lab.vault_world import INNOCENT, RESPONDER, STATIC_ROLE, STOLEN_FROM, VaultWorld
from tasks.contain.engine import contain
from tasks.contain.undo import reopen
from tasks.evidence.ledger import FileLedger
from tasks.incident import AccessStatus, Incident

from .test_vault import responder
from .test_vault_kinds import entity_of, let, new_login

Make = Callable[..., Incident]

# Of a token: who it is, and what it may. Its remaining life goes down by itself.
OF_A_TOKEN = ("policies", "identity_policies", "meta", "entity_id", "path", "num_uses", "orphan")
# What Vault counts or stamps by itself.
STAMPS = frozenset({"last_update_time", "creation_time", "last_vault_rotation", "ttl"})
# What containment must change for good: dead credentials, and passwords that were read.
FOR_GOOD = {"tokens", "secret ids", "leases", "database logins", "rotations"}


@pytest.fixture
def systems(
    lab_vault: Vault, lab_vault_world: VaultWorld, systems_of: Callable[..., Systems], tmp_path: Path
) -> Systems:
    server = responder(lab_vault, lab_vault_world, tmp_path)
    server.get_client().auth.token.lookup_self()  # its first login is what makes its entity
    return systems_of(vault=server)


class Looker:
    """Reads everything that containment could change, with the root token."""

    def __init__(self, vault: Vault, postgres: Postgres) -> None:
        self._root = vault.client()
        self._postgres = postgres

    def state(self) -> dict[str, Any]:
        """By what it is about; credentials by their accessor or id."""
        return {
            **self.configuration(),
            "tokens": self._tokens(),
            "secret ids": {role: self._list(f"auth/approle/role/{role}/secret-id") for role in self._roles()},
            "leases": self._leases("database/"),
            "database logins": self._logins(),
            "rotations": {
                role: self._read(f"database/static-roles/{role}")["last_vault_rotation"]
                for role in self._list("database/static-roles")
            },
        }

    def configuration(self) -> dict[str, Any]:
        """What decides who may come in and do what."""
        return {
            "policies": self._all("sys/policies/acl"),
            "mounts": self._read("sys/mounts"),
            "logins": self._read("sys/auth"),
            "entities": self._all("identity/entity/id"),
            "groups": self._all("identity/group/id"),
            "roles": self._all("auth/approle/role"),
            "role ids": {role: self._read(f"auth/approle/role/{role}/role-id") for role in self._roles()},
            "connections": self._all("database/config"),
            "database roles": self._all("database/roles"),
            "static roles": self._all("database/static-roles"),
            "keys": self._all("transit/keys"),
            "secrets": {path: self._read(f"kv/metadata/{path}") for path in self._below("")},
        }

    def _roles(self) -> list[str]:
        return self._list("auth/approle/role")

    def _list(self, path: str) -> list[str]:
        found = self._root.list(path)
        return sorted(found["data"]["keys"]) if found else []

    def _read(self, path: str) -> dict[str, Any]:
        found = self._root.read(path)
        return {k: v for k, v in found["data"].items() if k not in STAMPS or k == "last_vault_rotation"}

    def _all(self, folder: str) -> dict[str, dict[str, Any]]:
        return {
            name: {k: v for k, v in self._read(f"{folder}/{name}").items() if k not in STAMPS}
            for name in self._list(folder)
        }

    def _below(self, folder: str) -> list[str]:
        found: list[str] = []
        for name in self._list(f"kv/metadata/{folder}"):
            found += self._below(folder + name) if name.endswith("/") else [folder + name]
        return found

    def _leases(self, folder: str) -> list[str]:
        found: list[str] = []
        for name in self._list(f"sys/leases/lookup/{folder}"):
            found += self._leases(folder + name) if name.endswith("/") else [folder + name]
        return found

    def _tokens(self) -> dict[str, dict[str, Any]]:
        """All but the responder's own, which come and go, and root's."""
        lookup = self._root.auth.token.lookup_accessor
        tokens = [lookup(accessor)["data"] for accessor in self._list("auth/token/accessors")]
        return {
            t["accessor"]: {name: t.get(name) for name in OF_A_TOKEN}
            for t in tokens
            if t["policies"] != ["root"] and (t.get("meta") or {}).get("role_name") != RESPONDER
        }

    def _logins(self) -> list[str]:
        with psycopg.connect(self._postgres.dsn()) as db:
            return sorted(name for (name,) in db.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin"))


def test_after_undo_only_dead_credentials_and_rotated_passwords_differ(
    systems: Systems,
    lab_vault: Vault,
    lab_vault_world: VaultWorld,
    lab_postgres: Postgres,
    ledger: FileLedger,
    incident: Make,
) -> None:
    stolen, look = lab_vault_world.stolen, Looker(lab_vault, lab_postgres)
    new_login(lab_vault, STOLEN_FROM)
    new_login(lab_vault, INNOCENT)
    let(lab_vault, STOLEN_FROM, f"database/static-creds/{STATIC_ROLE}", "read")
    entity = entity_of(lab_vault, stolen.accessor)
    suspect = incident(
        f"vault-accessor={stolen.accessor}", f"vault-approle={STOLEN_FROM}", f"vault-entity={entity}"
    )
    before = look.state()

    found = contain(suspect, systems, ledger)
    assert {c.status for c in found} == {AccessStatus.CLOSED}, found
    amid = look.state()
    assert {name for name in before if before[name] != amid[name]} == FOR_GOOD | {"entities"}
    assert amid["entities"][entity]["disabled"]

    undone = reopen(suspect, systems, ledger, even_leaked=True)

    after = look.state()
    assert {name for name in before if before[name] != after[name]} == FOR_GOOD
    assert {u.access.kind for u in undone if u.restored} == {"vault-entity"}
    assert not any(u.failed for u in undone)
    gone = before["tokens"].keys() - after["tokens"].keys()
    assert {before["tokens"][accessor]["meta"]["role_name"] for accessor in gone} == {STOLEN_FROM}
    assert stolen.accessor in gone
    assert after["tokens"].keys() <= before["tokens"].keys()
    assert all(after["tokens"][accessor] == before["tokens"][accessor] for accessor in after["tokens"])
    assert after["secret ids"] == {**before["secret ids"], STOLEN_FROM: []}
    assert set(before["leases"]) - set(after["leases"]) == set(stolen.leases)
    ended = {user for user, _ in stolen.logins}
    assert set(before["database logins"]) - set(after["database logins"]) == ended
    assert before["rotations"].keys() == after["rotations"].keys() == {STATIC_ROLE}
    assert ledger.open_attempts() == []


def test_undo_of_one_entity_leaves_everything_else_as_containment_left_it(
    systems: Systems,
    lab_vault: Vault,
    lab_vault_world: VaultWorld,
    lab_postgres: Postgres,
    ledger: FileLedger,
    incident: Make,
) -> None:
    look = Looker(lab_vault, lab_postgres)
    entity = entity_of(lab_vault, lab_vault_world.stolen.accessor)
    before = look.configuration()
    suspect = incident(f"vault-entity={entity}")
    contain(suspect, systems, ledger)
    amid = look.state()

    reopen(suspect, systems, ledger, keys=[f"vault/vault-entity/{entity}"])

    after = look.state()
    assert look.configuration() == before
    assert {name for name in amid if amid[name] != after[name]} == {"entities"}
