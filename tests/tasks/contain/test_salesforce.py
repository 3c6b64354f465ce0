"""Salesforce kinds against the twin of an org, where 2,600 users granted the stolen app."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from blocks.salesforce.org import SalesforceOrg
from blocks.systems import Systems
from deployments.lab.twin import Twin
from tasks.contain.engine import contain, plan_changes
from tasks.contain.pace import Pace
from tasks.contain.undo import reopen
from tasks.evidence.ledger import FileLedger
from tasks.incident import AccessStatus, Containment, Incident, Mode

from .conftest import APP, GRANTS, INTEGRATION, Thief, attempts

Make = Callable[..., Incident]
QUICK = Pace(tries=2, first_wait_s=0.05, longest_wait_s=0.1)
# Sessions may have ended with their grants before anybody looks at them.
ALWAYS_MET = {"oauth-grants", "login", "permission-set", "app-access", "bulk-job"}


def rows(twin: Twin, soql: str) -> list[dict[str, Any]]:
    """As the org's administrator sees it."""
    return list(admin(twin).query(soql))


def admin(twin: Twin) -> SalesforceOrg:
    own = twin.org["admin"]
    return SalesforceOrg(
        instance_url=twin.url,
        auth="jwt",
        consumer_key=own["consumer_key"],
        username=own["username"],
        secret=[f"file:{own['private_key_file']}"],
        audience=twin.url,
        ca_bundle=str(twin.ca),
    )


def erp_works(twin: Twin) -> bool:
    erp = twin.org["erp"]
    form = {"grant_type": "client_credentials", "client_id": erp["consumer_key"]}
    form["client_secret"] = erp["consumer_secret"]
    with requests.Session() as session:
        session.trust_env = False
        return session.post(f"{twin.url}/services/oauth2/token", data=form, verify=str(twin.ca)).ok


def statuses(found: list[Containment]) -> set[tuple[str, AccessStatus]]:
    return {(c.access.kind, c.status) for c in found}


def test_every_way_in_through_the_app_is_closed_and_everybody_else_goes_on(
    systems: Systems, twin: Twin, thief: Thief, ledger: FileLedger, incident: Make
) -> None:
    stolen = [thief.mint(), *(thief.mint(name) for name in thief.others(3))]
    tokens = [token for token in stolen if token]
    assert len(tokens) == 4
    assert all(thief.reads(token) for token in tokens[:1])
    job = thief.client.call(
        "POST", "/jobs/ingest", tokens[0], json={"object": "Case", "operation": "update", "lineEnding": "LF"}
    )
    assert job.ok, job.text
    bystander = thief.others(1)[0]

    found = contain(incident(f"connected-app={APP}"), systems, ledger)

    assert {c.access.kind for c in found if c.status is AccessStatus.CLOSED} >= ALWAYS_MET
    assert {c.access.kind for c in found if c.status is AccessStatus.MANUAL} == {"app-block", "app-secret"}
    assert {c.status for c in found} == {AccessStatus.CLOSED, AccessStatus.MANUAL}
    grants = next(c for c in found if c.access.kind == "oauth-grants")
    assert grants.access.before["grants"] == GRANTS
    assert [thief.mint(name) for name in (INTEGRATION, *thief.others(3))] == [None] * 4
    assert not any(thief.reads(token) for token in tokens)
    assert rows(twin, f"SELECT Id FROM OauthToken WHERE AppName = '{APP}'") == []
    state = admin(twin).rest("GET", f"jobs/ingest/{job.json()['id']}")["state"]
    assert state == "Aborted"
    frozen = rows(twin, "SELECT User.Username FROM UserLogin WHERE IsFrozen = true")
    assert [row["User"]["Username"] for row in frozen] == [INTEGRATION]
    assert bystander != INTEGRATION
    assert erp_works(twin)
    assert ledger.open_attempts() == []
    assert all("ConnectedAppsUsage" in c.detail for c in found if c.access.kind == "app-block")


def test_a_thief_who_keeps_logging_in_is_out_when_containment_returns(
    systems: Systems, thief: Thief, ledger: FileLedger, incident: Make
) -> None:
    names = [INTEGRATION, *thief.others(30)]
    minted: list[str] = []
    stop = threading.Event()

    def steal() -> None:
        while not stop.is_set():
            for name in names:
                if token := thief.mint(name):
                    minted.append(token)

    threads = [threading.Thread(target=steal, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        found = contain(incident(f"connected-app={APP}"), systems, ledger)
        late = len(minted)
        time.sleep(0.5)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert {c.status for c in found} == {AccessStatus.CLOSED, AccessStatus.MANUAL}
    assert late >= len(names)
    assert len(minted) == late
    assert not any(thief.reads(token) for token in minted[:100] + minted[-100:])


def test_nothing_secret_reaches_the_ledger(
    systems: Systems, thief: Thief, ledger: FileLedger, incident: Make
) -> None:
    token = thief.mint()
    contain(incident(f"connected-app={APP}"), systems, ledger)
    text = ledger.path.read_text()
    assert token is not None
    assert token not in text
    assert "5Aep" not in text  # every refresh and delete token begins so
    assert sum(e["target"] == f"salesforce/oauth-grants/{APP}" for e in attempts(ledger)) == 1


def test_a_second_run_does_nothing(
    systems: Systems, thief: Thief, twin: Twin, ledger: FileLedger, incident: Make
) -> None:
    suspect = incident(f"connected-app={APP}")
    first = contain(suspect, systems, ledger)
    done, called = attempts(ledger), len(changes_made(twin))

    again = contain(suspect, systems, ledger)

    assert attempts(ledger) == done
    assert len(changes_made(twin)) == called
    assert statuses(again) == statuses(first)


def changes_made(twin: Twin) -> list[dict[str, Any]]:
    """What the responder sent that changes something, logins aside."""
    lines = [json.loads(line) for line in twin.control("requests", method="GET").splitlines()]
    return [r for r in lines if r["method"] != "GET" and "/oauth2/token" not in r["path"]]


def test_plan_mode_changes_nothing_and_its_hash_is_stable(
    systems: Systems, twin: Twin, thief: Thief, ledger: FileLedger, incident: Make
) -> None:
    suspect = incident(f"connected-app={APP}", mode=Mode.PLAN)

    found = contain(suspect, systems, ledger)
    first = plan_changes(suspect, systems)
    thief.mint()  # sessions come and go by themselves: the hash covers what is closed, not how many
    thief.mint()

    assert AccessStatus.CLOSED not in {c.status for c in found}
    assert {c.access.kind for c in found if c.status is AccessStatus.PLANNED} >= {"oauth-grants", "login"}
    assert changes_made(twin) == []
    assert any("2600 now" in line for line in first.lines())
    assert plan_changes(suspect, systems).hash == plan_changes(suspect, systems).hash
    assert list(ledger.entries()) == []


def test_undo_restores_login_permissions_and_app_access(
    systems: Systems, twin: Twin, ledger: FileLedger, incident: Make
) -> None:
    user = rows(twin, f"SELECT Id FROM User WHERE Username = '{INTEGRATION}'")[0]["Id"]
    expires = "2027-06-30T00:00:00.000+0000"
    twin.control(
        "plant",
        {
            "object": "PermissionSetAssignment",
            "match": {"AssigneeId": user},
            "limit": 10,
            "set": {"ExpirationDate": expires},
        },
    )
    shown = (
        "SELECT PermissionSetId, PermissionSetGroupId, ExpirationDate FROM PermissionSetAssignment "
        f"WHERE AssigneeId = '{user}' AND PermissionSet.IsOwnedByProfile = false ORDER BY PermissionSetId"
    )
    approved = "SELECT ParentId, SetupEntityId FROM SetupEntityAccess ORDER BY ParentId, SetupEntityId"
    before = [plain(row) for soql in (shown, approved) for row in rows(twin, soql)]
    suspect = incident(f"connected-app={APP}")
    contain(suspect, systems, ledger)
    assert [plain(row) for soql in (shown, approved) for row in rows(twin, soql)] != before

    undone = {u.access.kind: u.restored for u in reopen(suspect, systems, ledger)}

    assert {kind for kind, restored in undone.items() if restored} == {
        "login",
        "permission-set",
        "app-access",
    }
    assert [plain(row) for soql in (shown, approved) for row in rows(twin, soql)] == before
    assert rows(twin, "SELECT Id FROM UserLogin WHERE IsFrozen = true") == []
    assert any(row["ExpirationDate"] == expires for row in rows(twin, shown))


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "attributes"}


def test_after_undo_it_can_be_closed_again(systems: Systems, ledger: FileLedger, incident: Make) -> None:
    suspect = incident(f"salesforce-user={INTEGRATION}")
    contain(suspect, systems, ledger)
    reopen(suspect, systems, ledger)

    again = contain(suspect, systems, ledger)

    assert ("login", AccessStatus.CLOSED) in statuses(again)
    assert sum("/login/" in e["target"] and e["action"] == "close" for e in attempts(ledger)) == 2


def test_without_customize_application_grants_are_failed_with_the_reason_and_the_rest_is_closed(
    systems: Systems, twin: Twin, thief: Thief, ledger: FileLedger, incident: Make
) -> None:
    twin.control(
        "plant",
        {
            "object": "PermissionSet",
            "match": {"PermissionsCustomizeApplication": 1},
            "limit": 50,
            "set": {"PermissionsCustomizeApplication": 0},
        },
    )

    found = contain(incident(f"connected-app={APP}"), systems, ledger, pace=QUICK)

    failed = {c.access.kind: c.detail for c in found if c.status is AccessStatus.FAILED}
    assert set(failed) == {"oauth-grants", "user-oauth-grants"}
    assert all("Customize Application" in detail for detail in failed.values())
    assert ("login", AccessStatus.CLOSED) in statuses(found)
    assert thief.mint() is None  # frozen, though its grant still stands


def test_own_identity_break_glass_and_own_app_are_refused(
    systems: Systems, twin: Twin, ledger: FileLedger, incident: Make
) -> None:
    own = twin.org["responder"]["username"]
    suspect = incident(
        f"salesforce-user={own}", "salesforce-user=break-glass@lab.example", "connected-app=Leak Response"
    )

    found = contain(suspect, systems, ledger)

    open_now = [c for c in found if c.status is not AccessStatus.MANUAL]
    assert open_now
    assert {c.status for c in open_now} == {AccessStatus.REFUSED}
    reasons = {c.detail.partition(".")[0] for c in open_now}
    assert reasons <= {
        "It is the responder's own user",
        "It is the responder's own app",
        "It is the break-glass admin",
    }
    assert changes_made(twin) == []
    assert attempts(ledger) == []


@pytest.mark.parametrize("suspect", ["connected-app=Suport Chat", "salesforce-user=nobody@lab.example"])
def test_a_mistyped_suspect_is_an_error_not_a_success(
    suspect: str, systems: Systems, ledger: FileLedger, incident: Make
) -> None:
    found = contain(incident(suspect), systems, ledger)
    assert {c.status for c in found} == {AccessStatus.FAILED}
    assert attempts(ledger) == []


def test_one_system_down_holds_up_no_other(
    systems: Systems, thief: Thief, ledger: FileLedger, incident: Make
) -> None:
    """Nothing listens at Vault's and AWS's addresses."""
    suspect = incident(f"connected-app={APP}", "vault-accessor=abcdefghijklmnop", "aws-role=ci-deploy")

    found = contain(suspect, systems, ledger, pace=Pace(tries=3, first_wait_s=0.1))

    by_system = {s: {c.status for c in found if c.access.system == s} for s in ("salesforce", "vault", "aws")}
    assert by_system["vault"] == by_system["aws"] == {AccessStatus.FAILED}
    assert by_system["salesforce"] == {AccessStatus.CLOSED, AccessStatus.MANUAL}
    assert max(c.seconds for c in found if c.access.kind == "login") < 5
    assert thief.mint() is None


@pytest.mark.parametrize("fault", ["503", "lock-row", "reset-after", "expired-session"])
def test_calls_that_fail_are_made_again(
    fault: str, systems: Systems, twin: Twin, thief: Thief, ledger: FileLedger, incident: Make
) -> None:
    """A tenth of all calls fails, revocations and deletions included; a session ends three times."""
    often: dict[str, Any] = {"count": 3, "skip": 5} if fault == "expired-session" else {"probability": 0.1}
    rule = {"kind": fault, "seed": 7, **often}
    twin.control("faults", {"rules": [rule | {"match": {"path": "/services/(data|oauth2/revoke)"}}]})

    found = contain(incident(f"connected-app={APP}"), systems, ledger)

    twin.control("faults", {"rules": []})
    assert {c.status for c in found} == {AccessStatus.CLOSED, AccessStatus.MANUAL}, found
    assert thief.mint() is None
    assert rows(twin, f"SELECT Id FROM OauthToken WHERE AppName = '{APP}'") == []
    assert ledger.open_attempts() == []
