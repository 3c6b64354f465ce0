"""Who the Salesforce suspects are: users by id, apps by label, and the integration user behind an app.

Among the thousands who granted an app, only its integration user is locked out as a person: it exists for
the app. Everybody else loses the app's grant and the sessions it opened, and keeps working.
"""

from __future__ import annotations

from dataclasses import dataclass

from blocks.errors import Refused
from blocks.salesforce.errors import SalesforceRefused
from tasks.contain.salesforce.org import one_of, quote
from tasks.contain.world import World
from tasks.incident import SuspectKind

AT_ONCE = 100  # names in one query: Salesforce takes addresses of up to 16,384 bytes


@dataclass(frozen=True, slots=True)
class SfUser:
    id: str  # 18 characters
    username: str


def suspect_apps(world: World) -> tuple[str, ...]:
    """Labels of the suspect apps. Raises Refused for a label that the org has never heard of.

    A mistyped label has no grants; without this question that would read as "all grants are gone".
    """
    return tuple(_known_app(world, label) for label in world.named(SuspectKind.CONNECTED_APP))


def suspect_users(world: World) -> tuple[SfUser, ...]:
    """Suspect users and the integration users of suspect apps, each once."""
    names = world.named(SuspectKind.SALESFORCE_USER)
    named = world.once("sf-named-users", lambda: _users(world, names))
    behind = [user for app in suspect_apps(world) for user in integration_users(world, app)]
    return tuple(dict.fromkeys([*named, *behind]))


def integration_users(world: World, app: str) -> tuple[SfUser, ...]:
    """The users an app works as: those the plan lists beside it, else the API-only users that use it."""
    return world.once(("sf-integration-users", app), lambda: _planned(world, app) or _api_only(world, app))


@dataclass(frozen=True, slots=True)
class ExternalApp:
    """An external client app; connected apps are known by their label alone."""

    id: str
    label: str


def external_apps(world: World) -> tuple[ExternalApp, ...]:
    """All external client apps of the org; none where the org does not know the object."""

    def ask() -> tuple[ExternalApp, ...]:
        try:
            rows = list(world.salesforce.rows("Id, MasterLabel", "ExternalClientApplication", "Id != null"))
        except SalesforceRefused as error:
            if "INVALID_TYPE" in error.codes:
                return ()
            raise
        return tuple(ExternalApp(row["Id"], row["MasterLabel"]) for row in rows)

    return world.once("sf-external-apps", ask)


def suspect_external_apps(world: World) -> tuple[ExternalApp, ...]:
    """The suspect apps that are external client apps."""
    labels = set(suspect_apps(world))
    return tuple(app for app in external_apps(world) if app.label in labels)


def owner_of(world: World, app: str) -> str:
    """The role that looks after an app by the plan."""
    return world.plan.owner_of(SuspectKind.CONNECTED_APP, app).key


def _known_app(world: World, label: str) -> str:
    def ask() -> str:
        org, name = world.salesforce, quote(label)
        if (
            any(app.label == label for app in external_apps(world))
            or org.count("ConnectedApplication", f"Name = {name}")
            or org.count("OauthToken", f"AppName = {name}")
            or org.count("LoginHistory", f"Application = {name}")
        ):
            return label
        raise Refused(
            f"No app called {label!r} has grants, logins or an entry in this org.",
            "Copy the label from Setup, Connected Apps OAuth Usage.",
        )

    return world.once(("sf-app", label), ask)


def _user(world: World, name: str) -> SfUser:
    return world.once(("sf-user", name), lambda: _users(world, (name,))[0])


def _users(world: World, names: tuple[str, ...]) -> tuple[SfUser, ...]:
    """Users by username or id, many with one query: nothing is closed before all of them are known."""
    found: dict[str, SfUser] = {}
    for start in range(0, len(names), AT_ONCE):
        some = names[start : start + AT_ONCE]
        columns = {"Id": [n for n in some if _is_id(n)], "Username": [n for n in some if not _is_id(n)]}
        where = " OR ".join(one_of(column, values) for column, values in columns.items() if values)
        for row in world.salesforce.rows("Id, Username", "User", where):
            found[row["Id"][:15]] = found[row["Username"].casefold()] = SfUser(row["Id"], row["Username"])
    try:
        return tuple(found[name[:15] if _is_id(name) else name.casefold()] for name in names)
    except KeyError:
        raise Refused(
            "A suspect Salesforce user is not in this org.", "Check the username or 005 id."
        ) from None


def _is_id(name: str) -> bool:
    return len(name) in (15, 18) and name.startswith("005") and name.isalnum()


def _planned(world: World, app: str) -> tuple[SfUser, ...]:
    integration = world.plan.integration_of(SuspectKind.CONNECTED_APP, app)
    principals = integration.principals if integration else ()
    return tuple(_user(world, p.identifier) for p in principals if p.kind == SuspectKind.SALESFORCE_USER)


def _api_only(world: World, app: str) -> tuple[SfUser, ...]:
    """API-only users with a grant of the app, or a login through it (which outlives the grant)."""
    org, name = world.salesforce, quote(app)
    rows = org.rows(
        "AssigneeId, Assignee.Username",
        "PermissionSetAssignment",
        "PermissionSet.PermissionsApiUserOnly = true",
    )
    users = {SfUser(row["AssigneeId"], row["Assignee"]["Username"]) for row in rows}
    return tuple(
        user
        for user in sorted(users, key=lambda user: user.id)
        if org.count("OauthToken", f"AppName = {name} AND UserId = {quote(user.id)}")
        or org.count("LoginHistory", f"Application = {name} AND UserId = {quote(user.id)}")
    )
