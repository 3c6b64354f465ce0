"""Who and what may log in to the org at start: apps, integration users, the responder, the break-glass admin.

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
from deployments.lab.salesforce.schema import PERMISSIONS
from deployments.lab.salesforce.store import Store

STOLEN_APP, RESPONDER_APP, ERP_APP, ADMIN_APP = "Support Chat", "Leak Response", "ERP Sync", "Admin Console"
INTEGRATION_USER = "support-chat@lab.example"
RESPONDER_USER = "leak-response@lab.example"
ERP_USER = "erp-sync@lab.example"
ADMIN_USER = "admin@lab.example"
GRANTS = 2600  # more than the 2,500 that one OauthToken query can show

# Exactly what the response needs, and reading every record and field for scoping.
RESPONDER_PERMISSIONS = (
    "ApiEnabled", "ViewSetup", "CustomizeApplication", "ManageUsers", "ManageInternalUsers",
    "AssignPermissionSets", "ManageProfilesPermissionsets", "ResetPasswords", "ViewEventLogFiles",
    "ViewEventLogObjectData", "ViewRealTimeEventMonitoringData", "ViewAllData", "ViewAllFieldsGlobal",
)  # fmt: skip
# Far too much, as such apps often ask for.
INTEGRATION_PERMISSIONS = (
    "ApiEnabled", "ViewAllData", "ViewAllFieldsGlobal", "ViewAllUsers", "ViewSetup", "ExportReport",
    "RunReports", "QueryAllFiles",
)  # fmt: skip
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


def make_organization(store: Store) -> str:
    """The Organization's id; made where the data generator has made none."""
    row = store.read().execute("SELECT Id FROM Organization LIMIT 1").fetchone()
    if row:
        return str(row[0])
    (made,) = store.insert(
        "Organization",
        [
            {
                "Name": "Lab Retail",
                "OrganizationType": "Enterprise Edition",
                "InstanceName": "LAB1",
                "IsSandbox": 0,
                "FiscalYearStartMonth": 1,
                "TimeZoneSidKey": "Europe/Berlin",
                "DefaultLocaleSidKey": "en_US",
                "LanguageLocaleKey": "en_US",
            }
        ],
    )
    return str(made)


class Identities:
    """Makes them in an org whose data is already there."""

    def __init__(self, org: Org, seed: int) -> None:
        self._org = org
        self._draw = _Draw(random.Random(seed))  # noqa: S311 - a lab's own throw-away secrets, repeatable
        self._admin_profile = self._profile("System Administrator", custom=False, permissions=PERMISSIONS)
        self._integration_profile = self._profile("Integration", custom=True, permissions=())

    # --- building blocks -------------------------------------------------------------------------

    def _profile(self, name: str, *, custom: bool, permissions: tuple[str, ...]) -> str:
        db = self._org.store.read()
        row = db.execute("SELECT Id FROM Profile WHERE Name=?", (name,)).fetchone()
        if row:
            return str(row[0])
        on = dict.fromkeys(permissions, 1)
        (made,) = self._org.store.insert(
            "Profile", [{"Name": name, "UserType": "Standard", "IsCustom": int(custom), **on}]
        )
        self._org.store.insert(
            "PermissionSet",
            [
                {
                    "Name": f"X{made}",
                    "Label": made,
                    "IsOwnedByProfile": 1,
                    "IsCustom": int(custom),
                    "Type": "Profile",
                    "ProfileId": made,
                    **on,
                }
            ],
        )
        return str(made)

    def _permission_set(self, label: str, permissions: tuple[str, ...]) -> str:
        on = {f"Permissions{name}": 1 for name in permissions}
        row = {
            "Name": label.replace(" ", "_"),
            "Label": label,
            "IsCustom": 1,
            "IsOwnedByProfile": 0,
            "Type": "Regular",
            **on,
        }
        (made,) = self._org.store.insert("PermissionSet", [row])
        return str(made)

    def _user(self, username: str, last_name: str, profile_id: str) -> str:
        known = self._org.user_by_name(username)
        row = {
            "Username": username,
            "LastName": last_name,
            "Email": username,
            "Alias": username[:8],
            "CommunityNickname": username.partition("@")[0],
            "IsActive": 1,
            "ProfileId": profile_id,
            "UserType": "Standard",
            "TimeZoneSidKey": "Europe/Berlin",
            "LocaleSidKey": "en_US",
            "LanguageLocaleKey": "en_US",
            "EmailEncodingKey": "UTF-8",
        }
        if known:
            self._org.store.update("User", known, {"ProfileId": profile_id, "IsActive": 1})
            return known
        return str(self._org.store.insert("User", [row])[0])

    def _assign(self, user_id: str, set_id: str) -> None:
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

        admin = self._user(ADMIN_USER, "Break-Glass Admin", self._admin_profile)
        responder = self._user(RESPONDER_USER, "Leak Response", self._integration_profile)
        integration = self._user(INTEGRATION_USER, "Support Chat Integration", self._integration_profile)
        erp = self._user(ERP_USER, "ERP Sync Integration", self._integration_profile)

        responder_set = self._permission_set("Leak Response", RESPONDER_PERMISSIONS)
        integration_set = self._permission_set("Support Chat Integration", INTEGRATION_PERMISSIONS)
        erp_set = self._permission_set("ERP Sync Integration", ("ApiEnabled",))
        admin_set = self._permission_set("Admin Console", ())
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
        own = {INTEGRATION_USER, RESPONDER_USER, ERP_USER, ADMIN_USER}
        users = self._employees(GRANTS - 1, own)
        app = self._org.apps.by_name(STOLEN_APP)
        if app is None:
            raise LookupError(STOLEN_APP)
        now = self._org.clock.now()
        tokens: dict[str, str] = {}
        for username, user_id in [(INTEGRATION_USER, integration), *users]:
            since = timedelta(days=self._draw.random.uniform(5, 400))
            tokens[username] = self._org.sessions.grant(app, user_id, created=now - since).refresh_token
        self._org.sessions.flush()
        return tokens

    def _employees(self, count: int, without: set[str]) -> list[tuple[str, str]]:
        """So many active standard users, made where there are too few."""
        rows = (
            self._org.store.read()
            .execute("SELECT Username,Id FROM User WHERE IsActive=1 AND UserType='Standard' ORDER BY Id")
            .fetchall()
        )
        found = [(str(r[0]), str(r[1])) for r in rows if r[0] not in without][:count]
        missing = count - len(found)
        if missing > 0:
            profile = self._profile(
                "Employee", custom=True, permissions=("PermissionsLightningExperienceUser",)
            )
            names = [f"employee{n:04d}@lab.example" for n in range(1, missing + 1)]
            made = self._org.store.insert("User", [_employee(name, profile) for name in names])
            found += list(zip(names, made, strict=True))
            self._complete_logins()
        return found


def _employee(username: str, profile_id: str) -> dict[str, Any]:
    local = username.partition("@")[0]
    return {
        "Username": username,
        "FirstName": "Employee",
        "LastName": local.removeprefix("employee"),
        "Email": username,
        "Alias": local[-8:],
        "IsActive": 1,
        "ProfileId": profile_id,
        "UserType": "Standard",
        "TimeZoneSidKey": "Europe/Berlin",
        "LocaleSidKey": "en_US",
        "LanguageLocaleKey": "en_US",
        "EmailEncodingKey": "UTF-8",
    }


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
