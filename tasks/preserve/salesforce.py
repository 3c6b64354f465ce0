"""The volatile state of the org: tokens, sessions, bulk jobs, logins, setup changes, log files.

Only metadata is asked for: the columns that carry token values are never selected.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any

from blocks.salesforce.org import SalesforceOrg
from blocks.salesforce.soql.strings import quote
from tasks.incident import Incident, SuspectKind, System
from tasks.preserve.sources import Reading, Source

MAX_ROWS = 50_000  # a snapshot is taken in seconds; what lies beyond is said
TOKEN_LIMIT = 2500  # OauthToken answers no row past this one (Object Reference, OauthToken)
TOKENS = "SELECT AppName, AppMenuItemId, UserId, UseCount, LastUsedDate, CreatedDate FROM OauthToken"
SESSIONS = (
    "SELECT Id, UsersId, SessionType, LoginType, SourceIp, LoginHistoryId, ParentId, CreatedDate, "
    "LastModifiedDate, NumSecondsValid FROM AuthSession"
)
LOGINS = (
    "SELECT Id, LoginTime, UserId, SourceIp, Application, LoginType, LoginSubType, Status, CountryIso, "
    "ClientVersion, ApiType FROM LoginHistory WHERE LoginTime >= {start} ORDER BY LoginTime DESC"
)
SETUP_CHANGES = (
    "SELECT Id, Action, Display, Section, CreatedById, CreatedDate, DelegateUser FROM SetupAuditTrail "
    "WHERE CreatedDate >= {start} ORDER BY CreatedDate DESC"
)
ASSIGNMENTS = (
    "SELECT Id, AssigneeId, Assignee.Username, PermissionSetId, PermissionSet.Name, "
    "PermissionSet.IsOwnedByProfile, PermissionSetGroupId, ExpirationDate FROM PermissionSetAssignment"
)
LOG_FILES = (
    "SELECT Id, EventType, Interval, LogDate, Sequence, LogFileLength, CreatedDate FROM EventLogFile "
    "WHERE LogDate >= {day} ORDER BY LogDate"
)


def salesforce_sources(incident: Incident, org: SalesforceOrg) -> list[Source]:
    """Everything volatile in the org. The suspects' rows come first where there are too many."""
    start = soql_instant(incident.window.start)
    day = f"{incident.window.start:%Y-%m-%dT00:00:00Z}"

    def source(name: str, soql: str) -> Source:
        return Source(name, System.SALESFORCE, lambda: rows(org, soql, name))

    apps = [s.identifier for s in incident.suspects if s.kind is SuspectKind.CONNECTED_APP]
    return [
        Source("oauth-tokens", System.SALESFORCE, lambda: tokens(org, apps)),
        source("auth-sessions", SESSIONS),
        Source("bulk-jobs", System.SALESFORCE, lambda: bulk_jobs(org)),
        source("login-history", LOGINS.format(start=start)),
        source("setup-audit-trail", SETUP_CHANGES.format(start=start)),
        source("permission-set-assignments", ASSIGNMENTS),
        source("event-log-files", LOG_FILES.format(day=day)),
    ]


def rows(org: SalesforceOrg, soql: str, what: str) -> Reading:
    """The query's rows as flat records, up to MAX_ROWS."""
    found = [flat(record) for record in islice(org.query(soql, what=what), MAX_ROWS + 1)]
    if len(found) <= MAX_ROWS:
        return Reading(found)
    return Reading(found[:MAX_ROWS], f"There are more than {MAX_ROWS:,} rows; the others were not read.")


def tokens(org: SalesforceOrg, apps: list[str]) -> Reading:
    """Metadata of the suspected apps' tokens, or of all tokens when no app is suspected.

    Salesforce hands out 2,500 rows and no more, so each selection is counted too.
    """
    found: list[Any] = []
    left_out = []
    for where in [f" WHERE AppName = {quote(app)}" for app in apps] or [""]:
        total = org.count(f"SELECT COUNT() FROM OauthToken{where}", what="count tokens")  # noqa: S608 - quoted
        read = [
            flat(r)
            for r in islice(org.query(f"{TOKENS}{where} LIMIT {TOKEN_LIMIT}", what="tokens"), MAX_ROWS)
        ]
        found += read
        if total > len(read):
            left_out.append(f"{total:,} tokens were counted, Salesforce hands out {len(read):,} of them")
    return Reading(found, "; ".join(left_out) + "." if left_out else "")


def bulk_jobs(org: SalesforceOrg) -> Reading:
    """Bulk query and ingest jobs. They vanish after seven days, or when the attacker deletes them."""
    found: list[Any] = []
    for kind in ("query", "ingest"):
        page = org.rest("GET", f"jobs/{kind}", what=f"list bulk {kind} jobs")
        while True:
            found += [{"list": kind, **job} for job in page.get("records") or ()]
            following = page.get("nextRecordsUrl")
            if page.get("done", True) or not following:
                break
            page = org.rest("GET", following, what=f"list bulk {kind} jobs (next page)")
    return Reading(found)


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record without `attributes`; fields of a parent as `Parent.Field`."""
    out: dict[str, Any] = {}
    for name, value in _items(record):
        if isinstance(value, dict):
            out.update({f"{name}.{inner}": item for inner, item in _items(value)})
        else:
            out[name] = value
    return out


def _items(record: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, value in record.items() if name != "attributes")


def soql_instant(at: datetime) -> str:
    """An instant as SOQL writes it."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
