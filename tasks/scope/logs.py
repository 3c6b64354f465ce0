"""Read event-log CSV files as they really arrive: by header, whatever the order, and never fatally.

Schemas change with each release, a download can stop half way, a colleague may have saved the file from a
spreadsheet. What is wrong with a file is named; what can be read is read.
"""

from __future__ import annotations

import csv
import io
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
# Where an event log object calls a column otherwise than the file does.
_OBJECT_NAMES = {
    "REQUEST_IDENTIFIER": "REQUEST_ID",
    "USER": "USER_ID",
    "SOURCE_IP_ADDRESS": "SOURCE_IP",
    "CLIENT_IP_ADDRESS": "CLIENT_IP",
    "USERNAME": "USER_NAME",
    "CONNECTED_APP": "CONNECTED_APP_ID",
    "CONNECTED_APP_IDENTIFIER": "CONNECTED_APP_ID",
    "USER_IDENTIFIER": "USER_ID",
    "JOB_IDENTIFIER": "JOB_ID",
    "SQL_IDENTIFIER": "SQL_ID",
    "REPORT_IDENTIFIER": "REPORT_ID",
    "OBJECT_NAME": "ENTITY_NAME",
    "OBJECT_TYPE": "ENTITY_TYPE",
    "FIELD_COUNT": "NUMBER_FIELDS",
    "COLUMN_COUNT": "NUMBER_COLUMNS",
    "PROCESSED_RECORD_COUNT": "RECORDS_PROCESSED",
    "FAILED_RECORD_COUNT": "RECORDS_FAILED",
    "ERROR_MESSAGE": "MESSAGE",
}
# Columns that together tell one event from another, so that the others need not be the same.
_TELLING = frozenset({"TIMESTAMP_DERIVED", "REQUEST_ID"})
CUT = "the last line is cut off inside quotes: its last value may be incomplete"
_FIELD_LIMIT = 16 * 1024 * 1024  # SOQL text may have 100,000 characters; the csv module stops at 131,072


@dataclass(frozen=True, slots=True)
class LogRead:
    """The events of one file, every value as text, and what was wrong with the file."""

    events: pd.DataFrame
    problems: tuple[str, ...] = ()
    cut: bool = False  # the last row's last value may be incomplete


def read_log(path: Path) -> LogRead:
    """Read one CSV file, plain or gzipped, or a Parquet file. Raises OSError when it cannot be opened.

    Column names become those of EventLogFile, also where the file was exported from an event log object.
    """
    events, problems = read_table(path)
    events = events.set_axis(
        _unique([column_name(name) for name in events.columns], problems), axis="columns"
    )
    if len(events.columns):
        problems.extend(_missing(events))
    return LogRead(events, tuple(f"{path.name}: {problem}." for problem in problems), CUT in problems)


def column_name(name: str) -> str:
    """`SessionKey` of an event log object is `SESSION_KEY` in a file."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip()).replace(" ", "_").upper()
    return _OBJECT_NAMES.get(spaced, spaced)


def read_table(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The rows of a CSV (plain or gzipped, separated by comma, semicolon or tab) or Parquet file as text, by
    the header's names; and what was wrong with it. Raises OSError when the file cannot be opened."""
    problems: list[str] = []
    data = path.read_bytes()
    if data[:4] == b"PAR1":
        return _parquet(data, problems)
    text = _text(data, problems)
    csv.field_size_limit(min(sys.maxsize, _FIELD_LIMIT))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text))
    header = [name.strip() for name in next(rows, [])]
    if not header or header == [""]:
        return pd.DataFrame(), ["empty, not even a header"]
    names = _unique(header, problems)
    good, short, last_short = [], 0, False
    for row in _until_broken(rows, problems):
        if not row:
            continue
        last_short = len(row) != len(names)
        if not last_short:
            good.append(row)
        else:
            short += 1
    if last_short:
        short -= 1
        problems.append("the last line is cut off and was left out")
    elif good and _open_quote(text):
        problems.append(CUT)
    if short:
        problems.append(f"{short} lines do not fit the header and were left out")
    return pd.DataFrame(good, columns=names, dtype="str"), problems


def _until_broken(rows: Iterator[list[str]], problems: list[str]) -> Iterator[list[str]]:
    """The rows up to a value that never ends: a quote too many swallows the rest of a file."""
    try:
        yield from rows
    except csv.Error:
        problems.append(f"a value is longer than {_FIELD_LIMIT // 1024**2} MB; read up to it")


def _parquet(data: bytes, problems: list[str]) -> tuple[pd.DataFrame, list[str]]:
    try:
        frame = pd.read_parquet(io.BytesIO(data))
    except (OSError, ValueError, NotImplementedError) as error:
        return pd.DataFrame(), [*problems, f"the Parquet data is damaged ({type(error).__name__})"]
    return pd.DataFrame({str(name): _as_text(frame[name]) for name in frame.columns}), problems


def _as_text(values: pd.Series[Any]) -> pd.Series[str]:
    if pd.api.types.is_datetime64_any_dtype(values):
        instants = pd.to_datetime(values, utc=True).dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return instants.fillna("").astype("str")
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype("object").where(values.notna(), "").astype("str")


def delimiter_of(text: str) -> str:
    """The separator of the header line: spreadsheets write semicolons or tabs in half of the world."""
    header = text.partition("\n")[0]
    return max(",;\t|", key=header.count)


def _open_quote(text: str) -> bool:
    """Whether the text ends inside quotes: an even number of them closes every one."""
    return text.count('"') % 2 == 1


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
    derived = _read_instants(column(events, "TIMESTAMP_DERIVED"), "ISO8601")
    plain = column(events, "TIMESTAMP", "EVENT_DATE")
    compact = _read_instants(plain, "%Y%m%d%H%M%S.%f")
    other = _read_instants(plain, "ISO8601")
    return derived.fillna(compact).fillna(other.where(plain.str.contains("-", regex=False)))


def _read_instants(texts: pd.Series[str], form: str) -> pd.Series[pd.Timestamp]:
    read = pd.to_datetime(texts, utc=True, errors="coerce", format=form)
    return read.astype("datetime64[us, UTC]")  # one unit, also where nothing could be read


def join_logs(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Rows of several files of one event type, each row once: an hourly and a daily file overlap.

    Of files with different columns, rows that agree in all columns that both have are one event; the fuller
    row is kept.
    """
    frames = sorted((part for part in parts if not part.empty), key=lambda part: -len(part.columns))
    if not frames:
        return pd.DataFrame()
    shared = [name for name in frames[0].columns if all(name in part.columns for part in frames)]
    joined = pd.concat(frames, ignore_index=True).fillna("")
    if len(shared) == len(joined.columns) or not _TELLING.issubset(shared):
        return joined.drop_duplicates(ignore_index=True)
    return joined.drop_duplicates(ignore_index=True).drop_duplicates(shared, ignore_index=True)


def without_cut(joined: pd.DataFrame, cut: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """`joined` without rows that were cut off inside their last value where another file has them whole.

    `cut`: for each such file its last row. A row that stands nowhere else is kept: it happened.
    """
    for row in cut:
        last, others = row.columns[-1], [name for name in row.columns[:-1] if name in joined]
        same = (joined[others] == row[others].iloc[0]).all(axis=1)
        begun = str(row[last].iloc[0])
        whole = joined[last].str.startswith(begun.rstrip("\r\n")) & (joined[last] != begun)
        if (same & whole).any():
            joined = joined[~(same & (joined[last] == begun))]
    return joined.reset_index(drop=True)
