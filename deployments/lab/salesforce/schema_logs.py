"""What the organisation remembers of what was done: logins, setup changes, event log files, reports."""

from __future__ import annotations

from deployments.lab.salesforce.schema_types import (
    CREATED,
    CREATED_BY,
    SObject,
    blob,
    flag,
    instant,
    number,
    pick,
    read_only,
    ref,
    secret,
    sobject,
    text,
    url,
    whole,
)

LOGIN_HISTORY = read_only(
    "LoginHistory",
    "0Ya",
    ref("UserId", "User", relationship=None),
    instant("LoginTime"),
    pick("LoginType", "Application", "Remote Access 2.0", "Remote Access Client", "Other Apex API", "Guest"),
    pick(
        "LoginSubType",
        "OauthRefreshToken",
        "OauthClientCredentials",
        "OauthJwtBearer",
        "OauthUsernamePassword",
    ),
    text("SourceIp", 39),
    text("ForwardedForIp", 1000),
    url("LoginUrl"),
    text("LoginGeoId", 18),
    text("NetworkId", 18),
    text("AuthenticationServiceId", 18),
    text("AuthMethodReference", 255),
    text("Browser", 64),
    text("Platform", 64),
    text("Status", 128),
    text("Application", 64),
    text("ClientVersion", 64),
    text("ApiType", 64),
    text("ApiVersion", 32),
    text("CountryIso", 2),
    text("CipherSuite", 64),
    text("TlsProtocol", 64),
    flag("OptionsIsGet"),
    flag("OptionsIsPost"),
    audit=(),
    setup=True,
    own_rows_unless="PermissionsManageUsers",
)

SETUP_AUDIT_TRAIL = read_only(
    "SetupAuditTrail",
    "0Ym",
    text("Action", 40),
    text("Section", 255),
    text("Display", 1000, filterable=False),
    text("DelegateUser", 80),
    text("ResponsibleNamespacePrefix", 15),
    text("CreatedByContext", 255),
    text("CreatedByIssuer", 255),
    audit=(CREATED, CREATED_BY),
    setup=True,
    required_permission="PermissionsViewSetup",
)

EVENT_LOG_FILE = read_only(
    "EventLogFile",
    "0AT",
    text("EventType", 255),
    pick("Interval", "Hourly", "Daily"),
    instant("LogDate"),
    whole("Sequence"),
    blob("LogFile"),
    number("LogFileLength"),
    text("LogFileFieldNames", 32000, filterable=False),
    text("LogFileFieldTypes", 32000, filterable=False),
    text("LogFileContentType", 120),
    number("ApiVersion"),
    required_permission="PermissionsViewEventLogFiles",
)

REPORT = sobject(
    "Report",
    "00O",
    text("Name", 40, name_field=True, label="Report Name"),
    text("DeveloperName", 80),
    text("FolderName", 256),
    text("Description", 255),
    pick("Format", "Tabular", "Summary", "Matrix"),
    instant("LastRunDate"),
    text("NamespacePrefix", 15),
    ref("OwnerId", ("User", "Organization")),
    secret("ReportMetadata", 32000),
    createable=False,
    updateable=False,
)

LIST_VIEW = read_only(
    "ListView",
    "00B",
    text("Name", 40, name_field=True, label="View Name"),
    text("DeveloperName", 80),
    text("NamespacePrefix", 15),
    text("SobjectType", 40),
    flag("IsSoqlCompatible"),
    secret("ViewMetadata", 32000),
    setup=True,
)

LOGS: tuple[SObject, ...] = (LOGIN_HISTORY, SETUP_AUDIT_TRAIL, EVENT_LOG_FILE, REPORT, LIST_VIEW)
