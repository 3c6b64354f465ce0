"""The other sources an org may have, each named in the coverage statement: there or not, licensed or not, its
first and last event, and what its absence means.

Free in every org: LoginHistory, SetupAuditTrail, the list of bulk jobs. Licensed: event log objects and
real-time stores, which appear among the org's objects only where they may be read.
Source: Salesforce object reference and Real-Time Event Monitoring documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from blocks.errors import LeakResponseError
from tasks.incident import Coverage, Window, utc
from tasks.scope.reader import OrgReader

# Object, its time field, what it tells.
FREE = (
    ("LoginHistory", "LoginTime", "logins with address and kind; kept six months"),
    ("SetupAuditTrail", "CreatedDate", "setup changes, among them new apps and exports; kept 180 days"),
)
LICENSED = (
    ("RestApiEventLog", "Timestamp", "REST calls sooner than their log file"),
    ("BulkApi2EventLog", "Timestamp", "bulk jobs sooner than their log file"),
    ("LoginEventLog", "Timestamp", "logins sooner than their log file"),
    ("UniqueQueryEventLog", "Timestamp", "query texts sooner than their log file"),
    ("ApiEvent", "EventDate", "the record ids of API queries"),
    ("ReportEvent", "EventDate", "the record ids and columns of reports"),
    ("ListViewEvent", "EventDate", "the record ids of list views"),
    ("BulkApiResultEventStore", "EventDate", "downloads of bulk results"),
)


def other_sources(reader: OrgReader, window: Window, now: datetime) -> tuple[Coverage, ...]:
    """One line for each source; a source that refuses is a line that says so, never an error."""
    there = reader.object_names
    lines = [
        _counted(reader, name, field, tells, window, now) for name, field, tells in FREE if name in there
    ]
    lines += [
        Coverage(
            name, False, None, None, 0, f"{name} is not there for us (not licensed or not enabled): {tells}."
        )
        if name not in there
        else _counted(reader, name, field, f"not used yet, {tells}", window, now)
        for name, field, tells in LICENSED
    ]
    return (*lines, *_jobs(reader, window, now))


def _counted(reader: OrgReader, name: str, field: str, tells: str, window: Window, now: datetime) -> Coverage:
    end = (window.end or now) + timedelta(seconds=1)  # the text below has whole seconds
    soql = (
        f"SELECT {field} FROM {name} WHERE {field} >= {window.start:%Y-%m-%dT%H:%M:%SZ}"  # noqa: S608 - names above
        f" AND {field} <= {end:%Y-%m-%dT%H:%M:%SZ} ORDER BY {field} LIMIT 50000"
    )
    try:
        times = sorted(utc(str(row[field])) for row in reader.query(soql) if row.get(field))
    except LeakResponseError as error:
        return Coverage(name, False, None, None, 0, f"{name} could not be read ({error.problem}): {tells}.")
    first, last = (times[0], times[-1]) if times else (None, None)
    return Coverage(
        name, True, first, last, len(times), f"{name}: {len(times)} events in the window; {tells}."
    )


def _jobs(reader: OrgReader, window: Window, now: datetime) -> Iterator[Coverage]:
    """The bulk jobs still listed: a job that was deleted is not, and no list shows its query."""
    try:
        listed = reader.get("jobs/query")
        times = sorted(utc(str(job["createdDate"])) for job in listed.get("records", ()))
    except (LeakResponseError, KeyError) as error:
        text = f"The list of bulk jobs could not be read ({type(error).__name__})."
        yield Coverage("bulk job list", False, None, None, 0, text)
        return
    inside = [at for at in times if window.start <= at <= (window.end or now)]
    text = f"{len(inside)} bulk query jobs of the window are still listed; deleted ones are only in the logs."
    first, last = (inside[0], inside[-1]) if inside else (None, None)
    yield Coverage("bulk job list", True, first, last, len(inside), text)
