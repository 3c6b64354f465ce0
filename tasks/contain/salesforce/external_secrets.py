"""Access kind `external-app-secret`: key and secret of an external client app, replaced by the staged
exchange.

Stage a new pair, keep it in Vault, rotate, then delete the former pair, which would otherwise stay valid
for 30 days. There is one staged set per consumer: one that this incident did not keep in Vault is thrown
away first, for whoever staged it may know it. Every step can be the last before a crash; the next run
goes on from there. Never our own app. Source: Connect REST API Developer Guide, "OAuth Credentials
Resources" (v65 and later).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from blocks.errors import Refused
from tasks.contain.kinds import AccessKind, Reopened
from tasks.contain.salesforce.org import Gone, key_hash
from tasks.contain.salesforce.principals import ExternalApp, suspect_external_apps
from tasks.contain.salesforce.replacements import keep, kept, place_of, vault_path
from tasks.incident import Access, Proof, SuspectKind, System

CREDENTIALS = "apps/oauth/credentials"
FORMER = "external-app-secret"  # kind in the jar: the former pair as JSON
FIELD = "salesforce_app"  # prefix of the fields in Vault


class ExternalAppSecret(AccessKind):
    """One access per consumer of a suspect external client app whose new secret has a place in Vault."""

    system = System.SALESFORCE
    name = "external-app-secret"
    action = "replace the app's key and secret"
    reversible = False
    credential = True
    replaces = True
    after = ("external-app-tokens",)

    def observe(self) -> list[Access]:
        return [
            access
            for app in suspect_external_apps(self.world)
            if vault_path(self._integration(app.label))
            for access in self._of(app)
            if self._open(access)
        ]

    def close(self, access: Access) -> None:
        key, secret = self._pair(access)
        if key == self.world.salesforce.own_key:
            raise Refused("It is the responder's own app.", "Rotate its secret by hand.")
        if key_hash(key) == access.before["consumer"] and not self._by_a_colleague(access):
            self._remember(access, key, secret)
            self._rotate(access)
        for staged in self._staged(access):
            if staged["state"] == "rotated":
                self._remember(access, staged["key"], staged["secret"])
            self._drop(access, staged)

    def prove(self, access: Access) -> Proof:
        left = len(self._staged(access))
        if left:
            return self.recount(False, "The former key and secret are still valid beside the new ones.")
        former = self.world.jar.get(FORMER, access.ref)
        if former is not None:
            held = json.loads(former)
            status, codes = self.world.salesforce.answer_to(probe(held["key"], held["secret"]))
            refused = bool({"invalid_client_id", "invalid_client"}.intersection(codes))
            word = f"refused: {', '.join(codes)}" if refused else f"answered with {status}"
            return self.attempt(refused, f"A login with the former secret was tried and {word}.")
        key, _ = self._pair(access, part="key")
        changed = key_hash(key) != access.before["consumer"] or bool(self._by_a_colleague(access))
        return self.recount(changed, f"The app {'has a new key' if changed else 'still has its old key'}.")

    def reopen(self, access: Access) -> Reopened:
        return Reopened(False, "The former secret is gone for good; the new one is in Vault.")

    def who(self, access: Access) -> frozenset[str]:
        return super().who(access) | {f"consumer:{access.before['consumer']}"}

    # --- what stands there ---

    def _of(self, app: ExternalApp) -> list[Access]:
        return [
            self.access(app.label, f"{app.id}:{one['id']}", consumer=key_hash(one["key"]))
            for one in self.world.salesforce.pages(f"{CREDENTIALS}/{app.id}", "consumers")
        ]

    def _open(self, access: Access) -> bool:
        past = self.world.history.get(access.key)
        return past is None or not past.closed

    def _integration(self, label: str) -> Any:
        return self.world.plan.integration_of(SuspectKind.CONNECTED_APP, label)

    def _pair(self, access: Access, part: str = "keyandsecret") -> tuple[str, str]:
        told = self.world.salesforce.api("GET", self._path(access), part=part)
        return str(told["key"]), str(told.get("secret", ""))

    def _staged(self, access: Access) -> list[Mapping[str, Any]]:
        return list(self.world.salesforce.api("GET", f"{self._path(access)}/staged")["stagedCredentials"])

    def _path(self, access: Access) -> str:
        app_id, _, consumer = access.ref.partition(":")
        return f"{CREDENTIALS}/{app_id}/{consumer}"

    def _by_a_colleague(self, access: Access) -> bool:
        """Whether somebody else, no suspect, has replaced the secret since we became aware."""
        return access.before.get("replaced_by") is not None or self._replaced_by(access) is not None

    def _replaced_by(self, access: Access) -> str | None:
        from tasks.contain.salesforce.principals import suspect_users

        since = self.world.incident.aware_at
        ours = {self.world.salesforce.me.user_id, *(user.id for user in suspect_users(self.world))}
        rows = self.world.salesforce.rows(
            "Action, Display, CreatedById", "SetupAuditTrail", f"CreatedDate >= {since:%Y-%m-%dT%H:%M:%SZ}"
        )
        for row in rows:
            rotated = "rotated" in row["Action"].lower() and access.principal in (row["Display"] or "")
            if rotated and row["CreatedById"] not in ours:
                return str(row["CreatedById"])
        return None

    # --- the exchange ---

    def _rotate(self, access: Access) -> None:
        place, name = place_of(self.world, self._integration(access.principal)), self._field(access)
        ours = kept(self.world, place, name)
        staged = next(iter(self._staged(access)), None)
        if staged is not None and (ours is None or ours["consumer_key"] != staged["key"]):
            self._drop(access, staged)
            staged = None
        if staged is None:
            told = self.world.salesforce.api("POST", f"{self._path(access)}/staged")
            staged = told["stagedCredentials"][0]
            keep(
                self.world,
                place,
                name,
                {"consumer_key": staged["key"], "consumer_secret": staged["secret"]},
            )
        self.world.salesforce.api(
            "PATCH", f"{self._path(access)}/staged/{staged['id']}", {"command": "rotate"}
        )

    def _drop(self, access: Access, staged: Mapping[str, Any]) -> None:
        try:
            self.world.salesforce.api("DELETE", f"{self._path(access)}/staged/{staged['id']}")
        except Gone:
            return

    def _field(self, access: Access) -> str:
        return f"{FIELD}_{access.ref.partition(':')[2]}"

    def _remember(self, access: Access, key: str, secret: str) -> None:
        self.world.jar.add(FORMER, access.ref, json.dumps({"key": key, "secret": secret}))


def probe(consumer_key: str, secret: str | None = None) -> dict[str, str]:
    """A login form with a refresh token nobody was given: the answer tells about key and secret alone."""
    form = {"grant_type": "refresh_token", "client_id": consumer_key, "refresh_token": "leak-response-probe"}
    return form | ({"client_secret": secret} if secret is not None else {})
