"""Event logs from a folder that nobody prepared: any names, hourly and daily mixed, the same file twice.

Each file is taken for what it holds. What cannot be used is named; nothing in a file ends the work.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from tasks.incident import Coverage, Window
from tasks.scope.event_log_objects import without_entity
from tasks.scope.ingest import Keep, build_unit, keep_originals, sha256, stored_units
from tasks.scope.lake import Lake
from tasks.scope.lake_closed import Closed
from tasks.scope.local_files import data_files
from tasks.scope.logs import column, instants, join_logs, read_log, without_cut
from tasks.scope.realtime import SOURCES as STORES
from tasks.scope.realtime import normalised
from tasks.scope.sources import TYPES, Logs, coverage_of
from tasks.scope.stated import absent, present

# Columns by which an event type is known where neither the rows nor the name tell it.
_TELLTALE: dict[str, frozenset[str]] = {
    "UniqueQuery": frozenset({"QUERY_IDENTIFIER"}),
    "BulkApi2": frozenset({"JOB_ID", "OPERATION_TYPE", "JOB_STATUS"}),
    "RestApi": frozenset({"URI", "METHOD", "ROWS_PROCESSED"}),
    "ApiTotalUsage": frozenset({"API_FAMILY", "API_RESOURCE"}),
    "Login": frozenset({"LOGIN_STATUS", "LOGIN_TYPE"}),
    "Report": frozenset({"REPORT_ID", "ROW_COUNT"}),
    "ReportExport": frozenset({"REPORT_DESCRIPTION"}),
    "ApiEvent": frozenset({"QUERY", "OPERATION", "ROWS_RETURNED"}),
    "ReportEvent": frozenset({"REPORT_ID", "EXECUTION_IDENTIFIER"}),
    "ListViewEvent": frozenset({"LIST_VIEW_ID", "EXECUTION_IDENTIFIER"}),
}
KINDS = (*TYPES, *STORES)
LARGE = 128 * 1024 * 1024  # bytes; an eighth of it where the file is compressed
_TIMES = ("TIMESTAMP", "TIMESTAMP_DERIVED", "EVENT_DATE")


@dataclass(frozen=True, slots=True)
class LocalLogs:
    """The events, and what else the folder told: app and user ids by the names the logs give them."""

    logs: Logs
    apps: Mapping[str, frozenset[str]]  # connected app name -> ids
    users: Mapping[str, frozenset[str]]  # username in lower case -> ids


def read_logs(folder: Path, window: Window, now: datetime, scratch: Path, large: int = LARGE) -> LocalLogs:
    """All event logs below a folder, each event once.

    Files of more than `large` bytes are brought into a lake in `scratch`, where only the suspects' events are
    looked up: they do not fit into memory as they are.
    """
    with data_files(folder) as found:
        problems = [*found.problems]
        paths = list(_different(found.paths, problems))
        big = [path for path in paths if _in_lake(path, large)]
        joined = _small([path for path in paths if path not in big], problems)
        closed = _big(big, Lake(scratch), problems) if big else None
    told = dict(joined)
    for kind, rows in (closed.told() if closed else {}).items():
        told[kind] = pd.concat([rows, told[kind]], ignore_index=True).fillna("") if kind in told else rows
    coverage = (*coverage_of(told, window, frozenset(), now), *_stores(told, window, now))
    return LocalLogs(
        Logs(joined, coverage, tuple(problems), False, closed),
        _ids(joined, closed, "CONNECTED_APP_NAME", "CONNECTED_APP_ID", fold=False),
        _ids(joined, closed, "USER_NAME", "USER_ID_DERIVED", "USER_ID", fold=True),
    )


def _different(paths: Iterable[Path], problems: list[str]) -> Iterator[Path]:
    """The files that can be read, each content once."""
    seen: dict[str, str] = {}
    for path in paths:
        try:
            content = sha256(path)
        except OSError as error:
            problems.append(f"{path.name}: cannot be read ({type(error).__name__}).")
            continue
        if content in seen:
            problems.append(f"{path.name}: the same as {seen[content]}; read once.")
            continue
        seen[content] = path.name
        yield path


def _small(paths: Iterable[Path], problems: list[str]) -> dict[str, pd.DataFrame]:
    parts: dict[str, list[pd.DataFrame]] = defaultdict(list)
    cut: dict[str, list[pd.DataFrame]] = defaultdict(list)
    for path in paths:
        log = read_log(path)
        problems.extend(log.problems)
        found = list(_by_type(path.name, log.events))
        if not found and not log.events.empty:
            problems.append(f"{path.name}: is not an event log that scoping reads; left out.")
        for kind, events in found:
            parts[kind].append(events)
        if log.cut and len(found) == 1:
            cut[found[0][0]].append(found[0][1].tail(1))
    joined = {kind: without_cut(join_logs(frames), cut[kind]) for kind, frames in parts.items()}
    for kind, frames in parts.items():
        twice = sum(map(len, frames)) - len(joined[kind])
        if twice:
            problems.append(f"{kind}: {twice} events stand in more than one file; each counts once.")
    return joined


def _in_lake(path: Path, large: int) -> bool:
    with path.open("rb") as file:
        magic = file.read(4)
    return magic != b"PAR1" and path.stat().st_size > (large // 8 if magic[:2] == b"\x1f\x8b" else large)


def _big(paths: Sequence[Path], lake: Lake, problems: list[str]) -> Closed | None:
    """The large files as units of a lake of their own."""
    keep_originals(paths, lake, Keep.LINK, by_day=False)
    made = [(unit, build_unit(lake, unit)) for unit in stored_units(lake)]
    said = [f"{unit.type} {unit.day}: {problem}." for unit, info in made for problem in info.problems]
    said += [
        f"{unit.type}: {info.duplicates} events stand in more than one file; each counts once."
        for unit, info in made
        if info.duplicates
    ]
    there = [(unit, info.columns) for unit, info in made if unit.type in KINDS and info.rows]
    said += [
        f"{unit.type}: is not an event log that scoping reads; left out."
        for unit, info in made
        if unit.type not in KINDS and info.rows
    ]
    problems += said
    return Closed(lake, tuple(there), frozenset(), {}, (), _shaped) if there else None


def _shaped(events: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    found: dict[str, list[pd.DataFrame]] = defaultdict(list)
    for name, rows in events.items():
        for kind, part in _by_type(name, rows):
            found[kind].append(part)
    return {kind: join_logs(parts) for kind, parts in found.items()}


def _stores(events: Mapping[str, pd.DataFrame], window: Window, now: datetime) -> Iterator[Coverage]:
    """One line for each real-time store: exported or not."""
    for kind, source in STORES.items():
        rows = events.get(kind)
        if rows is None or rows.empty:
            yield absent(source, "was not exported")
        else:
            yield present(source, [at.to_pydatetime() for at in instants(rows).dropna()], window, now)


def _by_type(name: str, events: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows by event type; a file may hold several."""
    if events.empty or not any(time in events for time in _TIMES):
        return
    kinds = column(events, "EVENT_TYPE").str.strip()
    folded = {kind.casefold(): kind for kind in KINDS}
    kinds = kinds.str.casefold().map(folded).fillna("").where(kinds != "", _guess(name, events))
    for kind, part in events.groupby(kinds, sort=False):
        if kind in STORES:
            yield str(kind), normalised(str(kind), part.reset_index(drop=True))
        elif kind:
            yield str(kind), without_entity(str(kind), part.reset_index(drop=True))


def _guess(name: str, events: pd.DataFrame) -> str:
    """The event type by the file's name, else by its columns; "" when neither tells."""
    plain = re.sub(r"[^a-z0-9]", "", name.casefold())
    for kind in TYPES:  # before the stores: ReportEventLog is no ReportEvent
        if f"{kind.casefold()}eventlog" in plain:
            return kind
    by_name = [kind for kind in KINDS if plain.startswith(kind.casefold())]
    by_name = by_name or [kind for kind in KINDS if kind.casefold() in plain]
    if by_name:
        return max(by_name, key=len)
    return next((kind for kind, told in _TELLTALE.items() if told <= set(events.columns)), "")


def _ids(
    events: Mapping[str, pd.DataFrame], closed: Closed | None, name: str, *ids: str, fold: bool
) -> dict[str, frozenset[str]]:
    """The ids that the logs give next to each name."""
    found: dict[str, set[str]] = defaultdict(set)
    frames = [*events.values(), *(closed.different(name, *ids) if closed else ())]
    for rows in frames:
        if name in rows.columns:
            pairs = pd.DataFrame({"name": column(rows, name), "id": column(rows, *ids)}).drop_duplicates()
            for one, record_id in pairs.itertuples(index=False):
                if one and record_id:
                    found[one.casefold() if fold else one].add(record_id)
    return {one: frozenset(values) for one, values in found.items()}
