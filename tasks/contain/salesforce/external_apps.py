"""Access kinds `external-app-tokens` (all of an external client app) and `user-external-tokens` (one
user's).

External client apps have a way of their own to end tokens, by app or by app and user, so their tokens
need no paging and no DeleteToken. Source: Connect REST API Developer Guide, "OAuth Usage" (v59 and
later).
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.contain.kinds import AccessKind, Reopened
from tasks.contain.salesforce.org import Gone
from tasks.contain.salesforce.principals import external_apps, suspect_external_apps, suspect_users
from tasks.contain.world import World
from tasks.incident import Access, Proof, System

USAGE = "apps/oauth/usage"


def users_of(world: World, app_id: str) -> Iterator[str]:
    """Ids of the users who hold tokens of an app; none when the app has no usage (any more)."""
    try:
        for user in world.salesforce.pages(f"{USAGE}/{app_id}/users", "users"):
            yield str(user.get("identifier") or user.get("userId"))
    except Gone:
        return


class ExternalAppTokens(AccessKind):
    """Every token of a suspect external client app."""

    system = System.SALESFORCE
    name = "external-app-tokens"
    action = "delete every token of the external client app"
    reversible = False

    def observe(self) -> list[Access]:
        return [
            self.access(app.label, app.id, grants=count)
            for app in suspect_external_apps(self.world)
            if (count := sum(1 for _ in users_of(self.world, app.id)))
        ]

    def close(self, access: Access) -> None:
        self.world.salesforce.api("DELETE", f"{USAGE}/{access.ref}/tokens")

    def prove(self, access: Access) -> Proof:
        left = sum(1 for _ in users_of(self.world, access.ref))
        return self.recount(
            left == 0, f"{left} users hold tokens of the app; it was {access.before.get('grants')}."
        )

    def reopen(self, access: Access) -> Reopened:
        return Reopened(False, "Deleted tokens cannot come back: users authorise the app again.")


class UserExternalTokens(AccessKind):
    """The tokens that one suspect user holds of any external client app."""

    system = System.SALESFORCE
    name = "user-external-tokens"
    action = "delete the user's tokens of the external client app"
    reversible = False

    def observe(self) -> list[Access]:
        users = {user.id: user.username for user in suspect_users(self.world)}
        apps = external_apps(self.world) if users else ()
        return [
            self.access(users[user_id], f"{app.id}:{user_id}", app=app.label)
            for app in apps
            for user_id in users_of(self.world, app.id)
            if user_id in users
        ]

    def close(self, access: Access) -> None:
        app_id, _, user_id = access.ref.partition(":")
        self.world.salesforce.api("DELETE", f"{USAGE}/{app_id}/{user_id}/tokens")

    def prove(self, access: Access) -> Proof:
        app_id, _, user_id = access.ref.partition(":")
        holds = user_id in users_of(self.world, app_id)
        return self.recount(
            not holds, f"The user {'still holds' if holds else 'holds no'} tokens of the app."
        )

    def reopen(self, access: Access) -> Reopened:
        return Reopened(False, "Deleted tokens cannot come back: the user authorises the app again.")
