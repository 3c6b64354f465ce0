"""Preflight of the Salesforce org: login, API version, permissions, readable objects, calls left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blocks.check import Check, attempt
from blocks.errors import LeakResponseError, Refused

if TYPE_CHECKING:
    from blocks.salesforce.org import SalesforceOrg

# Label in Setup -> API name on PermissionSet, and what the response does with it.
PERMISSIONS: dict[str, tuple[str, str]] = {
    "API Enabled": ("PermissionsApiEnabled", "call Salesforce at all"),
    "View Setup and Configuration": ("PermissionsViewSetup", "read limits and setup objects"),
    "Customize Application": ("PermissionsCustomizeApplication", "see and revoke everybody's OAuth tokens"),
    "Manage Users": ("PermissionsManageUsers", "freeze logins, read login history"),
    "Assign Permission Sets": ("PermissionsAssignPermissionSets", "take dangerous permission sets away"),
    "Manage Profiles and Permission Sets": (
        "PermissionsManageProfilesPermissionsets",
        "mute dangerous permissions in profiles and groups",
    ),
    "Reset User Passwords and Unlock Users": ("PermissionsResetPasswords", "invalidate a password"),
    "View Event Log Files": ("PermissionsViewEventLogFiles", "scope from the event logs"),
    "Run Reports": ("PermissionsRunReports", "read what the reports show that a suspect ran"),
}
# Read by the phases; a COUNT() on each shows whether we are allowed to.
OBJECTS = (
    "OauthToken",
    "AuthSession",
    "UserLogin",
    "PermissionSetAssignment",
    "SetupEntityAccess",
    "LoginHistory",
    "SetupAuditTrail",
    "EventLogFile",
)
RESERVE = 0.02  # of the daily API calls: below it a response may starve


def check_org(org: SalesforceOrg) -> list[Check]:
    """All of the org's checks; what needs a login is left out when the login fails."""
    checks = [attempt("Salesforce: log in", org.whoami)]
    if not checks[0].ok:
        return checks
    checks.append(attempt(f"Salesforce: API version {org.api_version}", lambda: _version(org)))
    checks += permissions(org)
    checks += [_may_read(org, name) for name in OBJECTS]
    checks.append(attempt("Salesforce: API calls left today", lambda: _calls_left(org)))
    return checks


def permissions(org: SalesforceOrg) -> list[Check]:
    """One check per permission the response needs, by its label in Setup."""
    try:
        granted, offered = granted_permissions(org, [name for name, _ in PERMISSIONS.values()])
    except LeakResponseError as error:
        return [Check("Salesforce: permissions", ok=False, problem=error.problem, fix=error.fix)]
    checks = []
    for label, (name, purpose) in PERMISSIONS.items():
        check = f"Salesforce: permission {label}"
        if name not in offered:
            checks.append(Check(check, ok=True, note=f"This org does not have {label}."))
        elif name in granted:
            checks.append(Check(check, ok=True))
        else:
            checks.append(
                Check(
                    check,
                    ok=False,
                    problem=f"The responder's user lacks {label}, needed to {purpose}.",
                    fix=f"Assign it a permission set with {label} (Setup, Permission Sets).",
                )
            )
    return checks


def granted_permissions(org: SalesforceOrg, names: list[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Of the permissions `names`: those our own user has by profile, set or group, and those the org has.

    Permission fields differ from org to org, so PermissionSet is described first.
    """
    described = org.rest("GET", "sobjects/PermissionSet/describe", what="describe PermissionSet")
    offered = frozenset(names) & {field["name"] for field in described["fields"]}
    if not offered:
        return frozenset(), offered
    fields = ", ".join(f"PermissionSet.{name}" for name in sorted(offered))
    rows = org.query(
        f"SELECT {fields} FROM PermissionSetAssignment "  # noqa: S608 - names of this module, our own id
        f"WHERE AssigneeId = '{org.whoami().user_id}'",
        what="our own permissions",
    )
    granted = {name for row in rows for name in offered if (row.get("PermissionSet") or {}).get(name)}
    return frozenset(granted), offered


def _version(org: SalesforceOrg) -> None:
    known = [str(item["version"]) for item in org.rest("GET", "/services/data", what="list API versions")]
    if org.api_version not in known:
        raise Refused(
            f"The org does not serve API version {org.api_version}.",
            f"Set api_version to {max(known, key=float, default='one it serves')}.",
        )


def _may_read(org: SalesforceOrg, name: str) -> Check:
    soql = f"SELECT COUNT() FROM {name}"  # noqa: S608 - names are constants of this module
    return attempt(f"Salesforce: may read {name}", lambda: org.count(soql, what=f"count {name}"))


def _calls_left(org: SalesforceOrg) -> None:
    limits: Any = org.rest("GET", "limits", what="read limits")
    daily = limits.get("DailyApiRequests") or {}
    left, most = int(daily.get("Remaining", 1)), int(daily.get("Max", 1))
    if left < most * RESERVE:
        raise Refused(
            f"{left} of {most} API calls are left today.",
            "Ask Salesforce to raise the limit now; an attacker may have drained it.",
        )
