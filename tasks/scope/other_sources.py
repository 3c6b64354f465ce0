"""What every org keeps for free: logins, setup changes, the list of bulk jobs; read for what they tell beyond
the event logs.

A login from the suspects' address before the window's start says that the window is too short. A setup change
of theirs says what they have left behind, or that a data export was ordered. A bulk job that is still listed
and in no log yet counts for the upper bound: the list names user and object, never the query.
Source: object reference (LoginHistory, SetupAuditTrail), Bulk API 2.0 guide (Get Information About All Query
Jobs); the words by which SetupAuditTrail tells of an export are from memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from blocks.errors import LeakResponseError
from tasks.incident import Coverage, Window, utc
from tasks.scope.attribution import NO_KEYS, Attribution, is_public
from tasks.scope.calls import Call, CallKind
from tasks.scope.directory import quoted
from tasks.scope.logs import column
from tasks.scope.reader import OrgReader
from tasks.scope.stated import Source, absent, few, minute, present

LOGINS = Source(
    "LoginHistory",
    "logins with address and kind; kept six months",
    "whether the suspects' address was seen before the window is not known",
    timedelta(0),
)
CHANGES = Source(
    "SetupAuditTrail",
    "setup changes, among them new apps and ordered exports; kept 180 days",
    "what the suspects changed in the setup, and whether they ordered an export, is not known",
    timedelta(0),
)
JOBS = Source(
    "bulk job list",
    "bulk query jobs that are still listed; deleted ones are only in the logs",
    "bulk queries are known from the logs alone",
    timedelta(0),
)
LOOK_BACK = timedelta(days=180)
ONLY_LISTED = "only the job list names this bulk job: neither its query nor who fetched its results is known"
# What a setup change is about, by words of its action and section: how an attacker stays, or takes all.
_EXPORTS = ("dataexport", "data export", "requested an export", "weekly export", "exportservice")
_STAYING = (
    "user", "permset", "permissionset", "profile", "connectedapp", "connected app", "externalclientapp",
    "namedcredential", "authprovider", "remotesite", "certificate", "apex", "package", "session", "network",
    "ipaddress", "password", "loginas", "suorg",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Suspected:
    """By what the suspects' own rows are known in these sources."""

    users: frozenset[str]  # 15-character ids
    addresses: frozenset[str]  # public ones: others name no place

    @classmethod
    def of(cls, attribution: Attribution) -> Suspected:
        sure = attribution.events[attribution.events["certain"]]
        users = {user[:15] for user in sure["user"]} | {user[:15] for user in attribution.marks.users}
        return cls(frozenset(users - {""} - NO_KEYS), frozenset(filter(is_public, set(sure["ip"]))))


def other_sources(
    reader: OrgReader, suspected: Suspected, window: Window, now: datetime
) -> tuple[Coverage, ...]:
    """One line for each source; one that refuses is a line that says so, never an error."""
    return (_logins(reader, suspected, window, now), _changes(reader, suspected, window, now))


# --- logins ------------------------------------------------------------------------------------------


def _logins(reader: OrgReader, suspected: Suspected, window: Window, now: datetime) -> Coverage:
    if LOGINS.name not in reader.object_names:
        return absent(LOGINS, "is not there for us (Manage Users or Monitor Login History is needed)")
    try:
        rows = list(reader.query(_soql("LoginTime, UserId", "LoginHistory", "LoginTime", window, now)))
        earlier = list(_earlier(reader, suspected, window))
    except LeakResponseError as error:
        return absent(LOGINS, f"could not be read ({error.problem})")
    times = [utc(str(row["LoginTime"])) for row in rows if row.get("LoginTime")]
    mine = [row for row in rows if str(row.get("UserId") or "")[:15] in suspected.users]
    said = [f"{len(mine)} of them of the suspects' users"]
    if earlier:
        first, user = min(earlier)  # the address stays out: statements go into run history
        said.append(
            f"first login from an address of the suspects (user {user}): {minute(first)} UTC, before the "
            f"window's start; {len(earlier)} logins from these are outside of it: begin the window earlier"
        )
    return present(LOGINS, times, window, now, said="; ".join(said))


def _earlier(reader: OrgReader, suspected: Suspected, window: Window) -> Iterator[tuple[datetime, str]]:
    """Logins from the suspects' addresses before the window: time, user."""
    addresses = sorted(suspected.addresses)
    since = f"{window.start - LOOK_BACK:%Y-%m-%dT%H:%M:%SZ}"
    for start in range(0, len(addresses), 100):
        soql = (
            "SELECT LoginTime, UserId FROM LoginHistory "  # noqa: S608 - SOQL, quoted
            f"WHERE SourceIp IN ({quoted(addresses[start : start + 100])}) "
            f"AND LoginTime >= {since} AND LoginTime < {window.start:%Y-%m-%dT%H:%M:%SZ}"
        )
        for row in reader.query(soql):
            yield utc(str(row["LoginTime"])), str(row["UserId"])


# --- setup changes -------------------------------------------------------------------------------------


def _changes(reader: OrgReader, suspected: Suspected, window: Window, now: datetime) -> Coverage:
    if CHANGES.name not in reader.object_names:
        return absent(CHANGES, "is not there for us (View Setup and Configuration is needed)")
    names = "CreatedDate, CreatedById, Action, Section, Display"
    try:
        rows = list(reader.query(_soql(names, "SetupAuditTrail", "CreatedDate", window, now)))
    except LeakResponseError as error:
        return absent(CHANGES, f"could not be read ({error.problem})")
    times = [utc(str(row["CreatedDate"])) for row in rows if row.get("CreatedDate")]
    exports = [row for row in rows if _about(row, _EXPORTS)]
    mine = [row for row in rows if str(row.get("CreatedById") or "")[:15] in suspected.users]
    staying = [row for row in mine if _about(row, _STAYING) and row not in exports]
    said = [f"{len(mine)} of them by the suspects' users"]
    if staying:
        actions = few(tuple(sorted({str(row.get("Action") or "") for row in staying})))
        said.append(f"{len(staying)} may keep a way in open ({actions})")
    if exports:
        who = sum(row in mine for row in exports)
        said.append(
            f"{len(exports)} data exports were ordered, {who} of them by the suspects' users: an export "
            "holds whole objects, and who fetched it is in no log read here"
        )
    return present(CHANGES, times, window, now, said="; ".join(said))


def _about(row: Mapping[str, Any], words: Sequence[str]) -> bool:
    text = " ".join(str(row.get(name) or "") for name in ("Action", "Section", "Display")).casefold()
    return any(word in text for word in words)


def _soql(fields: str, name: str, time: str, window: Window, now: datetime) -> str:
    end = (window.end or now) + timedelta(seconds=1)  # the text below has whole seconds
    return (
        f"SELECT {fields} FROM {name} WHERE {time} >= {window.start:%Y-%m-%dT%H:%M:%SZ}"  # noqa: S608 - names above
        f" AND {time} <= {end:%Y-%m-%dT%H:%M:%SZ} ORDER BY {time} LIMIT 50000"
    )


# --- bulk jobs -----------------------------------------------------------------------------------------


def listed_jobs(
    reader: OrgReader, attribution: Attribution, suspected: Suspected, window: Window, now: datetime
) -> tuple[list[Call], Coverage]:
    """The suspects' bulk query jobs that are listed and in no log, as calls; and the list's line."""
    try:
        inside = list(_jobs(reader, window, now))
    except (LeakResponseError, KeyError, ValueError) as error:
        return [], absent(JOBS, f"could not be read ({type(error).__name__})")
    logged = _logged(attribution)
    fresh = [
        _call(job)
        for job in inside
        if str(job["createdById"])[:15] in suspected.users and str(job["id"])[:15] not in logged
    ]
    said = f"{len(fresh)} of the suspects' users are in no log yet" if fresh else ""
    times = [utc(str(job["createdDate"])) for job in inside]
    return fresh, present(JOBS, times, window, now, said=said)


def _jobs(reader: OrgReader, window: Window, now: datetime) -> Iterator[Mapping[str, Any]]:
    path = "jobs/query"
    while path:
        told = reader.get(path)
        for job in told.get("records", ()):
            if window.start <= utc(str(job["createdDate"])) <= (window.end or now):
                yield job
        following = str(told.get("nextRecordsUrl") or "")
        path = f"jobs/query{following[following.index('?') :]}" if "?" in following else ""


def _logged(attribution: Attribution) -> frozenset[str]:
    """Jobs (15-character ids) that a log holds, whoever's they are."""
    found: set[str] = set()
    for kind in ("BulkApi2", "BulkApi"):
        rows = attribution.log.get(kind)
        if rows is not None and not rows.empty:
            found |= set(column(rows, "JOB_ID").str.slice(0, 15))
    return frozenset(found)


def _call(job: Mapping[str, Any]) -> Call:
    rows = job.get("numberRecordsProcessed")
    return Call(
        CallKind.BULK,
        utc(str(job["createdDate"])),
        "job list",
        False,
        "",
        str(job["createdById"]),
        "",
        entity=str(job.get("object") or ""),
        rows=int(rows) if rows is not None else None,
        all_rows=str(job.get("operation")) == "queryAll",
        job=str(job["id"])[:15],
        path="jobs/query",
        doubt=ONLY_LISTED,
    )
