"""The stores of Real-Time Event Monitoring: who ran which query, report or list view, with the record ids.

They are read in two steps: who and when for all events of the window, then the ids of the suspects' events
alone, since the ids of a whole org's events would not fit anywhere.
Source: platform events guide, API 67: a store can be filtered by EventDate and EventIdentifier alone, sorted
by EventDate DESC alone, and takes no aggregate. ConnectedAppId is null once a token is active.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from blocks.errors import LeakResponseError
from tasks.incident import Coverage, Window
from tasks.scope.logs import column_name, instants
from tasks.scope.reader import Reader
from tasks.scope.stated import Source, absent, present

LICENCE = "Salesforce Shield or Event Monitoring"
LAG = timedelta(minutes=5)  # "near real time"; no figure is published
APART = timedelta(minutes=5)  # events nearer than this are asked for together
_WHO = (
    "EventDate", "EventIdentifier", "UserId", "Username", "SessionKey", "LoginKey", "LoginHistoryId",
    "SourceIp", "PolicyOutcome",
)  # fmt: skip
# Store -> its further fields, without the record ids.
FIELDS: dict[str, tuple[str, ...]] = {
    "ApiEvent": (
        "Query", "QueriedEntities", "Operation", "RowsProcessed", "RowsReturned", "RequestIdentifier",
        "UserAgent", "ApiType", "Application", "Client", "ConnectedAppId",
    ),
    "ReportEvent": (
        "ReportId", "Name", "ColumnHeaders", "QueriedEntities", "Operation", "ExportFileFormat",
        "ExecutionIdentifier", "Sequence", "RowsProcessed",
    ),
    "ListViewEvent": (
        "ListViewId", "Name", "ColumnHeaders", "QueriedEntities", "ExecutionIdentifier", "Sequence",
        "RowsProcessed",
    ),
    "BulkApiResultEventStore": ("Query",),
}  # fmt: skip
WITH_RECORDS = frozenset({"ApiEvent", "ReportEvent", "ListViewEvent"})
TELLS: dict[str, tuple[str, str]] = {  # what a store tells, what is not known without it
    "ApiEvent": (
        "it names the records that API queries returned",
        "the records of queries are those that running them again gives",
    ),
    "ReportEvent": (
        "it names the records and columns that reports showed",
        "the records of reports are those that running them again gives",
    ),
    "ListViewEvent": (
        "it names the records and columns that list views showed",
        "the records of list views are those that reading them again gives",
    ),
    "BulkApiResultEventStore": (
        "it tells who downloaded results of bulk queries",
        "whether the results of a bulk query were downloaded follows from the usage log alone",
    ),
}
SOURCES = {name: Source(name, tells, without, LAG, LICENCE) for name, (tells, without) in TELLS.items()}


@dataclass(frozen=True, slots=True)
class Stores:
    """What the stores hold for the window: events by store, columns named as in the log files."""

    events: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    coverage: tuple[Coverage, ...] = ()


def read_stores(reader: Reader, window: Window, now: datetime) -> Stores:
    """All events of the window. A store that is not there, or refuses, is a line of the statement."""
    events: dict[str, pd.DataFrame] = {}
    lines: list[Coverage] = []
    for name, source in SOURCES.items():
        if name not in reader.object_names:
            why = "is not there for us: not licensed, or without View Real-Time Event Monitoring Data"
            lines.append(absent(source, why))
            continue
        try:
            found = _read(reader, name, window.start, window.end or now)
        except LeakResponseError as error:
            lines.append(absent(source, f"could not be read ({error.problem})"))
            continue
        events[name] = found
        times = instants(found).dropna() if len(found) else ()
        said = "" if len(found) else "no event: nothing was done, or storing it is switched off"
        lines.append(present(source, [at.to_pydatetime() for at in times], window, now, said=said))
    return Stores(events, tuple(lines))


def _read(reader: Reader, name: str, start: datetime, end: datetime) -> pd.DataFrame:
    shape = reader.shape.get(name)
    wanted = [*_WHO, *FIELDS[name]]
    fields = [f for f in wanted if shape is None or shape.field(f) is not None]
    rows = reader.query(_soql(name, fields, start, end + timedelta(seconds=1)))
    return normalised(name, pd.DataFrame([{f: _text(row.get(f)) for f in fields} for row in rows]))


def _soql(name: str, fields: Sequence[str], start: datetime, end: datetime) -> str:
    return (
        f"SELECT {', '.join(fields)} FROM {name} WHERE EventDate >= {_instant(start)} "  # noqa: S608 - names above
        f"AND EventDate <= {_instant(end)} ORDER BY EventDate DESC"
    )


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def normalised(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """A store's rows with the column names of the log files, so that they are attributed like these."""
    renamed = rows.rename(columns={column: column_name(column) for column in rows.columns})
    if name == "ApiEvent" and "APPLICATION" in renamed and "CONNECTED_APP_NAME" not in renamed:
        renamed = renamed.assign(CONNECTED_APP_NAME=renamed["APPLICATION"])
    return renamed.assign(EVENT_TYPE=name).astype("str")


def record_ids(reader: Reader, name: str, events: pd.DataFrame) -> dict[str, str]:
    """EventIdentifier -> `Records` (JSON) of these events (columns `at`, EVENT_IDENTIFIER).

    Raises what reading raises; an event whose ids are not there is left out.
    """
    wanted = frozenset(events["EVENT_IDENTIFIER"]) if len(events) else frozenset()
    found: dict[str, str] = {}
    for start, end in _spans(events["at"]) if wanted else ():
        for row in reader.query(_soql(name, ("EventIdentifier", "Records"), start, end)):
            if row["EventIdentifier"] in wanted and row.get("Records"):
                found[str(row["EventIdentifier"])] = str(row["Records"])
    return found


def _spans(times: Iterable[datetime]) -> Iterator[tuple[datetime, datetime]]:
    """Stretches of time that hold all of these, none of them longer quiet than APART."""
    start = end = None
    for at in sorted(times):
        if start is None or end is None:
            start = end = at
        elif at - end > APART:
            yield start, end
            start = end = at
        else:
            end = at
    if start is not None and end is not None:
        yield start, end + timedelta(milliseconds=1)
