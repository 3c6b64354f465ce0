"""What else happens when a setup record changes: sessions end, rights change, the audit trail is written."""

from __future__ import annotations

from typing import Any

from deployments.lab.salesforce import groups
from deployments.lab.salesforce.org import Org
from deployments.lab.salesforce.schema import PERMISSIONS
from deployments.lab.salesforce.wire import ApiError, Call

_USERS, _SETS, _SECURITY = "Manage Users", "Permission Sets", "Session Settings"
READ_ONLY = "insufficient access rights on object id"


def before_insert(call: Call, name: str, record: dict[str, Any]) -> None:
    """Complete or refuse a new setup record."""
    match name:
        case "PermissionSetAssignment":
            _check_assignment(call.org, record)
        case "SetupEntityAccess":
            _check_entity_access(call.org, record)
        case "ObjectPermissions" | "FieldPermissions":
            _refuse_profile_owned(call.org, record.get("ParentId"))
        case "PermissionSet":
            record |= {"IsCustom": 1, "IsOwnedByProfile": 0, "Type": "Regular"}
        case "PermissionSetGroup":
            record["Status"] = "Outdated"
        case "User":
            taken = call.org.user_by_name(str(record.get("Username") or ""))
            if taken:
                raise ApiError(400, "DUPLICATE_USERNAME", "Duplicate Username.", ["Username"])
            record |= {"UserType": "Standard"}
            record.setdefault("IsActive", 1)


def before_update(call: Call, name: str, old: dict[str, Any], changes: dict[str, Any]) -> None:
    """Refuse what may not be changed."""
    org = call.org
    if name == "PermissionSet" and old["IsOwnedByProfile"]:
        raise ApiError(400, "INSUFFICIENT_ACCESS_OR_READONLY", READ_ONLY)
    if name in ("ObjectPermissions", "FieldPermissions"):
        _refuse_profile_owned(org, old["ParentId"])
    if name == "Profile" and not old["IsCustom"]:
        raise ApiError(400, "INSUFFICIENT_ACCESS_OR_READONLY", READ_ONLY)
    if name == "UserLogin" and changes.get("IsPasswordLocked"):
        raise ApiError(
            400,
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "IsPasswordLocked can only be set to false",
            ["IsPasswordLocked"],
        )
    if name in ("User", "UserLogin") and (changes.get("IsFrozen") or changes.get("IsActive") == 0):
        user_id = old["Id"] if name == "User" else old["UserId"]
        if user_id == call.session.user_id:
            raise ApiError(
                400,
                "CANNOT_DEACTIVATE_USER" if name == "User" else "INVALID_OPERATION",
                "You can't deactivate or freeze yourself.",
            )


def before_delete(call: Call, name: str, old: dict[str, Any]) -> None:
    """Refuse what may not be deleted."""
    org = call.org
    if name == "PermissionSet" and old["IsOwnedByProfile"]:
        raise ApiError(400, "INSUFFICIENT_ACCESS_OR_READONLY", READ_ONLY)
    if name in ("ObjectPermissions", "FieldPermissions"):
        _refuse_profile_owned(org, old["ParentId"])
    if name == "PermissionSet" and _count(org, "PermissionSetAssignment", "PermissionSetId", old["Id"]):
        raise ApiError(
            400,
            "DELETE_FAILED",
            "Your attempt to delete the permission set could not be completed: it is assigned to users.",
        )
    if name == "PermissionSetAssignment" and old["PermissionSetId"]:
        owned = org.store.get("PermissionSet", old["PermissionSetId"])
        if owned and owned["IsOwnedByProfile"]:
            raise ApiError(400, "INSUFFICIENT_ACCESS_OR_READONLY", READ_ONLY)


def _count(org: Org, table: str, column: str, value: str) -> int:
    row = org.store.read().execute(f'SELECT COUNT(*) FROM "{table}" WHERE "{column}"=?', (value,)).fetchone()  # noqa: S608
    return int(row[0])


def _check_assignment(org: Org, record: dict[str, Any]) -> None:
    assignee = record.get("AssigneeId")
    user = org.store.get("User", assignee) if assignee else None
    if user is None:
        raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ["AssigneeId"])
    if not user["IsActive"]:
        raise ApiError(400, "FIELD_INTEGRITY_EXCEPTION", "Assignee is not an active user", ["AssigneeId"])
    column = "PermissionSetGroupId" if record.get("PermissionSetGroupId") else "PermissionSetId"
    target = record.get(column)
    if not target or org.store.get(column.removesuffix("Id"), target) is None:
        raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [column])
    taken = org.store.read().execute(
        f"SELECT 1 FROM PermissionSetAssignment WHERE AssigneeId=? AND {column}=?",  # noqa: S608
        (assignee, target),
    )
    if taken.fetchone():
        raise ApiError(
            400,
            "DUPLICATE_VALUE",
            f"Duplicate PermissionSetAssignment. Assignee: {assignee}; Permission Set: {target}",
            ["AssigneeId", column],
        )
    record["IsActive"] = 1
    if column == "PermissionSetGroupId":
        record["PermissionSetId"] = groups.aggregate_of(org, str(target))


def _check_entity_access(org: Org, record: dict[str, Any]) -> None:
    target = org.schema.by_prefix(str(record.get("SetupEntityId"))[:3])
    if target is None or org.store.get(target.name, record["SetupEntityId"]) is None:
        raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ["SetupEntityId"])
    record["SetupEntityType"] = target.name
    taken = org.store.read().execute(
        "SELECT 1 FROM SetupEntityAccess WHERE ParentId=? AND SetupEntityId=?",
        (record.get("ParentId"), record["SetupEntityId"]),
    )
    if taken.fetchone():
        raise ApiError(400, "DUPLICATE_VALUE", "duplicate value found: SetupEntityId", ["SetupEntityId"])


def _refuse_profile_owned(org: Org, set_id: Any) -> None:
    """Object and field permissions are writable in permission sets, not in profiles."""
    parent = org.store.get("PermissionSet", set_id) if set_id else None
    if parent is None:
        raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ["ParentId"])
    if parent["IsOwnedByProfile"]:
        raise ApiError(400, "INSUFFICIENT_ACCESS_OR_READONLY", READ_ONLY)


# --- afterwards ----------------------------------------------------------------------------------


def after(
    call: Call,
    verb: str,
    name: str,
    record_id: str,
    old: dict[str, Any] | None,
    new: dict[str, Any],
) -> None:
    """Let the change take effect and write it to the audit trail. `verb` is insert, update or delete."""
    org, actor = call.org, call.session.user_id
    groups.touched(org, name, record_id, old or new)
    match name:
        case "UserLogin":
            _after_login(org, old or {}, new, actor)
        case "User":
            _after_user(org, verb, record_id, old or {}, new, actor)
        case "PermissionSetAssignment":
            row = old or new
            _after_assignment(org, verb, row, actor)
        case "Profile":
            _after_profile(org, record_id, old or {}, new, actor)
        case "PermissionSet" | "MutingPermissionSet":
            _audit_permissions(org, name, old or {}, new, actor)
            org.changed(name)
        case "ObjectPermissions" | "FieldPermissions" | "SetupEntityAccess":
            org.audit(f"{verb}{name}", f"{verb} {name} {record_id}", _SETS, actor)
            org.changed(name)
        case _:
            found = org.schema.get(name)
            if found is not None and found.setup:
                org.audit(f"{verb}{name}"[:40], f"{verb} {name} {record_id}", name, actor)
            org.changed(name)


def _username(org: Org, user_id: str) -> str:
    user = org.store.get("User", user_id)
    return str(user["Username"]) if user else user_id


def _after_login(org: Org, old: dict[str, Any], new: dict[str, Any], actor: str) -> None:
    user_id = old["UserId"]
    org.changed("UserLogin", user_id)
    if "IsFrozen" in new and new["IsFrozen"] != old["IsFrozen"]:
        verb = "frozeuser" if new["IsFrozen"] else "unfrozeuser"
        words = "Froze" if new["IsFrozen"] else "Unfroze"
        org.audit(verb, f"{words} user {_username(org, user_id)}", _USERS, actor)
    if new.get("IsFrozen") and org.switches.frozen_ends_sessions:
        org.sessions.end_all(org.sessions.of_user(user_id))


def _after_user(
    org: Org, verb: str, user_id: str, old: dict[str, Any], new: dict[str, Any], actor: str
) -> None:
    if verb == "insert":
        org.store.insert("UserLogin", [{"UserId": user_id, "IsFrozen": 0, "IsPasswordLocked": 0}])
        org.audit("createduser", f"Created new user {new.get('Username')}", _USERS, actor)
    elif "IsActive" in new and new["IsActive"] != old.get("IsActive"):
        action = "activateduser" if new["IsActive"] else "deactivateduser"
        words = "Activated" if new["IsActive"] else "Deactivated"
        org.audit(action, f"{words} user {old.get('Username')}", _USERS, actor)
        if not new["IsActive"]:
            org.sessions.end_all(org.sessions.of_user(user_id))
    elif "ProfileId" in new:
        org.audit("changedprofileforuser", f"Changed profile for user {old.get('Username')}", _USERS, actor)
    org.changed("User", user_id)


def _after_assignment(org: Org, verb: str, row: dict[str, Any], actor: str) -> None:
    user_id = row["AssigneeId"]
    target = row.get("PermissionSetGroupId") or row.get("PermissionSetId")
    kind = "PermissionSetGroup" if row.get("PermissionSetGroupId") else "PermissionSet"
    named = org.store.get(kind, str(target)) or {}
    label = named.get("Label") or named.get("MasterLabel") or target
    username = _username(org, user_id)
    words = "unassigned from" if verb == "delete" else "assigned to"
    action = "PermSetUnassign" if verb == "delete" else "PermSetAssign"
    org.audit(
        action, f"Permission set {label}: {words} user {username} (UserID: {user_id[:15]})", _USERS, actor
    )
    org.changed("PermissionSetAssignment", user_id)


def _after_profile(org: Org, profile_id: str, old: dict[str, Any], new: dict[str, Any], actor: str) -> None:
    """A profile's permissions live in the permission set it owns."""
    changes = {k: v for k, v in new.items() if k in PERMISSIONS}
    if changes:
        row = org.store.read().execute(
            "SELECT Id FROM PermissionSet WHERE ProfileId=? AND IsOwnedByProfile=1", (profile_id,)
        )
        owned = row.fetchone()
        if owned:
            org.store.update("PermissionSet", owned[0], changes)
    _audit_permissions(org, "Profile", old, new, actor)
    org.changed("Profile")


def _audit_permissions(org: Org, kind: str, old: dict[str, Any], new: dict[str, Any], actor: str) -> None:
    label = old.get("Label") or old.get("Name") or old.get("MasterLabel") or new.get("Label") or ""
    changed = [n for n, value in new.items() if n in PERMISSIONS and value != old.get(n, 0)]
    if not changed:
        org.audit(f"changed{kind}"[:40], f"Changed {kind} {label}", _SETS, actor)
    for name in changed:
        words = "enabled" if new[name] else "disabled"
        action = "PermSetEnableUserPerm" if new[name] else "PermSetDisableUserPerm"
        display = f"Changed {kind} {label}: {name.removeprefix('Permissions')} was {words}"
        org.audit(action, display, _SETS, actor)
        org.events.add(
            "PermissionUpdate",
            {
                "USER_ID": actor[:15],
                "USER_ID_DERIVED": actor,
                "FEATURE_ID": str(old.get("Id") or new.get("Id") or ""),
                "PERMISSION_TYPE": name.removeprefix("Permissions"),
                "UPDATE_TYPE": words.upper(),
                "DESCRIPTION": display,
            },
        )
