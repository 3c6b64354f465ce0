"""The organisation's reports and list views: what each shows, and its filter twice.

Once as the API describes it, once as SOQL written by hand, by which the twin runs it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deployments.lab.salesforce.store import Store

Filter = Mapping[str, str]


def _filter(column: str, operator: str, value: str) -> Filter:
    return {"column": column, "operator": operator, "value": value}


@dataclass(frozen=True, slots=True)
class ReportMade:
    """One saved report. `described` is merged into its reportMetadata, `where` is the same filter in SOQL."""

    name: str
    type: str  # report type, as Salesforce names it
    object: str
    columns: tuple[str, ...]
    where: str = ""
    described: Mapping[str, Any] = field(default_factory=dict)


REPORTS: tuple[ReportMade, ...] = (
    ReportMade(
        "All Customers", "ContactList", "Contact",
        ("FirstName", "LastName", "Email", "MobilePhone", "MailingCountry"),
    ),
    ReportMade(
        "Open Cases by Owner", "CaseList", "Case", ("CaseNumber", "Subject", "Status", "ContactId"),
        "IsClosed = false", {"reportFilters": [_filter("Case.IsClosed", "equals", "False")]},
    ),
    ReportMade(
        "Newsletter Opt-ins", "ContactList", "Contact",
        ("Email", "Preferred_Language__c", "HasOptedOutOfEmail"),
        "HasOptedOutOfEmail = false AND Email != null",
        {"reportFilters": [
            _filter("Contact.HasOptedOutOfEmail", "equals", "False"),
            _filter("Contact.Email", "notEqual", ""),
        ]},
    ),
    ReportMade(
        "Leads This Quarter", "LeadList", "Lead", ("FirstName", "LastName", "Email", "Company", "Status"),
        "CreatedDate = THIS_QUARTER",
        {"standardDateFilter": {
            "column": "CREATED_DATE", "durationValue": "THIS_QUARTER", "startDate": None, "endDate": None,
        }},
    ),
    ReportMade(
        "Orders by Country", "Order", "Order", ("OrderNumber", "TotalAmount", "BillingCountry", "Status"),
    ),
    ReportMade(
        "Gold Members", "CustomEntity$Loyalty_Member__c", "Loyalty_Member__c",
        ("Member_Number__c", "Email__c", "Tier__c", "Points__c"),
        "Tier__c IN ('Gold', 'Platinum')",
        {"reportFilters": [_filter("Loyalty_Member__c.Tier__c", "equals", "Gold,Platinum")]},
    ),
    ReportMade(
        "Returns and Refunds", "CaseList", "Case", ("CaseNumber", "Description", "SuppliedEmail", "Type"),
        "(Type = 'Return' OR Subject LIKE '%refund%') AND (NOT Status = 'New')",
        {
            "reportFilters": [
                _filter("Case.Type", "equals", "Return"),
                _filter("Case.Subject", "contains", "refund"),
                _filter("Case.Status", "equals", "New"),
            ],
            "reportBooleanFilter": "(1 OR 2) AND (NOT 3)",
        },
    ),
    ReportMade("Store Staff", "User", "User", ("Username", "Email", "Title", "LastLoginDate")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ListViewMade:
    """One list view: its columns, and its condition in SOQL."""

    name: str
    object: str
    columns: tuple[str, ...]
    where: str = ""


LIST_VIEWS: tuple[ListViewMade, ...] = (
    ListViewMade("All Contacts", "Contact", ("Name", "Account.Name", "Email", "Phone")),
    ListViewMade(
        "German Contacts", "Contact", ("Name", "Email", "MailingCity"), "MailingCountry = 'Germany'"
    ),
    ListViewMade("Open Cases", "Case", ("CaseNumber", "Subject", "Status"), "IsClosed = false"),
    ListViewMade("All Accounts", "Account", ("Name", "Phone", "BillingCity")),
    ListViewMade("Platinum Members", "Loyalty_Member__c", ("Name", "Email__c"), "Tier__c = 'Platinum'"),
)


def write_reports(store: Store, owner: str) -> None:
    store.insert(
        "Report",
        [
            {
                "Name": one.name,
                "DeveloperName": one.name.replace(" ", "_"),
                "FolderName": "Public Reports",
                "Format": "Tabular",
                "OwnerId": owner,
                "ReportMetadata": json.dumps(
                    {
                        "type": one.type,
                        "object": one.object,
                        "columns": one.columns,
                        "where": one.where,
                        "described": one.described,
                    }
                ),
            }
            for one in REPORTS
        ],
    )


def write_list_views(store: Store) -> None:
    store.insert(
        "ListView",
        [
            {
                "Name": one.name,
                "DeveloperName": one.name.replace(" ", "_"),
                "SobjectType": one.object,
                "IsSoqlCompatible": 1,
                "ViewMetadata": json.dumps({"columns": one.columns, "where": one.where}),
            }
            for one in LIST_VIEWS
        ],
    )
