"""Access kinds `oauth-grants` (an app's grants across all users) and `user-oauth-grants` (one user's).

`OauthToken` is query-only with null Ids, hands out at most 2,500 rows however many there are, and shows
only one's own rows without Customize Application. So: check the permission, COUNT, revoke what a query
hands out by its DeleteToken, and repeat until COUNT is zero. Source: Salesforce Object Reference,
OauthToken; "Revoke OAuth Tokens" for the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from blocks.errors import Refused, Unreachable
from tasks.contain.fan_out import WIDTH, fan_out
from tasks.contain.kinds import AccessKind, Reopened
from tasks.contain.salesforce.org import one_of, quote
from tasks.contain.salesforce.principals import integration_users, suspect_apps, suspect_users
from tasks.incident import Access, Proof, System

ROUNDS = 50  # each clears up to 2,500 grants
STUCK_ROUNDS = 3  # rounds in a row that revoke nothing before giving up


class _Grants(AccessKind):
    """What both kinds share: revoke everything a condition selects, prove by COUNT."""

    system = System.SALESFORCE
    reversible = False

    def _where(self, access: Access) -> str:
        raise NotImplementedError

    def _width(self) -> int:
        """Grants of one access that are revoked at a time."""
        return WIDTH

    def close(self, access: Access) -> None:
        """Raises Refused without Customize Application, Unreachable when some grants would not go."""
        self._require_sight()
        stuck = 0
        for _ in range(ROUNDS):
            before = self._count(self._where(access))
            if before == 0:
                return
            failed = fan_out(self._revoke, self._tokens(access), self._width())
            stuck = stuck + 1 if len(failed) >= min(before, 2500) else 0
            if stuck == STUCK_ROUNDS:
                kinds = ", ".join(sorted({type(error).__name__ for _, error in failed}))
                raise Unreachable(
                    f"{len(failed)} OAuth grants could not be revoked ({kinds}).",
                    "They are tried again; if it goes on, revoke in Setup, Connected Apps OAuth Usage.",
                )
        raise Unreachable(
            "OAuth grants keep appearing as fast as they are revoked.",
            "Block the app in Setup, Connected Apps OAuth Usage.",
        )

    def prove(self, access: Access) -> Proof:
        self._require_sight()
        left = self._count(self._where(access))
        return self.recount(
            left == 0, f"COUNT() of the grants is {left}; it was {access.before.get('grants')}."
        )

    def reopen(self, access: Access) -> Reopened:
        return Reopened(
            False, "Revoked grants cannot come back: users authorise the app again when it is safe."
        )

    def _count(self, where: str) -> int:
        return self.world.salesforce.count("OauthToken", where)

    def _tokens(self, access: Access) -> Iterator[dict[str, Any]]:
        # No OFFSET: what is revoked leaves the result, so asking again brings the next 2,500.
        return self.world.salesforce.rows("DeleteToken", "OauthToken", self._where(access), "LIMIT 2500")

    def _revoke(self, row: dict[str, Any]) -> None:
        self.world.salesforce.revoke(row["DeleteToken"])

    def _require_sight(self) -> None:
        if not self.world.salesforce.may("PermissionsCustomizeApplication"):
            raise Refused(
                "The responder cannot see other users' OAuth grants: Customize Application is missing.",
                "Assign the responder a permission set with Customize Application, then run again.",
            )


class AppGrants(_Grants):
    """All grants of an app, whoever gave them. One access per app, however many thousands of users."""

    name = "oauth-grants"
    action = "revoke every user's grant of the app"

    def observe(self) -> list[Access]:
        found = []
        for app in suspect_apps(self.world):
            self._require_sight()
            if grants := self._count(f"AppName = {quote(app)}"):
                found.append(self.access(app, app, grants=grants))
        return found

    def _where(self, access: Access) -> str:
        return f"AppName = {quote(access.ref)}"

    def _tokens(self, access: Access) -> Iterator[dict[str, Any]]:
        # The integration user's first: it is the one with rights worth stealing.
        if first := [user.id for user in integration_users(self.world, access.ref)]:
            where = f"{self._where(access)} AND {one_of('UserId', first)}"
            yield from self.world.salesforce.rows("DeleteToken", "OauthToken", where)
        yield from super()._tokens(access)


class UserGrants(_Grants):
    """All grants one suspect user gave, to any app."""

    name = "user-oauth-grants"
    action = "revoke every grant the user gave to any app"

    def observe(self) -> list[Access]:
        users = suspect_users(self.world)
        if not users:
            return []
        self._require_sight()
        with ThreadPoolExecutor(WIDTH) as pool:  # one after the other, a hundred users would wait for seconds
            counts = list(pool.map(lambda user: self._count(f"UserId = {quote(user.id)}"), users))
        return [
            self.access(user.username, user.id, grants=grants)
            for user, grants in zip(users, counts, strict=True)
            if grants
        ]

    def _width(self) -> int:
        # Many users are closed at a time: more calls in flight would only make sessions and logins wait.
        return min(WIDTH, max(2, 2 * WIDTH // max(1, len(suspect_users(self.world)))))

    def _where(self, access: Access) -> str:
        return f"UserId = {quote(access.ref)}"
