"""Permission set groups: what their members together give, recalculated in the background.

A group has a permission set of its own (Type Group) that holds the union of its members less what a muting
permission set mutes. A change makes the group Outdated; its users have the new rights once it is Updated.
Source: Object Reference, PermissionSetGroup (Status) and PermissionSet (PermissionSetGroupId).
"""

from __future__ import annotations

import threading
from typing import Any

from deployments.lab.salesforce.org import Org
from deployments.lab.salesforce.schema import PERMISSIONS

RECALCULATION_S = 0.2


def aggregate_of(org: Org, group_id: str) -> str | None:
    """The id of the group's own permission set."""
    row = org.store.read().execute(
        "SELECT Id FROM PermissionSet WHERE PermissionSetGroupId=? AND Type='Group'", (group_id,)
    )
    found = row.fetchone()
    return str(found[0]) if found else None


def touched(org: Org, name: str, record_id: str, row: dict[str, Any]) -> None:
    """A record changed that groups may be made of: recalculate those."""
    db = org.store.read()
    if name == "PermissionSetGroup":
        recalculate(org, record_id)
    elif name == "PermissionSetGroupComponent":
        recalculate(org, str(row["PermissionSetGroupId"]))
    elif name in ("PermissionSet", "MutingPermissionSet"):
        found = db.execute(
            "SELECT PermissionSetGroupId FROM PermissionSetGroupComponent WHERE PermissionSetId=?",
            (record_id,),
        )
        for (group_id,) in found.fetchall():
            recalculate(org, str(group_id))


def recalculate(org: Org, group_id: str) -> None:
    """Outdated now, Updated a moment later."""
    if org.store.get("PermissionSetGroup", group_id) is None:
        return
    org.store.update("PermissionSetGroup", group_id, {"Status": "Outdated"})
    timer = threading.Timer(RECALCULATION_S, settle, (org, group_id))
    timer.daemon = True
    timer.start()


def settle(org: Org, group_id: str) -> None:
    """Bring the group's own permission set up to date."""
    group = org.store.get("PermissionSetGroup", group_id)
    if group is None:
        return
    rights = org.permissions.system_of_group(group_id)
    values: dict[str, Any] = {name: int(name in rights) for name in PERMISSIONS}
    with org.store.write() as db:
        found = db.execute(
            "SELECT Id FROM PermissionSet WHERE PermissionSetGroupId=? AND Type='Group'", (group_id,)
        ).fetchone()
        if found:
            org.store.update("PermissionSet", found[0], values)
        else:
            own = {
                "Name": group["DeveloperName"],
                "Label": group["MasterLabel"],
                "IsCustom": 0,
                "IsOwnedByProfile": 0,
                "Type": "Group",
                "PermissionSetGroupId": group_id,
            }
            org.store.insert("PermissionSet", [own | values])
        org.store.update("PermissionSetGroup", group_id, {"Status": "Updated"})
    org.changed("PermissionSetGroup")
