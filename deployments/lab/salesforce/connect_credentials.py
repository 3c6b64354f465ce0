"""Connect REST API for external credentials: what Salesforce itself logs in with elsewhere.

Values can be written and never read back: a reader sees which keys there are and each one's revision.
PATCH changes the keys it names and is for custom protocols; PUT replaces all of them.
Source: Connect REST API Developer Guide, "Credential" (`/named-credentials/credential`).
"""

from __future__ import annotations

import json
from typing import Any

from deployments.lab.salesforce.wire import ApiError, Call, Reply, not_found

TABLE = "ExternalCredential"
WRITERS = ("PermissionsManageNamedCredentials", "PermissionsCustomizeApplication")
Values = dict[str, dict[str, Any]]


def credential(call: Call) -> Reply:
    """GET, PUT or PATCH /named-credentials/credential."""
    if not call.org.permissions.of(call.session.user_id).has_any(WRITERS):
        raise ApiError(403, "INSUFFICIENT_ACCESS", "insufficient access rights: Manage Named Credentials")
    given: dict[str, Any] = dict(call.query) if call.method == "GET" else call.json_object()
    row = _row(call, str(given.get("externalCredential") or ""))
    principals: dict[str, Values] = json.loads(row["Principals"] or "{}")
    name = str(given.get("principalName") or "")
    if name not in principals:
        raise not_found()
    if call.method != "GET":
        principals[name] = _written(call, row, principals[name], given)
        call.org.store.update(TABLE, row["Id"], {"Principals": json.dumps(principals)})
        call.org.audit(
            "changedcredential",
            f"Changed credential {row['DeveloperName']}: {name}",
            "Named Credentials",
            call.session.user_id,
        )
    return Reply.json(_told(row, name, principals[name]))


def _row(call: Call, name: str) -> dict[str, Any]:
    found = (
        call.org.store.read().execute(f"SELECT * FROM {TABLE} WHERE DeveloperName=?", (name,)).fetchone()  # noqa: S608 - a constant
    )
    if found is None:
        raise not_found()
    return dict(found)


def _written(call: Call, row: dict[str, Any], old: Values, given: dict[str, Any]) -> Values:
    protocol = row["AuthenticationProtocol"]
    if given.get("authenticationProtocol") != protocol:
        raise ApiError(400, "INVALID_INPUT", f"authenticationProtocol must be {protocol}")
    if call.method == "PATCH" and protocol != "Custom":
        raise ApiError(400, "INVALID_INPUT", "PATCH is for custom protocols")
    new = {
        key: {
            "value": str(one.get("value", "")),
            "encrypted": bool(one.get("encrypted")),
            "revision": int(old.get(key, {}).get("revision", 0)) + 1,
        }
        for key, one in (given.get("credentials") or {}).items()
    }
    return {**old, **new} if call.method == "PATCH" else new


def _told(row: dict[str, Any], name: str, values: Values) -> dict[str, Any]:
    return {
        "authenticationProtocol": row["AuthenticationProtocol"],
        "authenticationStatus": "Configured" if values else "NotConfigured",
        "credentials": {
            key: {"encrypted": one["encrypted"], "revision": one["revision"]} for key, one in values.items()
        },
        "externalCredential": row["DeveloperName"],
        "principalName": name,
        "principalType": "NamedPrincipal",
    }
