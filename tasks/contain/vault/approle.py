"""Access kind `approle`: an AppRole's secret ids and the tokens already issued from them.

Destroying a secret id leaves the tokens it issued alive, so both go. The role itself stays as it is. A secret
id that this incident has issued as the replacement stays, and so do the tokens that came after it: by then
no other secret id was left to log in with.
"""

from __future__ import annotations

import json

from blocks.errors import Refused, Unreachable
from tasks.contain.fan_out import fan_out
from tasks.contain.kinds import AccessKind, Reopened
from tasks.incident import Access, Proof, SuspectKind, System


class AppRole(AccessKind):
    """One access per suspect role. A login in the jar (JSON with role_id and secret_id) is tried."""

    system = System.VAULT
    name = "approle"
    action = "destroy the role's secret ids and revoke the tokens they issued"
    reversible = False

    def observe(self) -> list[Access]:
        found = []
        for role in self.world.named(SuspectKind.VAULT_APPROLE):
            if self.world.vault.role_policies(role) is None:
                raise Refused(f"Vault has no AppRole {role}.", "Check the name, the mount and the namespace.")
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
        if login := self.world.jar.get(SuspectKind.VAULT_APPROLE, access.ref):
            if self.world.vault.logs_in(**json.loads(login)):
                return self.attempt(False, "The old secret id still logs in.")
            if not secret_ids and not tokens:
                return self.attempt(True, "The old secret id was tried and refused; no token of it is left.")
        return self.recount(
            not secret_ids and not tokens, f"{len(secret_ids)} secret ids and {len(tokens)} tokens are left."
        )

    def reopen(self, access: Access) -> Reopened:
        return Reopened(False, "Destroyed secret ids cannot come back: issue a new one to the integration.")

    def _standing(self, role: str) -> tuple[list[str], list[str]]:
        vault = self.world.vault
        replaced = [one for one in self.world.replaced.values() if one.principal == role]
        secret_ids = [a for a in vault.secret_ids(role) if a not in self.world.replaced]
        since = min((int(one.at.timestamp()) for one in replaced), default=None)
        tokens = vault.tokens_of_role(role)
        return secret_ids, [
            a for a, token in tokens.items() if since is None or int(token["creation_time"]) < since
        ]
