"""Event objects that an org has only with a licence: the stores of Real-Time Event Monitoring, which carry
the ids of the records that were read, and the event log objects: what the log files hold, but sooner.

Field names, access rules and what a store can be asked: object reference and platform events guide, API 67
(ApiEvent, ReportEvent, ListViewEvent, BulkApiResultEventStore, BulkApi2EventLog, UniqueQueryEventLog). Of
RestApiEventLog, LoginEventLog, ApiTotalUsageEventLog and ReportEventLog the fields beyond those they share
with the published ones are from memory, and so are all id prefixes.
"""

from __future__ import annotations

from collections.abc import Iterable

from deployments.lab.salesforce.schema_types import (
    Field,
    SObject,
    area,
    flag,
    instant,
    number,
    pick,
    read_only,
    ref,
    text,
    whole,
)

REALTIME = "realtime"  # Shield or Event Monitoring, with storage switched on for each event
LOG_OBJECTS = "event-log-objects"
LICENCES = (REALTIME, LOG_OBJECTS)

_WHO = (
    instant("EventDate"),
    text("EventIdentifier", 36),
    ref("UserId", "User", relationship=None),
    text("Username", 80),
    text("SessionKey", 24),
    text("LoginKey", 24),
    text("LoginHistoryId", 18),
    pick("SessionLevel", "HIGH_ASSURANCE", "LOW", "STANDARD"),
    text("SourceIp", 39),
    text("RelatedEventIdentifier", 36),
    pick("PolicyOutcome", "Block", "Error", "NoAction", "Notified"),
    text("PolicyId", 18),
    number("EvaluationTime"),
)
_RECORDS = area("Records", 10_000_000)


def _store(name: str, prefix: str, *fields: Field) -> SObject:
    return read_only(
        name,
        prefix,
        *_WHO,
        *fields,
        audit=(),
        setup=True,
        null_id=True,
        big=True,
        licence=REALTIME,
        required_permission="PermissionsViewRealTimeEventMonitoringData",
    )


API_EVENT = _store(
    "ApiEvent",
    "7Lb",
    area("Query", 100_000),
    text("QueriedEntities", 4000),
    pick("Operation", "Query", "QueryAll", "QueryMore", "DeleteHard", "DeleteSoft"),
    number("RowsProcessed"),
    number("RowsReturned"),
    _RECORDS,
    text("RequestIdentifier", 36),
    text("UserAgent", 1000),
    text("ApiType", 64),
    number("ApiVersion"),
    text("Application", 255),
    text("Client", 255),
    text("ConnectedAppId", 18),
    text("Platform", 255),
    whole("ElapsedTime"),
    area("AdditionalInfo", 10_000),
)
_SHOWN = (
    text("ExecutionIdentifier", 36),
    whole("Sequence"),
    area("ColumnHeaders", 32_000),
    whole("NumberOfColumns"),
    text("QueriedEntities", 4000),
    number("RowsProcessed"),
    _RECORDS,
    text("EventSource", 40),
    text("Name", 255),
    text("OwnerId", 18),
    text("Scope", 40),
)
REPORT_EVENT = _store(
    "ReportEvent",
    "7Lc",
    *_SHOWN,
    ref("ReportId", "Report", relationship=None),
    text("Description", 255),
    text("DisplayedFieldEntities", 4000),
    pick("ExportFileFormat", "CSV", "Excel"),
    pick("Format", "Matrix", "MultiBlock", "Summary", "Tabular"),
    text("GroupedColumnHeaders", 4000),
    flag("IsScheduled"),
    text("Operation", 80),
    text("DashboardId", 18),
)
LIST_VIEW_EVENT = _store(
    "ListViewEvent",
    "7Ld",
    *_SHOWN,
    text("ListViewId", 18),
    text("DeveloperName", 80),
    area("FilterCriteria", 32_000),
    text("OrderBy", 1000),
    text("AppName", 80),
)
BULK_RESULT = _store("BulkApiResultEventStore", "7Le", area("Query", 100_000))

# --- event log objects: field, column of the log file, whether it is a number -----------------------

_CALLED = (
    ("RequestIdentifier", "REQUEST_ID"),
    ("UserIdentifier", "USER_ID"),
    ("SessionKey", "SESSION_KEY"),
    ("LoginKey", "LOGIN_KEY"),
    ("ClientIp", "CLIENT_IP"),
    ("UserType", "USER_TYPE"),
    ("Uri", "URI"),
)
# Event type of the log file -> object, its id prefix, its fields and the columns they hold.
LOG_FIELDS: dict[str, tuple[str, str, tuple[tuple[str, str], ...]]] = {
    "RestApi": (
        "RestApiEventLog",
        "7Lf",
        (
            *_CALLED,
            ("Method", "METHOD"),
            ("StatusCode", "STATUS_CODE"),
            ("ObjectName", "ENTITY_NAME"),
            ("RowsProcessed", "ROWS_PROCESSED"),
            ("FieldCount", "NUMBER_FIELDS"),
            ("MediaType", "MEDIA_TYPE"),
            ("RequestStatus", "REQUEST_STATUS"),
            ("RequestSize", "REQUEST_SIZE"),
            ("ResponseSize", "RESPONSE_SIZE"),
            ("ExceptionMessage", "EXCEPTION_MESSAGE"),
            ("UserAgent", "USER_AGENT"),
            ("ClientName", "CLIENT_NAME"),
            ("ConnectedAppIdentifier", "CONNECTED_APP_ID"),
        ),
    ),
    "BulkApi2": (
        "BulkApi2EventLog",
        "7Lg",
        (
            *_CALLED,
            ("JobIdentifier", "JOB_ID"),
            ("JobStatus", "JOB_STATUS"),
            ("OperationType", "OPERATION_TYPE"),
            ("ObjectType", "EVENT_TYPE"),  # "the value is always BulkApi2", says the reference
            ("ProcessedRecordCount", "RECORDS_PROCESSED"),
            ("FailedRecordCount", "RECORDS_FAILED"),
            ("ErrorMessage", "MESSAGE"),
        ),
    ),
    "UniqueQuery": (
        "UniqueQueryEventLog",
        "7Lh",
        (
            ("QueryIdentifier", "QUERY_IDENTIFIER"),
            ("QueryType", "QUERY_TYPE"),
            ("SqlIdentifier", "SQL_ID"),
            ("RequestIdentifier", "REQUEST_ID"),  # the log file has no such column
            ("SessionKey", "SESSION_KEY"),
            ("LoginKey", "LOGIN_KEY"),
        ),
    ),
    "Login": (
        "LoginEventLog",
        "7Li",
        (
            *_CALLED,
            ("UserName", "USER_NAME"),
            ("SourceIp", "SOURCE_IP"),
            ("LoginStatus", "LOGIN_STATUS"),
            ("LoginType", "LOGIN_TYPE"),
            ("LoginSubType", "LOGIN_SUB_TYPE"),
            ("ApiType", "API_TYPE"),
            ("BrowserType", "BROWSER_TYPE"),
        ),
    ),
    "ApiTotalUsage": (
        "ApiTotalUsageEventLog",
        "7Lj",
        (
            ("RequestIdentifier", "REQUEST_ID"),
            ("UserIdentifier", "USER_ID"),
            ("UserName", "USER_NAME"),
            ("ClientIp", "CLIENT_IP"),
            ("ApiFamily", "API_FAMILY"),
            ("ApiResource", "API_RESOURCE"),
            ("HttpMethod", "HTTP_METHOD"),
            ("StatusCode", "STATUS_CODE"),
            ("ObjectName", "ENTITY_NAME"),
            ("ClientName", "CLIENT_NAME"),
            ("ConnectedAppIdentifier", "CONNECTED_APP_ID"),
            ("ConnectedAppName", "CONNECTED_APP_NAME"),
        ),
    ),
    "Report": (
        "ReportEventLog",
        "7Lk",
        (
            *_CALLED,
            ("ReportIdentifier", "REPORT_ID"),
            ("ObjectName", "ENTITY_NAME"),
            ("RowCount", "ROW_COUNT"),
            ("ColumnCount", "NUMBER_COLUMNS"),
            ("Origin", "ORIGIN"),
        ),
    ),
}
_WHOLE = frozenset(
    {"StatusCode", "RowsProcessed", "FieldCount", "FailedRecordCount", "RowCount", "ColumnCount"}
)
_LONG = frozenset({"QueryIdentifier"})


def _log_objects() -> Iterable[SObject]:
    for name, prefix, columns in LOG_FIELDS.values():
        yield read_only(
            name,
            prefix,
            instant("Timestamp"),
            *(_log_field(field) for field, _ in columns),
            audit=(),
            setup=True,
            licence=LOG_OBJECTS,
            required_permission="PermissionsViewEventLogObjectData",
        )


def _log_field(name: str) -> Field:
    if name in _WHOLE:
        return whole(name)
    if name in _LONG:
        return text(name, 100_000)
    return number(name) if name in ("ProcessedRecordCount",) else text(name)


EVENTS: tuple[SObject, ...] = (API_EVENT, REPORT_EVENT, LIST_VIEW_EVENT, BULK_RESULT, *_log_objects())
