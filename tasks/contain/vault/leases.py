"""Access kind `vault-leases`: credentials a suspect token had Vault make, such as database logins.

Revoking the token makes Vault end its leases, in the background and only if the system behind agrees. What
remains past its end is revoked here one by one with retries; a residual list says what would not go. A
forced revoke makes Vault forget a lease while its login may still work, so it needs an approval, and the
proof is a login wherever the credential is known.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from blocks.errors import Unreachable
from tasks.contain.fan_out import fan_out
from tasks.contain.kinds import AccessKind, Reopened
from tasks.contain.vault.entity import EntityTokens
from tasks.contain.vault.holders import alive, holders
from tasks.incident import Access, Proof, System

WIDTH = 8
BACKGROUND_S = 3.0  # how long Vault gets to end a revoked token's leases by itself


class TokenLeases(AccessKind):
    """One access per suspect token, AppRole or entity, over the paths its policies let it lease from."""

    system = System.VAULT
    name = "vault-leases"
    action = "end the credentials that Vault issued to it"
    reversible = False
    after = ("vault-token", "approle", EntityTokens.name)

    def observe(self) -> list[Access]:
        found = []
        for holder in holders(self.world):
            if prefixes := self.world.vault.lease_prefixes(list(holder.policies)):
                access = self.access(holder.name, holder.lease_ref, prefixes=prefixes)
                if self.world.unproven(access) or self._alive(access) or self._lingering(access):
                    found.append(access)
        return found

    def close(self, access: Access) -> None:
        """Raises Unreachable while its tokens live, or with the number of leases that would not go."""
        if self._alive(access):
            raise Unreachable(
                "The token that owns the leases is not revoked yet.", "It is tried again after it."
            )
        deadline = time.monotonic() + BACKGROUND_S
        while (left := self._lingering(access)) and time.monotonic() < deadline:
            failed = fan_out(self.world.vault.revoke_lease, left, WIDTH)
            if failed:
                time.sleep(0.2)
        if left and self.world.force and len(left) <= len(self.world.jar.of_kind("postgres")):
            fan_out(self.world.vault.force_lease, left, WIDTH)
        elif left:
            raise Unreachable(
                f"{len(left)} leases would not end (first: {left[0].rpartition('/')[0]}).",
                "Is the database behind Vault up? Drop the logins there. Forcing makes Vault forget leases: "
                "it needs an approval, and the logins in hand, because only they can show what still works.",
            )

    def prove(self, access: Access) -> Proof:
        if logins := self._still_logging_in():
            return self.attempt(False, f"{logins} known database logins still work.")
        left = len(self._lingering(access))
        tried = len(self.world.jar.of_kind("postgres"))
        if left == 0 and tried:
            return self.attempt(
                True, f"{tried} known database logins were tried and refused; no lease is left."
            )
        others = len(self._standing(access)) - left
        note = f" {others} leases of other tokens under the same paths stay." if others > 0 else ""
        return self.recount(left == 0, f"{left} of its leases are left.{note}")

    def reopen(self, access: Access) -> Reopened:
        return Reopened(False, "Ended leases cannot come back: the integration asks Vault for new ones.")

    def who(self, access: Access) -> frozenset[str]:
        return super().who(access) | {access.ref.rpartition("/")[2]}

    def _alive(self, access: Access) -> bool:
        return alive(self.world, access.ref)

    def _standing(self, access: Access) -> list[str]:
        """Leases of any token under the paths this one could lease from."""
        return sorted(
            {lease for prefix in access.before["prefixes"] for lease in self.world.vault.leases(prefix)}
        )

    def _lingering(self, access: Access) -> list[str]:
        """Of those, the ones that are past their end: only a revoked token's leases are."""
        standing = self._standing(access)
        with ThreadPoolExecutor(WIDTH) as pool:
            ended = list(pool.map(self._ended, standing))
        return [lease for lease, over in zip(standing, ended, strict=True) if over]

    def _ended(self, lease_id: str) -> bool:
        lease = self.world.vault.lease(lease_id)
        return lease is not None and int(lease.get("ttl") or 0) <= 0

    def _still_logging_in(self) -> int:
        return sum(logs_in(dsn) for dsn in self.world.jar.of_kind("postgres").values())


def logs_in(dsn: str) -> bool:
    """Whether PostgreSQL lets the old login in. Raises Unreachable when the server does not answer at all."""
    try:
        psycopg.connect(dsn, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        # SQLSTATE class 28 is "invalid authorization"; without a code nothing answered.
        if error.sqlstate is None and "FATAL" not in str(error):
            raise Unreachable("The database did not answer the old login.", "Check that it is up.") from None
        return False
    return True
