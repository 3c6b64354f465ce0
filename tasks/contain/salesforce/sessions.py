"""Access kinds `sessions` (all of a suspect user) and `app-sessions` (those an app opened for anybody).

A session belongs to an app when the login that opened it names the app (AuthSession -> LoginHistory.
Application). Other users' own browser sessions stay: a shop agent keeps working.
Source: Object Reference, AuthSession ("delete() ... ending that user's session").
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from blocks.errors import Unreachable
from tasks.contain.kinds import AccessKind, Reopened
from tasks.contain.salesforce.org import one_of, quote
from tasks.contain.salesforce.principals import suspect_apps, suspect_users
from tasks.contain.world import World
from tasks.incident import Access, Proof, System


class _Sessions(AccessKind):
    system = System.SALESFORCE
    reversible = False

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._seen: dict[str, list[str]] = {}  # ids of sessions by the access's ref, until they are closed

    def _where(self, ref: str) -> str:
        raise NotImplementedError

    def _open(self, ref: str) -> list[dict[str, Any]]:
        return self._live(self._where(ref))

    def _live(self, where: str) -> list[dict[str, Any]]:
        # IsCurrent is filtered here, not in SOQL: our own session must never be in reach of a mistake there.
        rows = self.world.salesforce.rows("Id, UsersId, IsCurrent", "AuthSession", where)
        return [
            r for r in rows if not r.get("IsCurrent") and r["UsersId"] != self.world.salesforce.me.user_id
        ]

    def _found(self, principal: str, ref: str) -> list[Access]:
        rows = self._open(ref)
        users = {row["UsersId"] for row in rows}
        return [self.access(principal, ref, sessions=len(rows), users=len(users))] if rows else []

    def close(self, access: Access) -> None:
        # Those just seen need not be looked up again; what came since, the proof will show.
        ids = self._seen.pop(access.ref, None) or [row["Id"] for row in self._open(access.ref)]
        failed = self.world.salesforce.delete_many("AuthSession", ids)
        if failed:
            raise Unreachable(
                f"{len(failed)} sessions could not be deleted ({', '.join(sorted(set(failed.values())))}).",
                "They are tried again; if it goes on, end them in Setup, Session Management.",
            )

    def prove(self, access: Access) -> Proof:
        left = len(self._open(access.ref))
        return self.recount(
            left == 0, f"{left} sessions are left; there were {access.before.get('sessions')}."
        )

    def reopen(self, access: Access) -> Reopened:
        return Reopened(False, "Ended sessions cannot come back: the users log in again.")


class UserSessions(_Sessions):
    """Every session of a suspect user, however it was opened."""

    name = "sessions"
    action = "end every session of the user"

    def observe(self) -> list[Access]:
        users = {user.id: user.username for user in suspect_users(self.world)}
        rows = self._live(one_of("UsersId", users)) if users else []
        seen: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            seen[row["UsersId"]].append(row["Id"])
        self._seen.update(seen)
        return [self.access(users[user], user, sessions=len(ids), users=1) for user, ids in seen.items()]

    def _where(self, ref: str) -> str:
        return f"UsersId = {quote(ref)}"


class AppSessions(_Sessions):
    """Every session opened through a suspect app. Revoking a grant ends its sessions, so what is left when
    the grants are gone is little."""

    name = "app-sessions"
    action = "end every session that was opened through the app, of any user"
    after = ("oauth-grants",)

    def observe(self) -> list[Access]:
        return [access for app in suspect_apps(self.world) for access in self._found(app, app)]

    def _where(self, ref: str) -> str:
        return f"LoginHistory.Application = {quote(ref)}"
