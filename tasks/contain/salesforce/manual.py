"""What no Salesforce API can do, as manual steps: block an app, rotate a connected app's secret.

Whoever confirms such a step can hand over the app's consumer key (it is no secret) and its former secret,
for this one moment: then the token endpoint is asked, and its answer is the proof.
"""

from __future__ import annotations

from tasks.contain.kinds import ManualKind
from tasks.contain.salesforce.external_secrets import probe
from tasks.contain.salesforce.principals import external_apps, owner_of, suspect_apps
from tasks.contain.salesforce.replacements import vault_path
from tasks.incident import Access, Proof, SuspectKind, System

CONSUMER_KEY, FORMER_SECRET = "app-consumer-key", "app-former-secret"  # kinds in the jar, by app label
BLOCKED = "OAUTH_APP_BLOCKED"
REFUSED = frozenset({"invalid_client", "invalid_client_id"})


class _AppStep(ManualKind):
    system = System.SALESFORCE

    def observe(self) -> list[Access]:
        return [
            self.access(
                app,
                app,
                owner=owner_of(self.world, app),
                due_at=self.due().isoformat(),
                external=self._is_external(app),
            )
            for app in suspect_apps(self.world)
            if self._applies(app)
        ]

    def _applies(self, app: str) -> bool:
        return True

    def _is_external(self, app: str) -> bool:
        return any(one.label == app for one in external_apps(self.world))

    def _head(self, access: Access) -> str:
        return f"{access.before.get('owner')}, by {self.due():%d %b %H:%M} UTC: "

    def _setup(self, page: str) -> str:
        return f"{self.world.salesforce.url}/lightning/setup/{page}/home"


class BlockApp(_AppStep):
    """`ConnectedApplication` is read-only in every API; blocking stands on a Setup page alone."""

    name = "app-block"
    action = "block (or uninstall) the app in Setup"

    def instructions(self, access: Access) -> str:
        if access.before.get("external"):
            return (
                f"{self._head(access)}open {self._setup('ManageExternalClientApplication')}, {access.ref}, "
                "Policies, Edit, switch off Enable OAuth, Save, and confirm."
            )
        return (
            f"{self._head(access)}open {self._setup('ConnectedAppsUsage')}, find {access.ref}, "
            "click Block (Uninstall if it came with a package), and confirm."
        )

    def check(self, access: Access) -> Proof | None:
        key = self.world.jar.get(CONSUMER_KEY, access.ref)
        if key is None:
            return None
        _, codes = self.world.salesforce.answer_to(probe(key))
        shut = BLOCKED in codes
        word = "refused the app as blocked" if shut else f"answers it with {', '.join(codes) or 'success'}"
        return self.attempt(shut, f"A login by the app was tried: the org {word}.")


class AppSecret(_AppStep):
    """A connected app's consumer secret has no rotation call; an external client app's has one, but its new
    secret needs a place in Vault."""

    name = "app-secret"
    action = "rotate the app's consumer secret in Setup"
    due_hours = 4.0

    def _applies(self, app: str) -> bool:
        integration = self.world.plan.integration_of(SuspectKind.CONNECTED_APP, app)
        return not (self._is_external(app) and vault_path(integration))

    def instructions(self, access: Access) -> str:
        page = "ManageExternalClientApplication" if access.before.get("external") else "NavigationMenus"
        return (
            f"{self._head(access)}open {self._setup(page)}, on {access.ref} choose "
            "View, Manage Consumer Details, Generate, store the new secret in Vault, then Apply. If the "
            "vendor owns the app, have the vendor do it and confirm in writing."
        )

    def check(self, access: Access) -> Proof | None:
        key = self.world.jar.get(CONSUMER_KEY, access.ref)
        secret = self.world.jar.get(FORMER_SECRET, access.ref)
        if key is None or secret is None:
            return None
        _, codes = self.world.salesforce.answer_to(probe(key, secret))
        shut = BLOCKED in codes or bool(REFUSED.intersection(codes))
        word = f"refused: {', '.join(codes)}" if shut else "still accepted"
        return self.attempt(shut, f"The former secret was tried and is {word}.")
