"""Columns of the event log files the twin writes, in the order of the published field lists.

Source: the object reference's "EventLogFile Supported Event Types", API v63 to v67. `UniqueQuery` names no
user, address or row count there, so it has none here: it joins other events by session and login key alone.
"""

from __future__ import annotations

_HEAD = ("EVENT_TYPE", "TIMESTAMP", "REQUEST_ID", "ORGANIZATION_ID", "USER_ID")
_COST = ("RUN_TIME", "CPU_TIME")
_KEYS = ("SESSION_KEY", "LOGIN_KEY")
_TAIL = ("TIMESTAMP_DERIVED", "USER_ID_DERIVED")

COLUMNS: dict[str, tuple[str, ...]] = {
    "RestApi": (
        *_HEAD, *_COST, "URI", *_KEYS, "USER_TYPE", "REQUEST_STATUS", "DB_TOTAL_TIME", "API_TYPE",
        "API_VERSION", "CLIENT_NAME", "METHOD", "MEDIA_TYPE", "NUMBER_FIELDS", "ENTITY_NAME", "STATUS_CODE",
        "REQUEST_SIZE", "RESPONSE_SIZE", "ROWS_PROCESSED", "USER_AGENT", "CLIENT_IP", "CONNECTED_APP_ID",
        "EXCEPTION_MESSAGE", *_TAIL, "URI_ID_DERIVED",
    ),
    "API": (
        *_HEAD, *_COST, "URI", *_KEYS, "USER_TYPE", "REQUEST_STATUS", "DB_TOTAL_TIME", "API_TYPE",
        "API_VERSION", "CLIENT_NAME", "METHOD_NAME", "ENTITY_NAME", "REQUEST_SIZE", "RESPONSE_SIZE",
        "ROWS_PROCESSED", "CLIENT_IP", "CONNECTED_APP_ID", *_TAIL,
    ),
    "BulkApi2": (
        *_HEAD, *_COST, "URI", *_KEYS, "USER_TYPE", "JOB_ID", "JOB_STATUS", "OPERATION_TYPE", "ENTITY_TYPE",
        "RECORDS_PROCESSED", "RECORDS_FAILED", "RESULT_SIZE_MB", "CLIENT_IP", "MESSAGE", *_TAIL,
    ),
    "BulkApi": (
        *_HEAD, *_COST, "URI", *_KEYS, "USER_TYPE", "JOB_ID", "BATCH_ID", "OPERATION_TYPE", "ENTITY_TYPE",
        "ROWS_PROCESSED", "NUMBER_FAILURES", "SUCCESS", "MESSAGE", "CLIENT_IP", *_TAIL,
    ),
    "UniqueQuery": (
        "EVENT_TYPE", "TIMESTAMP", "ORGANIZATION_ID", "QUERY_IDENTIFIER", "QUERY_TYPE", "SQL_ID", *_KEYS,
        "TIMESTAMP_DERIVED",
    ),
    "ApiTotalUsage": (
        *_HEAD, "API_FAMILY", "API_VERSION", "API_RESOURCE", "CLIENT_NAME", "HTTP_METHOD", "CLIENT_IP",
        "COUNTS_AGAINST_API_LIMIT", "STATUS_CODE", "ENTITY_NAME", "USER_NAME", "CONNECTED_APP_ID",
        "CONNECTED_APP_NAME", "TIMESTAMP_DERIVED",
    ),
    "Login": (
        *_HEAD, *_COST, "URI", *_KEYS, "USER_TYPE", "REQUEST_STATUS", "DB_TOTAL_TIME", "LOGIN_TYPE",
        "LOGIN_SUB_TYPE", "BROWSER_TYPE", "API_TYPE", "API_VERSION", "USER_NAME", "TLS_PROTOCOL",
        "CIPHER_SUITE", "AUTHENTICATION_METHOD_REFERENCE", "LOGIN_STATUS", "SOURCE_IP", "CLIENT_IP",
        "FORWARDED_FOR_IP", *_TAIL,
    ),
    "Logout": (
        *_HEAD, *_KEYS, "USER_TYPE", "USER_INITIATED_LOGOUT", "SESSION_TYPE", "SESSION_LEVEL", "LOGIN_TYPE",
        "BROWSER_TYPE", "PLATFORM_TYPE", "RESOLUTION_TYPE", "APP_TYPE", "CLIENT_VERSION", "API_TYPE",
        "API_VERSION", "CLIENT_IP", *_TAIL,
    ),
    "Report": (
        *_HEAD, *_COST, "URI", *_KEYS, "USER_TYPE", "REQUEST_STATUS", "DB_TOTAL_TIME", "ENTITY_NAME",
        "DISPLAY_TYPE", "RENDERING_TYPE", "REPORT_ID", "ROW_COUNT", "NUMBER_COLUMNS", "AVERAGE_ROW_SIZE",
        "SORT", "ORIGIN", "CLIENT_IP", *_TAIL, "REPORT_ID_DERIVED",
    ),
    "ReportExport": (
        *_HEAD, *_COST, "URI", *_KEYS, "USER_TYPE", "CLIENT_INFO", "REPORT_DESCRIPTION", "CLIENT_IP", *_TAIL,
        "URI_ID_DERIVED",
    ),
    "PermissionUpdate": (
        *_HEAD, *_COST, "URI", *_KEYS, "USER_TYPE", "FEATURE_ID", "PERMISSION_TYPE", "UPDATE_TYPE",
        "DESCRIPTION", "CLIENT_IP", *_TAIL,
    ),
}  # fmt: skip

_NUMBERS = frozenset(
    {
        "RUN_TIME", "CPU_TIME", "DB_TOTAL_TIME", "NUMBER_FIELDS", "REQUEST_SIZE", "RESPONSE_SIZE",
        "ROWS_PROCESSED", "STATUS_CODE", "RECORDS_PROCESSED", "RECORDS_FAILED", "RESULT_SIZE_MB", "ROW_COUNT",
        "NUMBER_COLUMNS", "AVERAGE_ROW_SIZE", "NUMBER_FAILURES",
    }
)  # fmt: skip


def types_of(event_type: str) -> str:
    """LogFileFieldTypes of a file: the type of each column, joined as the field joins them."""
    return ",".join(_type(name) for name in COLUMNS[event_type])


def _type(name: str) -> str:
    if name in _NUMBERS:
        return "Number"
    if name == "TIMESTAMP":
        return "DateTime"
    if name in ("CLIENT_IP", "SOURCE_IP", "FORWARDED_FOR_IP"):
        return "IP"
    if name in ("COUNTS_AGAINST_API_LIMIT", "USER_INITIATED_LOGOUT", "SUCCESS"):
        return "Boolean"
    if name.endswith("_ID") or name.endswith("_ID_DERIVED"):
        return "Id"
    return "String"
