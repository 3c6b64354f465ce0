"""Access kinds `vault-entity` and `vault-entity-tokens`: an identity, however it logs in, and its tokens.

Disabling the entity stops every login and every use of its tokens at once, and can be undone. It does not
revoke the tokens, so the credentials that they leased live on: those end with the tokens, which cannot come
back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from blocks.errors import Refused, Unreachable
from tasks.contain.fan_out import fan_out
from tasks.contain.kinds import AccessKind, Reopened
from tasks.contain.world import World
from tasks.incident import Access, Proof, SuspectKind, System


def suspect_entities(world: World) -> Iterator[Mapping[str, Any]]:
    """The entities named as suspects, by name or id. Raises Refused for one that Vault does not know."""
    for name in world.named(SuspectKind.VAULT_ENTITY):
        entity = world.vault.entity(name)
        if entity is None:
            raise Refused(f"Vault has no entity {name}.", "Check the name or id, and the namespace.")
        yield entity


class VaultEntity(AccessKind):
    """One access per suspect entity."""

    system = System.VAULT
    name = "vault-entity"
    action = "disable the entity"

    def observe(self) -> list[Access]:
        return [
            self.access(e["name"], e["id"], disabled=e["disabled"], policies=list(e["policies"] or []))
            for e in suspect_entities(self.world)
            if not e["disabled"]
        ]

    def close(self, access: Access) -> None:
        self.world.vault.set_entity(access.ref, disabled=True)

    def prove(self, access: Access) -> Proof:
        if not self._disabled(access):
            return self.recount(False, "The entity is not disabled.")
        vault, jar = self.world.vault, self.world.jar.of_kind(SuspectKind.VAULT_ACCESSOR)
        mine = [jar[accessor] for accessor in vault.tokens_of_entity(access.ref) if accessor in jar]
        if mine:
            accepted = sum(not vault.refuses(token) for token in mine)
            return self.attempt(not accepted, f"Of {len(mine)} tokens tried, {accepted} are still accepted.")
        return self.recount(True, "The entity reads back as disabled.")

    def reopen(self, access: Access) -> Reopened:
        if not access.before["disabled"]:
            self.world.vault.set_entity(access.ref, disabled=False)
        restored = self._disabled(access) == access.before["disabled"]
        return Reopened(restored, "The entity is enabled as before; its owners log in again.")

    def _disabled(self, access: Access) -> bool:
        entity = self.world.vault.entity(access.ref)
        if entity is None:
            raise Refused(
                f"The entity {access.principal} is gone.", "See Vault's audit log for who deleted it."
            )
        return bool(entity["disabled"])


class EntityTokens(AccessKind):
    """The live tokens of a suspect entity, taken after it can get no new ones."""

    system = System.VAULT
    name = "vault-entity-tokens"
    action = "revoke the entity's tokens and their children"
    reversible = False
    after = (VaultEntity.name,)

    def observe(self) -> list[Access]:
        found = []
        for entity in suspect_entities(self.world):
            tokens = self.world.vault.tokens_of_entity(entity["id"])
            policies = sorted({p for token in tokens.values() for p in _policies(token)})
            if tokens:
                access = self.access(entity["name"], entity["id"], policies=policies, issued=list(tokens))
                found.append(access)
        return found

    def close(self, access: Access) -> None:
        failed = fan_out(
            self.world.vault.revoke_token, self.world.vault.tokens_of_entity(access.ref), width=8
        )
        if failed:
            raise Unreachable(f"{len(failed)} tokens would not go.", "They are tried again.")

    def prove(self, access: Access) -> Proof:
        left = len(self.world.vault.tokens_of_entity(access.ref))
        return self.recount(left == 0, f"{left} tokens of the entity are left.")

    def reopen(self, access: Access) -> Reopened:
        return Reopened(False, "Revoked tokens cannot come back: their owners log in again.")


def _policies(token: Mapping[str, Any]) -> list[str]:
    return [*(token.get("policies") or []), *(token.get("identity_policies") or [])]
