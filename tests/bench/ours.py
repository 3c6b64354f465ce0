"""This project's own ways to the answer: from the prepared lake, and straight from the exported files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tasks.scope.engine import Engine
from tasks.scope.ingest import Ingested, Keep, ingest
from tasks.scope.lake import Lake
from tasks.scope.lake_direct import find_in_files
from tasks.scope.lake_job import find
from tasks.scope.lake_people import Population, build_people
from tasks.scope.lake_records import ingest_records
from tests.bench.answer import KINDS, MARKS, MASKS, NOW, SOURCES, WINDOW, answer

WORKERS = 2


def lake_of(folder: Path) -> Lake:
    return Lake(folder / "lake")


def prepare_events(folder: Path) -> Ingested:
    """What happens as files arrive."""
    lake = Lake(folder / "lake", Engine(memory="700MB", threads=1, temp=folder / "lake" / "tmp"))
    with ThreadPoolExecutor(WORKERS) as pool:
        return ingest(folder / "logs", lake, keep=Keep.LINK, mapper=pool.map)


def prepare_people(folder: Path) -> None:
    """What happens every night."""
    lake = lake_of(folder)
    files = ingest_records(folder / "records", lake).files
    build_people(lake, Population(files, SOURCES, MASKS), "bench")


def from_lake(folder: Path) -> str:
    found = find(lake_of(folder), MARKS, WINDOW, now=NOW, kinds=KINDS)
    return answer(found.sums, found.records, found.features, found.table)


def from_files(folder: Path) -> str:
    found = find_in_files(
        folder / "logs",
        folder / "records",
        folder / "scratch",
        SOURCES,
        MASKS,
        MARKS,
        WINDOW,
        now=NOW,
        kinds=KINDS,
    )
    return answer(found.sums, found.records, found.features, found.table)
