"""The local lake: event logs as Parquet by type and day, their originals as evidence, and what is prepared.

    originals/<type>/<day>/<file>      the CSV files as they came, never changed, with SHA256SUMS beside them
    events/<type>/<day>.parquet        the rows of that unit, every value as text, plus `at` (UTC)
    cube/<day>.parquet                 hourly sums for each principal (see cube.py)
    people/                            which record is about whom (see lake_people.py)

Each Parquet file says in its own metadata from which originals it was made, so there is no catalogue that
could disagree with the files: a file is whole and current, or it is made again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from tasks.incident import Window, from_json
from tasks.scope.engine import Engine, name, text

FORMAT = 1  # raised when what is stored changes meaning: older files are made again
NO_DAY = "undated"
META = b"leak-response"
AT = "_at"  # the lower case keeps it apart from every log column


@dataclass(frozen=True, slots=True)
class UnitInfo:
    """What a unit's Parquet file says about itself. Times in UTC; None where no row has a readable time."""

    fingerprint: str
    rows: int
    duplicates: int
    undated: int
    first: str | None
    last: str | None
    columns: tuple[str, ...]
    problems: tuple[str, ...]
    files: int


@dataclass(frozen=True, slots=True, order=True)
class Unit:
    """One event type on one day: what is parsed, rebuilt and read as a whole."""

    type: str
    day: str


class Lake:
    """A folder. Safe for one writer for each unit and any number of readers."""

    def __init__(self, path: Path, engine: Engine | None = None) -> None:
        self.path = path
        self.engine = engine or Engine(temp=path / "tmp")

    def events_file(self, unit: Unit) -> Path:
        return self.path / "events" / unit.type / f"{unit.day}.parquet"

    def originals(self, unit: Unit) -> Path:
        return self.path / "originals" / unit.type / unit.day

    def cube_file(self, day: str) -> Path:
        return self.path / "cube" / f"{day}.parquet"

    @property
    def people(self) -> Path:
        return self.path / "people"

    def units(self, day: str = "*") -> list[Unit]:
        """Everything that has events here, of one day or of all."""
        found = (self.path / "events").glob(f"*/{day}.parquet")
        return sorted(Unit(path.parent.name, path.stem) for path in found)

    def info(self, unit: Unit) -> UnitInfo | None:
        """What the unit's file says about itself; None when it is not there, not whole, or older."""
        stored = read_meta(self.events_file(unit))
        if stored is None or stored.pop("format", None) != FORMAT:
            return None
        return from_json(UnitInfo, stored)  # type: ignore[no-any-return]

    def inside(
        self, window: Window, now: datetime, types: Iterable[str] = ()
    ) -> Iterator[tuple[Unit, UnitInfo]]:
        """The units that may hold an event of the window: by the times of their rows, not by their name.

        Rows without a readable time may fall into any window, so their units always count.
        """
        start, end = (at.astimezone(UTC).isoformat() for at in (window.start, window.end or now))
        wanted = frozenset(types)
        for unit in self.units():
            if wanted and unit.type not in wanted:
                continue
            info = self.info(unit)
            if info is None or not info.rows:
                continue
            if info.undated or (info.first and info.last and info.first <= end and info.last >= start):
                yield unit, info

    def events(self, event_type: str, window: Window, now: datetime) -> pd.DataFrame:
        """All rows of one type in the window, every value as text, as `logs.read_log` gives them."""
        chosen = [unit for unit, _ in self.inside(window, now, [event_type])]
        if not chosen:
            return pd.DataFrame()
        listed = ", ".join(text(self.events_file(unit)) for unit in chosen)
        with self.engine.connect() as db:
            found = db.execute(
                f"SELECT * EXCLUDE ({name(AT)}) FROM read_parquet([{listed}], "  # noqa: S608
                "union_by_name=true) "
                f"WHERE {within(window, now)} ORDER BY {name(AT)}"
            ).df()
        return found.fillna("").astype("str")


def lake_of(home: Path) -> Lake | None:
    """The lake in the product's home folder, where `ingest` keeps it unless told otherwise; None without."""
    path = home / "lake"
    return Lake(path) if path.is_dir() else None


def within(window: Window, now: datetime) -> str:
    """SQL: the row's time is in the window, or unknown."""
    start, end = moment(window.start), moment(window.end or now)
    return f"({name(AT)} IS NULL OR {name(AT)} BETWEEN {start} AND {end})"


def moment(at: datetime) -> str:
    """An instant as an SQL literal of the lake's times (UTC)."""
    return f"TIMESTAMP {text(at.astimezone(UTC).strftime('%Y-%m-%d %H:%M:%S.%f'))}"


def days(window: Window, now: datetime) -> list[str]:
    """The days (UTC) that a window touches."""
    day = window.start.astimezone(UTC).date()
    last = (window.end or now).astimezone(UTC).date()
    return [f"{day + timedelta(days=n):%Y-%m-%d}" for n in range((last - day).days + 1)]


# --- files that describe themselves ----------------------------------------------------------------


def read_meta(path: Path) -> dict[str, object] | None:
    """The description inside a Parquet file; None when there is none or the file is not whole."""
    try:
        stored = pq.read_metadata(path).metadata
    except (OSError, ValueError):  # pyarrow's ArrowInvalid is a ValueError
        return None
    found: dict[str, object] | None = json.loads(stored[META]) if stored and META in stored else None
    return found


def meta_sql(values: Mapping[str, object]) -> str:
    """The same description as an option of DuckDB's COPY."""
    return f"KV_METADATA {{{name(META.decode())}: {text(json.dumps(dict(values), sort_keys=True))}}}"


def info_values(info: UnitInfo) -> dict[str, object]:
    return {"format": FORMAT, **asdict(info)}


def put_in_place(partial: Path, path: Path) -> None:
    """Make a finished file visible under its name, whole or not at all, also after a power cut."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.chmod(0o600)
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def part_of(path: Path) -> Path:
    """Where a file is written before it is put in place; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path.with_name(f".{path.name}.{os.getpid()}.part")
