"""Connect REST API for external client apps: who uses them, their keys and secrets, the staged exchange.

`/apps/oauth/usage` knows external client apps alone. A consumer has one staged key and secret at a time.
Rotating swaps it with the current one; the former set stays valid for 30 days unless it is deleted.
Source: Connect REST API Developer Guide, "OAuth Usage" and "OAuth Credentials Resources".
"""

from __future__ import annotations

import secrets
from typing import Any

from deployments.lab.salesforce import ids
from deployments.lab.salesforce.wire import ApiError, Call, Reply, not_found

TABLE = "ExternalClientApplication"
STAGED, ROTATED = "staged", "rotated"
PAGE = 100
SEES_USAGE = ("PermissionsCustomizeApplication", "PermissionsExternalClientAppViewer")
MAY_STAGE = ("PermissionsExternalClientAppDeveloper", "PermissionsViewClientSecret")


def _require(call: Call, *permissions: str) -> None:
    access = call.org.permissions.of(call.session.user_id)
    for name in permissions:
        if not access.has(name):
            raise ApiError(
                403, "INSUFFICIENT_ACCESS", f"insufficient access rights: {name.removeprefix('Permissions')}"
            )


def _sees_usage(call: Call) -> None:
    if not call.org.permissions.of(call.session.user_id).has_any(SEES_USAGE):
        raise ApiError(403, "INSUFFICIENT_ACCESS", "insufficient access rights: Customize Application")


def _app(call: Call, app_id: str) -> dict[str, Any]:
    found = call.org.store.get(TABLE, ids.to_18(app_id) or app_id)
    if found is None:
        raise not_found()
    return found


def _page(call: Call, key: str, rows: list[dict[str, Any]]) -> Reply:
    number, size = call.query.get("page", "0"), call.query.get("pageSize", str(PAGE))
    if not number.isdigit() or not size.isdigit() or int(size) < 1:
        raise ApiError(400, "INVALID_PARAMETER", "page and pageSize are whole numbers")
    start, end = int(number) * int(size), (int(number) + 1) * int(size)
    following = f"{call.path}?page={int(number) + 1}&pageSize={size}" if end < len(rows) else None
    return Reply.json({key: rows[start:end], "currentPageUrl": call.path, "nextPageUrl": following})


# --- usage ---------------------------------------------------------------------------------------


def usage(call: Call) -> Reply:
    """GET /apps/oauth/usage: the external client apps that anybody uses."""
    _sees_usage(call)
    rows = call.org.store.read().execute(
        f"SELECT Id, DeveloperName, MasterLabel FROM {TABLE} ORDER BY Id"  # noqa: S608 - a constant
    )
    apps = [
        {"identifier": row[0], "developerName": row[1], "masterLabel": row[2], "usersCount": users}
        for row in rows.fetchall()
        if (users := len({grant.user_id for grant in call.org.sessions.grants_of(row[0])}))
    ]
    return _page(call, "apps", apps)


def users(call: Call, app_id: str) -> Reply:
    """GET /apps/oauth/usage/{app}/users."""
    _sees_usage(call)
    counts: dict[str, int] = {}
    for grant in call.org.sessions.grants_of(_app(call, app_id)["Id"]):
        counts[grant.user_id] = counts.get(grant.user_id, 0) + 1
    rows = [{"identifier": user_id, "tokensCount": counts[user_id]} for user_id in sorted(counts)]
    return _page(call, "users", rows)


def delete_tokens(call: Call, app_id: str, user_id: str | None = None) -> Reply:
    """DELETE /apps/oauth/usage/{app}/tokens or /{app}/{user}/tokens."""
    _sees_usage(call)
    app, user = _app(call, app_id), ids.to_18(user_id) if user_id else None
    for grant in call.org.sessions.grants_of(app["Id"]):
        if user_id is None or grant.user_id == user:
            for session in call.org.sessions.revoke(grant.delete_token) or ():
                call.org.note_logout(session, call.ip)
    call.org.audit(
        "revokedtokens", f"Revoked OAuth tokens of {app['MasterLabel']}", "Apps", call.session.user_id
    )
    return Reply.nothing()


# --- credentials ---------------------------------------------------------------------------------


def credentials(call: Call, app_id: str) -> Reply:
    """GET /apps/oauth/credentials/{app}: its consumers, with their keys and without secrets."""
    _require(call, "PermissionsExternalClientAppDeveloper")
    app = _app(call, app_id)
    return _page(call, "consumers", [_consumer(call, app)])


def _consumer(call: Call, app: dict[str, Any]) -> dict[str, Any]:
    url = f"{call.root}/apps/oauth/credentials/{app['Id']}/{app['ConsumerId']}"
    return {
        "id": app["ConsumerId"],
        "key": app["ConsumerKey"],
        "name": app["DeveloperName"],
        "stagedCredentialsUrl": f"{url}/staged",
        "url": url,
    }


def consumer(call: Call, app_id: str, consumer_id: str) -> Reply:
    """GET /apps/oauth/credentials/{app}/{consumer}?part=key|secret|keyandsecret."""
    _require(call, "PermissionsExternalClientAppDeveloper")
    app, part = _of(call, app_id, consumer_id), call.query.get("part", "key").lower()
    told: dict[str, Any] = {"id": app["ConsumerId"], "url": call.path}
    if "key" in part:
        told["key"] = app["ConsumerKey"]
    if "secret" in part:
        _require(call, "PermissionsViewClientSecret")
        told["secret"] = app["ConsumerSecret"]
    return Reply.json(told)


def _of(call: Call, app_id: str, consumer_id: str) -> dict[str, Any]:
    app = _app(call, app_id)
    if app["ConsumerId"] != consumer_id:
        raise not_found()
    return app


def staged(call: Call, app_id: str, consumer_id: str) -> Reply:
    """GET or POST /apps/oauth/credentials/{app}/{consumer}/staged."""
    _require(call, *MAY_STAGE)
    app = _of(call, app_id, consumer_id)
    if call.method == "POST":
        if app["StagedId"]:
            raise ApiError(400, "INVALID_OPERATION", "The consumer already has staged credentials.")
        made = {
            "StagedId": call.org.store.new_id("0Sg"),
            "StagedKey": "3MVG9" + secrets.token_urlsafe(60).replace("-", "x"),
            "StagedSecret": secrets.token_hex(32).upper(),
            "StagedState": STAGED,
        }
        app = _store(call, app, made, "stagedcredentials", "Staged new OAuth credentials of")
    return Reply.json({"stagedCredentials": _staged_of(call, app), "url": call.path})


def _staged_of(call: Call, app: dict[str, Any]) -> list[dict[str, Any]]:
    if not app["StagedId"]:
        return []
    base = f"{call.root}/apps/oauth/credentials/{app['Id']}/{app['ConsumerId']}/staged"
    return [
        {
            "id": app["StagedId"],
            "key": app["StagedKey"],
            "secret": app["StagedSecret"],
            "state": app["StagedState"],
            "url": f"{base}/{app['StagedId']}",
        }
    ]


def staged_one(call: Call, app_id: str, consumer_id: str, staged_id: str) -> Reply:
    """GET, PATCH {command: rotate} or DELETE /apps/oauth/credentials/{app}/{consumer}/staged/{id}."""
    _require(call, *MAY_STAGE)
    app = _of(call, app_id, consumer_id)
    if app["StagedId"] != staged_id:
        raise not_found()
    if call.method == "DELETE":
        gone = dict.fromkeys(("StagedId", "StagedKey", "StagedSecret", "StagedState"))
        _store(call, app, gone, "deletedstagedcreds", "Deleted staged OAuth credentials of")
        return Reply.nothing()
    if call.method == "PATCH":
        if call.json_object().get("command") != "rotate":
            raise ApiError(400, "INVALID_ARGUMENT", "command must be rotate")
        swapped = {
            "ConsumerKey": app["StagedKey"],
            "ConsumerSecret": app["StagedSecret"],
            "StagedId": call.org.store.new_id("0Sg"),
            "StagedKey": app["ConsumerKey"],
            "StagedSecret": app["ConsumerSecret"],
            "StagedState": ROTATED,
        }
        app = _store(call, app, swapped, "rotatedcredentials", "Rotated OAuth credentials of")
    return Reply.json({"stagedCredentials": _staged_of(call, app), "url": call.path})


def _store(
    call: Call, app: dict[str, Any], changes: dict[str, Any], action: str, words: str
) -> dict[str, Any]:
    call.org.store.update(TABLE, app["Id"], changes)
    call.org.changed(TABLE)
    call.org.audit(action, f"{words} {app['MasterLabel']}", "Apps", call.session.user_id)
    return app | changes
