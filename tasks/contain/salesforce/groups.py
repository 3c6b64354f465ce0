"""Access kind `permission-group`: dangerous permissions that come by a permission set group, muted in it.

Only in groups that nobody but suspects holds: muting changes the group for all its holders. From any
other group the suspect is taken out (kind `permission-set`). A group has at most one muting permission
set; ours is made where there is none, and its values are kept where there is one. The org recalculates in
the background.
Source: Object Reference, MutingPermissionSet and PermissionSetGroup (Status).
"""

from __future__ import annotations

import re
import time
from collections import defaultdict

from blocks.errors import Refused, Unreachable
from tasks.contain.kinds import AccessKind, Reopened
from tasks.contain.salesforce.org import one_of, quote
from tasks.contain.salesforce.principals import suspect_users
from tasks.contain.world import World
from tasks.incident import Access, Proof, System

MUTING_PREFIX = "0QM"
SETTLE_S = 60.0  # how long a group may take to be recalculated before it is called stuck


def dangerous_permissions(world: World, sobject: str) -> list[str]:
    """The plan's list, cut to the permissions that this org has on the object (they vary by org)."""
    known = world.salesforce.fields(sobject)
    return [name for name in world.plan.policies.dangerous_permissions if name in known]


def suspects_groups(world: World) -> dict[str, list[str]]:
    """Groups that suspects alone hold: group id -> the suspects' usernames. Asked at every call."""
    users = {user.id: user.username for user in suspect_users(world)}
    if not users:
        return {}
    org, column = world.salesforce, "PermissionSetGroupId"
    held = org.rows(column, "PermissionSetAssignment", f"{one_of('AssigneeId', users)} AND {column} != null")
    groups = sorted({row[column] for row in held})
    if not groups:
        return {}
    holders: dict[str, set[str]] = defaultdict(set)
    for row in org.rows(f"AssigneeId, {column}", "PermissionSetAssignment", one_of(column, groups)):
        holders[row[column]].add(row["AssigneeId"])
    return {
        group: sorted(users[user] for user in holders[group])
        for group in groups
        if holders[group] <= set(users)
    }


class GroupMuting(AccessKind):
    """One access per group that suspects alone hold and that gives something dangerous."""

    system = System.SALESFORCE
    name = "permission-group"
    action = "mute the dangerous permissions in the permission set group"

    def observe(self) -> list[Access]:
        found = []
        for group, users in suspects_groups(self.world).items():
            if carries := self._in_force(group):
                muting, values = self._muting(group)
                found.append(
                    self.access(
                        ", ".join(users),
                        group,
                        users=users,
                        mute=carries,
                        muting=muting,
                        already=sorted(values),
                    )
                )
        return found

    def close(self, access: Access) -> None:
        org, mute = self.world.salesforce, dict.fromkeys(access.before["mute"], True)
        muting, _ = self._muting(access.ref)
        if muting is None:
            muting = self._made(access) or org.insert(
                "MutingPermissionSet",
                {"DeveloperName": self._name(access), "MasterLabel": "Leak response", **mute},
            )
            org.insert(
                "PermissionSetGroupComponent",
                {"PermissionSetGroupId": access.ref, "PermissionSetId": muting},
            )
        org.update("MutingPermissionSet", muting, mute)
        self._settled(access.ref)

    def prove(self, access: Access) -> Proof:
        self._settled(access.ref)
        left = [name for name in self._in_force(access.ref) if name in access.before["mute"]]
        return self.recount(
            not left, f"The group is up to date and gives {len(left)} of {len(access.before['mute'])}."
        )

    def reopen(self, access: Access) -> Reopened:
        org, (muting, _) = self.world.salesforce, self._muting(access.ref)
        if muting is not None and access.before["muting"] is None:
            where = f"PermissionSetGroupId = {quote(access.ref)} AND PermissionSetId = {quote(muting)}"
            for row in list(org.rows("Id", "PermissionSetGroupComponent", where)):
                org.delete("PermissionSetGroupComponent", row["Id"])
            org.delete("MutingPermissionSet", muting)
        elif muting is not None:
            lift = [name for name in access.before["mute"] if name not in access.before["already"]]
            org.update("MutingPermissionSet", muting, dict.fromkeys(lift, False))
        self._settled(access.ref)
        back = set(access.before["mute"]) <= set(self._in_force(access.ref))
        return Reopened(back, "The group gives what it gave before.")

    def who(self, access: Access) -> frozenset[str]:
        return super().who(access) | frozenset(access.before["users"])

    # --- the group ---

    def _in_force(self, group: str) -> list[str]:
        """The dangerous permissions that the group gives by its own, recalculated permission set."""
        names = dangerous_permissions(self.world, "PermissionSet")
        where = f"PermissionSetGroupId = {quote(group)}"
        rows = list(self.world.salesforce.rows(", ".join(names), "PermissionSet", where)) if names else []
        return [name for name in names if any(row.get(name) for row in rows)]

    def _muting(self, group: str) -> tuple[str | None, list[str]]:
        """The group's muting permission set and what it mutes."""
        org = self.world.salesforce
        where = f"PermissionSetGroupId = {quote(group)}"
        rows = org.rows("PermissionSetId", "PermissionSetGroupComponent", where)
        ids = [i for row in rows if (i := str(row["PermissionSetId"])).startswith(MUTING_PREFIX)]
        if not ids:
            return None, []
        names = dangerous_permissions(self.world, "MutingPermissionSet")
        (row,) = org.rows(", ".join(["Id", *names]), "MutingPermissionSet", f"Id = {quote(ids[0])}")
        return ids[0], [name for name in names if row[name]]

    def _made(self, access: Access) -> str | None:
        """Ours, made before a crash and not yet put into the group."""
        where = f"DeveloperName = {quote(self._name(access))}"
        rows = list(self.world.salesforce.rows("Id", "MutingPermissionSet", where))
        return str(rows[0]["Id"]) if rows else None

    def _name(self, access: Access) -> str:
        return re.sub(r"\W", "_", f"LR_{self.world.incident.id}_{access.ref[:15]}")[:80]

    def _settled(self, group: str) -> None:
        """Wait until the org has recalculated the group. Raises Refused or Unreachable when it does not."""
        until, wait = time.monotonic() + SETTLE_S, 0.1
        while time.monotonic() < until:
            rows = list(self.world.salesforce.rows("Status", "PermissionSetGroup", f"Id = {quote(group)}"))
            status = rows[0]["Status"] if rows else "deleted"
            if status in ("Updated", "deleted"):
                return
            if status == "Failed":
                raise Refused(
                    "Salesforce could not recalculate the permission set group.",
                    "Recalculate it in Setup, Permission Set Groups.",
                )
            time.sleep(wait)
            wait = min(wait * 1.5, 2.0)
        raise Unreachable(
            f"The permission set group is still being recalculated after {SETTLE_S:.0f} s.", "Try again."
        )
