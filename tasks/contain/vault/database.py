"""Access kinds `vault-static-role` and `vault-db-root`: database passwords that suspects could read or set.

Revoking a token ends the logins made for it, but a static role's password is one that everybody shares, and
whoever may write a connection knows or can learn its root password. Both get new ones, after the suspects'
tokens are dead, or they would be read again. There is no way back, and none is wanted.
Sessions that are open in the database stay open: ending those is the database administrator's part.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from blocks.errors import Unreachable
from tasks.contain.kinds import AccessKind, Reopened
from tasks.contain.vault.entity import EntityTokens
from tasks.contain.vault.holders import alive, holders
from tasks.contain.vault.leases import logs_in
from tasks.contain.world import World
from tasks.incident import Access, Proof, System


class _Password(AccessKind):
    system = System.VAULT
    reversible = False
    after = ("vault-token", "approle", EntityTokens.name)

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._rotated: set[str] = set()  # by this run: a lost answer must not make it rotate twice

    def close(self, access: Access) -> None:
        if any(alive(self.world, ref) for ref in access.before["holders"]):
            raise Unreachable(
                "A suspect token that can read the password lives.", "It is tried again after it."
            )
        if access.key not in self._rotated:
            self._rotate(access)
            self._rotated.add(access.key)

    def reopen(self, access: Access) -> Reopened:
        return Reopened(False, "A rotated password cannot come back: its readers get the new one from Vault.")

    @abstractmethod
    def _rotate(self, access: Access) -> None: ...

    def _reachable(self, folder: str, path: str, capability: str) -> Iterator[tuple[str, str, list[str]]]:
        """Mount, name and the suspects concerned, for every name in the mount's folder to which a suspect may
        do this at the path of that name."""
        known = list(holders(self.world))
        for mount in [m for m, kind in self.world.vault.mounts().items() if kind == "database"]:
            for name in self.world.vault.names(f"{mount}{folder}"):
                where = f"{mount}{path}/{name}"
                who = [h.lease_ref for h in known if self.world.vault.may(h.policies, where, capability)]
                if who:
                    yield mount, name, who

    def _owed(self, access: Access) -> bool:
        """Whether this incident has not rotated it yet."""
        past = self.world.history.get(access.key)
        return past is None or not past.closed

    def _tried(self, user: str) -> Proof | None:
        """The proof by the old password, when it was found."""
        dsn = self.world.jar.get("postgres", user)
        if dsn is None:
            return None
        works = logs_in(dsn)
        return self.attempt(not works, f"The old password {'still logs in' if works else 'was refused'}.")


class StaticRole(_Password):
    """One access per static role whose password a suspect could read."""

    name = "vault-static-role"
    action = "give the database's static role a new password"

    def observe(self) -> list[Access]:
        found = []
        for mount, role, who in self._reachable("static-roles", "static-creds", "read"):
            state = self.world.vault.static_role(mount, role) or {}
            access = self.access(
                str(state.get("username")),
                f"{mount}{role}",
                mount=mount,
                role=role,
                holders=who,
                rotated=state.get("last_vault_rotation"),
            )
            if self._owed(access):
                found.append(access)
        return found

    def _rotate(self, access: Access) -> None:
        self.world.vault.rotate(access.before["mount"], "rotate-role", access.before["role"])

    def prove(self, access: Access) -> Proof:
        state = self.world.vault.static_role(access.before["mount"], access.before["role"]) or {}
        last = state.get("last_vault_rotation")
        if last == access.before["rotated"]:
            return self.recount(False, f"Vault last rotated the password at {last}, before the cut.")
        return self._tried(access.principal) or self.recount(
            True, f"Vault rotated the password at {last}, after the suspects were cut off."
        )


class DatabaseRoot(_Password):
    """One access per database connection that a suspect could rewrite."""

    name = "vault-db-root"
    action = "give Vault's own login at the database a new password"

    def observe(self) -> list[Access]:
        found = []
        for mount, name, who in self._reachable("config", "config", "update"):
            access = self.access(name, f"{mount}config/{name}", mount=mount, role=name, holders=who)
            if self._owed(access):
                found.append(access)
        return found

    def _rotate(self, access: Access) -> None:
        self.world.vault.rotate(access.before["mount"], "rotate-root", access.before["role"])

    def prove(self, access: Access) -> Proof:
        """Vault keeps no time for this rotation: its word counts, or the old password refused."""
        past = self.world.history.get(access.key)
        done = access.key in self._rotated or bool(past and past.closed)
        user = self.world.vault.connection_user(access.before["mount"], access.before["role"])
        if done and user and (tried := self._tried(user)):
            return tried
        return self.recount(done, f"Vault has {'' if done else 'not '}set and tried a new password.")
