"""Exported records to columns: the whole population as one Parquet file for each object.

The object is the file's name without a part number: `Contact.csv`, `Contact-2.csv.gz` and `Contact_003.csv`
all hold contacts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from blocks.errors import BadInput
from tasks.scope.engine import files as listed
from tasks.scope.engine import name, text
from tasks.scope.ingest import log_files
from tasks.scope.lake import FORMAT, Lake, meta_sql, part_of, put_in_place, read_meta
from tasks.scope.lake_parse import parse

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


def ingest_records(folder: Path, lake: Lake) -> dict[str, Path]:
    """Object -> Parquet file; what was not changed since the last time is not read again."""
    return {
        name_: convert(lake, paths, lake.path / "records" / f"{name_}.parquet")
        for name_, paths in by_object(folder).items()
    }


def convert(
    lake: Lake, paths: Sequence[Path], target: Path, columns: Iterable[str] = (), level: str = "zstd"
) -> Path:
    """One object's CSV files as one Parquet file, every value as text, `columns` alone when given."""
    stats = [(path.name, stat.st_size, stat.st_mtime_ns) for path in paths if (stat := path.stat())]
    made_from = hashlib.sha256(repr((FORMAT, stats, sorted(columns))).encode()).hexdigest()
    if (read_meta(target) or {}).get("fingerprint") == made_from:
        return target
    parts: list[Path] = []
    partial = part_of(target)
    try:
        for piece in parse(paths, columns=tuple(columns), upper=False):
            for table in piece.tables:
                part = partial.with_suffix(f".{len(parts)}")
                pq.write_table(table, part, compression="lz4")
                parts.append(part)
        with lake.engine.connect() as db:
            sources = f"read_parquet({listed(parts)}, union_by_name=true)"
            names = [row[0] for row in db.execute(f"DESCRIBE SELECT * FROM {sources}").fetchall()]  # noqa: S608
            filled = ", ".join(f"coalesce({name(one)}, '') AS {name(one)}" for one in names)
            db.execute(
                f"COPY (SELECT {filled} FROM {sources}) TO {text(partial)} "  # noqa: S608
                f"(FORMAT parquet, COMPRESSION {level}, {meta_sql({'fingerprint': made_from})})"
            )
        put_in_place(partial, target)
    finally:
        for part in [*parts, partial]:
            part.unlink(missing_ok=True)
    return target
