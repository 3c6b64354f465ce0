"""Access kind `approle`: an AppRole's secret ids and the tokens already issued from them.

Destroying a secret id leaves the tokens it issued alive, so both go. The role itself stays as it is.
"""

from __future__ import annotations

from blocks.errors import Unreachable
from tasks.contain.fan_out import fan_out
from tasks.contain.kinds import AccessKind, Reopened
from tasks.incident import Access, Proof, SuspectKind, System


class AppRole(AccessKind):
    """One access per suspect role."""

    system = System.VAULT
    name = "approle"
    action = "destroy the role's secret ids and revoke the tokens they issued"
    reversible = False

    def observe(self) -> list[Access]:
        found = []
        for role in self.world.named(SuspectKind.VAULT_APPROLE):
            secret_ids, tokens = self._standing(role)
            if secret_ids or tokens:
                found.append(self.access(role, role, secret_ids=len(secret_ids), issued=tokens))
        return found

    def close(self, access: Access) -> None:
        vault = self.world.vault
        for _ in range(3):  # a login may slip in between listing and destroying
            secret_ids, tokens = self._standing(access.ref)
            failed: list[object] = []
            failed += fan_out(lambda accessor: vault.destroy_secret_id(access.ref, accessor), secret_ids, 8)
            failed += fan_out(vault.revoke_token, tokens, 8)
            if failed:
                raise Unreachable(
                    f"{len(failed)} secret ids or tokens would not go.", "They are tried again."
                )
            if not any(self._standing(access.ref)):
                return

    def prove(self, access: Access) -> Proof:
        secret_ids, tokens = self._standing(access.ref)
        return self.recount(
            not secret_ids and not tokens, f"{len(secret_ids)} secret ids and {len(tokens)} tokens are left."
        )

    def reopen(self, access: Access) -> Reopened:
        return Reopened(False, "Destroyed secret ids cannot come back: issue a new one to the integration.")

    def _standing(self, role: str) -> tuple[list[str], list[str]]:
        return self.world.vault.secret_ids(role), self.world.vault.tokens_of_role(role)
