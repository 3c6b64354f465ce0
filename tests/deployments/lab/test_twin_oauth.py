"""The twin's OAuth endpoints: who gets a token, what takes it away, and in which words it is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from typing import Any

import pytest

from tests.deployments.lab.twin import API, STOLEN, Client, Twin, twin

__all__ = ["twin"]
JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def test_client_credentials_by_header_and_by_body(twin: Twin) -> None:
    keys = twin.org["apps"]["Leak Response"]
    by_header = twin.http().post(
        f"{twin.url}/services/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=(keys["consumer_key"], keys["consumer_secret"]),
    )
    assert by_header.status_code == 200
    told = by_header.json()
    assert re.fullmatch(r"00D\w{12}![\w.]+", told["access_token"])
    assert told["instance_url"] == twin.url
    assert told["id"].startswith(f"{twin.url}/id/{twin.org['org_id']}/005")
    assert told["token_type"] == "Bearer"
    signed = hmac.new(
        keys["consumer_secret"].encode(), (told["id"] + told["issued_at"]).encode(), hashlib.sha256
    ).digest()
    assert base64.b64encode(signed).decode() == told["signature"]
    assert twin.client().get("/").status_code == 200


def test_wrong_secret_and_unknown_app_are_refused(twin: Twin) -> None:
    keys = twin.org["apps"]["Leak Response"]
    wrong = twin.token_call(
        grant_type="client_credentials", client_id=keys["consumer_key"], client_secret="no"
    )
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_client")
    unknown = twin.token_call(grant_type="client_credentials", client_id="nobody", client_secret="no")
    assert unknown.json()["error"] == "invalid_client_id"
    assert twin.token_call(grant_type="magic").json()["error"] == "unsupported_grant_type"


def test_jwt_bearer_logs_in(twin: Twin) -> None:
    reply = twin.token_call(grant_type=JWT, assertion=twin.assertion())
    assert reply.status_code == 200, reply.text
    client = Client(twin, reply.json()["access_token"])
    who = client.call("GET", "/services/oauth2/userinfo").json()
    assert who["preferred_username"] == "leak-response@lab.example"
    assert twin.token_call(grant_type=JWT, assertion=twin.assertion(aud=twin.url)).status_code == 200


@pytest.mark.parametrize(
    ("claims", "key_of", "description"),
    [
        ({"aud": "https://evil.example"}, None, "audience is invalid"),
        ({"exp": int(time.time()) - 60}, None, "expired authorization code"),
        ({"exp": int(time.time()) + 86400}, None, "expired authorization code"),
        ({"sub": "nobody@lab.example"}, None, "user hasn't approved this consumer"),
        ({"sub": "support-chat@lab.example"}, None, "user hasn't approved this consumer"),
        ({}, "admin", "invalid assertion"),  # signed with somebody else's key
    ],
)
def test_jwt_bearer_refuses(twin: Twin, claims: dict[str, Any], key_of: str | None, description: str) -> None:
    reply = twin.token_call(grant_type=JWT, assertion=twin.assertion(key_of=key_of, **claims))
    assert reply.status_code == 400
    assert reply.json() == {"error": "invalid_grant", "error_description": description}


def test_refresh_gives_a_new_access_token_and_no_new_refresh_token(twin: Twin) -> None:
    first, second = twin.refresh("support-chat@lab.example"), twin.refresh("support-chat@lab.example")
    assert first.json()["access_token"] != second.json()["access_token"]
    assert "refresh_token" not in first.json()
    for reply in (first, second):
        client = Client(twin, reply.json()["access_token"])
        assert client.query("SELECT Id FROM Contact LIMIT 1").status_code == 200


def test_password_flow_is_off_unless_switched_on(twin: Twin) -> None:
    admin = twin.org["admin"]
    form = {
        "grant_type": "password",
        "client_id": admin["consumer_key"],
        "client_secret": admin["consumer_secret"],
        "username": admin["username"],
        "password": admin["password"],
    }
    refused = twin.token_call(**form)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    twin.control("switches", {"password_flow": True})
    try:
        assert twin.token_call(**form).status_code == 200
        assert twin.token_call(**{**form, "password": "wrong"}).status_code == 400
    finally:
        twin.control("switches", {"password_flow": False})


def test_revoking_a_refresh_token_kills_its_access_tokens(twin: Twin) -> None:
    username = list(twin.refresh_tokens())[10]
    access = [twin.refresh(username).json()["access_token"] for _ in range(2)]
    url = f"{twin.url}/services/oauth2/revoke"
    revoked = twin.http().post(url, data={"token": twin.refresh_tokens()[username]})
    assert revoked.status_code == 200
    for token in access:
        reply = twin.http(token).get(twin.url + API + "/limits")
        assert (reply.status_code, reply.json()[0]["errorCode"]) == (401, "INVALID_SESSION_ID")
    again = twin.refresh(username)
    assert again.json() == {"error": "invalid_grant", "error_description": "expired access/refresh token"}
    once_more = twin.http().post(url, data={"token": twin.refresh_tokens()[username]})
    assert (once_more.status_code, once_more.json()["error"]) == (400, "invalid_token")


def test_revoking_by_delete_token_and_by_access_token(twin: Twin) -> None:
    username = list(twin.refresh_tokens())[11]
    thief = Client(twin, twin.refresh(username).json()["access_token"])
    responder = twin.client()
    mine = (
        f"SELECT DeleteToken, UserId FROM OauthToken WHERE AppName = '{STOLEN}'"
        f" AND User.Username = '{username}'"
    )
    (row,) = responder.records(mine)
    assert thief.call("GET", "/services/oauth2/userinfo").status_code == 200
    # An access token takes only itself.
    twin.http().get(f"{twin.url}/services/oauth2/revoke", params={"token": thief.token})
    assert thief.call("GET", "/services/oauth2/userinfo").status_code == 401
    second = twin.refresh(username)
    assert second.status_code == 200
    # The delete token takes the grant and everything below it.
    reply = twin.http().post(f"{twin.url}/services/oauth2/revoke", data={"token": row["DeleteToken"]})
    assert reply.status_code == 200
    assert (
        Client(twin, second.json()["access_token"]).call("GET", "/services/oauth2/userinfo").status_code
        == 401
    )
    assert twin.refresh(username).status_code == 400
    assert responder.records(mine) == []


def test_revoke_names_a_token_type_it_does_not_know(twin: Twin) -> None:
    reply = twin.http().post(
        f"{twin.url}/services/oauth2/revoke", data={"token": "x", "token_type_hint": "id_token"}
    )
    assert (reply.status_code, reply.json()["error"]) == (400, "unsupported_token_type")


def test_introspect_and_identity(twin: Twin) -> None:
    keys = twin.org["apps"]["Leak Response"]
    client = twin.client()
    form = {
        "token": client.token,
        "client_id": keys["consumer_key"],
        "client_secret": keys["consumer_secret"],
    }
    told = twin.http().post(f"{twin.url}/services/oauth2/introspect", data=form).json()
    assert told["active"] is True
    assert told["username"] == "leak-response@lab.example"
    gone = twin.http().post(f"{twin.url}/services/oauth2/introspect", data={**form, "token": "x"})
    assert gone.json() == {"active": False}
    where = client.get("/").json()["identity"]
    identity = client.http.get(where).json()
    assert identity["organization_id"] == twin.org["org_id"]
    old_scheme = twin.http(Authorization=f"OAuth {client.token}").get(where)
    assert old_scheme.status_code == 200


def _soap_login(twin: Twin, version: str, password: str) -> str:
    body = (
        '<?xml version="1.0"?><env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Body>'
        '<n1:login xmlns:n1="urn:partner.soap.sforce.com">'
        f"<n1:username>{twin.org['admin']['username']}</n1:username><n1:password>{password}</n1:password></n1:login></env:Body></env:Envelope>"
    )
    reply = twin.http(**{"Content-Type": "text/xml", "SOAPAction": "login"}).post(
        f"{twin.url}/services/Soap/u/{version}", data=body
    )
    return reply.text


def test_soap_login_ends_with_version_64(twin: Twin) -> None:
    password = twin.org["admin"]["password"]
    told = _soap_login(twin, "64.0", password)
    session_id = re.search(r"<sessionId>(.+?)</sessionId>", told)
    assert session_id, told
    assert Client(twin, session_id[1]).get("/limits").status_code == 200
    assert "INVALID_LOGIN" in _soap_login(twin, "64.0", "wrong")
    assert "<sf:exceptionCode>INVALID_OPERATION</sf:exceptionCode>" in _soap_login(twin, "65.0", password)


def test_versions_need_no_login(twin: Twin) -> None:
    told = twin.http().get(f"{twin.url}/services/data/").json()
    assert [v["version"] for v in told] == [f"{n}.0" for n in range(31, 69)]
    assert next(v["label"] for v in told if v["version"] == "67.0") == "Summer '26"
    assert next(v["label"] for v in told if v["version"] == "68.0") == "Winter '27"
