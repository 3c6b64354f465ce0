"""The same answer straight from exported files that nobody prepared: each file is parsed once and forgotten.

For the days of the window what the search needs is kept, for the days before only the cube; nothing else is
written. The functions are those of the lake, so the answer is the lake's.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from tasks.incident import Window
from tasks.scope.attribution import Marks, Own
from tasks.scope.cube import SOURCES as CUBE_SOURCES
from tasks.scope.cube import build_cube
from tasks.scope.engine import Engine
from tasks.scope.ingest import Store, log_files, write_unit
from tasks.scope.lake import NO_DAY, Lake, Unit, days
from tasks.scope.lake_job import BASELINE, RECORDS, Found, find
from tasks.scope.lake_parse import parse, type_and_day
from tasks.scope.lake_people import Population, build_people
from tasks.scope.lake_records import by_object, convert
from tasks.scope.population import Source

NEEDED = (
    "EVENT_TYPE", "TIMESTAMP", "TIMESTAMP_DERIVED", RECORDS,
    *dict.fromkeys(column for columns in CUBE_SOURCES.values() for column in columns),
)  # fmt: skip
CUBE_ONLY = [
    c for c in NEEDED if c not in (RECORDS, "REQUEST_ID", "LOGIN_KEY", "USER_NAME", "CONNECTED_APP_NAME")
]


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
    workers: int = 2,
) -> Found:
    """As `lake_job.find`, from a folder of logs and one of records. `scratch` is removed afterwards."""
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        lake = Lake(scratch)
        narrow = Lake(scratch, Engine(memory="700MB", threads=1, temp=scratch / "tmp"))
        _events(logs, narrow, window, now, workers)
        _people(records, lake, sources, masks)
        return find(lake, marks, window, now=now, own=own, kinds=kinds)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _events(logs: Path, lake: Lake, window: Window, now: datetime, workers: int) -> None:
    units: dict[Unit, list[Path]] = defaultdict(list)
    for path in log_files(logs):
        kind, day = type_and_day(path)
        units[Unit(kind, day or NO_DAY)].append(path)
    wanted = {NO_DAY, *days(Window(window.start - BASELINE, window.end), now)}
    chosen = {unit: paths for unit, paths in units.items() if unit.day in wanted}
    with ThreadPoolExecutor(workers) as pool:
        inside = set(days(window, now))
        list(
            pool.map(
                lambda unit: _unit(lake, unit, chosen[unit], NEEDED if unit.day in inside else CUBE_ONLY),
                chosen,
            )
        )
        list(pool.map(lambda day: build_cube(lake, day), sorted({unit.day for unit in chosen})))


def _unit(lake: Lake, unit: Unit, paths: Sequence[Path], keep: Sequence[str]) -> None:
    with lake.engine.connect() as db:
        write_unit(
            db, lake, unit, parse(paths), "direct", len(paths), Store("COMPRESSION lz4", keep, ordered=False)
        )


def _people(
    records: Path, lake: Lake, sources: Sequence[Source], masks: Mapping[str, Mapping[str, int]]
) -> None:
    files = {}
    found = by_object(records)
    there = [source for source in sources if source.object in found]
    for source in there:
        columns = sorted({*source.fields, *masks.get(source.object, {})})
        target = lake.path / "records" / f"{source.object}.parquet"
        files[source.object] = convert(lake, found[source.object], target, columns, level="lz4")
    build_people(lake, Population(files, there, masks), "direct", joins=False)
