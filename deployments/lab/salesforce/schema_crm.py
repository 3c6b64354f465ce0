"""What the retailer keeps about its customers: accounts, people, orders, cases, mail, loyalty.

About two fields in five that hold personal data carry a classification, as in a real org where somebody once
started to classify. Person accounts are not enabled.
"""

from __future__ import annotations

from deployments.lab.salesforce.schema_types import (
    INTERNAL,
    PII,
    RESTRICTED,
    SECURE,
    Field,
    SObject,
    address,
    area,
    blob,
    day,
    email,
    field,
    flag,
    instant,
    money,
    number,
    owner,
    phone,
    pick,
    ref,
    sobject,
    text,
    url,
    whole,
)

SOURCES = ("Web", "Store", "Phone Inquiry", "Partner Referral", "Newsletter", "Other")
ORIGINS = ("Web", "Email", "Phone", "Chat", "Store")
SALUTATIONS = ("Mr.", "Ms.", "Mrs.", "Dr.", "Mx.")


def _person_name(length: int = 121) -> tuple[Field, ...]:
    return (
        text("LastName", 80, nillable=False, classification=SECURE, compliance=PII),
        text("FirstName", 40),
        pick("Salutation", *SALUTATIONS),
        text("Name", length, createable=False, updateable=False, name_field=True, label="Full Name"),
    )


ACCOUNT = sobject(
    "Account",
    "001",
    text("Name", 255, nillable=False, name_field=True, label="Account Name"),
    pick("Type", "Household", "Customer - Business", "Partner", "Supplier"),
    ref("ParentId", "Account", relationship="Parent", child="ChildAccounts"),
    address("Billing"),
    address("Shipping"),
    phone("Phone"),
    phone("Fax"),
    text("AccountNumber", 40),
    url("Website"),
    pick("Industry", "Retail", "Hospitality", "Education", "Manufacturing", "Services"),
    money("AnnualRevenue", classification=INTERNAL),
    whole("NumberOfEmployees"),
    area("Description"),
    pick("AccountSource", *SOURCES),
    owner(child="Accounts"),
    text("Vat_Id__c", 20),
)

CONTACT = sobject(
    "Contact",
    "003",
    ref("AccountId", "Account", child="Contacts"),
    _person_name(),
    address("Mailing", classification=SECURE, compliance=PII),
    address("Other"),
    phone("Phone", label="Business Phone"),
    phone("MobilePhone", classification=SECURE, compliance=PII),
    phone("HomePhone"),
    email("Email", classification=SECURE, compliance=PII),
    day("Birthdate", classification=RESTRICTED, compliance=PII),
    text("Title", 128),
    text("Department", 80),
    ref("ReportsToId", "Contact", relationship="ReportsTo"),
    pick("LeadSource", *SOURCES),
    area("Description"),
    owner(child="Contacts"),
    ref("IndividualId", "Individual", child="Contacts"),
    flag("HasOptedOutOfEmail"),
    flag("DoNotCall"),
    text("Loyalty_Id__c", 20, external_id=True),
    text("Tax_Id__c", 30, label="Tax ID"),
    pick("Preferred_Language__c", "en", "de", "fr", "es", "it", "pt", "ja", "nl", "sv", "pl"),
)

LEAD = sobject(
    "Lead",
    "00Q",
    _person_name(),
    text("Company", 255, nillable=False),
    text("Title", 128),
    address("", "Address"),
    phone("Phone"),
    phone("MobilePhone"),
    email("Email", classification=SECURE, compliance=PII),
    url("Website"),
    pick("LeadSource", *SOURCES),
    pick(
        "Status",
        "Open - Not Contacted",
        "Working - Contacted",
        "Closed - Converted",
        "Closed - Not Converted",
    ),
    pick("Rating", "Hot", "Warm", "Cold"),
    area("Description"),
    owner(child="Leads"),
    ref("IndividualId", "Individual", child="Leads"),
    flag("IsConverted", createable=False, updateable=False),
    ref("ConvertedContactId", "Contact", createable=False, updateable=False),
    flag("HasOptedOutOfEmail"),
)

INDIVIDUAL = sobject(
    "Individual",
    "0PK",
    _person_name(),
    day("BirthDate"),
    flag("HasOptedOutTracking"),
    flag("HasOptedOutProfiling"),
    flag("HasOptedOutProcessing"),
    flag("HasOptedOutSolicit"),
    flag("ShouldForget"),
    flag("SendIndividualData"),
    owner(child="Individuals"),
)

PRODUCT2 = sobject(
    "Product2",
    "01t",
    text("Name", 255, nillable=False, name_field=True, label="Product Name"),
    text("ProductCode", 255),
    area("Description", 4000),
    flag("IsActive"),
    pick("Family", "Home", "Garden", "Fashion", "Electronics", "Toys", "Food"),
    text("StockKeepingUnit", 180),
    label="Product",
)

ORDER = sobject(
    "Order",
    "801",
    ref("AccountId", "Account", child="Orders"),
    text("OrderNumber", 30, createable=False, updateable=False, name_field=True, auto_number="{:08d}"),
    ref("BillToContactId", "Contact", relationship="BillToContact", child="BillToContactOrders"),
    ref("ShipToContactId", "Contact", relationship="ShipToContact", child="ShipToContactOrders"),
    day("EffectiveDate", nillable=False, label="Order Start Date"),
    day("EndDate"),
    pick("Status", "Draft", "Activated", "Shipped", "Delivered", "Returned", "Cancelled"),
    money("TotalAmount", createable=False, updateable=False),
    pick("Type", "Online", "Store", "Phone"),
    address("Billing"),
    address("Shipping"),
    area("Description"),
    owner(child="Orders"),
)

ORDER_ITEM = sobject(
    "OrderItem",
    "802",
    ref("OrderId", "Order", child="OrderItems", nillable=False),
    ref("Product2Id", "Product2", child="OrderItems"),
    text("OrderItemNumber", 30, createable=False, updateable=False, name_field=True, auto_number="{:010d}"),
    number("Quantity", nillable=False),
    money("UnitPrice"),
    money("TotalPrice", createable=False, updateable=False),
    text("Description"),
    label="Order Product",
)

CASE = sobject(
    "Case",
    "500",
    text("CaseNumber", 30, createable=False, updateable=False, name_field=True, auto_number="{:08d}"),
    ref("ContactId", "Contact", child="Cases"),
    ref("AccountId", "Account", child="Cases"),
    ref("ParentId", "Case", relationship="Parent", child="Cases"),
    text("SuppliedName", 80, label="Web Name"),
    email("SuppliedEmail", label="Web Email"),
    text("SuppliedPhone", 40, label="Web Phone"),
    text("SuppliedCompany", 80, label="Web Company"),
    pick("Type", "Order", "Return", "Payment", "Loyalty", "Complaint", "Technical"),
    pick("Status", "New", "Working", "Escalated", "Closed"),
    pick("Reason", "Late delivery", "Damaged", "Wrong item", "Billing", "Account access", "Other"),
    pick("Origin", *ORIGINS),
    pick("Priority", "High", "Medium", "Low"),
    text("Subject", 255),
    area("Description"),
    flag("IsClosed", createable=False, updateable=False),
    instant("ClosedDate", createable=False, updateable=False),
    flag("IsEscalated"),
    owner(child="Cases"),
    area("Comments", 4000, label="Internal Comments"),
    text("Web_Country__c", 80, label="Web Country"),
)

CASE_COMMENT = sobject(
    "CaseComment",
    "00a",
    ref("ParentId", "Case", relationship="Parent", child="CaseComments", nillable=False),
    area("CommentBody", 4000),
    flag("IsPublished"),
)

EMAIL_MESSAGE = sobject(
    "EmailMessage",
    "02s",
    ref("ParentId", "Case", relationship="Parent", child="EmailMessages"),
    ref("ActivityId", "Task"),
    ref("RelatedToId", ("Account", "Case", "Order"), relationship="RelatedTo", child="Emails"),
    area("TextBody"),
    area("HtmlBody"),
    text("Subject", 3000),
    text("FromName", 1000),
    email("FromAddress"),
    area("ToAddress", 4000),
    area("CcAddress", 4000),
    flag("Incoming"),
    flag("HasAttachment", createable=False, updateable=False),
    pick("Status", "New", "Read", "Replied", "Sent", "Forwarded", "Draft"),
    instant("MessageDate"),
)

TASK = sobject(
    "Task",
    "00T",
    ref("WhoId", ("Contact", "Lead"), relationship="Who", child="Tasks"),
    ref("WhatId", ("Account", "Case", "Order"), relationship="What", child="Tasks"),
    text("Subject", 255, name_field=True),
    day("ActivityDate", label="Due Date Only"),
    pick("Status", "Not Started", "In Progress", "Completed", "Deferred"),
    pick("Priority", "High", "Normal", "Low"),
    pick("Type", "Call", "Email", "Meeting", "Other"),
    owner(child="Tasks"),
    area("Description"),
    ref("AccountId", "Account", createable=False, updateable=False),
    flag("IsClosed", createable=False, updateable=False),
    whole("CallDurationInSeconds"),
)

CONTENT_VERSION = sobject(
    "ContentVersion",
    "068",
    text("ContentDocumentId", 18),
    flag("IsLatest", createable=False, updateable=False),
    text("VersionNumber", 20, createable=False, updateable=False),
    text("Title", 255, nillable=False, name_field=True),
    text("PathOnClient", 500),
    text("FileType", 20, createable=False, updateable=False),
    text("FileExtension", 40, createable=False, updateable=False),
    whole("ContentSize", createable=False, updateable=False),
    text("Checksum", 50, createable=False, updateable=False),
    ref(
        "FirstPublishLocationId", ("Account", "Case", "Contact", "Order"), relationship="FirstPublishLocation"
    ),
    owner(),
    blob("VersionData"),
)

LOYALTY_MEMBER = sobject(
    "Loyalty_Member__c",
    "a00",
    text("Name", 80, name_field=True, label="Member Number", auto_number="LM-{:08d}"),
    text("Member_Number__c", 20, unique=True, external_id=True),
    ref("Contact__c", "Contact", child="Loyalty_Members__r"),
    text("First_Name__c", 60),
    text("Last_Name__c", 80),
    email("Email__c", classification=SECURE, compliance=PII),
    phone("Mobile__c"),
    day("Birth_Date__c"),
    text("Country__c", 60),
    text("State__c", 60),
    text("Postal_Code__c", 20),
    pick("Tier__c", "Bronze", "Silver", "Gold", "Platinum"),
    number("Points__c"),
    day("Joined__c"),
    owner(),
    label="Loyalty Member",
)

PAYMENT_TOKEN = sobject(
    "Payment_Token__c",
    "a01",
    text("Name", 80, name_field=True, label="Payment Token", auto_number="PT-{:08d}"),
    ref("Contact__c", "Contact", child="Payment_Tokens__r"),
    field(
        "Token__c",
        "encryptedstring",
        length=175,
        filterable=False,
        classification=RESTRICTED,
        compliance=("PCI",),
    ),
    pick("Brand__c", "Visa", "Mastercard", "American Express", "SEPA"),
    text("Last4__c", 4, label="Last Four"),
    whole("Expiry_Month__c"),
    whole("Expiry_Year__c"),
    text("Cardholder__c", 120),
    text("Iban_Masked__c", 40, label="IBAN (masked)"),
    flag("Is_Default__c"),
    owner(),
    label="Payment Token",
)

CRM: tuple[SObject, ...] = (
    ACCOUNT,
    CONTACT,
    LEAD,
    INDIVIDUAL,
    PRODUCT2,
    ORDER,
    ORDER_ITEM,
    CASE,
    CASE_COMMENT,
    EMAIL_MESSAGE,
    TASK,
    CONTENT_VERSION,
    LOYALTY_MEMBER,
    PAYMENT_TOKEN,
)
