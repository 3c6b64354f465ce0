"""Bring event log files into the lake: incremental, deduplicated, and safe to kill at any moment.

A unit (one event type, one day) is made again whenever the set of its originals changed, and put in place
whole. Running it twice does nothing twice; running it after a crash finishes what is missing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.scope.cube import build_cube, cube_fingerprint
from tasks.scope.engine import files as listed
from tasks.scope.engine import name, text
from tasks.scope.lake import (
    AT,
    FORMAT,
    NO_DAY,
    Lake,
    Unit,
    UnitInfo,
    info_values,
    meta_sql,
    part_of,
    put_in_place,
)
from tasks.scope.lake_parse import Parsed, parse, type_and_day

SUMS = "SHA256SUMS"  # in the form that `sha256sum -c` reads
_SUFFIXES = (".csv", ".csv.gz")
_BLOCK = 1024 * 1024


class Keep(StrEnum):
    """How originals are kept. A link costs no space and is right where nobody changes the source folder."""

    COPY = "copy"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one run did."""

    files: int  # originals that were new
    units: tuple[Unit, ...]  # made or made again
    rows: int
    duplicates: int  # rows of these units that another file held too
    problems: tuple[str, ...]


Mapper = Callable[[Callable[..., Any], Iterable[Any]], Iterable[Any]]


def log_files(folder: Path) -> list[Path]:
    """The CSV files below a folder, plain or gzipped."""
    return sorted(
        path for path in folder.rglob("*") if path.name.lower().endswith(_SUFFIXES) and path.is_file()
    )


def ingest(folder: Path, lake: Lake, *, keep: Keep = Keep.COPY, mapper: Mapper = map) -> Ingested:
    """Keep the folder's log files as evidence and bring units and cubes up to date.

    `mapper` runs the units: the built-in `map`, a pool's, or one over a cluster that shares the folder.
    """
    came = keep_originals(log_files(folder), lake, keep)
    stale = [unit for unit in stored_units(lake) if is_stale(lake, unit)]
    infos = list(mapper(_Build(lake), stale))
    days = [
        day for day in sorted({unit.day for unit in lake.units()}) if cube_fingerprint(lake, day) is not None
    ]
    list(mapper(_Cube(lake), days))
    problems = [f"{u.type} {u.day}: {p}" for u, i in zip(stale, infos, strict=True) for p in i.problems]
    return Ingested(
        came, tuple(stale), sum(i.rows for i in infos), sum(i.duplicates for i in infos), tuple(problems)
    )


@dataclass(frozen=True, slots=True)
class _Build:
    """A function of a unit that can travel to another process."""

    lake: Lake

    def __call__(self, unit: Unit) -> UnitInfo:
        return build_unit(self.lake, unit)


@dataclass(frozen=True, slots=True)
class _Cube:
    lake: Lake

    def __call__(self, day: str) -> None:
        build_cube(self.lake, day)


# --- originals ---------------------------------------------------------------------------------------


def keep_originals(
    sources: Iterable[Path], lake: Lake, keep: Keep = Keep.COPY, *, by_day: bool = True
) -> int:
    """Put files into the lake as evidence; returns how many were new. Files that hold many days each belong
    into one unit (not `by_day`), else what two of them hold would be there twice.

    A file of the same name with other bytes (a day that was replaced) is kept beside the first. The hash is
    written after the file is in place: a file without one was interrupted and is taken again.
    """
    came = 0
    by_unit: dict[Path, list[Path]] = {}
    for source in sources:
        kind, day = type_and_day(source)
        by_unit.setdefault(lake.originals(Unit(kind, (by_day and day) or NO_DAY)), []).append(source)
    for folder, group in by_unit.items():
        sums = read_sums(folder)
        there = len(sums)
        for source in group:
            digest = sha256(source)
            if digest in sums.values():
                continue
            target = folder / (source.name if source.name not in sums else f"{digest[:12]}-{source.name}")
            _place(source, target, keep)
            sums[target.name] = digest
        if len(sums) > there:
            _write_sums(folder, sums)
        came += len(sums) - there
    return came


def _place(source: Path, target: Path, keep: Keep) -> None:
    if keep is Keep.LINK:
        link_or_copy(source, target)
    else:
        partial = part_of(target)
        partial.unlink(missing_ok=True)
        shutil.copyfile(source, partial)
        put_in_place(partial, target)


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under a second name; a copy on another file system. Whole or not at all."""
    partial = part_of(target)
    partial.unlink(missing_ok=True)
    try:
        os.link(source, partial)
        partial.replace(target)
    except OSError:
        shutil.copyfile(source, partial)
        put_in_place(partial, target)


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def read_sums(folder: Path) -> dict[str, str]:
    """File name -> SHA-256 of the originals in a unit's folder."""
    path = folder / SUMS
    if not path.exists():
        return {}
    lines = (line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines() if line)
    return {file: digest for digest, file in lines}


def _write_sums(folder: Path, sums: dict[str, str]) -> None:
    path = folder / SUMS
    partial = part_of(path)
    partial.write_text("".join(f"{sums[file]}  {file}\n" for file in sorted(sums)), encoding="utf-8")
    put_in_place(partial, path)


def move_originals(lake: Lake, unit: Unit, names: Sequence[str]) -> None:
    """Set originals of a unit aside, into `replaced/` with their hashes; the unit is made without them."""
    folder = lake.originals(unit)
    aside = folder / "replaced"
    aside.mkdir(exist_ok=True, mode=0o700)
    sums, old = read_sums(folder), read_sums(aside)
    for file in names:
        link_or_copy(folder / file, aside / file)
        old[file] = sums.pop(file)
    _write_sums(aside, old)
    _write_sums(folder, sums)
    for file in names:
        (folder / file).unlink()


def stored_units(lake: Lake) -> list[Unit]:
    """Every unit that has originals."""
    found = (lake.path / "originals").glob(f"*/*/{SUMS}")
    return sorted(Unit(path.parent.parent.name, path.parent.name) for path in found)


# --- units -------------------------------------------------------------------------------------------


def fingerprint(sums: dict[str, str]) -> str:
    """Names a set of originals."""
    joined = "\n".join(sorted(sums.values()))
    return hashlib.sha256(f"{FORMAT}\n{joined}".encode()).hexdigest()


def is_stale(lake: Lake, unit: Unit) -> bool:
    """Whether the unit has to be made: it is not there, not whole, or made from other originals."""
    info = lake.info(unit)
    return info is None or info.fingerprint != fingerprint(read_sums(lake.originals(unit)))


def build_unit(lake: Lake, unit: Unit) -> UnitInfo:
    """Make one unit's Parquet file from its originals: every column and row, each row once."""
    folder = lake.originals(unit)
    sums = read_sums(folder)
    with lake.engine.connect() as db:
        sources = [folder / file for file in sorted(sums)]
        return write_unit(db, lake, unit, parse(sources), fingerprint(sums), len(sums))


def write_unit(
    db: duckdb.DuckDBPyConnection,
    lake: Lake,
    unit: Unit,
    parsed: Iterator[Parsed],
    made_from: str,
    file_count: int,
) -> UnitInfo:
    """Deduplicate, date and store what was parsed."""
    target = lake.events_file(unit)
    partial = part_of(target)
    scratch = partial.with_suffix(".chunks")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        headers, problems = _stage(db, parsed, scratch)
        if not headers:
            headers = [_Header(("EVENT_TYPE",), _empty(db))]
        looks = [_look(db, header) for header in headers]
        rows_sql, columns, drift = _distinct(db, headers, [look.repeats for look in looks])
        problems += drift
        plain = len(looks) == 1 and not looks[0].repeats
        look = looks[0] if plain else _look(db, _Header(columns, f"({rows_sql})"))
        total = sum(one.rows for one in looks)
        info = _described(look, made_from, total, columns, problems, file_count)
        db.execute(
            f"COPY ({rows_sql}) TO {text(partial)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, "
            f"ROW_GROUP_SIZE 122880, {meta_sql(info_values(info))})"
        )
        put_in_place(partial, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        partial.unlink(missing_ok=True)
    return info


@dataclass(frozen=True, slots=True)
class _Header:
    """The rows that came under one header, as SQL to select from."""

    columns: tuple[str, ...]
    relation: str


def _empty(db: duckdb.DuckDBPyConnection) -> str:
    db.execute('CREATE TEMP TABLE "nothing" ("EVENT_TYPE" VARCHAR)')
    return '"nothing"'


def _stage(
    db: duckdb.DuckDBPyConnection, parsed: Iterator[Parsed], scratch: Path
) -> tuple[list[_Header], list[str]]:
    """The tables by header: a single one stays in memory, several go to files: memory stays bounded."""
    tables: dict[tuple[str, ...], list[pa.Table | Path]] = {}
    problems: list[str] = []
    for piece in parsed:
        problems += piece.problems
        for table in piece.tables:
            held = tables.setdefault(tuple(table.column_names), [])
            if held and isinstance(held[0], pa.Table):
                held[0] = _spill(held[0], scratch, tables)
            held.append(_spill(table, scratch, tables) if held else table)
    headers = []
    for number, (columns, held) in enumerate(tables.items()):
        paths = [piece for piece in held if isinstance(piece, Path)]
        if paths:
            headers.append(_Header(columns, f"read_parquet({listed(paths)})"))
        else:
            db.register(f"parsed_{number}", held[0])
            headers.append(_Header(columns, f'"parsed_{number}"'))
    return headers, problems


def _spill(table: pa.Table, scratch: Path, tables: dict[tuple[str, ...], list[pa.Table | Path]]) -> Path:
    scratch.mkdir(exist_ok=True, mode=0o700)
    number = sum(isinstance(piece, Path) for held in tables.values() for piece in held)
    path = scratch / f"{number}-{len(table.column_names)}-{id(table)}.parquet"
    pq.write_table(table, path, compression="lz4", use_dictionary=False)
    return path


def distinct_rows(
    db: duckdb.DuckDBPyConnection, parsed: Iterator[Parsed], scratch: Path
) -> tuple[str, tuple[str, ...]]:
    """SQL for what was parsed, each row once, and its columns; `scratch` holds what is not kept in memory."""
    headers, _ = _stage(db, parsed, scratch)
    headers = headers or [_Header(("EVENT_TYPE",), _empty(db))]
    rows, columns, _ = _distinct(db, headers, [True] * len(headers))
    return rows, columns


@dataclass(frozen=True, slots=True)
class _Look:
    """What one scan of some rows tells."""

    rows: int
    repeats: bool  # two rows may be the same: they share a hash
    dated: int
    first: datetime | None
    last: datetime | None
    types: int


def _look(db: duckdb.DuckDBPyConnection, header: _Header) -> _Look:
    columns = ", ".join(map(name, header.columns))
    kinds = f"count(DISTINCT {name('EVENT_TYPE')})" if "EVENT_TYPE" in header.columns else "1"
    rows, different, dated, first, last, types = db.execute(
        f"SELECT count(*), count(DISTINCT hash({columns})), count(_when), min(_when), max(_when), {kinds} "  # noqa: S608
        f"FROM (SELECT *, {instant_sql(header.columns)} AS _when FROM {header.relation})"
    ).fetchall()[0]
    return _Look(rows, rows != different, dated, first, last, types)


def _distinct(
    db: duckdb.DuckDBPyConnection, headers: Sequence[_Header], repeats: Sequence[bool]
) -> tuple[str, tuple[str, ...], list[str]]:
    """SQL for the rows of all headers, each row once, all columns of any of them.

    A request id is no key (one call leaves several events), so rows are the same only when every value is. A
    row under a header that lacks columns (a release added them between the hourly and the daily file) is the
    same as one under the wider header when all columns that both have agree.
    """
    once = {h.columns: _once(h, again) for h, again in zip(headers, repeats, strict=True)}
    order = sorted(headers, key=lambda header: (-len(header.columns), header.columns))
    columns = tuple(dict.fromkeys(column for header in order for column in header.columns))
    parts: list[str] = []
    problems: list[str] = []
    for place, header in enumerate(order):
        source = once[header.columns]
        wider = [other for other in order[:place] if set(header.columns) < set(other.columns)]
        own = ", ".join(map(name, header.columns))
        for other in wider:
            source = f"SELECT * FROM ({source}) WHERE ({own}) NOT IN (SELECT ({own}) FROM {other.relation})"  # noqa: S608
        missing = [column for column in columns if column not in header.columns]
        if missing and len(order) > 1:
            problems.append(f"some files have no column {', '.join(missing)}")
        filled = [f"'' AS {name(c)}" if c in missing else name(c) for c in columns]
        parts.append(f"SELECT {', '.join(filled)} FROM ({source})")  # noqa: S608
    rows = " UNION ALL ".join(parts)
    return f"SELECT *, {instant_sql(columns)} AS {name(AT)} FROM ({rows})", columns, problems  # noqa: S608


def _once(header: _Header, repeats: bool) -> str:
    """SQL for the rows of one header, each once; the costly way only where two rows share a hash."""
    distinct = "DISTINCT " if repeats else ""
    return f"SELECT {distinct}{', '.join(map(name, header.columns))} FROM {header.relation}"  # noqa: S608


def instant_sql(columns: Sequence[str]) -> str:
    """SQL for the instant of a row, read as `logs.instants` reads it."""
    ways = []
    if "TIMESTAMP_DERIVED" in columns:
        # UTC is quick; else as TIMESTAMPTZ first: a plain TIMESTAMP would drop an offset without a word.
        derived = name("TIMESTAMP_DERIVED")
        ways.append(
            f"CASE WHEN ends_with({derived}, 'Z') THEN try_cast({derived} AS TIMESTAMP) ELSE "
            f"CAST(try_cast({derived} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS TIMESTAMP) END"
        )
    if "TIMESTAMP" in columns:
        ways.append("try_strptime(\"TIMESTAMP\", '%Y%m%d%H%M%S.%g')")
    return f"coalesce({', '.join([*ways, 'CAST(NULL AS TIMESTAMP)'])})"


def _described(
    look: _Look,
    made_from: str,
    total: int,
    columns: tuple[str, ...],
    problems: Sequence[str],
    file_count: int,
) -> UnitInfo:
    said = list(problems)
    if look.types > 1:
        said.append(f"rows of {look.types} event types in one file")
    if look.rows > look.dated:
        said.append(f"{look.rows - look.dated} rows have no readable time")
    return UnitInfo(
        made_from,
        look.rows,
        total - look.rows,
        look.rows - look.dated,
        f"{look.first.isoformat()}+00:00" if look.first else None,
        f"{look.last.isoformat()}+00:00" if look.last else None,
        columns,
        tuple(dict.fromkeys(said)),
        file_count,
    )
