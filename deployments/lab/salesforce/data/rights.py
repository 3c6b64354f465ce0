"""Profiles, permission sets and their object and field permissions: who of the org may do what.

As in many orgs some of it is too much: default profiles carry API Enabled, and the chat vendor's
integration may read everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from deployments.lab.salesforce.schema import OBJECT_PERMISSIONS, PERMISSIONS
from deployments.lab.salesforce.store import Store

CRM_OBJECTS = (
    "Account", "Contact", "Lead", "Individual", "Order", "OrderItem", "Product2", "Case", "CaseComment",
    "EmailMessage", "Task", "ContentVersion", "Loyalty_Member__c", "Payment_Token__c", "Report",
)  # fmt: skip
# Fields that only those may read whose permission set says so; all other fields follow their object.
RESTRICTED_FIELDS = (
    "Contact.Birthdate", "Contact.Tax_Id__c", "Individual.BirthDate", "Loyalty_Member__c.Birth_Date__c",
    "Payment_Token__c.Token__c", "Payment_Token__c.Iban_Masked__c", "Account.AnnualRevenue",
    "Account.Vat_Id__c",
)  # fmt: skip
_BIRTHDAYS = ("Contact.Birthdate", "Loyalty_Member__c.Birth_Date__c", "Individual.BirthDate")

ADMIN_PROFILE = "System Administrator"
MINIMUM_PROFILE = "Minimum Access - Salesforce"
INTEGRATION_PROFILE = "Minimum Access - API Only Integrations"
COMMUNITY_PROFILE = "Customer Community User"
GUEST_PROFILE = "Shop Site Profile"

RESPONDER_SET = "Leak_Response_Responder"
SUPPORT_CHAT_SET = "Support_Chat_Integration"
SUPPORT_CHAT_FILES_SET = "Support_Chat_Files"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a profile or permission set gives: verbs are letters of create, read, edit, delete, view all (v),
    modify all (m), view all fields (f)."""

    name: str
    label: str
    system: tuple[str, ...] = ()
    objects: tuple[tuple[str, str], ...] = ()
    fields: tuple[str, ...] = ()
    user_type: str = "Standard"
    description: str | None = None


def _all(verbs: str, names: Iterable[str] = CRM_OBJECTS) -> tuple[tuple[str, str], ...]:
    return tuple((name, verbs) for name in names)


_SERVICE = (
    "Account",
    "Contact",
    "Order",
    "OrderItem",
    "Product2",
    "Case",
    "CaseComment",
    "EmailMessage",
    "Task",
)
_STAFF = (
    "ApiEnabled",
    "RunReports",
    "LightningExperienceUser",
    "ChatterInternalUser",
    "EditTask",
    "EditEvent",
)

PROFILES: tuple[Grant, ...] = (
    Grant(
        ADMIN_PROFILE,
        ADMIN_PROFILE,
        tuple(
            name.removeprefix("Permissions")
            for name in PERMISSIONS
            if name
            not in ("PermissionsApiUserOnly", "PermissionsUseAnyApiAuth", "PermissionsPortalSuperUser")
        ),
        _all("credvmf"),
        RESTRICTED_FIELDS,
    ),
    Grant(
        "Standard User",
        "Standard User",
        _STAFF,
        _all("cre", ("Account", "Contact", "Lead", "Task", "Report")),
    ),
    Grant(
        "Support Agent",
        "Support Agent",
        (*_STAFF, "ManageCases", "TransferAnyCase", "EmailSingle", "ViewRoles"),
        (*_all("cre", _SERVICE), *_all("r", ("Individual", "Loyalty_Member__c", "Report", "ContentVersion"))),
        ("Contact.Birthdate",),
    ),
    Grant(
        "Store Associate",
        "Store Associate",
        _STAFF,
        (
            *_all("cre", ("Order", "OrderItem", "Task")),
            *_all("r", ("Account", "Contact", "Product2", "Case")),
        ),
    ),
    Grant(
        "Marketing User",
        "Marketing User",
        (*_STAFF, "ImportLeads", "EmailMass", "ExportReport", "ManageLeads"),
        (
            *_all("cre", ("Lead", "Loyalty_Member__c", "Report")),
            *_all("r", ("Account", "Contact", "Individual", "Order")),
        ),
        _BIRTHDAYS,
    ),
    Grant(
        "Sales User",
        "Sales User",
        (*_STAFF, "ConvertLeads", "ActivateOrder", "ExportReport"),
        _all("cre", ("Account", "Contact", "Lead", "Order", "OrderItem", "Task", "Report")),
        ("Account.AnnualRevenue", "Account.Vat_Id__c"),
    ),
    Grant("Read Only", "Read Only", ("RunReports",), _all("r", ("Account", "Contact", "Case", "Order"))),
    Grant(MINIMUM_PROFILE, MINIMUM_PROFILE),
    Grant(INTEGRATION_PROFILE, INTEGRATION_PROFILE, ("ApiUserOnly",)),
    Grant(
        COMMUNITY_PROFILE,
        COMMUNITY_PROFILE,
        ("ApiEnabled",),
        (
            *_all("cr", ("Case", "CaseComment")),
            *_all("r", ("Account", "Contact", "Order", "OrderItem", "Product2")),
        ),
        user_type="CspLitePortal",
    ),
    Grant(
        GUEST_PROFILE,
        GUEST_PROFILE,
        (),
        (*_all("c", ("Case", "Lead")), *_all("r", ("Product2",))),
        user_type="Guest",
    ),
)

PERMISSION_SETS: tuple[Grant, ...] = (
    Grant(
        SUPPORT_CHAT_SET,
        "Support Chat Integration",
        ("ApiEnabled", "ViewAllData", "ExportReport", "RunReports", "ViewAllUsers", "ViewSetup", "ViewRoles"),
        (
            *_all("credv", ("Case", "CaseComment", "EmailMessage", "Contact")),
            *_all("rv", ("Account", "Order")),
        ),
        ("Contact.Birthdate",),
        description="Asked for by the chat vendor at installation",
    ),
    Grant(
        SUPPORT_CHAT_FILES_SET,
        "Support Chat Files",
        ("QueryAllFiles",),
        _all("cr", ("ContentVersion",)),
        description="Lets the chat show attachments",
    ),
    Grant(
        RESPONDER_SET,
        "Leak Response Responder",
        (
            "ApiEnabled",
            "RunReports",  # to read what a report shows; it need not export any
            "ViewSetup",
            "CustomizeApplication",
            "ManageUsers",
            "ManageInternalUsers",
            "FreezeUsers",
            "AssignPermissionSets",
            "ManageProfilesPermissionsets",
            "ResetPasswords",
            "MonitorLoginHistory",
            "ViewEventLogFiles",
            "ViewEventLogObjectData",
            "ViewRealTimeEventMonitoringData",
            "ViewAllUsers",
            "ViewRoles",
            "ViewAllProfiles",
            "QueryAllFiles",
            "ExternalClientAppDeveloper",
            "ViewClientSecret",
        ),
        _all("rvf"),
        RESTRICTED_FIELDS,
        description="Reads everything, to tell whose data left; changes access, never customer data",
    ),
    Grant(
        "Warehouse_Sync",
        "Warehouse Sync",
        ("ApiEnabled",),
        (*_all("re", ("Order", "OrderItem")), *_all("r", ("Product2", "Account"))),
    ),
    Grant(
        "Marketing_Sync",
        "Marketing Sync",
        ("ApiEnabled", "BulkApiHardDelete"),
        (*_all("cre", ("Lead",)), *_all("rv", ("Contact", "Individual", "Loyalty_Member__c"))),
        _BIRTHDAYS,
    ),
    Grant(
        "ERP_Connect",
        "ERP Connect",
        ("ApiEnabled", "ModifyAllData", "ViewAllData", "UseAnyApiAuth"),
        _all("credvm", ("Account", "Order", "OrderItem", "Product2")),
        ("Account.AnnualRevenue", "Account.Vat_Id__c", "Payment_Token__c.Token__c"),
    ),
    Grant(
        "Payments_Desk",
        "Payments Desk",
        ("RunReports",),
        _all("re", ("Payment_Token__c",)),
        ("Payment_Token__c.Token__c", "Payment_Token__c.Iban_Masked__c"),
    ),
    Grant("Data_Export_Weekly", "Weekly Data Export", ("DataExport", "ViewAllData", "ExportReport")),
    Grant("Report_Builder", "Report Builder", ("CreateCustomizeReports", "ExportReport", "ScheduleReports")),
    Grant("Knowledge_Reader", "Knowledge Reader", ("RunFlow",)),
)

_VERBS = dict(
    zip(
        "credvmf",
        (
            "PermissionsCreate",
            "PermissionsRead",
            "PermissionsEdit",
            "PermissionsDelete",
            "PermissionsViewAllRecords",
            "PermissionsModifyAllRecords",
            "PermissionsViewAllFields",
        ),
        strict=True,
    )
)
assert set(_VERBS.values()) == set(OBJECT_PERMISSIONS)


@dataclass(frozen=True, slots=True)
class Rights:
    """Ids by name: profiles, their own permission sets, and permission sets."""

    profiles: dict[str, str]
    owned: dict[str, str]
    sets: dict[str, str]


def write_rights(store: Store, licenses: dict[str, str]) -> Rights:
    """Insert profiles, permission sets, and what they grant on objects and fields."""
    profiles = store.insert(
        "Profile",
        [
            {
                "Name": grant.name,
                "UserType": grant.user_type,
                "UserLicenseId": licenses[_license(grant)],
                "IsCustom": int(
                    grant.name not in (ADMIN_PROFILE, "Standard User", "Read Only", MINIMUM_PROFILE)
                ),
                **_system(grant),
            }
            for grant in PROFILES
        ],
    )
    owned = store.insert("PermissionSet", [_owned(g, i) for g, i in zip(PROFILES, profiles, strict=True)])
    sets = store.insert("PermissionSet", [_regular(grant) for grant in PERMISSION_SETS])
    for grant, set_id in zip((*PROFILES, *PERMISSION_SETS), (*owned, *sets), strict=True):
        _write_grants(store, grant, set_id)
    names = [grant.name for grant in PROFILES]
    return Rights(
        dict(zip(names, profiles, strict=True)),
        dict(zip(names, owned, strict=True)),
        dict(zip((grant.name for grant in PERMISSION_SETS), sets, strict=True)),
    )


def _license(grant: Grant) -> str:
    if grant.user_type == "CspLitePortal":
        return "Customer Community"
    if grant.user_type == "Guest":
        return "Guest User License"
    return "Salesforce Integration" if grant.name == INTEGRATION_PROFILE else "Salesforce"


def _system(grant: Grant) -> dict[str, int]:
    return {f"Permissions{name}": 1 for name in grant.system}


def _owned(grant: Grant, profile_id: str) -> dict[str, object]:
    return {
        "Name": f"X{profile_id}",
        "Label": f"00e{profile_id[3:15]}",
        "IsOwnedByProfile": 1,
        "IsCustom": 0,
        "Type": "Profile",
        "ProfileId": profile_id,
        **_system(grant),
    }


def _regular(grant: Grant) -> dict[str, object]:
    return {
        "Name": grant.name,
        "Label": grant.label,
        "Description": grant.description,
        "IsCustom": 1,
        "Type": "Regular",
        **_system(grant),
    }


def _write_grants(store: Store, grant: Grant, set_id: str) -> None:
    store.insert(
        "ObjectPermissions",
        [
            {"ParentId": set_id, "SobjectType": name, **{_VERBS[verb]: 1 for verb in verbs}}
            for name, verbs in grant.objects
        ],
    )
    store.insert(
        "FieldPermissions",
        [
            {
                "ParentId": set_id,
                "SobjectType": field.partition(".")[0],
                "Field": field,
                "PermissionsRead": 1,
                "PermissionsEdit": int(grant.name == ADMIN_PROFILE),
            }
            for field in grant.fields
        ],
    )
