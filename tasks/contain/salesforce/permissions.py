"""Access kinds `permission-set` (dangerous permissions a suspect user was assigned) and `app-access`
(permission sets that pre-authorise a suspect app).

An assignment cannot be updated, only deleted and inserted, so its ExpirationDate is kept for the way back.
Source: Object Reference, PermissionSetAssignment and SetupEntityAccess.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.contain.kinds import AccessKind, Reopened
from tasks.contain.salesforce.groups import dangerous_permissions, suspects_groups
from tasks.contain.salesforce.org import one_of, quote
from tasks.contain.salesforce.principals import suspect_apps, suspect_users
from tasks.incident import Access, Proof, System


class Assignments(AccessKind):
    """What kinds share that take assignments of permission sets and groups away."""

    system = System.SALESFORCE

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

    def _select(self, where: str, more: str = "") -> Iterator[dict[str, Any]]:
        fields = "Id, AssigneeId, Assignee.Username, PermissionSetId, PermissionSetGroupId, ExpirationDate"
        fields += f", PermissionSet.Label{more}"
        return self.world.salesforce.rows(fields, "PermissionSetAssignment", where)

    def _access(self, row: dict[str, Any], username: str, **before: object) -> Access:
        given = row["PermissionSetGroupId"] or row["PermissionSetId"]
        return self.access(
            username,
            f"{row['AssigneeId']}:{given}",
            assignee=row["AssigneeId"],
            given=given,
            group=bool(row["PermissionSetGroupId"]),
            permission_set=(row["PermissionSet"] or {}).get("Label"),
            expiration=row["ExpirationDate"],
            **before,
        )

    def _rows(self, access: Access) -> list[dict[str, Any]]:
        column = "PermissionSetGroupId" if access.before["group"] else "PermissionSetId"
        who, given = quote(access.before["assignee"]), quote(access.before["given"])
        where = f"AssigneeId = {who} AND {column} = {given}"
        return list(self.world.salesforce.rows("Id", "PermissionSetAssignment", where))


class PermissionLockdown(Assignments):
    """Assignments of permission sets and groups that carry one of the plan's dangerous permissions. In a
    group that suspects alone hold the permissions are muted instead (kind `permission-group`)."""

    name = "permission-set"
    action = "take the permission set away from the user"

    def observe(self) -> list[Access]:
        users = {user.id: user.username for user in suspect_users(self.world)}
        dangerous = dangerous_permissions(self.world, "PermissionSet") if users else []
        if not dangerous:
            return []
        muted = suspects_groups(self.world)
        carries = " OR ".join(f"PermissionSet.{name} = true" for name in dangerous)
        where = f"{one_of('AssigneeId', users)} AND PermissionSet.IsOwnedByProfile = false AND ({carries})"
        shown = "".join(f", PermissionSet.{name}" for name in dangerous)
        found: dict[str, Access] = {}
        for row in self._select(where, shown):
            if row["PermissionSetGroupId"] not in muted:
                held = [name for name in dangerous if row["PermissionSet"].get(name)]
                access = self._access(row, users[row["AssigneeId"]], carries=held)
                found.setdefault(access.key, access)
        return list(found.values())


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
