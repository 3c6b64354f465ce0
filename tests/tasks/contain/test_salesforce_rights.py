"""Rights of suspect users: groups, profiles, guests, deactivation by policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from blocks.systems import Systems
from deployments.lab.twin import Twin
from tasks.contain.engine import contain, plan_changes
from tasks.contain.undo import reopen
from tasks.evidence.ledger import FileLedger
from tasks.incident import AccessStatus, Containment, Incident, ProofMethod

from .conftest import APP_PLAN, INTEGRATION, responder
from .test_salesforce import admin, erp_works, plain, rows

pytestmark = pytest.mark.slow  # a lab for every kind

Make = Callable[..., Incident]
OTHER = "marketing-sync@lab.example"
GUEST = "shop-site@lab.example"


@pytest.fixture
def systems(twin: Twin, systems_of: Callable[..., Systems]) -> Systems:
    return systems_of(salesforce=responder(twin), plan=APP_PLAN)


def user_id(twin: Twin, username: str) -> str:
    (row,) = rows(twin, f"SELECT Id FROM User WHERE Username = '{username}'")
    return str(row["Id"])


def make_group(twin: Twin, *holders: str, muted: str = "") -> str:
    """A group of one dangerous and one harmless permission set, held by these users."""
    org = admin(twin)

    def create(sobject: str, **values: Any) -> str:
        return str(org.rest("POST", f"sobjects/{sobject}", json=values)["id"])

    group = create("PermissionSetGroup", DeveloperName="Chat_Bundle", MasterLabel="Chat Bundle")
    for name, right in (("Loot", "PermissionsViewAllData"), ("Harmless", "PermissionsRunFlow")):
        member = create(
            "PermissionSet", Name=name, Label=name, **{right: True, "PermissionsExportReport": True}
        )
        create("PermissionSetGroupComponent", PermissionSetGroupId=group, PermissionSetId=member)
    if muted:
        muting = create("MutingPermissionSet", DeveloperName="Theirs", MasterLabel="Theirs", **{muted: True})
        create("PermissionSetGroupComponent", PermissionSetGroupId=group, PermissionSetId=muting)
    wait_updated(twin, group)
    for holder in holders:
        create("PermissionSetAssignment", AssigneeId=user_id(twin, holder), PermissionSetGroupId=group)
    return group


def wait_updated(twin: Twin, group: str) -> None:
    import time

    for _ in range(50):
        (row,) = rows(twin, f"SELECT Status FROM PermissionSetGroup WHERE Id = '{group}'")
        if row["Status"] == "Updated":
            return
        time.sleep(0.1)
    raise AssertionError("the group was not recalculated")


def gives(twin: Twin, group: str) -> dict[str, bool]:
    shown = "PermissionsViewAllData, PermissionsExportReport, PermissionsRunFlow"
    (row,) = rows(twin, f"SELECT {shown} FROM PermissionSet WHERE PermissionSetGroupId = '{group}'")
    return {key: value for key, value in row.items() if key.startswith("Permissions")}


def of(found: list[Containment], kind: str) -> list[Containment]:
    return [c for c in found if c.access.kind == kind]


@pytest.mark.parametrize("muted", ["", "PermissionsExportReport"])
def test_in_a_group_that_suspects_alone_hold_the_dangerous_is_muted_and_undo_lifts_it(
    muted: str, twin: Twin, systems: Systems, ledger: FileLedger, incident: Make
) -> None:
    group = make_group(twin, INTEGRATION, muted=muted)
    before = gives(twin, group)
    assert before["PermissionsViewAllData"]
    members = rows(twin, "SELECT Id FROM PermissionSetGroupComponent ORDER BY Id")
    suspect = incident(f"salesforce-user={INTEGRATION}")

    found = contain(suspect, systems, ledger)

    (muting,) = of(found, "permission-group")
    assert muting.status is AccessStatus.CLOSED
    assert gives(twin, group) == {
        "PermissionsViewAllData": False,
        "PermissionsExportReport": False,
        "PermissionsRunFlow": True,
    }
    held = f"SELECT Id FROM PermissionSetAssignment WHERE PermissionSetGroupId = '{group}'"
    assert len(rows(twin, held)) == 1  # the harmless rest is still there

    undone = {u.access.kind: u.restored for u in reopen(suspect, systems, ledger)}
    assert undone["permission-group"]
    assert gives(twin, group) == before
    assert len(rows(twin, "SELECT Id FROM PermissionSetGroupComponent")) == len(members)
    assert len(rows(twin, "SELECT Id FROM MutingPermissionSet")) == (1 if muted else 0)


def test_from_a_group_that_others_hold_too_only_the_suspect_is_taken_out(
    twin: Twin, systems: Systems, ledger: FileLedger, incident: Make
) -> None:
    group = make_group(twin, INTEGRATION, OTHER)
    before = gives(twin, group)

    found = contain(incident(f"salesforce-user={INTEGRATION}"), systems, ledger)

    assert of(found, "permission-group") == []
    assert group in {c.access.before["given"] for c in of(found, "permission-set")}
    held = f"SELECT AssigneeId FROM PermissionSetAssignment WHERE PermissionSetGroupId = '{group}'"
    assert [row["AssigneeId"] for row in rows(twin, held)] == [user_id(twin, OTHER)]
    assert gives(twin, group) == before


def own_profile(twin: Twin, username: str, *, custom: bool = True) -> str:
    """A profile with API Enabled that this user alone has."""
    rights = {"PermissionsApiEnabled": 1, "PermissionsRunReports": 1}
    profile = {"Name": "Robots", "UserType": "Standard", "IsCustom": int(custom), **rights}
    (made,) = twin.control("insert", {"object": "Profile", "record": profile})["ids"]
    owned = {"Name": f"X{made}", "Label": "owned", "IsOwnedByProfile": 1, "IsCustom": int(custom)}
    owned |= {"Type": "Profile", "ProfileId": made, **rights}
    twin.control("insert", {"object": "PermissionSet", "record": owned})
    who = {"object": "User", "id": user_id(twin, username), "set": {"ProfileId": made}}
    twin.control("plant", who)
    return str(made)


def test_a_custom_profile_that_suspects_alone_have_is_patched_and_undone(
    twin: Twin, systems: Systems, ledger: FileLedger, incident: Make
) -> None:
    profile = own_profile(twin, INTEGRATION)
    shown = f"SELECT PermissionsApiEnabled, PermissionsRunReports FROM Profile WHERE Id = '{profile}'"
    before = [plain(row) for row in rows(twin, shown)]
    suspect = incident(f"salesforce-user={INTEGRATION}")

    found = contain(suspect, systems, ledger)

    (closed,) = of(found, "profile")
    assert closed.status is AccessStatus.CLOSED
    assert [plain(row) for row in rows(twin, shown)] == [
        {"PermissionsApiEnabled": False, "PermissionsRunReports": True}
    ]
    assert erp_works(twin)
    undone = {u.access.kind: u.restored for u in reopen(suspect, systems, ledger)}
    assert undone["profile"]
    assert [plain(row) for row in rows(twin, shown)] == before


@pytest.mark.parametrize("custom", [True, False])
def test_a_shared_or_standard_profile_is_a_manual_step_that_proves_itself_once_done(
    custom: bool, twin: Twin, systems: Systems, ledger: FileLedger, incident: Make
) -> None:
    profile = own_profile(twin, INTEGRATION, custom=custom)
    if custom:
        other = {"object": "User", "id": user_id(twin, OTHER), "set": {"ProfileId": profile}}
        twin.control("plant", other)
    suspect = incident(f"salesforce-user={INTEGRATION}")

    (step,) = of(contain(suspect, systems, ledger), "profile-by-hand")
    assert step.status is AccessStatus.MANUAL
    assert "salesforce_admin, by 24 Nov 13:00 UTC" in step.detail
    assert ("1 other users share it" if custom else "one of Salesforce's own") in step.detail
    (row,) = rows(twin, f"SELECT PermissionsApiEnabled FROM Profile WHERE Id = '{profile}'")
    assert row["PermissionsApiEnabled"]

    (least,) = rows(twin, "SELECT Id FROM Profile WHERE Name = 'Minimum Access - Salesforce'")
    admin(twin).rest("PATCH", f"sobjects/User/{user_id(twin, INTEGRATION)}", json={"ProfileId": least["Id"]})
    assert of(contain(suspect, systems, ledger), "profile-by-hand") == []


def test_a_guest_loses_dangerous_profile_permissions_and_its_objects_are_a_manual_step(
    twin: Twin, systems: Systems, ledger: FileLedger, incident: Make
) -> None:
    guest = {"object": "Profile", "match": {"Name": "Shop Site Profile"}, "set": {"PermissionsApiEnabled": 1}}
    (profile,) = twin.control("plant", guest)["ids"]
    owned = {"match": {"ProfileId": profile}, "set": {"IsCustom": 1, "PermissionsApiEnabled": 1}}
    twin.control("plant", {"object": "PermissionSet", **owned})

    found = contain(incident(f"salesforce-user={GUEST}"), systems, ledger)

    (closed,) = of(found, "profile")
    assert closed.status is AccessStatus.CLOSED
    (step,) = of(found, "guest-objects")
    assert step.status is AccessStatus.MANUAL
    assert "Case, Lead, Product2" in step.detail
    (row,) = rows(twin, f"SELECT PermissionsApiEnabled FROM Profile WHERE Id = '{profile}'")
    assert not row["PermissionsApiEnabled"]


def test_users_are_deactivated_only_where_the_plan_says_so_and_undo_brings_them_back(
    twin: Twin, systems_of: Callable[..., Systems], ledger: FileLedger, incident: Make
) -> None:
    suspect = incident(f"salesforce-user={INTEGRATION}")
    plan = APP_PLAN + "  deactivate_users: true\n"
    frozen_only = systems_of(salesforce=responder(twin), plan=APP_PLAN)
    assert "user" not in {c.access.kind for c in plan_changes(suspect, frozen_only).changes}
    systems = systems_of(salesforce=responder(twin), plan=plan)
    active = f"SELECT Id FROM User WHERE Username = '{INTEGRATION}' AND IsActive = true"

    (closed,) = of(contain(suspect, systems, ledger), "user")

    assert closed.status is AccessStatus.CLOSED
    assert closed.proof is not None
    assert closed.proof.method is ProofMethod.RECOUNT
    assert rows(twin, active) == []
    undone = reopen(suspect, systems, ledger)
    assert undone[0].access.kind == "user"  # newest first: the rest needs an active user
    assert all(u.restored for u in undone if u.access.kind in ("user", "login", "permission-set"))
    assert len(rows(twin, active)) == 1
