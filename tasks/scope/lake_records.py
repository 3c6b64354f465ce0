"""Exported records to columns: the whole population as one Parquet file for each object.

The object is the file's name without a part number: `Contact.csv`, `Contact-2.csv.gz` and `Contact_003.csv`
all hold contacts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from blocks.errors import BadInput
from tasks.scope.engine import files as listed
from tasks.scope.engine import name, text
from tasks.scope.ingest import log_files
from tasks.scope.lake import FORMAT, META, Lake, meta_sql, part_of, put_in_place, read_meta
from tasks.scope.lake_parse import parse
from tasks.scope.lake_people import PeopleMap, Population, build_people
from tasks.scope.local import LocalReader
from tasks.scope.local_names import field_name
from tasks.scope.population import candidates, sources

SAMPLE = 2_000  # rows
ROWS = 122_880  # of a row group, the engine's own measure
_OBJECT = re.compile(r"^([A-Za-z]\w*?)(?:[-_. ]\d+)?(?:[-. ].*)?$")


def object_of(path: Path) -> str:
    """`Contact` from Contact.csv, Contact-3.csv, Contact_003.csv.gz; Loyalty_Member__c stays whole."""
    found = _OBJECT.match(path.name.partition(".")[0])
    return found[1] if found else path.stem


def by_object(folder: Path) -> dict[str, list[Path]]:
    """The exported files of each object. Raises BadInput when there is none."""
    found: dict[str, list[Path]] = {}
    for path in log_files(folder):
        found.setdefault(object_of(path), []).append(path)
    if not found:
        raise BadInput(
            f"{folder} holds no CSV file of records.", "Name the folder with the exported objects."
        )
    return found


@dataclass(frozen=True, slots=True)
class Stored:
    """Object -> Parquet file, and what was wrong with the exported files."""

    files: Mapping[str, Path]
    problems: tuple[str, ...]


def ingest_records(folder: Path, lake: Lake) -> Stored:
    """Bring exported records into the lake; what was not changed since the last time is not read again."""
    files: dict[str, Path] = {}
    problems: list[str] = []
    for name_, paths in by_object(folder).items():
        target = lake.path / "records" / f"{name_}.parquet"
        problems += [f"{name_}: {problem}" for problem in convert(lake, paths, target)]
        if target.exists():
            files[name_] = target
    return Stored(files, tuple(problems))


def resolve_stored(stored: Stored, lake: Lake) -> PeopleMap:
    """Make the record-to-person map of all stored records. What each object's columns mean is told by its
    first rows. No map where no object is about people."""
    samples = {
        name_: next(pq.ParquetFile(path).iter_batches(SAMPLE)).to_pandas().astype("str")
        for name_, path in stored.files.items()
    }
    found = [one for one in sources(candidates(LocalReader(samples))) if one.object in stored.files]
    if not found:
        return PeopleMap(0, 0, 0)
    made_from = sorted(str((read_meta(path) or {}).get("fingerprint")) for path in stored.files.values())
    return build_people(lake, Population(stored.files, found, {}), repr(made_from))


def convert(
    lake: Lake, paths: Sequence[Path], target: Path, columns: Sequence[str] = (), level: str = "zstd"
) -> list[str]:
    """One object's exported files as one Parquet file: every value as text, each record once (the last of
    equal ids), `columns` alone when given. Returns what was wrong; nothing is written where no file has ids.
    """
    stats = [(path.name, stat.st_size, stat.st_mtime_ns) for path in paths if (stat := path.stat())]
    made_from = hashlib.sha256(repr((FORMAT, stats, sorted(columns))).encode()).hexdigest()
    stored = read_meta(target) or {}
    if stored.get("fingerprint") == made_from:
        return [str(one) for one in stored.get("problems", ())]  # type: ignore[attr-defined]
    partial = part_of(target)
    parts: list[Path] = []
    try:
        problems = _write_parts(paths, columns, partial, parts, level, made_from)
        if not parts:
            target.unlink(missing_ok=True)
            return [*problems, "no records could be read"]
        _finish(lake, parts, partial, level, made_from, problems)
        put_in_place(partial, target)
        return problems
    finally:
        for part in [*parts, partial]:
            part.unlink(missing_ok=True)


def _write_parts(
    paths: Sequence[Path],
    columns: Sequence[str],
    partial: Path,
    parts: list[Path],
    level: str,
    made_from: str,
) -> list[str]:
    """Write the rows as they are read, a new file for each change of header. The last file tells what it was
    made from: it may be the only one."""
    problems: list[str] = []
    writer: pq.ParquetWriter | None = None
    try:
        for piece in parse(paths, columns=columns, named=field_name):
            problems += piece.problems
            for table in piece.tables:
                if "Id" not in table.column_names:
                    problems.append("a file has no Id column, so its records cannot be told apart; left out")
                    continue
                filled = _filled(table, columns)
                if writer is None or writer.schema != filled.schema:
                    if writer is not None:
                        writer.close()
                    parts.append(partial.with_suffix(f".{len(parts):04d}"))
                    writer = pq.ParquetWriter(
                        parts[-1], filled.schema, compression=level, use_dictionary=False
                    )
                writer.write_table(filled, row_group_size=ROWS)
        problems = list(dict.fromkeys(problems))
        if writer is not None:
            meta = {"fingerprint": made_from, "problems": problems}
            writer.add_key_value_metadata({META: json.dumps(meta, sort_keys=True)})
    finally:
        if writer is not None:
            writer.close()
    return problems


def _filled(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The wanted columns in one order, empty where the file has none."""
    for column in columns:
        if column not in table.column_names:
            table = table.append_column(column, pa.repeat("", len(table)))
    return table.select(list(columns)) if columns else table


def _finish(
    lake: Lake, parts: Sequence[Path], partial: Path, level: str, made_from: str, problems: list[str]
) -> None:
    """One file, each id once. Where the only part is that already, it is used as it is."""
    source = f"read_parquet({listed(parts)}, union_by_name=true, filename=true, file_row_number=true)"
    with lake.engine.connect() as db:
        rows, different, blank = db.execute(
            'SELECT count(*), count(DISTINCT hash(left("Id", 15))), count(*) FILTER ("Id" = \'\') '  # noqa: S608
            f"FROM {source}"
        ).fetchall()[0]
        if len(parts) == 1 and rows == different and not blank:
            parts[0].rename(partial)
            return
        names = [row[0] for row in db.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]  # noqa: S608
        if blank:
            problems.append(f"{blank} lines have no Id and were left out")
        if twice := rows - blank - different + bool(blank):
            problems.append(f"{twice} records were there twice; the last is used")
        filled = ", ".join(f"coalesce({name(c)}, '') AS {name(c)}" for c in names[:-2])
        once = (
            'QUALIFY row_number() OVER (PARTITION BY left("Id", 15) ORDER BY filename DESC, '
            "file_row_number DESC) = 1"
            if rows > different
            else ""
        )
        meta = meta_sql({"fingerprint": made_from, "problems": problems})
        db.execute(
            f"COPY (SELECT {filled} FROM {source} WHERE \"Id\" <> '' {once}) TO {text(partial)} "  # noqa: S608
            f"(FORMAT parquet, COMPRESSION {level}, {meta})"
        )
