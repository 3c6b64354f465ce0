"""Looking for what a suspect left behind to come back by: users, apps and permission sets it made, and
rights it gave to others, within the incident's window.

Users and apps found become suspects of the incident; permission sets are the access kind
`planted-permission-set`.
Sources: CreatedById of the records, and SetupAuditTrail for assignments (which carry no creator).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from blocks.salesforce.errors import SalesforceRefused
from tasks.contain.salesforce.org import one_of, quote
from tasks.contain.salesforce.permissions import Assignments
from tasks.contain.salesforce.principals import suspect_users
from tasks.contain.world import World
from tasks.incident import Access, Suspect, SuspectKind

ASSIGNED = "PermSetAssign"
# "Permission set LABEL: assigned to user NAME (UserID: 005...)", as the audit trail shows it.
DISPLAY = re.compile(r"^Permission set (?P<label>.*): assigned to user .*\(UserID: \[?(?P<user>005\w{12})")


def planted_suspects(world: World) -> tuple[Suspect, ...]:
    """Users and apps that suspects made since the window began, and what those made in turn."""
    makers = {user.id: user.username for user in suspect_users(world)}
    found: list[Suspect] = []
    fresh = dict(makers)
    while fresh:
        users = {row[0]: row[1] for row in _made(world, fresh, "User", "Username")}
        found += [_suspect(SuspectKind.SALESFORCE_USER, name) for name in users.values()]
        for sobject, label in (
            ("ConnectedApplication", "Name"),
            ("ExternalClientApplication", "MasterLabel"),
        ):
            found += [
                _suspect(SuspectKind.CONNECTED_APP, name) for _, name in _made(world, fresh, sobject, label)
            ]
        fresh = {user_id: name for user_id, name in users.items() if user_id not in makers}
        makers |= fresh
    return tuple(dict.fromkeys(found))


def _suspect(kind: SuspectKind, name: str) -> Suspect:
    return Suspect(kind, name, "Setup: made by a suspect")


def _made(world: World, makers: dict[str, str], sobject: str, label: str) -> list[tuple[str, str]]:
    """Id and label of the records that these users made since the window began."""
    where = f"{one_of('CreatedById', makers)} AND CreatedDate >= {since(world)}"
    try:
        return [(row["Id"], row[label]) for row in world.salesforce.rows(f"Id, {label}", sobject, where)]
    except SalesforceRefused as error:
        if "INVALID_TYPE" in error.codes:
            return []  # the org does not have this object
        raise


def since(world: World) -> str:
    """When the window began, as a SOQL literal."""
    return f"{world.incident.window.start:%Y-%m-%dT%H:%M:%SZ}"


class PlantedPermissions(Assignments):
    """Assignments of permission sets that a suspect made, and assignments a suspect gave, to whomever."""

    name = "planted-permission-set"
    action = "take back what a suspect gave"
    credential = True  # to give it back is to let the attacker in again

    def observe(self) -> list[Access]:
        makers = {user.id: user.username for user in suspect_users(self.world)}
        if not makers:
            return []
        found: dict[str, Access] = {}
        for where in self._conditions(makers):
            for row in self._select(where):
                access = self._access(row, row["Assignee"]["Username"])
                found.setdefault(access.key, access)
        return list(found.values())

    def _conditions(self, makers: dict[str, str]) -> Iterator[str]:
        if made := [set_id for set_id, _ in _made(self.world, makers, "PermissionSet", "Label")]:
            yield f"{one_of('PermissionSetId', made)} AND PermissionSet.IsOwnedByProfile = false"
        where = f"Action = {quote(ASSIGNED)} AND {one_of('CreatedById', makers)}"
        where += f" AND CreatedDate >= {since(self.world)}"
        for row in self.world.salesforce.rows("Display", "SetupAuditTrail", where):
            if match := DISPLAY.match(row["Display"] or ""):
                label, user = quote(match["label"]), quote(match["user"])
                named = f"(PermissionSet.Label = {label} OR PermissionSetGroup.MasterLabel = {label})"
                yield f"AssigneeId = {user} AND PermissionSet.IsOwnedByProfile = false AND {named}"
