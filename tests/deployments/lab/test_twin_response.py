"""What containment relies on: which change shuts which way in, what it leaves open, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.deployments.lab.twin import STOLEN, Client, Twin, error_of, twin

__all__ = ["twin"]
USER = "support-chat@lab.example"


def user_id(client: Client, username: str = USER) -> str:
    return str(client.records(f"SELECT Id FROM User WHERE Username = '{username}'")[0]["Id"])


def user_login(client: Client, username: str = USER) -> str:
    where = f"SELECT Id FROM UserLogin WHERE UserId = '{user_id(client, username)}'"
    return str(client.records(where)[0]["Id"])


@pytest.fixture
def frozen(twin: Twin) -> Iterator[Client]:
    """The integration user has a session and is then frozen; thawed afterwards."""
    responder, thief = twin.client(), twin.attacker()
    path = f"/sobjects/UserLogin/{user_login(responder)}"
    assert responder.call("PATCH", path, json={"IsFrozen": True}).status_code == 204
    yield thief
    assert responder.call("PATCH", path, json={"IsFrozen": False}).status_code == 204


def test_a_frozen_user_cannot_log_in_but_keeps_its_sessions(twin: Twin, frozen: Client) -> None:
    refused = twin.refresh(USER)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert frozen.query("SELECT Id FROM Contact LIMIT 1").status_code == 200
    history = twin.client().records(
        f"SELECT Status, LoginSubType FROM LoginHistory WHERE UserId = '{user_id(twin.client())}'"
        " ORDER BY LoginTime DESC LIMIT 1"
    )
    assert (history[0]["Status"], history[0]["LoginSubType"]) == ("User is Frozen", "OauthRefreshToken")


def test_freezing_ends_sessions_where_the_org_is_switched_so(twin: Twin, frozen: Client) -> None:
    twin.control("switches", {"frozen_ends_sessions": True})
    try:
        assert error_of(frozen.get("/limits")) == (401, "INVALID_SESSION_ID")
    finally:
        twin.control("switches", {"frozen_ends_sessions": False})


def test_deleting_the_auth_session_ends_it(twin: Twin) -> None:
    responder, thief = twin.client(), twin.attacker()
    sessions = f"SELECT Id, SourceIp FROM AuthSession WHERE UsersId = '{user_id(responder)}'"
    rows = responder.records(sessions)
    assert rows
    for row in rows:
        assert responder.call("DELETE", f"/sobjects/AuthSession/{row['Id']}").status_code == 204
    assert error_of(thief.get("/limits")) == (401, "INVALID_SESSION_ID")
    assert responder.records(sessions) == []
    again = responder.call("DELETE", f"/sobjects/AuthSession/{rows[0]['Id']}")
    assert error_of(again) == (404, "NOT_FOUND")


def test_is_current_is_the_session_that_asks(twin: Twin) -> None:
    responder, other = twin.client(), twin.client()
    mine = f"UsersId = '{user_id(responder, 'leak-response@lab.example')}'"
    (own,) = responder.records(f"SELECT Id, IsCurrent FROM AuthSession WHERE {mine} AND IsCurrent = true")
    (others,) = other.records(f"SELECT Id, IsCurrent FROM AuthSession WHERE {mine} AND IsCurrent = true")
    assert own["Id"] != others["Id"]
    assert own["IsCurrent"] is True
    rest = responder.records(f"SELECT Id, IsCurrent FROM AuthSession WHERE {mine} AND IsCurrent != true")
    assert others["Id"] in {row["Id"] for row in rest}
    assert own["Id"] not in {row["Id"] for row in rest}
    assert not any(row["IsCurrent"] for row in rest)


def test_only_who_manages_users_sees_and_ends_other_sessions(twin: Twin) -> None:
    thief = twin.attacker()
    seen = {row["UsersId"] for row in thief.records("SELECT UsersId FROM AuthSession")}
    assert seen == {user_id(thief)}
    other = twin.client().records(
        f"SELECT Id FROM AuthSession WHERE UsersId = '{user_id(thief, 'leak-response@lab.example')}'"
    )
    refused = thief.call("DELETE", f"/sobjects/AuthSession/{other[0]['Id']}")
    assert error_of(refused) == (403, "INSUFFICIENT_ACCESS_OR_READONLY")


def test_oauth_token_is_query_only_has_no_id_and_shows_no_access_value(twin: Twin) -> None:
    responder = twin.client()
    assert responder.count(f"SELECT COUNT() FROM OauthToken WHERE AppName = '{STOLEN}'") == 2600
    first = responder.query(
        f"SELECT Id, DeleteToken, AccessToken FROM OauthToken WHERE AppName = '{STOLEN}'"
    ).json()
    assert len(first["records"]) == 500
    assert all(r["Id"] in (None, "000000000000000AAA") and r["AccessToken"] is None for r in first["records"])
    assert first["records"][0]["DeleteToken"]
    pages, following = 1, first.get("nextRecordsUrl")
    rows = len(first["records"])
    while following:
        page = responder.call("GET", following).json()
        rows, pages, following = rows + len(page["records"]), pages + 1, page.get("nextRecordsUrl")
    assert (rows, pages) == (2500, 5)  # nothing past 2,500 without OFFSET
    beyond = responder.records(
        f"SELECT DeleteToken FROM OauthToken WHERE AppName = '{STOLEN}' LIMIT 2500 OFFSET 2500"
    )
    assert len(beyond) == 100
    token_id = "0CQ000000000001AAA"
    assert responder.call("DELETE", f"/sobjects/OauthToken/{token_id}").status_code >= 400
    assert twin.attacker().count(f"SELECT COUNT() FROM OauthToken WHERE AppName = '{STOLEN}'") == 1


def test_taking_the_permission_set_away_takes_the_api_away(twin: Twin) -> None:
    responder, thief = twin.client(), twin.attacker()
    held = responder.records(
        "SELECT Id, PermissionSetId, AssigneeId FROM PermissionSetAssignment WHERE Assignee.Username ="
        f" '{USER}' AND PermissionSet.IsOwnedByProfile = false AND PermissionSet.PermissionsApiEnabled = true"
    )
    assert len(held) == 1
    assert responder.call("DELETE", f"/sobjects/PermissionSetAssignment/{held[0]['Id']}").status_code == 204
    assert error_of(thief.query("SELECT Id FROM Contact LIMIT 1")) == (403, "API_CURRENTLY_DISABLED")
    back = {k: held[0][k] for k in ("PermissionSetId", "AssigneeId")}
    made = responder.call("POST", "/sobjects/PermissionSetAssignment", json=back)
    assert made.status_code == 201, made.text
    assert thief.query("SELECT Id FROM Contact LIMIT 1").status_code == 200
    twice = responder.call("POST", "/sobjects/PermissionSetAssignment", json=back)
    assert error_of(twice) == (400, "DUPLICATE_VALUE")
    trail = responder.records("SELECT Action, Display FROM SetupAuditTrail WHERE Action LIKE 'PermSet%'")
    assert {row["Action"] for row in trail} >= {"PermSetAssign", "PermSetUnassign"}


def test_switching_a_permission_off_in_the_set_and_muting_it_in_a_group(twin: Twin) -> None:
    responder, thief = twin.client(), twin.attacker()
    (held,) = responder.records("SELECT Id FROM PermissionSet WHERE Name = 'Support_Chat_Integration'")
    path = f"/sobjects/PermissionSet/{held['Id']}"
    assert thief.get("/limits").status_code == 200
    assert responder.call("PATCH", path, json={"PermissionsViewSetup": False}).status_code == 204
    assert error_of(thief.get("/limits")) == (403, "INSUFFICIENT_ACCESS")
    (group,) = twin.control(
        "insert", {"object": "PermissionSetGroup", "record": {"DeveloperName": "G", "MasterLabel": "G"}}
    ).json()["ids"]
    (wide,) = twin.control(
        "insert",
        {"object": "PermissionSet", "record": {"Name": "Wide", "Label": "Wide", "PermissionsViewSetup": 1}},
    ).json()["ids"]
    for made in (
        {
            "object": "PermissionSetGroupComponent",
            "record": {"PermissionSetGroupId": group, "PermissionSetId": wide},
        },
        {
            "object": "PermissionSetAssignment",
            "record": {"PermissionSetGroupId": group, "AssigneeId": user_id(responder)},
        },
    ):
        twin.control("insert", made)
    assert thief.get("/limits").status_code == 200
    muting = responder.call(
        "POST",
        "/sobjects/MutingPermissionSet",
        json={"DeveloperName": "M", "MasterLabel": "M", "PermissionsViewSetup": True},
    ).json()["id"]
    joined = responder.call(
        "POST",
        "/sobjects/PermissionSetGroupComponent",
        json={"PermissionSetGroupId": group, "PermissionSetId": muting},
    )
    assert joined.status_code == 201, joined.text
    assert error_of(thief.get("/limits")) == (403, "INSUFFICIENT_ACCESS")
    assert responder.call("PATCH", path, json={"PermissionsViewSetup": True}).status_code == 204


def test_profile_permissions_change_by_the_profile_and_not_by_its_permission_set(twin: Twin) -> None:
    responder = twin.client()
    (owned,) = responder.records(
        "SELECT Id, ProfileId FROM PermissionSet WHERE IsOwnedByProfile = true"
        " AND Profile.Name = 'Support Agent'"
    )
    refused = responder.call(
        "PATCH", f"/sobjects/PermissionSet/{owned['Id']}", json={"PermissionsApiEnabled": False}
    )
    assert error_of(refused) == (400, "INSUFFICIENT_ACCESS_OR_READONLY")
    agent = responder.records(
        "SELECT Username FROM User WHERE Profile.Name = 'Support Agent' AND IsActive = true LIMIT 1"
    )[0]["Username"]
    thief = twin.attacker(agent)
    assert thief.query("SELECT Id FROM Contact LIMIT 1").status_code == 200
    profile = f"/sobjects/Profile/{owned['ProfileId']}"
    assert responder.call("PATCH", profile, json={"PermissionsApiEnabled": False}).status_code == 204
    assert error_of(thief.query("SELECT Id FROM Contact LIMIT 1")) == (403, "API_CURRENTLY_DISABLED")
    assert responder.call("PATCH", profile, json={"PermissionsApiEnabled": True}).status_code == 204


def test_object_permissions_bound_what_is_read(twin: Twin) -> None:
    erp = twin.client("ERP Sync")
    assert erp.query("SELECT Id FROM Account LIMIT 1").status_code == 200
    assert error_of(erp.query("SELECT Id FROM Case LIMIT 1")) == (400, "INVALID_TYPE")
    assert error_of(erp.get("/sobjects/Case/describe")) == (404, "NOT_FOUND")
    assert error_of(erp.query("SELECT Tax_Id__c FROM Contact LIMIT 1")) == (400, "INVALID_FIELD")
    assert (
        erp.call(
            "DELETE", f"/sobjects/Account/{erp.records('SELECT Id FROM Account LIMIT 1')[0]['Id']}"
        ).status_code
        == 403
    )


def test_a_deactivated_user_is_out_at_once(twin: Twin) -> None:
    responder = twin.client()
    username = list(twin.refresh_tokens())[20]
    thief = twin.attacker(username)
    path = f"/sobjects/User/{user_id(responder, username)}"
    assert responder.call("PATCH", path, json={"IsActive": False}).status_code == 204
    assert thief.call("GET", "/services/oauth2/userinfo").status_code == 401
    assert twin.refresh(username).json()["error_description"] == "inactive user"
    own = responder.call(
        "PATCH", f"/sobjects/User/{user_id(responder, 'leak-response@lab.example')}", json={"IsActive": False}
    )
    assert error_of(own) == (400, "CANNOT_DEACTIVATE_USER")


def test_an_admin_approved_app_needs_its_setup_entity_access(twin: Twin) -> None:
    responder = twin.client()
    app = twin.org["apps"]["ERP Sync"]
    twin.control(
        "plant",
        {"object": "ConnectedApplication", "id": app["id"], "set": {"OptionsAllowAdminApprovedUsersOnly": 1}},
    )
    form = {
        "grant_type": "client_credentials",
        "client_id": app["consumer_key"],
        "client_secret": app["consumer_secret"],
    }
    assert twin.token_call(**form).json()["error"] == "invalid_app_access"
    (erp_set,) = responder.records("SELECT Id FROM PermissionSet WHERE Name = 'ERP_Sync'")
    made = responder.call(
        "POST", "/sobjects/SetupEntityAccess", json={"ParentId": erp_set["Id"], "SetupEntityId": app["id"]}
    )
    assert made.status_code == 201, made.text
    assert twin.token_call(**form).status_code == 200
    assert responder.call("DELETE", f"/sobjects/SetupEntityAccess/{made.json()['id']}").status_code == 204
    assert twin.token_call(**form).status_code == 400
    twin.control(
        "plant",
        {"object": "ConnectedApplication", "id": app["id"], "set": {"OptionsAllowAdminApprovedUsersOnly": 0}},
    )


def test_an_admin_can_block_an_app_only_behind_the_api(twin: Twin) -> None:
    responder, app = twin.client(), twin.org["apps"][STOLEN]
    refused = responder.call("PATCH", f"/sobjects/ConnectedApplication/{app['id']}", json={"Name": "x"})
    assert refused.status_code == 403
    twin.control("plant", {"object": "ConnectedApplication", "id": app["id"], "set": {"IsBlocked": 1}})
    try:
        assert twin.refresh(USER).status_code == 400
    finally:
        twin.control("plant", {"object": "ConnectedApplication", "id": app["id"], "set": {"IsBlocked": 0}})


def test_the_attacker_may_not_undo_containment(twin: Twin) -> None:
    thief = twin.attacker()
    login = twin.client().records(f"SELECT Id FROM UserLogin WHERE UserId = '{user_id(thief)}'")[0]["Id"]
    refused = thief.call("PATCH", f"/sobjects/UserLogin/{login}", json={"IsFrozen": False})
    assert error_of(refused) == (403, "INSUFFICIENT_ACCESS_OR_READONLY")


def test_passwords_are_set_and_invalidated(twin: Twin) -> None:
    responder = twin.client()
    path = f"/sobjects/User/{user_id(responder)}/password"
    assert responder.call("POST", path, json={"NewPassword": "correct horse battery"}).status_code == 204
    assert error_of(responder.call("POST", path, json={"NewPassword": "x"})) == (400, "INVALID_NEW_PASSWORD")
    assert responder.call("DELETE", path).status_code == 200
    assert error_of(twin.client("ERP Sync").call("DELETE", path)) == (403, "INSUFFICIENT_ACCESS")


def test_many_assignments_go_at_once_while_the_attacker_logs_in(twin: Twin) -> None:
    """One transaction for all of them; neither it nor the logins beside it wait for each other for ever."""
    responder = twin.client()
    agents = responder.records(
        "SELECT Id, Username FROM User WHERE Profile.Name = 'Support Agent' AND IsActive = true LIMIT 20"
    )
    (wide,) = twin.control(
        "insert",
        {"object": "PermissionSet", "record": {"Name": "All", "Label": "All", "PermissionsViewSetup": 1}},
    ).json()["ids"]
    typed = {"attributes": {"type": "PermissionSetAssignment"}, "PermissionSetId": wide}
    made = responder.call(
        "POST",
        "/composite/sobjects",
        json={"allOrNone": True, "records": [{**typed, "AssigneeId": a["Id"]} for a in agents]},
    ).json()
    assert all(one["success"] for one in made)
    thieves = [twin.attacker(agent["Username"]) for agent in agents[:5]]
    assert {thief.get("/limits").status_code for thief in thieves} == {200}
    with ThreadPoolExecutor(6) as pool:
        logins = [pool.submit(twin.refresh, agent["Username"]) for agent in agents]
        ids = ",".join(one["id"] for one in made)
        gone = pool.submit(
            responder.call, "DELETE", "/composite/sobjects", params={"ids": ids, "allOrNone": "true"}
        )
        assert all(one["success"] for one in gone.result(timeout=30).json())
        assert {login.result(timeout=30).status_code for login in logins} == {200}
    assert {thief.get("/limits").status_code for thief in thieves} == {403}
