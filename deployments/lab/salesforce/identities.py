"""Which apps may log in to the org at start, as whom, and what they were granted.

Users, profiles and permission sets come with the data; here they get apps, keys, passwords and tokens.

`support-chat@lab.example` is the integration user whose grants will be stolen, with 2,599 other users' grants
to the same app. `erp-sync@lab.example` is a second integration that must keep working through a response.
"""

from __future__ import annotations

import json
import os
import random
import string
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from deployments.lab.salesforce.org import API_VERSION, Org
from deployments.lab.salesforce.store import Store

STOLEN_APP, RESPONDER_APP, ERP_APP, ADMIN_APP = "Support Chat", "Leak Response", "ERP Sync", "Admin Console"
INTEGRATION_USER = "support-chat@lab.example"
RESPONDER_USER = "leak-response@lab.example"
ERP_USER = "erp-sync@lab.example"
ADMIN_USER = "admin@lab.example"
BREAK_GLASS_USER = "break-glass@lab.example"
GRANTS = 2600  # more than the 2,500 that one OauthToken query can show

ERP_OBJECTS = ("Account", "Contact", "Order", "OrderItem", "Product2")


@dataclass(frozen=True, slots=True)
class _Draw:
    """Names and secrets from the seed."""

    random: random.Random

    def text(self, length: int) -> str:
        return "".join(self.random.choices(string.ascii_letters + string.digits, k=length))

    def consumer_key(self) -> str:
        return "3MVG9" + self.text(80)

    def consumer_secret(self) -> str:
        return "".join(self.random.choices("0123456789ABCDEF", k=64))


def organization_id(store: Store) -> str:
    return str(store.read().execute("SELECT Id FROM Organization LIMIT 1").fetchone()[0])


class Identities:
    """Makes them in an org whose data is already there."""

    def __init__(self, org: Org, seed: int) -> None:
        self._org = org
        self._draw = _Draw(random.Random(seed))  # noqa: S311 - a lab's own throw-away secrets, repeatable

    # --- building blocks -------------------------------------------------------------------------

    def _permission_set(self, label: str, permissions: tuple[str, ...] = ()) -> str:
        """The permission set of that name, made when the data has none."""
        name = label.replace(" ", "_")
        row = self._org.store.read().execute("SELECT Id FROM PermissionSet WHERE Name=?", (name,)).fetchone()
        if row:
            return str(row[0])
        on = {f"Permissions{one}": 1 for one in permissions}
        made = {"Name": name, "Label": label, "IsCustom": 1, "IsOwnedByProfile": 0, "Type": "Regular", **on}
        return str(self._org.store.insert("PermissionSet", [made])[0])

    def _user(self, username: str) -> str:
        found = self._org.user_by_name(username)
        if found is None:
            raise LookupError(f"the data has no user {username}")
        return found

    def _new_user(self, username: str, last_name: str) -> str:
        """A user like the integration user: same profile, same settings."""
        like = self._org.store.get("User", self._user(INTEGRATION_USER)) or {}
        same = (
            "ProfileId",
            "UserType",
            "TimeZoneSidKey",
            "LocaleSidKey",
            "LanguageLocaleKey",
            "EmailEncodingKey",
        )
        row = {name: like[name] for name in same} | {
            "Username": username,
            "LastName": last_name,
            "Email": username,
            "Alias": username[:8],
            "IsActive": 1,
        }
        made = str(self._org.store.insert("User", [row])[0])
        # Every user counts as a person in the ground truth (data/people.py); this one is in no other record.
        person = ("User", made, f"P-{made}", "unknown")
        self._org.store.load("_person", ("object", "record_id", "person_id", "residence"), [person])
        return made

    def _assign(self, user_id: str, set_id: str) -> None:
        held = self._org.store.read().execute(
            "SELECT 1 FROM PermissionSetAssignment WHERE AssigneeId=? AND PermissionSetId=?",
            (user_id, set_id),
        )
        if held.fetchone() is None:
            row = {"AssigneeId": user_id, "PermissionSetId": set_id, "IsActive": 1}
            self._org.store.insert("PermissionSetAssignment", [row])

    def _app(
        self,
        name: str,
        flows: str,
        *,
        run_as: str = "",
        public_key: str = "",
        admin_approved: bool = False,
        approved_for: str = "",
    ) -> dict[str, str]:
        key, secret = self._draw.consumer_key(), self._draw.consumer_secret()
        (made,) = self._org.store.insert(
            "ConnectedApplication",
            [
                {
                    "Name": name,
                    "OptionsAllowAdminApprovedUsersOnly": int(admin_approved),
                    "ConsumerKey": key,
                    "ConsumerSecret": secret,
                    "Certificate": public_key or None,
                    "Scopes": "api refresh_token offline_access",
                    "Flows": flows,
                    "RunAsUserId": run_as or None,
                    "IsBlocked": 0,
                }
            ],
        )
        if approved_for:
            self._org.store.insert(
                "SetupEntityAccess",
                [
                    {
                        "ParentId": approved_for,
                        "SetupEntityId": made,
                        "SetupEntityType": "ConnectedApplication",
                    }
                ],
            )
        return {"id": str(made), "consumer_key": key, "consumer_secret": secret}

    # --- the whole -------------------------------------------------------------------------------

    def make(self) -> dict[str, Any]:
        """Everything; returns what `org.json` tells about it."""
        folder = self._org.folder
        responder_key, responder_public = _key_pair(folder / "keys" / "responder.pem")
        admin_key, admin_public = _key_pair(folder / "keys" / "admin.pem")

        admin, responder = self._user(ADMIN_USER), self._user(RESPONDER_USER)
        integration = self._user(INTEGRATION_USER)
        erp = self._new_user(ERP_USER, "ERP Sync")
        responder_set = self._permission_set("Leak Response Responder")
        integration_set = self._permission_set("Support Chat Integration")
        erp_set = self._permission_set("ERP Sync", ("ApiEnabled",))
        admin_set = self._permission_set("Admin Console")
        for user_id, set_id in (
            (responder, responder_set),
            (integration, integration_set),
            (erp, erp_set),
            (admin, admin_set),
        ):
            self._assign(user_id, set_id)
        self._org.store.insert(
            "ObjectPermissions",
            [
                {
                    "ParentId": erp_set,
                    "SobjectType": name,
                    "PermissionsRead": 1,
                    "PermissionsCreate": 1,
                    "PermissionsEdit": 1,
                }
                for name in ERP_OBJECTS
            ],
        )
        apps = {
            STOLEN_APP: self._app(STOLEN_APP, "refresh", approved_for=integration_set),
            RESPONDER_APP: self._app(
                RESPONDER_APP,
                "jwt client_credentials",
                run_as=responder,
                public_key=responder_public,
                admin_approved=True,
                approved_for=responder_set,
            ),
            ERP_APP: self._app(ERP_APP, "client_credentials", run_as=erp),
            ADMIN_APP: self._app(
                ADMIN_APP,
                "jwt client_credentials refresh password",
                run_as=admin,
                public_key=admin_public,
                admin_approved=True,
                approved_for=admin_set,
            ),
        }
        self._complete_logins()
        for name in ("PermissionSet", "User", "ConnectedApplication"):
            self._org.changed(name)
        password = self._draw.text(20)
        self._org.set_password(admin, password)
        tokens = self._grants(integration)
        tokens_file = folder / "stolen" / "refresh_tokens.json"
        _write_private(tokens_file, json.dumps(tokens))
        return {
            "org_id": self._org.org_id,
            "api_version": API_VERSION,
            "admin": {
                "username": ADMIN_USER,
                "password": password,
                "consumer_key": apps[ADMIN_APP]["consumer_key"],
                "consumer_secret": apps[ADMIN_APP]["consumer_secret"],
                "private_key_file": str(admin_key),
            },
            "responder": {
                "username": RESPONDER_USER,
                "consumer_key": apps[RESPONDER_APP]["consumer_key"],
                "client_secret": apps[RESPONDER_APP]["consumer_secret"],
                "private_key_file": str(responder_key),
            },
            "apps": apps,
            "erp": {"username": ERP_USER, "app": ERP_APP, **apps[ERP_APP]},
            "integration_username": INTEGRATION_USER,
            "stolen": {
                "app": STOLEN_APP,
                "consumer_key": apps[STOLEN_APP]["consumer_key"],
                "consumer_secret": apps[STOLEN_APP]["consumer_secret"],
                "refresh_tokens_file": str(tokens_file),
                "integration_username": INTEGRATION_USER,
            },
        }

    def _complete_logins(self) -> None:
        """Every user has its UserLogin row."""
        rows = (
            self._org.store.read()
            .execute("SELECT Id FROM User WHERE Id NOT IN (SELECT UserId FROM UserLogin)")
            .fetchall()
        )
        self._org.store.insert(
            "UserLogin", [{"UserId": row[0], "IsFrozen": 0, "IsPasswordLocked": 0} for row in rows]
        )

    def _grants(self, integration: str) -> dict[str, str]:
        """Refresh tokens of the stolen app by username, the integration user's first."""
        others = self._org.store.read().execute(
            "SELECT Username,Id FROM User WHERE IsActive=1 AND UserType<>'Guest'"
            " AND Username NOT IN (?,?,?,?,?) ORDER BY Id LIMIT ?",
            (INTEGRATION_USER, RESPONDER_USER, ERP_USER, ADMIN_USER, BREAK_GLASS_USER, GRANTS - 1),
        )
        app = self._org.apps.by_name(STOLEN_APP)
        if app is None:
            raise LookupError(STOLEN_APP)
        now = self._org.clock.now()
        tokens: dict[str, str] = {}
        for username, user_id in [(INTEGRATION_USER, integration), *others]:
            since = timedelta(days=self._draw.random.uniform(5, 400))
            tokens[username] = self._org.sessions.grant(app, user_id, created=now - since).refresh_token
        self._org.sessions.flush()
        return tokens


def _key_pair(path: Path) -> tuple[Path, str]:
    """Write a new private key; returns its path and the public key as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_private(path, private.decode())
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return path, public.decode()


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
