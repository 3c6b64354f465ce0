"""What a user may do, computed from profile, permission sets, groups and muting, as the org computes it.

Field-level security here bites on a field once any permission set in the org says something about it;
a field nobody ever restricted is readable to whoever may read its object. Record sharing is not modelled:
whoever may read an object reads all its rows.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from deployments.lab.salesforce.schema import OBJECT_PERMISSIONS, PERMISSIONS, Schema, SObject
from deployments.lab.salesforce.store import Store

# Which permission lets a user write an object that no ObjectPermissions row governs; any one suffices.
SETUP_WRITERS: dict[str, tuple[str, ...]] = {
    "User": ("PermissionsManageUsers", "PermissionsManageInternalUsers"),
    "UserLogin": ("PermissionsManageUsers", "PermissionsFreezeUsers"),
    "UserRole": ("PermissionsManageRoles", "PermissionsManageUsers"),
    "Group": ("PermissionsManageUsers",),
    "GroupMember": ("PermissionsManageUsers",),
    "PermissionSetAssignment": ("PermissionsAssignPermissionSets", "PermissionsManageUsers"),
    "Profile": ("PermissionsManageProfilesPermissionsets",),
    "PermissionSet": ("PermissionsManageProfilesPermissionsets",),
    "PermissionSetGroup": ("PermissionsManageProfilesPermissionsets",),
    "PermissionSetGroupComponent": ("PermissionsManageProfilesPermissionsets",),
    "MutingPermissionSet": ("PermissionsManageProfilesPermissionsets",),
    "ObjectPermissions": ("PermissionsManageProfilesPermissionsets",),
    "FieldPermissions": ("PermissionsManageProfilesPermissionsets",),
    "SetupEntityAccess": ("PermissionsManageProfilesPermissionsets",),
    "Organization": ("PermissionsCustomizeApplication",),
    "ApexClass": ("PermissionsAuthorApex",),
    "NamedCredential": ("PermissionsManageNamedCredentials", "PermissionsCustomizeApplication"),
    "SandboxInfo": ("PermissionsCustomizeApplication",),
    "TransactionSecurityPolicy": ("PermissionsCustomizeApplication",),
}

# A change to one of these objects changes what users may do.
GOVERNING = frozenset(
    {
        "User", "Profile", "PermissionSet", "PermissionSetGroup", "PermissionSetGroupComponent",
        "MutingPermissionSet", "PermissionSetAssignment", "ObjectPermissions", "FieldPermissions",
        "SetupEntityAccess", "UserLogin",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SetGrants:
    """What one permission set holds."""

    system: frozenset[str]
    objects: frozenset[tuple[str, str]]  # (object, PermissionsRead ...)
    read: frozenset[tuple[str, str]]  # (object, field)
    edit: frozenset[tuple[str, str]]


class Access:
    """One user's rights; the `Viewer` of query execution."""

    def __init__(
        self,
        user_id: str,
        schema: Schema,
        sets: Iterable[SetGrants],
        set_ids: Iterable[str],
        restricted: frozenset[tuple[str, str]],
        licences: Collection[str] = (),
    ) -> None:
        self.user_id = user_id
        self.set_ids = frozenset(set_ids)
        held = list(sets)
        self.system = frozenset().union(*(s.system for s in held))
        self._schema = schema
        self._objects = frozenset().union(*(s.objects for s in held))
        self._read = frozenset().union(*(s.read for s in held))
        self._edit = frozenset().union(*(s.edit for s in held))
        self._restricted = restricted
        self._licences = licences  # the org's own set: it may change
        self._readable: dict[str, frozenset[str] | None] = {}

    def has(self, permission: str) -> bool:
        name = permission if permission.startswith("Permissions") else f"Permissions{permission}"
        return name in self.system

    def has_any(self, permissions: Iterable[str]) -> bool:
        return any(name in self.system for name in permissions)

    def _object(self, name: str, verb: str) -> bool:
        if "PermissionsModifyAllData" in self.system:
            return True
        return (name, verb) in self._objects or (name, "PermissionsModifyAllRecords") in self._objects

    def can_read(self, name: str) -> bool:
        """Whether the object may be queried at all."""
        found = self._schema.get(name)
        if found is None or (found.licence and found.licence not in self._licences):
            return False
        if found.required_permission:
            return found.required_permission in self.system or (
                found.name == "EventLogFile" and "PermissionsViewAllData" in self.system
            )
        if found.setup:
            return True
        if "PermissionsViewAllData" in self.system:
            return True
        return self._object(found.name, "PermissionsRead") or (
            (found.name, "PermissionsViewAllRecords") in self._objects
        )

    def _can_write(self, found: SObject, verb: str) -> bool:
        if found.name in SETUP_WRITERS:
            return self.has_any(SETUP_WRITERS[found.name])
        if found.setup:
            return "PermissionsCustomizeApplication" in self.system
        return self._object(found.name, verb)

    def can_create(self, found: SObject) -> bool:
        return found.createable and self._can_write(found, "PermissionsCreate")

    def can_edit(self, found: SObject) -> bool:
        return found.updateable and self._can_write(found, "PermissionsEdit")

    def can_delete(self, found: SObject) -> bool:
        return found.deletable and self._can_write(found, "PermissionsDelete")

    def readable_fields(self, name: str) -> frozenset[str] | None:
        """The fields that may be read; None means all."""
        if name not in self._readable:
            self._readable[name] = self._compute_readable(name)
        return self._readable[name]

    def _compute_readable(self, name: str) -> frozenset[str] | None:
        found = self._schema.get(name)
        if found is None or "PermissionsViewAllFieldsGlobal" in self.system:
            return None
        if (found.name, "PermissionsViewAllFields") in self._objects:
            return None
        hidden = {field for owner, field in self._restricted - self._read - self._edit if owner == found.name}
        return frozenset(f.name for f in found.fields if f.name not in hidden) if hidden else None

    def may_edit_field(self, name: str, field: str) -> bool:
        key = (name, field)
        return key not in self._restricted or key in self._edit


class Permissions:
    """Computes and remembers each user's rights until something governing them changes. Thread-safe."""

    def __init__(self, store: Store, schema: Schema, licences: Collection[str] = ()) -> None:
        self._store = store
        self._schema = schema
        self._licences = licences
        self._lock = threading.Lock()
        self._users: dict[str, Access] = {}
        self._sets: dict[str, SetGrants] = {}
        self._restricted: frozenset[tuple[str, str]] | None = None
        self._age = 0

    def forget(self, name: str, user_id: str | None = None) -> None:
        """Something about `name` (an object in GOVERNING) changed; of one user alone where that is known."""
        with self._lock:
            self._age += 1
            if user_id is not None:
                self._users.pop(user_id, None)
                return
            self._users.clear()
            if name not in ("PermissionSetAssignment", "User", "UserLogin"):
                self._sets.clear()
                self._restricted = None

    def of(self, user_id: str) -> Access:
        """The rights of one user; a user that is not there has none."""
        known = self._users.get(user_id)
        if known is not None:
            return known
        age = self._age
        made = self._compute(user_id)
        with self._lock:
            if age == self._age:
                self._users[user_id] = made
        return made

    def _compute(self, user_id: str) -> Access:
        db = self._store.read()
        set_ids = self._assigned(db, user_id)
        if self._restricted is None:
            rows = db.execute("SELECT DISTINCT Field FROM FieldPermissions").fetchall()
            self._restricted = frozenset(_split(row[0]) for row in rows)
        grants = [self._of_set(db, i) for i in set_ids]
        groups = self._groups(db, user_id)
        for group_id in groups:
            grants.append(self._in_force(db, group_id))
        return Access(user_id, self._schema, grants, set_ids, self._restricted, self._licences)

    def _assigned(self, db: sqlite3.Connection, user_id: str) -> list[str]:
        rows = db.execute(
            "SELECT p.Id FROM PermissionSet p JOIN User u ON p.ProfileId=u.ProfileId WHERE u.Id=?"
            " AND p.IsOwnedByProfile=1"
            " UNION SELECT PermissionSetId FROM PermissionSetAssignment WHERE AssigneeId=?"
            " AND PermissionSetId IS NOT NULL AND PermissionSetGroupId IS NULL",
            (user_id, user_id),
        )
        return [row[0] for row in rows]

    def _groups(self, db: sqlite3.Connection, user_id: str) -> list[str]:
        rows = db.execute(
            "SELECT DISTINCT PermissionSetGroupId FROM PermissionSetAssignment WHERE AssigneeId=?"
            " AND PermissionSetGroupId IS NOT NULL",
            (user_id,),
        )
        return [row[0] for row in rows]

    def _of_set(self, db: sqlite3.Connection, set_id: str) -> SetGrants:
        if set_id not in self._sets:
            self._sets[set_id] = SetGrants(
                self._system(db, "PermissionSet", set_id),
                self._objects(db, set_id),
                self._fields(db, set_id, "PermissionsRead"),
                self._fields(db, set_id, "PermissionsEdit"),
            )
        return self._sets[set_id]

    def _in_force(self, db: sqlite3.Connection, group_id: str) -> SetGrants:
        """What a group gives since it was last recalculated; computed now when it never was."""
        members = self._of_group(db, group_id)
        row = db.execute(
            "SELECT Id FROM PermissionSet WHERE PermissionSetGroupId=? AND Type='Group'", (group_id,)
        ).fetchone()
        if row is None:
            return members
        return replace(members, system=self._system(db, "PermissionSet", row[0]))

    def system_of_group(self, group_id: str) -> frozenset[str]:
        """What a group's permission sets together give now, less what its muting permission sets mute."""
        return self._of_group(self._store.read(), group_id).system

    def _of_group(self, db: sqlite3.Connection, group_id: str) -> SetGrants:
        """The union of a group's permission sets, less what its muting permission sets mute."""
        members: list[SetGrants] = []
        muted: set[str] = set()
        rows = db.execute(
            "SELECT PermissionSetId FROM PermissionSetGroupComponent WHERE PermissionSetGroupId=?",
            (group_id,),
        ).fetchall()
        for (set_id,) in rows:
            if set_id.startswith("0QM"):
                muted |= self._system(db, "MutingPermissionSet", set_id)
            else:
                members.append(self._of_set(db, set_id))
        return SetGrants(
            frozenset().union(*(m.system for m in members)) - muted,
            frozenset().union(*(m.objects for m in members)),
            frozenset().union(*(m.read for m in members)),
            frozenset().union(*(m.edit for m in members)),
        )

    def _system(self, db: sqlite3.Connection, table: str, set_id: str) -> frozenset[str]:
        columns = ",".join(PERMISSIONS)
        row = db.execute(f"SELECT {columns} FROM {table} WHERE Id=?", (set_id,)).fetchone()  # noqa: S608
        return frozenset(n for n, on in zip(PERMISSIONS, row, strict=True) if on) if row else frozenset()

    def _objects(self, db: sqlite3.Connection, set_id: str) -> frozenset[tuple[str, str]]:
        columns = ",".join(OBJECT_PERMISSIONS)
        rows = db.execute(
            f"SELECT SobjectType,{columns} FROM ObjectPermissions WHERE ParentId=?",  # noqa: S608
            (set_id,),
        )
        return frozenset(
            (row[0], name)
            for row in rows
            for name, on in zip(OBJECT_PERMISSIONS, tuple(row)[1:], strict=True)
            if on
        )

    def _fields(self, db: sqlite3.Connection, set_id: str, column: str) -> frozenset[tuple[str, str]]:
        rows = db.execute(
            f"SELECT Field FROM FieldPermissions WHERE ParentId=? AND {column}=1",  # noqa: S608
            (set_id,),
        )
        return frozenset(_split(row[0]) for row in rows)


def _split(qualified: str) -> tuple[str, str]:
    name, _, field = qualified.partition(".")
    return name, field
