"""What no Salesforce API can do, as manual steps: block a connected app, rotate a connected app's secret."""

from __future__ import annotations

from tasks.contain.kinds import ManualKind
from tasks.contain.salesforce.principals import owner_of, suspect_apps
from tasks.incident import Access, System


class _AppStep(ManualKind):
    system = System.SALESFORCE

    def observe(self) -> list[Access]:
        return [self.access(app, app, owner=owner_of(self.world, app)) for app in suspect_apps(self.world)]

    def _setup(self, page: str) -> str:
        return f"{self.world.salesforce.url}/lightning/setup/{page}/home"


class BlockApp(_AppStep):
    """`ConnectedApplication` is read-only in every API; blocking stands on a Setup page alone."""

    name = "app-block"
    action = "block (or uninstall) the connected app in Setup"

    def instructions(self, access: Access) -> str:
        return (
            f"{access.before.get('owner')}: open {self._setup('ConnectedAppsUsage')}, find {access.ref}, "
            "click Block (Uninstall if it came with a package), and confirm that new logins are refused."
        )


class AppSecret(_AppStep):
    """A connected app's consumer secret has no rotation call (external client apps have one)."""

    name = "app-secret"
    action = "rotate the connected app's consumer secret in Setup"

    def instructions(self, access: Access) -> str:
        return (
            f"{access.before.get('owner')}: open {self._setup('NavigationMenus')}, on {access.ref} choose "
            "View, Manage Consumer Details, Generate, store the new secret in Vault, then Apply. If the "
            "vendor owns the app, have the vendor do it and confirm in writing."
        )
