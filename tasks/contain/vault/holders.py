"""Whoever is suspect in Vault, in one form: name, policies, and which of its tokens still live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tasks.contain.vault.entity import EntityTokens, VaultEntity, suspect_entities
from tasks.contain.vault.token import VaultToken, describe
from tasks.contain.world import World
from tasks.incident import SuspectKind, System


@dataclass(frozen=True, slots=True)
class Holder:
    """A token, an AppRole or an entity. `policies` are known also after its tokens are gone."""

    kind: SuspectKind
    ref: str  # accessor, role name or entity id
    name: str
    policies: tuple[str, ...]

    @property
    def lease_ref(self) -> str:
        """Its name as an access's reference."""
        return self.ref if self.kind is SuspectKind.VAULT_ACCESSOR else f"{self.kind}/{self.ref}"


def holders(world: World) -> Iterator[Holder]:
    """Every Vault suspect. A token's policies are those recorded before it was revoked."""
    for accessor in world.named(SuspectKind.VAULT_ACCESSOR):
        token = world.vault.token(accessor)
        name, policies = _recorded(world, accessor) if token is None else describe(accessor, token)
        yield Holder(SuspectKind.VAULT_ACCESSOR, accessor, name, tuple(policies))
    for role in world.named(SuspectKind.VAULT_APPROLE):
        yield Holder(SuspectKind.VAULT_APPROLE, role, role, tuple(world.vault.role_policies(role) or ()))
    for entity in suspect_entities(world):
        past = (*world.past(System.VAULT, VaultEntity.name), *world.past(System.VAULT, EntityTokens.name))
        recorded = {p for a in past if a.ref == entity["id"] for p in a.before.get("policies") or []}
        of_tokens = {
            p for t in world.vault.tokens_of_entity(entity["id"]).values() for p in t.get("policies") or []
        }
        policies = sorted({*(entity["policies"] or []), *recorded, *of_tokens})
        yield Holder(SuspectKind.VAULT_ENTITY, entity["id"], entity["name"], tuple(policies))


def alive(world: World, ref: str) -> bool:
    """Whether a holder, by its `lease_ref`, still has a token that could make new credentials."""
    kind, _, name = ref.rpartition("/")
    if not kind:
        return world.vault.token(name) is not None
    if kind == SuspectKind.VAULT_ENTITY:
        return bool(world.vault.tokens_of_entity(name))
    since = min((r.at.timestamp() for r in world.replaced.values() if r.principal == name), default=None)
    tokens = world.vault.tokens_of_role(name).values()
    return any(since is None or int(t["creation_time"]) < int(since) for t in tokens)


def _recorded(world: World, accessor: str) -> tuple[str, list[str]]:
    for access in world.past(System.VAULT, VaultToken.name):
        if access.ref == accessor:
            return access.principal, list(access.before.get("policies") or [])
    return accessor, []
