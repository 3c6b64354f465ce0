"""Access kinds `login` (a suspect user's ability to log in, taken by freezing) and `user` (the user
itself, deactivated only where the plan says so).

Freezing (UserLogin.IsFrozen) is reversible and works where deactivation is blocked, for example for a
user in a hierarchy field. Source: Object Reference, UserLogin and User.
"""

from __future__ import annotations

from typing import Any

from blocks.errors import Refused
from tasks.contain.kinds import AccessKind, Reopened
from tasks.contain.salesforce.org import one_of, quote
from tasks.contain.salesforce.principals import suspect_users
from tasks.incident import Access, Proof, System


class Login(AccessKind):
    """The login of a suspect user or a suspect app's integration user; never of an app's ordinary users."""

    system = System.SALESFORCE
    name = "login"
    action = "freeze the user"

    def observe(self) -> list[Access]:
        users = {user.id: user for user in suspect_users(self.world)}
        if not users:
            return []
        where = f"IsFrozen = false AND {one_of('UserId', users)}"
        rows = self.world.salesforce.rows("Id, UserId, IsFrozen", "UserLogin", where)
        return [
            self.access(users[row["UserId"]].username, row["UserId"], is_frozen=False, user_login=row["Id"])
            for row in rows
        ]

    def close(self, access: Access) -> None:
        self._set(access, frozen=True)

    def prove(self, access: Access) -> Proof:
        row = self._row(access)
        frozen = bool(row["IsFrozen"])
        return self.recount(frozen, f"UserLogin.IsFrozen reads {str(frozen).lower()}.")

    def reopen(self, access: Access) -> Reopened:
        self._set(access, frozen=bool(access.before.get("is_frozen", False)))
        return Reopened(not self._row(access)["IsFrozen"], "UserLogin.IsFrozen is as it was.")

    def _row(self, access: Access) -> dict[str, Any]:
        where = f"UserId = {quote(access.ref)}"
        rows = list(self.world.salesforce.rows("Id, IsFrozen", "UserLogin", where))
        if not rows:
            raise Refused(
                "The user has no UserLogin row that the responder can see.",
                "Grant the responder Manage Users; a user who never could log in has none.",
            )
        return rows[0]

    def _set(self, access: Access, *, frozen: bool) -> None:
        login = access.before.get("user_login") or self._row(access)["Id"]
        self.world.salesforce.update("UserLogin", login, {"IsFrozen": frozen})


class Deactivation(AccessKind):
    """The suspect user itself. Last of all: an inactive user cannot be given anything back."""

    system = System.SALESFORCE
    name = "user"
    action = "deactivate the user"
    after = ("login", "sessions", "permission-set", "permission-group")

    def observe(self) -> list[Access]:
        if not self.world.plan.policies.deactivate_users:
            return []
        users = {user.id: user for user in suspect_users(self.world)}
        if not users:
            return []
        rows = self.world.salesforce.rows("Id", "User", f"IsActive = true AND {one_of('Id', users)}")
        return [self.access(users[row["Id"]].username, row["Id"], active=True) for row in rows]

    def close(self, access: Access) -> None:
        self.world.salesforce.update("User", access.ref, {"IsActive": False})

    def prove(self, access: Access) -> Proof:
        active = self._active(access)
        return self.recount(not active, f"User.IsActive reads {str(active).lower()}.")

    def reopen(self, access: Access) -> Reopened:
        self.world.salesforce.update("User", access.ref, {"IsActive": True})
        return Reopened(self._active(access), "The user is active again.")

    def _active(self, access: Access) -> bool:
        where = f"Id = {quote(access.ref)} AND IsActive = true"
        return bool(self.world.salesforce.count("User", where))
