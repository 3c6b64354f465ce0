"""What an exported file holds, told by its name and header: the object, and the API names of its columns.

Exports come from everywhere: Data Loader writes capitals, a report writes labels, a colleague renames files.
The ids in the file say most: their first three characters name the object.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

# Key prefixes of standard objects. Source: Salesforce, "Standard Field Record ID Prefix Decoder".
PREFIXES = {
    "001": "Account", "003": "Contact", "00Q": "Lead", "500": "Case", "005": "User", "801": "Order",
    "802": "OrderItem", "00T": "Task", "00U": "Event", "02s": "EmailMessage", "00a": "CaseComment",
    "0PK": "Individual", "068": "ContentVersion", "01t": "Product2", "006": "Opportunity",
    "00v": "CampaignMember", "701": "Campaign", "800": "Contract", "02i": "Asset", "00D": "Organization",
    "00G": "Group", "00e": "Profile", "00O": "Report", "0H4": "ConnectedApplication",
    "00K": "OpportunityContactRole",
}  # fmt: skip
# Spelled as the API spells them, so that capitals and labels can be turned back.
_FIELDS = """
Id IsDeleted CreatedDate CreatedById LastModifiedDate LastModifiedById SystemModstamp OwnerId Name AccountId
ContactId IndividualId FirstName LastName MiddleName Salutation Suffix Title Email Phone MobilePhone
HomePhone OtherPhone AssistantPhone Fax Birthdate Department LeadSource Description Status Rating Industry
Type Website MailingStreet MailingCity MailingState MailingStateCode MailingPostalCode MailingCountry
MailingCountryCode OtherStreet OtherCity OtherState OtherPostalCode OtherCountry BillingStreet BillingCity
BillingState BillingPostalCode BillingCountry BillingCountryCode ShippingStreet ShippingCity ShippingState
ShippingPostalCode ShippingCountry Street City State StateCode PostalCode Country CountryCode Company
ConvertedContactId ConvertedAccountId CaseNumber Subject Comments SuppliedName SuppliedEmail SuppliedPhone
SuppliedCompany Origin Priority ClosedDate IsClosed ParentId CommentBody IsPublished FromAddress FromName
ToAddress CcAddress BccAddress TextBody HtmlBody MessageDate Incoming WhoId WhatId ActivityDate OrderNumber
EffectiveDate TotalAmount BillToContactId ShipToContactId OrderId Product2Id Quantity UnitPrice TotalPrice
Username Alias IsActive ProfileId UserRoleId TimeZoneSidKey LocaleSidKey LastLoginDate PersonEmail
PersonContactId PersonMailingCountry PersonMailingState MasterRecordId HasOptedOutOfEmail ReportsToId LeadId
CampaignId Amount StageName CloseDate FiscalYearStartMonth FirstPublishLocationId ContentDocumentId
PathOnClient ProductCode Family
""".split()
_BY_FOLD = {name.casefold(): name for name in _FIELDS}
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_TAIL = re.compile(r"(\.(csv|txt|gz|parquet|pq))+$", re.IGNORECASE)
_NOISE = re.compile(
    r"\(\d+\)|\b(export|extract|extraction|dump|part|records?|all|full|copy|data|bulkquery|result|final|salesforce|sf)\b|"
    r"\d{4}-?\d{2}-?\d{2}(t?\d{2,6}z?)?|\b\d+\b",
    re.IGNORECASE,
)
_RELATIONSHIPS = re.compile(r"(.+)Id$")


def field_name(name: str) -> str:
    """`FIRSTNAME`, `First Name` and `firstname` are FirstName; custom fields keep their own spelling."""
    plain = name.strip()
    joined = re.sub(r"[\s\-/]+", "", plain)
    if found := _BY_FOLD.get(joined.casefold()):
        return found
    if found := _BY_FOLD.get(joined.replace("_", "").casefold()):
        return found if not plain.casefold().endswith("__c") else plain
    return plain if " " not in plain else joined


def object_of_file(name: str, ids: Iterable[str]) -> str:
    """The object whose records a file holds: by its ids, else by its name; "" when neither tells."""
    prefixes = {one[:3] for one in ids if _ID.fullmatch(one)}
    if len(prefixes) == 1 and (prefix := prefixes.pop()) in PREFIXES:
        return PREFIXES[prefix]
    stem = _TAIL.sub("", name)
    custom = re.search(r"[A-Za-z][A-Za-z0-9_]*?__c", stem, re.IGNORECASE)
    if custom:
        return custom[0][:-3] + "__c"
    words = _NOISE.sub(" ", re.sub(r"[_\-.]+", " ", stem)).split()
    text = "".join(words).casefold()
    known = {one.casefold(): one for one in PREFIXES.values()}
    for form in (text, text.removesuffix("s"), text.removesuffix("ies") + "y"):
        if form in known:
            return known[form]
    return "".join(words) if words and len(prefixes) == 1 else ""


def id_column(columns: Iterable[str], object_name: str) -> str | None:
    """The column with the record's own id: Id, else `Contact ID` as a report calls it, else `Record ID`."""
    folded = {re.sub(r"[\s_]", "", name).casefold(): name for name in columns}
    for form in ("id", f"{object_name.casefold()}id", "recordid", "18characterid", "casesafeid"):
        if form in folded:
            return folded[form]
    return None


def field_type(name: str, values: pd.Series[str]) -> str:
    """A describe type for a column, by its name and what it holds."""
    filled = values[values != ""].head(1000)
    folded = name.casefold()
    if name == "Id":
        return "id"
    if re.search(r"e-?mail", folded) and filled.str.contains("@", regex=False).mean() > 0.5:
        return "email"
    if re.search(r"phone|mobile|fax|cell", folded) and not folded.startswith("has"):
        return "phone"
    if filled.empty:
        return "reference" if _RELATIONSHIPS.fullmatch(name) and name in _FIELDS else "string"
    if filled.map(lambda one: bool(_ID.fullmatch(one)) and one[:3] in PREFIXES).all():
        return "reference"
    if name in _FIELDS and _RELATIONSHIPS.fullmatch(name):
        return "reference"
    if filled.str.casefold().isin(["true", "false"]).all():
        return "boolean"
    if filled.str.fullmatch(r"\d{4}-\d{2}-\d{2}").all():
        return "date"
    if filled.str.fullmatch(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})?(\.\d+)?(Z|[+-]\d{2}:?\d{2})?").all():
        return "datetime"
    if filled.str.fullmatch(r"-?\d+(\.\d+)?").all() and not filled.str.match(r"0\d").any():
        return "double"
    long = filled.str.len().max() > 255 or filled.str.contains("\n", regex=False).any()
    return "textarea" if long else "string"


def relationship_name(field: str) -> str | None:
    """What a query calls the parent behind a lookup: AccountId is Account, Store__c is Store__r."""
    if field.endswith("__c"):
        return f"{field[:-3]}__r"
    match = _RELATIONSHIPS.fullmatch(field)
    return match[1] if match else None


def child_relationship(child: str) -> str:
    """What a query calls the children of an object: Contacts, Opportunities, Invoices__r."""
    if child.endswith("__c"):
        return f"{_plural(child[:-3])}__r"
    return _plural(child)


def _plural(name: str) -> str:
    return f"{name[:-1]}ies" if name.endswith("y") and name[-2:-1] not in "aeiou" else f"{name}s"
