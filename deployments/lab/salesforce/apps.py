"""Connected apps and external client apps as the OAuth endpoints know them: keys, flows, who may use them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from deployments.lab.salesforce.permissions import Access
from deployments.lab.salesforce.store import Store

REFRESH, JWT, CLIENT_CREDENTIALS, PASSWORD = "refresh", "jwt", "client_credentials", "password"


@dataclass(frozen=True, slots=True)
class App:
    """One app. `flows` names the grant types it allows; `external`: an external client app."""

    id: str
    name: str
    consumer_key: str
    consumer_secret: str
    certificate: str  # PEM of the public key for JWT bearer; empty when there is none
    scopes: str
    flows: frozenset[str]
    run_as: str  # user id for client credentials
    admin_approved_only: bool
    blocked: bool
    external: bool = False


class Apps:
    """All apps by consumer key, read from the hidden columns of their tables."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_key: dict[str, App] = {}
        self.reload()

    def reload(self) -> None:
        rows = self._store.read().execute(
            "SELECT Id,Name,ConsumerKey,ConsumerSecret,Certificate,Scopes,Flows,RunAsUserId,"
            "OptionsAllowAdminApprovedUsersOnly,IsBlocked FROM ConnectedApplication"
            " WHERE ConsumerKey IS NOT NULL"
        )
        made = (
            App(
                id=row[0],
                name=row[1],
                consumer_key=row[2],
                consumer_secret=row[3] or "",
                certificate=row[4] or "",
                scopes=row[5] or "api",
                flows=frozenset((row[6] or REFRESH).split()),
                run_as=row[7] or "",
                admin_approved_only=bool(row[8]),
                blocked=bool(row[9]),
            )
            for row in rows
        )
        by_key = {app.consumer_key: app for app in made}
        for app, former in self._external():
            by_key[app.consumer_key] = app
            if former is not None:
                by_key.setdefault(former.consumer_key, former)
        self._by_key = by_key

    def _external(self) -> list[tuple[App, App | None]]:
        """External client apps, each with its former pair of key and secret while that is still valid."""
        rows = self._store.read().execute("SELECT * FROM ExternalClientApplication")
        found: list[tuple[App, App | None]] = []
        for row in rows:
            app = App(
                id=row["Id"],
                name=row["MasterLabel"],
                consumer_key=row["ConsumerKey"],
                consumer_secret=row["ConsumerSecret"],
                certificate=row["Certificate"] or "",
                scopes=row["Scopes"] or "api",
                flows=frozenset((row["Flows"] or REFRESH).split()),
                run_as=row["RunAsUserId"] or "",
                admin_approved_only=False,
                blocked=bool(row["IsBlocked"]),
                external=True,
            )
            former = None
            if row["StagedState"] == "rotated":
                former = replace(app, consumer_key=row["StagedKey"], consumer_secret=row["StagedSecret"])
            found.append((app, former))
        return found

    def by_key(self, consumer_key: str) -> App | None:
        return self._by_key.get(consumer_key)

    def by_id(self, app_id: str) -> App | None:
        return next((app for app in self._by_key.values() if app.id == app_id), None)

    def by_name(self, name: str) -> App | None:
        return next((app for app in self._by_key.values() if app.name == name), None)

    def all(self) -> list[App]:
        return list(self._by_key.values())

    def approved(self, app: App, access: Access) -> bool:
        """Whether an administrator has approved the app for this user, where the app asks for that."""
        if not app.admin_approved_only:
            return True
        if not access.set_ids:
            return False
        marks = ",".join("?" * len(access.set_ids))
        row = (
            self._store.read()
            .execute(
                f"SELECT 1 FROM SetupEntityAccess WHERE SetupEntityId=? AND ParentId IN ({marks})",  # noqa: S608
                (app.id, *access.set_ids),
            )
            .fetchone()
        )
        return row is not None


def secret_matches(app: App, given: str) -> bool:
    return bool(app.consumer_secret) and secrets.compare_digest(app.consumer_secret.encode(), given.encode())
