"""Access kind `vault-token`: a token with all its children, known by its accessor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.contain.kinds import AccessKind, Reopened
from tasks.incident import Access, Proof, SuspectKind, System


class VaultToken(AccessKind):
    """Closing revokes the token, its children and, through Vault, the leases of all of them."""

    system = System.VAULT
    name = "vault-token"
    action = "revoke the token and its children"
    reversible = False

    def observe(self) -> list[Access]:
        found = []
        for accessor in self.world.named(SuspectKind.VAULT_ACCESSOR):
            token = self.world.vault.token(accessor)
            name, policies = describe(accessor, token or {})
            access = self.access(name, accessor, policies=policies)
            # A suspect token that Vault does not know (any more) is proven once, not passed over.
            if token is not None or self.world.unproven(access):
                found.append(access)
        return found

    def close(self, access: Access) -> None:
        self.world.vault.revoke_token(access.ref)

    def prove(self, access: Access) -> Proof:
        value = self.world.jar.get(SuspectKind.VAULT_ACCESSOR, access.ref)
        if value is not None:
            refused = self.world.vault.refuses(value)
            word = "refused" if refused else "still accepted"
            return self.attempt(refused, f"The old token was tried and is {word}.")
        gone = self.world.vault.token(access.ref) is None
        return self.recount(gone, f"The accessor is {'unknown to' if gone else 'still known by'} Vault.")

    def reopen(self, access: Access) -> Reopened:
        return Reopened(False, "A revoked token cannot come back: its owner logs in again.")


def describe(accessor: str, token: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A token's name for people (the AppRole it came from, if any) and its policies."""
    role = (token.get("meta") or {}).get("role_name")
    return str(role or token.get("display_name") or accessor), list(token.get("policies") or [])
