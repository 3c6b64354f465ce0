"""Access kinds `permission-set` (dangerous permissions a suspect user was assigned) and `app-access`
(permission sets that pre-authorise a suspect app).

An assignment cannot be updated, only deleted and inserted, so its ExpirationDate is kept for the way back.
Source: Object Reference, PermissionSetAssignment and SetupEntityAccess.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tasks.contain.kinds import AccessKind, Reopened
from tasks.contain.salesforce.org import one_of, quote
from tasks.contain.salesforce.principals import suspect_apps, suspect_users
from tasks.incident import Access, Proof, System


class PermissionLockdown(AccessKind):
    """Assignments of permission sets and groups that carry one of the plan's dangerous permissions."""

    system = System.SALESFORCE
    name = "permission-set"
    action = "take the permission set away from the user"

    def observe(self) -> list[Access]:
        users = {user.id: user for user in suspect_users(self.world)}
        dangerous = self._dangerous() if users else []
        if not dangerous:
            return []
        found: dict[str, Access] = {}
        for row in self._assignments(users, dangerous):
            given = row["PermissionSetGroupId"] or row["PermissionSetId"]
            access = self.access(
                users[row["AssigneeId"]].username,
                f"{row['AssigneeId']}:{given}",
                assignee=row["AssigneeId"],
                given=given,
                group=bool(row["PermissionSetGroupId"]),
                permission_set=row["PermissionSet"]["Label"],
                expiration=row["ExpirationDate"],
                carries=[name for name in dangerous if row["PermissionSet"].get(name)],
            )
            found.setdefault(access.key, access)
        return list(found.values())

    def close(self, access: Access) -> None:
        for row in self._rows(access):
            self.world.salesforce.delete("PermissionSetAssignment", row["Id"])

    def prove(self, access: Access) -> Proof:
        left = len(self._rows(access))
        return self.recount(left == 0, f"{left} such assignments are left.")

    def reopen(self, access: Access) -> Reopened:
        before = access.before
        if not self._rows(access):
            column = "PermissionSetGroupId" if before["group"] else "PermissionSetId"
            values = {"AssigneeId": before["assignee"], column: before["given"]}
            if before.get("expiration"):
                values["ExpirationDate"] = before["expiration"]
            self.world.salesforce.insert("PermissionSetAssignment", values)
        return Reopened(bool(self._rows(access)), "The assignment is back with its expiration.")

    def _dangerous(self) -> list[str]:
        """The plan's list, cut to the permissions this org has (they vary by org)."""
        known = self.world.salesforce.fields("PermissionSet")
        return [name for name in self.world.plan.policies.dangerous_permissions if name in known]

    def _assignments(self, users: Iterable[str], dangerous: list[str]) -> Iterator[dict[str, Any]]:
        shown = ", ".join(f"PermissionSet.{name}" for name in dangerous)
        carries = " OR ".join(f"PermissionSet.{name} = true" for name in dangerous)
        fields = "Id, AssigneeId, PermissionSetId, PermissionSetGroupId, ExpirationDate, PermissionSet.Label"
        return self.world.salesforce.rows(
            f"{fields}, {shown}",
            "PermissionSetAssignment",
            f"{one_of('AssigneeId', users)} AND PermissionSet.IsOwnedByProfile = false AND ({carries})",
        )

    def _rows(self, access: Access) -> list[dict[str, Any]]:
        column = "PermissionSetGroupId" if access.before["group"] else "PermissionSetId"
        who, given = quote(access.before["assignee"]), quote(access.before["given"])
        where = f"AssigneeId = {who} AND {column} = {given}"
        return list(self.world.salesforce.rows("Id", "PermissionSetAssignment", where))


class AppAccess(AccessKind):
    """Permission sets that pre-authorise a suspect app. Bites where the app is limited to approved users."""

    system = System.SALESFORCE
    name = "app-access"
    action = "remove the app from the permission set or profile that pre-authorises it"

    def observe(self) -> list[Access]:
        found = []
        for app in suspect_apps(self.world):
            for app_id in self._app_ids(app):
                for row in self._query(f"SetupEntityId = {quote(app_id)}"):
                    found.append(
                        self.access(
                            app, f"{row['ParentId']}:{app_id}", app=app, parent=row["ParentId"], entity=app_id
                        )
                    )
        return found

    def close(self, access: Access) -> None:
        for row in self._rows(access):
            self.world.salesforce.delete("SetupEntityAccess", row["Id"])

    def prove(self, access: Access) -> Proof:
        left = len(self._rows(access))
        return self.recount(left == 0, f"{left} such pre-authorisations are left.")

    def reopen(self, access: Access) -> Reopened:
        if not self._rows(access):
            self.world.salesforce.insert(
                "SetupEntityAccess",
                {"ParentId": access.before["parent"], "SetupEntityId": access.before["entity"]},
            )
        return Reopened(bool(self._rows(access)), "The pre-authorisation is back.")

    def _app_ids(self, app: str) -> list[str]:
        rows = self.world.salesforce.rows("Id", "ConnectedApplication", f"Name = {quote(app)}")
        return [row["Id"] for row in rows]

    def _rows(self, access: Access) -> list[dict[str, Any]]:
        parent, entity = quote(access.before["parent"]), quote(access.before["entity"])
        return self._query(f"SetupEntityId = {entity} AND ParentId = {parent}")

    def _query(self, where: str) -> list[dict[str, Any]]:
        return list(self.world.salesforce.rows("Id, ParentId", "SetupEntityAccess", where))
