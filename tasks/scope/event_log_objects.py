"""The event log objects: the same events as in the log files, but hours sooner, and answered by a query.

Each event counts once: a row that a file holds as well is taken from the file. The two name an event alike by
its time, its session and, where both have it, its request id; a pair that differs in one of these counts
twice, which can only raise the upper bound.
Source: object reference, API 67 (RestApiEventLog and its siblings; UniqueQueryEventLog from API 65 on, with a
request id that the file lacks; ObjectType of BulkApi2EventLog is always "BulkApi2").
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from blocks.errors import LeakResponseError
from tasks.incident import Coverage, Window
from tasks.scope.logs import column, column_name, instants
from tasks.scope.reader import Reader
from tasks.scope.realtime import LICENCE, Stores
from tasks.scope.stated import Source, absent, present

LAG = timedelta(minutes=15)  # "low latency"; no figure is published
OBJECTS = {  # event type of the log file -> object
    "RestApi": "RestApiEventLog",
    "BulkApi2": "BulkApi2EventLog",
    "UniqueQuery": "UniqueQueryEventLog",
    "Login": "LoginEventLog",
    "ApiTotalUsage": "ApiTotalUsageEventLog",
    "Report": "ReportEventLog",
}
# What tells two events of one type and time apart, as far as both sources have it.
_TELLING = ("REQUEST_ID", "SESSION_KEY", "QUERY_IDENTIFIER", "JOB_ID", "JOB_STATUS", "API_RESOURCE")


def read_objects(reader: Reader, window: Window, now: datetime) -> Stores:
    """The events of the window by event type; an object that is not there is a line of the statement."""
    events: dict[str, pd.DataFrame] = {}
    lines: list[Coverage] = []
    for kind, name in OBJECTS.items():
        source = Source(
            name,
            f"the events of {kind} sooner than in its log file",
            f"{kind} events are known only once their log file is written",
            LAG,
            LICENCE,
        )
        if name not in reader.object_names:
            why = "is not there for us: not licensed, or without View Event Log Object Data"
            lines.append(absent(source, why))
            continue
        try:
            found = _read(reader, kind, name, window.start, window.end or now)
        except LeakResponseError as error:
            lines.append(absent(source, f"could not be read ({error.problem})"))
            continue
        events[kind] = found
        times = [at.to_pydatetime() for at in instants(found).dropna()] if len(found) else []
        lines.append(present(source, times, window, now))
    return Stores(events, tuple(lines))


def _read(reader: Reader, kind: str, name: str, start: datetime, end: datetime) -> pd.DataFrame:
    shape = reader.shape.get(name)
    fields = [f.name for f in shape.fields if f.name != "Id"] if shape else ["Timestamp"]
    soql = (
        f"SELECT {', '.join(fields)} FROM {name} "  # noqa: S608 - describe's names
        f"WHERE Timestamp >= {start:%Y-%m-%dT%H:%M:%SZ} "
        f"AND Timestamp <= {end + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    )
    rows = pd.DataFrame([{f: _text(row.get(f)) for f in fields} for row in reader.query(soql)])
    return normalised(kind, rows)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def normalised(kind: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the log file's column names."""
    named = rows.rename(columns={name: column_name(name) for name in rows.columns}).assign(EVENT_TYPE=kind)
    return without_entity(kind, named).astype("str")


def without_entity(kind: str, rows: pd.DataFrame) -> pd.DataFrame:
    """BulkApi2EventLog calls every entity "BulkApi2": then it is not known."""
    if kind != "BulkApi2" or "ENTITY_TYPE" not in rows:
        return rows
    return rows.assign(ENTITY_TYPE=rows["ENTITY_TYPE"].mask(rows["ENTITY_TYPE"] == "BulkApi2", ""))


def merged(files: Mapping[str, pd.DataFrame], objects: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The events of both, each once; those that both hold as the file has them."""
    found = dict(files)
    for kind, rows in objects.items():
        known = files.get(kind)
        if rows.empty:
            continue
        if known is None or known.empty:
            found[kind] = rows.reset_index(drop=True)
            continue
        fresh = rows[~_keys(rows, known).isin(set(_keys(known, rows)))]
        if len(fresh):
            found[kind] = pd.concat([known, fresh], ignore_index=True).fillna("")
    return found


def _keys(rows: pd.DataFrame, other: pd.DataFrame) -> pd.Series[str]:
    """Names each event by its time and by what both sources tell of it."""
    key = instants(rows).dt.strftime("%Y-%m-%dT%H:%M:%S.%f").fillna("?")
    for name in _TELLING:
        if name in rows.columns and name in other.columns:
            key = key + "|" + column(rows, name)
    return key
