"""The same answer straight from exported files that nobody prepared: each file is parsed once and forgotten.

Files are read by the day, several days together where they are small, so that the engine gets few large
pieces instead of thousands of small ones; while it counts one piece, the next is parsed. Of the days of the
window everything that the search needs is kept, of the days before only the hourly sums; what does not fit
spills into `scratch`. The rules are those of the lake, so the answer is the lake's.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pyarrow as pa

from tasks.incident import Window
from tasks.scope.attribution import NAMELESS, NO_KEYS, Marks, Own
from tasks.scope.cube import KEYS, MEASURES, cube_sql
from tasks.scope.cube import SOURCES as CUBE_SOURCES
from tasks.scope.engine import Engine, name
from tasks.scope.ingest import distinct_rows, instant_sql, log_files
from tasks.scope.lake import AT, NO_DAY, Lake, Unit, days
from tasks.scope.lake_job import (
    BASELINE,
    RECORDS,
    Found,
    Known,
    features_sql,
    look_up,
    narrow_sql,
    search_day,
    sessions_sql,
    tabulate,
    together,
)
from tasks.scope.lake_parse import parse, type_and_day
from tasks.scope.lake_people import Population, people_of
from tasks.scope.lake_records import by_object, convert
from tasks.scope.population import Source

BATCH = 48 * 1024 * 1024  # bytes of files that are handed to the engine at once; never less than a day
NEEDED = (
    "EVENT_TYPE", "TIMESTAMP", "TIMESTAMP_DERIVED", RECORDS,
    *dict.fromkeys(column for columns in CUBE_SOURCES.values() for column in columns),
)  # fmt: skip
CUBE_ONLY = tuple(c for c in NEEDED if c not in (RECORDS, "USER_NAME", "CONNECTED_APP_NAME"))
TELLING = "REQUEST_ID"  # a file without it needs all its columns to tell one event from another
# Left out of the first look for equal rows: who calls follows from the session.
_SAME = frozenset(
    ["EVENT_TYPE", "TIMESTAMP_DERIVED", RECORDS, "USER_NAME"]
    + [c for key in ("user", "app", "app_name", "ip", "agent", "login") for c in CUBE_SOURCES[key]]
)
_DAY = "_day"  # of the unit: who held a session is told day by day
_OURS = "SELECT session FROM sessions_seen GROUP BY session HAVING bool_and(mine)"
_KEYS = tuple(key for key in KEYS if key != "app")  # what the features need
_EMPTY = frozenset[str]()


@dataclass(frozen=True, slots=True)
class _Piece:
    """The rows of one unit, and where they came from."""

    unit: Unit
    paths: Sequence[Path]
    columns: Sequence[str]  # what was kept of the files
    table: pa.Table


def find_in_files(
    logs: Path,
    records: Path,
    scratch: Path,
    sources: Sequence[Source],
    masks: Mapping[str, Mapping[str, int]],
    marks: Marks,
    window: Window,
    *,
    now: datetime,
    own: Own | None = None,
    kinds: Sequence[str] = (),
    engine: Engine | None = None,
) -> Found:
    """As `lake_job.find`, from a folder of logs and one of records. `scratch` is removed afterwards."""
    shutil.rmtree(scratch, ignore_errors=True)
    lake = Lake(scratch, engine)
    try:
        with ThreadPoolExecutor(1) as ahead, lake.engine.connect() as db:
            _tables(db, window, now)
            inside = frozenset(days(window, now)) | {NO_DAY}
            batches = _batches(logs, window, now)
            waiting = ahead.submit(_read, next(batches, None), inside)
            while (pieces := waiting.result()) is not None:
                waiting = ahead.submit(_read, next(batches, None), inside)
                _take(db, pieces, inside, window, now, own)
            people = ahead.submit(_population, records, lake, sources, masks)
            ours = _EMPTY
            if own:
                ours = frozenset(row[0] for row in db.execute(_OURS).fetchall()) - NO_KEYS
            found = search_day(db, Known(marks, ours=ours))
            usual = db.execute(features_sql("cube", window, now)).df()
            for table in ("events", "cube"):
                db.execute(f"DROP TABLE {table}")  # room for the people
            sums, affected = together(found.sums, found.records)
            with_people = people_of(db, people.result(), affected)
            who = look_up(db, with_people, affected)
            return Found(found.known, sums, who, usual, tabulate(db, who, kinds))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


# --- reading -----------------------------------------------------------------------------------------------


def _batches(logs: Path, window: Window, now: datetime) -> Iterator[list[tuple[Unit, list[Path]]]]:
    """The units of whole days, of as many days as make a good piece."""
    wanted = {NO_DAY, *days(Window(window.start - BASELINE, window.end), now)}
    by_day: dict[str, dict[Unit, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in log_files(logs):
        kind, day = type_and_day(path)
        if (day or NO_DAY) in wanted:
            by_day[day or NO_DAY][Unit(kind, day or NO_DAY)].append(path)
    batch: list[tuple[Unit, list[Path]]] = []
    size = 0
    for day in sorted(by_day):
        batch += sorted(by_day[day].items())
        size += sum(path.stat().st_size for paths in by_day[day].values() for path in paths)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _read(batch: Sequence[tuple[Unit, list[Path]]] | None, inside: frozenset[str]) -> list[_Piece] | None:
    if batch is None:
        return None
    pieces = []
    for unit, paths in batch:
        columns = NEEDED if unit.day in inside else CUBE_ONLY
        tables: dict[tuple[str, ...], list[pa.Table]] = {}
        for parsed in parse(paths, columns=columns, telling=TELLING):
            for table in parsed.tables:
                tables.setdefault(tuple(table.column_names), []).append(table)
        found = [pa.concat_tables(held) for held in tables.values()]
        if found:
            table = found[0] if len(found) == 1 else _each_once(paths, columns)
            pieces.append(_Piece(unit, paths, columns, table))
    return pieces


def _each_once(paths: Sequence[Path], columns: Sequence[str]) -> pa.Table:
    """The careful way for a unit whose files overlap or differ: all columns are compared."""
    with TemporaryDirectory() as scratch, duckdb.connect() as db:
        rows, there = distinct_rows(db, parse(paths), Path(scratch))
        kept = [column for column in there if column in columns or TELLING not in there]
        return db.sql(f"SELECT {', '.join(map(name, kept))} FROM ({rows})").to_arrow_table()  # noqa: S608


# --- counting ----------------------------------------------------------------------------------------------


def _tables(db: duckdb.DuckDBPyConnection, window: Window, now: datetime) -> None:
    nothing = f"(SELECT NULL::TIMESTAMP AS {name(AT)} LIMIT 0)"
    db.execute(f"CREATE TEMP TABLE events AS {narrow_sql('', (), nothing, window, now, None)}")
    sums = ", ".join(f"{measure} BIGINT" for measure in MEASURES)
    texts = ", ".join(f"{key} VARCHAR" for key in _KEYS[1:])
    db.execute(f"CREATE TEMP TABLE cube (hour TIMESTAMP, {texts}, {sums})")
    db.execute("CREATE TEMP TABLE sessions_seen (session VARCHAR, mine BOOLEAN)")


def _take(
    db: duckdb.DuckDBPyConnection,
    pieces: Sequence[_Piece],
    inside: frozenset[str],
    window: Window,
    now: datetime,
    own: Own | None,
) -> None:
    """Add what these units hold to the tables."""
    relations: list[tuple[str, tuple[str, ...], str]] = []
    alike: dict[tuple[str, tuple[str, ...], bool], list[_Piece]] = defaultdict(list)
    for piece in pieces:
        alike[piece.unit.type, tuple(piece.table.column_names), piece.unit.day in inside].append(piece)
    for number, ((kind, columns, matters), same) in enumerate(alike.items()):
        raw = f"raw_{number}"
        _register_once(db, raw, columns, same)
        dated = f"(SELECT *, {instant_sql(columns)} AS {name(AT)} FROM {raw})"  # noqa: S608
        relations.append((kind, columns, dated))
        if matters:
            db.execute(f"INSERT INTO events {narrow_sql(kind, columns, dated, window, now, own)}")
            if own and kind not in NAMELESS:
                db.execute(f"INSERT INTO sessions_seen {sessions_sql(columns, dated, window, now, own)}")
    db.execute(f"INSERT INTO cube {cube_sql(relations, keys=_KEYS, day=_DAY)}")
    for number in range(len(alike)):
        db.unregister(f"raw_{number}")


def _register_once(
    db: duckdb.DuckDBPyConnection, raw: str, columns: Sequence[str], pieces: Sequence[_Piece]
) -> None:
    """Make the pieces' rows known to the engine, each row once.

    Rows that are the same event agree in these columns; only units where two rows do are read again and
    compared in all columns.
    """
    db.register(raw, pa.concat_tables([_with_day(piece) for piece in pieces]))
    listed = ", ".join(map(name, [c for c in columns if TELLING not in columns or c not in _SAME]))
    repeating = f"count(*) <> count(DISTINCT hash({listed}))"
    whole = f"SELECT count(*) <> count(DISTINCT hash({listed}, {name(_DAY)})) FROM {raw}"  # noqa: S608
    if not db.execute(whole).fetchall()[0][0]:
        return
    found = db.execute(f"SELECT {name(_DAY)} FROM {raw} GROUP BY {name(_DAY)} HAVING {repeating}")  # noqa: S608
    again = {row[0] for row in found.fetchall()}
    db.unregister(raw)
    once = [
        replace(piece, table=_each_once(piece.paths, piece.columns).select(list(columns)))
        if piece.unit.day in again
        else piece
        for piece in pieces
    ]
    db.register(raw, pa.concat_tables([_with_day(piece) for piece in once]))


def _with_day(piece: _Piece) -> pa.Table:
    places = pa.array(np.zeros(piece.table.num_rows, dtype=np.int8))
    return piece.table.append_column(_DAY, pa.DictionaryArray.from_arrays(places, pa.array([piece.unit.day])))


# --- people ------------------------------------------------------------------------------------------------


def _population(
    records: Path, lake: Lake, sources: Sequence[Source], masks: Mapping[str, Mapping[str, int]]
) -> Population:
    """What of the records tells who they are about, in one compact file for each object."""
    files: dict[str, Path] = {}
    found = by_object(records)
    there = [source for source in sources if source.object in found]
    for source in there:
        columns = sorted({*source.fields, *masks.get(source.object, {})})
        target = lake.path / "records" / f"{source.object}.parquet"
        convert(lake, found[source.object], target, columns, level="lz4")
        if target.exists():
            files[source.object] = target
    return Population(files, [source for source in there if source.object in files], masks)
