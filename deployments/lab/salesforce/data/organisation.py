"""The org itself: its record, licences, roles, queues, setup history, and tooling objects."""

from __future__ import annotations

import json

from deployments.lab.salesforce.data.columns import Calendar, Draw
from deployments.lab.salesforce.store import Row, Store

ROLES = ("CEO", "Head of Service", "Head of Retail", "Head of Marketing", "Service Team", "Retail Team")
QUEUES = ("Returns", "Payments", "Loyalty", "Complaints")
LICENSES = ("Salesforce", "Salesforce Integration", "Customer Community", "Guest User License")

_CHANGES = (
    ("PermSetAssign", "Manage Users", "Permission set Report Builder: assigned to user"),
    ("changedpassword", "Manage Users", "For user: Changed password"),
    ("suOrgAdminLogin", "", "Logged in as another user"),
    ("createdReportJob", "Reporting", "Created scheduled report"),
    ("changedField", "Customize Contacts", "Changed field-level security for a custom field"),
    ("insertConnectedApplication", "Connected Apps", "Installed connected app Support Chat"),
    ("activatedUser", "Manage Users", "Activated user"),
)
_STREAMS = ("ApiEvent", "LoginEvent", "ReportEvent", "BulkApiResultEvent", "ListViewEvent", "UriEvent")


def write_organisation(store: Store, org_id: str) -> dict[str, str]:
    """Organization, licences, roles and queues. Returns the licences' ids by name."""
    store.insert(
        "Organization",
        [
            {
                "Id": org_id,
                "Name": "Lab Retail",
                "Street": "Lindenallee 7",
                "City": "Berlin",
                "PostalCode": "10115",
                "Country": "DE",
                "OrganizationType": "Enterprise Edition",
                "InstanceName": "LAB5G",
                "TimeZoneSidKey": "Europe/Berlin",
                "DefaultLocaleSidKey": "de_DE",
                "LanguageLocaleKey": "en_US",
                "FiscalYearStartMonth": 1,
                "DefaultAccountAccess": "Edit",
                "DefaultContactAccess": "ControlledByParent",
                "DefaultCaseAccess": "None",
                "DefaultLeadAccess": "ReadEditTransfer",
            }
        ],
    )
    store.insert("UserRole", [{"Name": name, "DeveloperName": name.replace(" ", "_")} for name in ROLES])
    store.insert("Group", [{"Name": name, "DeveloperName": name, "Type": "Queue"} for name in QUEUES])
    rows: list[Row] = [
        {"Name": name, "MasterLabel": name, "Status": "Active", "TotalLicenses": 5000, "UsedLicenses": 2650}
        for name in LICENSES
    ]
    return dict(zip(LICENSES, store.insert("UserLicense", rows), strict=True))


def write_setup_history(store: Store, calendar: Calendar, seed: int, admin: str, count: int = 90) -> None:
    """What administrators did over the last half year."""
    draw = Draw(seed, "setup history")
    since = calendar.days_ago(170)
    when = sorted((since + draw.ints(calendar.steps - since, count)).tolist())
    store.insert(
        "SetupAuditTrail",
        [
            {
                "Action": a,
                "Section": s,
                "Display": d,
                "CreatedDate": calendar.instants[w],
                "CreatedById": admin,
            }
            for w, (a, s, d) in zip(when, (_CHANGES[i] for i in draw.ints(len(_CHANGES), count)), strict=True)
        ],
    )


def write_tooling(store: Store) -> None:
    """Apex, packages, sandboxes, named credentials, real-time events."""
    store.insert(
        "ApexClass",
        [
            {"Name": name, "Body": f"public with sharing class {name} {{}}", "Status": "Active",
             "ApiVersion": 67, "IsValid": 1}
            for name in ("OrderService", "CaseRouter", "LoyaltyPoints")
        ],
    )  # fmt: skip
    packages = store.insert(
        "SubscriberPackage",
        [
            {"Name": "Support Chat", "NamespacePrefix": "schat"},
            {"Name": "Address Check", "NamespacePrefix": "addrck"},
        ],
    )
    versions = store.reserve_ids("04t", len(packages))
    store.insert(
        "InstalledSubscriberPackage",
        [
            {"SubscriberPackageId": package, "SubscriberPackageVersionId": version}
            for package, version in zip(packages, versions, strict=True)
        ],
    )
    store.insert(
        "SandboxInfo",
        [
            {"SandboxName": "UAT", "LicenseType": "FULL", "Description": "Full copy, refreshed in spring"},
            {"SandboxName": "Dev", "LicenseType": "DEVELOPER", "Description": "Development"},
        ],
    )
    store.insert(
        "NamedCredential",
        [
            {
                "DeveloperName": "Warehouse",
                "MasterLabel": "Warehouse",
                "Endpoint": "https://warehouse.lab.example",
            },
            {"DeveloperName": "Payments", "MasterLabel": "Payments", "Endpoint": "https://pay.lab.example"},
        ],
    )
    events = [{"entityName": name, "isEnabled": name == "LoginEvent"} for name in _STREAMS]
    store.insert(
        "RealTimeEventSettings",
        [{"DeveloperName": "RealTimeEvent", "MasterLabel": "RealTimeEvent",
          "Metadata": json.dumps({"realTimeEvents": events})}],
    )  # fmt: skip
