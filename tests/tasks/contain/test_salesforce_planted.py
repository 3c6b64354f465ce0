"""A hostile world: the attacker has made itself a user, a permission set and a second app to come back by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from blocks.systems import Systems
from deployments.lab.twin import Twin
from tasks.contain.engine import contain
from tasks.contain.planted import found_planted
from tasks.contain.undo import reopen
from tasks.evidence.ledger import FileLedger
from tasks.incident import AccessStatus, Incident, SuspectKind, Window

from .conftest import APP, INTEGRATION, Thief, attempts
from .test_salesforce import rows
from .test_salesforce_rights import user_id

Make = Callable[..., Incident]
SECOND_APP, SECOND_USER = "Backup Tool", "backup@lab.example"
KEY, SECRET = "3MVG9second" + "s" * 40, "B" * 64
BYSTANDER = "marketing-sync@lab.example"


class Intruder:
    """What the thief does with the rights it found."""

    def __init__(self, twin: Twin, thief: Thief) -> None:
        rights = ("ManageUsers", "AssignPermissionSets", "ManageProfilesPermissionsets")
        twin.control(
            "plant",
            {
                "object": "PermissionSet",
                "match": {"Name": "Support_Chat_Integration"},
                "set": {f"Permissions{name}": 1 for name in rights},
            },
        )
        self.twin = twin
        self.client = thief.client
        token = thief.mint()
        assert token
        self.token = token

    def create(self, sobject: str, values: dict[str, Any]) -> str:
        answer = self.client.call("POST", f"/sobjects/{sobject}", self.token, json=values)
        assert answer.ok, answer.text
        return str(answer.json()["id"])

    def dig_in(self) -> str:
        """Backdoors by the org's own API, and an app (which takes another API); the new user's id."""
        (like,) = rows(
            self.twin,
            "SELECT ProfileId, TimeZoneSidKey, LocaleSidKey, LanguageLocaleKey, EmailEncodingKey FROM User "
            f"WHERE Username = '{INTEGRATION}'",
        )
        like.pop("attributes")
        names = {"Username": SECOND_USER, "LastName": "Backup", "Email": SECOND_USER, "Alias": "bckup"}
        user = self.create("User", {**like, **names})
        rights = {"PermissionsViewAllData": True, "PermissionsApiEnabled": True}
        backdoor = self.create("PermissionSet", {"Name": "Backdoor", "Label": "Backdoor", **rights})
        for assignee in (user, user_id(self.twin, BYSTANDER)):
            self.create("PermissionSetAssignment", {"AssigneeId": assignee, "PermissionSetId": backdoor})
        (theirs,) = rows(self.twin, "SELECT Id FROM PermissionSet WHERE Name = 'ERP_Connect'")
        self.create(
            "PermissionSetAssignment",
            {"AssigneeId": user_id(self.twin, BYSTANDER), "PermissionSetId": theirs["Id"]},
        )
        app = {
            "Name": SECOND_APP,
            "ConsumerKey": KEY,
            "ConsumerSecret": SECRET,
            "Flows": "client_credentials",
            "Scopes": "api",
            "RunAsUserId": user,
            "IsBlocked": 0,
            "CreatedById": user_id(self.twin, INTEGRATION),
        }
        self.twin.control("insert", {"object": "ConnectedApplication", "record": app})
        return user

    def comes_back(self) -> str | None:
        form = {"grant_type": "client_credentials", "client_id": KEY, "client_secret": SECRET}
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(
                f"{self.twin.url}/services/oauth2/token", data=form, verify=str(self.twin.ca)
            )
        return str(answer.json()["access_token"]) if answer.ok else None

    def reads(self, token: str) -> bool:
        return self.client.query("SELECT Id FROM Contact LIMIT 1", token).ok


@pytest.fixture
def suspect(incident: Make) -> Incident:
    since = datetime.now(UTC) - timedelta(hours=1)
    return replace(incident(f"connected-app={APP}"), window=Window(since))


def held_by(twin: Twin, username: str) -> set[str]:
    soql = "SELECT PermissionSet.Name FROM PermissionSetAssignment WHERE Assignee.Username = '{}'"
    found = rows(twin, soql.format(username) + " AND PermissionSet.IsOwnedByProfile = false")
    return {row["PermissionSet"]["Name"] for row in found}


def test_what_the_attacker_planted_is_found_and_closed_the_same_way(
    twin: Twin, thief: Thief, systems: Systems, ledger: FileLedger, suspect: Incident
) -> None:
    before = held_by(twin, BYSTANDER)
    intruder = Intruder(twin, thief)
    user = intruder.dig_in()
    token = intruder.comes_back()
    assert token
    assert intruder.reads(token)

    found = contain(suspect, systems, ledger)

    assert {c.status for c in found} == {AccessStatus.CLOSED, AccessStatus.MANUAL}, found
    assert not intruder.reads(token)
    assert intruder.comes_back() is None
    assert held_by(twin, BYSTANDER) == before
    assert held_by(twin, SECOND_USER) == set()
    closed = {(c.access.kind, c.access.principal) for c in found if c.status is AccessStatus.CLOSED}
    assert {("login", SECOND_USER), ("planted-permission-set", BYSTANDER)} <= closed
    assert ("app-block", SECOND_APP) in {(c.access.kind, c.access.principal) for c in found}
    planted = {(s.kind, s.identifier) for s in found_planted(ledger)}
    assert planted == {
        (SuspectKind.CONNECTED_APP, SECOND_APP),
        (SuspectKind.SALESFORCE_USER, SECOND_USER),
    }
    (frozen,) = rows(twin, f"SELECT IsFrozen FROM UserLogin WHERE UserId = '{user}'")
    assert frozen["IsFrozen"]

    done = attempts(ledger)
    again = contain(suspect, systems, ledger)
    assert attempts(ledger) == done
    assert {c.status for c in again} == {AccessStatus.CLOSED, AccessStatus.MANUAL}


def test_undo_does_not_give_back_what_the_attacker_gave(
    twin: Twin, thief: Thief, systems: Systems, ledger: FileLedger, suspect: Incident
) -> None:
    intruder = Intruder(twin, thief)
    intruder.dig_in()
    before = held_by(twin, BYSTANDER)
    contain(suspect, systems, ledger)

    kept = {u.access.key: u for u in reopen(suspect, systems, ledger)}

    planted = [u for u in kept.values() if u.access.kind == "planted-permission-set"]
    assert planted
    assert not any(u.restored for u in planted)
    assert all("leaked" in u.detail or "planted" in u.detail for u in planted)
    assert held_by(twin, BYSTANDER) != before


def test_what_was_made_before_the_window_or_by_others_is_left_alone(
    twin: Twin, systems: Systems, ledger: FileLedger, suspect: Incident
) -> None:
    (maker,) = rows(twin, "SELECT Id FROM User WHERE Username = 'admin@lab.example'")
    long_ago = (datetime.now(UTC) - timedelta(days=40)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    for name, by, at in (
        ("Old Tool", user_id(twin, INTEGRATION), long_ago),
        ("Colleague's Tool", maker["Id"], None),
    ):
        app = {"Name": name, "CreatedById": by, "ConsumerKey": name, "Flows": "jwt", "IsBlocked": 0}
        app |= {"CreatedDate": at} if at else {}
        twin.control("insert", {"object": "ConnectedApplication", "record": app})

    found = contain(suspect, systems, ledger)

    assert found_planted(ledger) == ()
    assert {c.access.principal for c in found if c.access.kind == "app-block"} == {APP}
