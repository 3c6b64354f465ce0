"""Read event-log CSV files as they really arrive: by header, whatever the order, and never fatally.

Schemas change with each release, a download can stop half way, a colleague may have saved the file from a
spreadsheet. What is wrong with a file is named; what can be read is read.
"""

from __future__ import annotations

import csv
import io
import sys
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

TIMES = ("TIMESTAMP_DERIVED", "TIMESTAMP")
# Columns without which an event of this type cannot be attributed or resolved as well as it could.
WANTED: dict[str, tuple[str, ...]] = {
    "RestApi": (
        "URI",
        "METHOD",
        "STATUS_CODE",
        "ROWS_PROCESSED",
        "CLIENT_IP",
        "USER_AGENT",
        "CONNECTED_APP_ID",
    ),
    "BulkApi2": ("JOB_ID", "JOB_STATUS", "OPERATION_TYPE", "ENTITY_TYPE", "RECORDS_PROCESSED"),
    "UniqueQuery": ("QUERY_IDENTIFIER", "QUERY_TYPE", "SESSION_KEY", "LOGIN_KEY"),
    "Login": ("LOGIN_KEY", "SOURCE_IP", "LOGIN_STATUS"),
    "ApiTotalUsage": ("API_FAMILY", "API_RESOURCE", "CONNECTED_APP_NAME", "CLIENT_IP"),
}
_ALL = ("EVENT_TYPE",)
_CALLER = ("REQUEST_ID", "USER_ID")
_NO_CALLER = frozenset({"UniqueQuery"})  # documented without: it joins by session and login key alone
_FIELD_LIMIT = 16 * 1024 * 1024  # SOQL text may have 100,000 characters; the csv module stops at 131,072


@dataclass(frozen=True, slots=True)
class LogRead:
    """The events of one file, every value as text, and what was wrong with the file."""

    events: pd.DataFrame
    problems: tuple[str, ...] = ()


def read_log(path: Path) -> LogRead:
    """Read one CSV file, plain or gzipped. Raises OSError when the file cannot be opened."""
    problems: list[str] = []
    text = _text(path.read_bytes(), problems)
    csv.field_size_limit(min(sys.maxsize, _FIELD_LIMIT))
    rows = csv.reader(io.StringIO(text, newline=""))
    header = [name.strip().upper() for name in next(rows, [])]
    if not header or header == [""]:
        return LogRead(pd.DataFrame(), (f"{path.name}: empty, not even a header.",))
    names = _unique(header, problems)
    good, short, last_short = [], 0, False
    for row in rows:
        last_short = len(row) != len(names)
        if not last_short:
            good.append(row)
        elif row:
            short += 1
    if last_short and short:
        short -= 1
        problems.append("the last line is cut off and was left out")
    if short:
        problems.append(f"{short} lines do not fit the header and were left out")
    events = pd.DataFrame(good, columns=names, dtype="str")
    problems.extend(_missing(events))
    return LogRead(events, tuple(f"{path.name}: {problem}." for problem in problems))


def _text(data: bytes, problems: list[str]) -> str:
    if data[:2] == b"\x1f\x8b":
        data = _gunzip(data, problems)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    text = data.decode("utf-8-sig", errors="replace")
    if "\ufffd" in text and b"\xef\xbf\xbd" not in data:
        problems.append("some bytes are not UTF-8 and were replaced")
    if "\0" in text:
        text = text.replace("\0", "")
    return text


def _gunzip(data: bytes, problems: list[str]) -> bytes:
    """All members of a gzip file, as far as they go."""
    out: list[bytes] = []
    while data:
        member = zlib.decompressobj(wbits=31)
        try:
            out.append(member.decompress(data) + member.flush())
        except zlib.error:
            problems.append("the gzip data is damaged; read up to the damage")
            break
        if not member.eof:
            problems.append("the gzip data is cut off")
            break
        data = member.unused_data
    return b"".join(out)


def _unique(header: Sequence[str], problems: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    names = []
    for name in header:
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    if repeated := sorted(name for name, count in seen.items() if count > 1):
        problems.append(f"column {', '.join(repeated)} appears twice; the first is used")
    return names


def _missing(events: pd.DataFrame) -> list[str]:
    kind = event_type(events)
    wanted = WANTED.get(kind, ()) + _ALL + (() if kind in _NO_CALLER else _CALLER)
    absent = [name for name in wanted if name not in events.columns]
    if not any(name in events.columns for name in TIMES):
        absent.append("TIMESTAMP")
    return [f"column {', '.join(absent)} is missing"] if absent else []


def event_type(events: pd.DataFrame) -> str:
    """The EVENT_TYPE the rows carry; empty when there is none."""
    if "EVENT_TYPE" not in events.columns or events.empty:
        return ""
    return str(events["EVENT_TYPE"].iloc[0])


def column(events: pd.DataFrame, *names: str) -> pd.Series[str]:
    """The first of these columns that is there, else empty text: a missing column is never an error."""
    filled = pd.Series("", index=events.index, dtype="str")
    for name in names:
        if name in events.columns:
            values = events[name].fillna("").astype("str")
            filled = filled.where(filled != "", values)
    return filled


def instants(events: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """When each event happened, in UTC; NaT where neither time column can be read.

    TIMESTAMP_DERIVED is ISO 8601, TIMESTAMP is `yyyyMMddHHmmss.SSS` in GMT.
    """
    derived = pd.to_datetime(column(events, "TIMESTAMP_DERIVED"), utc=True, errors="coerce", format="ISO8601")
    compact = pd.to_datetime(column(events, "TIMESTAMP"), utc=True, errors="coerce", format="%Y%m%d%H%M%S.%f")
    return derived.fillna(compact)


def join_logs(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Rows of several files of one event type, each row once: an hourly and a daily file overlap."""
    frames = [part for part in parts if not part.empty]
    if not frames:
        return pd.DataFrame()
    joined = pd.concat(frames, ignore_index=True).fillna("")
    return joined.drop_duplicates(ignore_index=True)
