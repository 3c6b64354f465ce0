"""Access kinds `profile` (dangerous permissions of a profile that suspects alone have), `profile-by-hand`
(of one that others share, or that Salesforce does not let change) and `guest-objects` (what a site's
guest may touch).

A user's profile can be patched where it is a custom one; its object permissions cannot be changed by API.
Source: Object Reference, Profile ("Permissions..." are Create/Filter/Update) and PermissionSet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tasks.contain.kinds import AccessKind, ManualKind, Reopened
from tasks.contain.salesforce.groups import dangerous_permissions
from tasks.contain.salesforce.org import one_of, quote
from tasks.contain.salesforce.principals import suspect_users
from tasks.contain.world import World
from tasks.incident import Access, Proof, System

GUEST = "Guest"


@dataclass(frozen=True, slots=True)
class Held:
    """A profile that suspects have."""

    id: str
    name: str
    users: dict[str, str]  # suspects: user id -> username
    others: int  # active users who have it and are no suspects
    custom: bool
    carries: list[str]  # its dangerous permissions
    guest: bool

    @property
    def by_api(self) -> bool:
        return self.custom and not self.others


def held_profiles(world: World) -> Iterator[Held]:
    """The profiles of all suspect users."""
    users = {user.id: user.username for user in suspect_users(world)}
    if not users:
        return
    org, names = world.salesforce, dangerous_permissions(world, "Profile")
    by_profile: dict[str, dict[str, str]] = {}
    types: dict[str, str] = {}
    for row in org.rows("Id, ProfileId, UserType", "User", one_of("Id", users)):
        by_profile.setdefault(row["ProfileId"], {})[row["Id"]] = users[row["Id"]]
        types[row["ProfileId"]] = row["UserType"]
    fields = ", ".join(["Id", "Name", *names])
    for row in org.rows(fields, "Profile", one_of("Id", by_profile)):
        mine = by_profile[row["Id"]]
        shared = f"ProfileId = {quote(row['Id'])} AND IsActive = true AND Id NOT IN ({_list(mine)})"
        yield Held(
            row["Id"],
            row["Name"],
            mine,
            org.count("User", shared),
            is_custom(world, row["Id"]),
            [name for name in names if row[name]],
            types[row["Id"]] == GUEST,
        )


def _list(ids: dict[str, str]) -> str:
    return ", ".join(quote(one) for one in ids)


def is_custom(world: World, profile: str) -> bool:
    """Whether a profile was made by the organisation: Salesforce's own resist changes."""
    where = f"ProfileId = {quote(profile)} AND IsOwnedByProfile = true AND IsCustom = true"
    return bool(world.salesforce.count("PermissionSet", where))


class ProfilePermissions(AccessKind):
    """The dangerous permissions of a custom profile that suspects alone have; a guest's is such a one."""

    system = System.SALESFORCE
    name = "profile"
    action = "take the dangerous permissions out of the profile"

    def observe(self) -> list[Access]:
        return [
            self.access(
                ", ".join(sorted(held.users.values())),
                held.id,
                profile=held.name,
                carries=held.carries,
                users=sorted(held.users.values()),
                guest=held.guest,
            )
            for held in held_profiles(self.world)
            if held.carries and held.by_api
        ]

    def close(self, access: Access) -> None:
        self.world.salesforce.update("Profile", access.ref, dict.fromkeys(access.before["carries"], False))

    def prove(self, access: Access) -> Proof:
        left = self._carries(access)
        return self.recount(not left, f"The profile has {len(left)} of {len(access.before['carries'])} left.")

    def reopen(self, access: Access) -> Reopened:
        self.world.salesforce.update("Profile", access.ref, dict.fromkeys(access.before["carries"], True))
        back = len(self._carries(access)) == len(access.before["carries"])
        return Reopened(back, "The profile has its permissions again.")

    def who(self, access: Access) -> frozenset[str]:
        return super().who(access) | frozenset(access.before["users"])

    def _carries(self, access: Access) -> list[str]:
        names = list(access.before["carries"])
        rows = self.world.salesforce.rows(", ".join(names), "Profile", f"Id = {quote(access.ref)}")
        return [name for row in rows for name in names if row[name]]


class ProfileByHand(ManualKind):
    """A suspect whose profile is shared with others, or is one of Salesforce's own."""

    system = System.SALESFORCE
    name = "profile-by-hand"
    action = "give the user a profile without dangerous permissions"
    due_hours = 4.0

    def observe(self) -> list[Access]:
        owner = self.world.plan.systems[self.system].owner
        return [
            self.access(
                username,
                user_id,
                profile=held.name,
                others=held.others,
                carries=held.carries,
                owner=owner,
                due_at=self.due().isoformat(),
            )
            for held in held_profiles(self.world)
            if held.carries and not held.by_api
            for user_id, username in held.users.items()
        ]

    def instructions(self, access: Access) -> str:
        before = access.before
        others = before.get("others")
        why = f"{others} other users share it" if others else "it is one of Salesforce's own"
        url = f"{self.world.salesforce.url}/lightning/setup/ManageUsers/page?address=%2F{access.ref}"
        return (
            f"{before.get('owner')}, by {self.due():%d %b %H:%M} UTC: the profile {before.get('profile')} "
            f"gives {len(before.get('carries', ()))} dangerous permissions and is not changed here ({why}). "
            f"Open {url}, Edit, and choose a profile without them, for example Minimum Access - Salesforce."
        )

    def check(self, access: Access) -> Proof | None:
        names = dangerous_permissions(self.world, "Profile")
        shown = ", ".join(f"Profile.{name}" for name in names)
        rows = list(self.world.salesforce.rows(shown, "User", f"Id = {quote(access.ref)}")) if names else []
        left = [name for row in rows for name in names if (row["Profile"] or {}).get(name)]
        return self.recount(not left, f"The user's profile has {len(left)} dangerous permissions.")


class GuestObjects(ManualKind):
    """What a suspect site's guest user may read and change. Set in the site's own page, by no API."""

    system = System.SALESFORCE
    name = "guest-objects"
    action = "cut the guest profile's object permissions down to what the site needs"
    due_hours = 2.0

    def observe(self) -> list[Access]:
        owner = self.world.plan.systems[self.system].owner
        return [
            self.access(
                ", ".join(sorted(held.users.values())),
                held.id,
                profile=held.name,
                objects=objects,
                owner=owner,
                due_at=self.due().isoformat(),
            )
            for held in held_profiles(self.world)
            if held.guest and (objects := self._objects(held.id))
        ]

    def instructions(self, access: Access) -> str:
        before = access.before
        url = f"{self.world.salesforce.url}/lightning/setup/SetupNetworks/home"
        return (
            f"{before.get('owner')}, by {self.due():%d %b %H:%M} UTC: open {url}, the site's Builder, "
            f"Settings, Guest user profile {before.get('profile')}. Take away what the site can do "
            f"without of: {', '.join(before.get('objects', ()))}; set org-wide defaults for guests Private."
        )

    def check(self, access: Access) -> Proof | None:
        left = self._objects(access.ref)
        return self.recount(True, "The guest profile has no object permission left.") if not left else None

    def _objects(self, profile: str) -> list[str]:
        where = f"Parent.ProfileId = {quote(profile)}"
        rows: Iterator[dict[str, Any]] = self.world.salesforce.rows("SobjectType", "ObjectPermissions", where)
        return sorted({row["SobjectType"] for row in rows})
