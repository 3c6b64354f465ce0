"""What is brought from the org ahead of any incident: closed log files into the lake, and who is who.

Run it every night. At incident time only newer files are downloaded, and of the records only those that
changed since; both give the answer that reading everything would give.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from blocks.errors import BadInput
from tasks.incident import Coverage, Window, utc
from tasks.scope.ingest import Ingested, Keep, Mapper, ingest, move_originals, read_sums, stored_units
from tasks.scope.lake import Lake, part_of, put_in_place
from tasks.scope.lake_closed import file_id
from tasks.scope.lake_people import PeopleMap, build_people
from tasks.scope.lake_people import Population as Files
from tasks.scope.population import Source, candidates, read_population, sources
from tasks.scope.reader import OrgReader
from tasks.scope.sources import TYPES, LogFile, LogStore, chosen, listed

DAYS = 30  # how long an org with the licence keeps its log files
FRESH = timedelta(hours=48)  # older than this, the population is read anew
OVERLAP = timedelta(minutes=10)  # records that were being written while the population was read


# --- whose -------------------------------------------------------------------------------------------------


def is_of(lake: Lake, reader: OrgReader) -> bool:
    """Whether the lake was filled from this org: a rehearsal in the same home must not read production's."""
    return _owner_file(lake).exists() and _owner_file(lake).read_text(encoding="utf-8") == _owner(reader)


def claim(lake: Lake, reader: OrgReader) -> None:
    """Make the lake this org's. Raises BadInput when it is another's."""
    file = _owner_file(lake)
    if not file.exists():
        partial = part_of(file)
        partial.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial.write_text(_owner(reader), encoding="utf-8")
        put_in_place(partial, file)
    elif not is_of(lake, reader):
        raise BadInput(
            f"The lake {lake.path} was filled from another org.", "Give this org a lake of its own: --lake."
        )


def _owner(reader: OrgReader) -> str:
    return f"{reader.org.whoami().org_id} {reader.org.instance_url}"


def _owner_file(lake: Lake) -> Path:
    return lake.path / "org.txt"


# --- logs --------------------------------------------------------------------------------------------------


def bring_logs(reader: OrgReader, lake: Lake, *, now: datetime, mapper: Mapper = map) -> Ingested:
    """Download the org's log files that the lake does not hold, and bring them in. Raises BadInput when the
    lake is another org's."""
    claim(lake, reader)
    window = Window(now - timedelta(days=DAYS), now)
    files = [file for file in chosen(listed(reader, window, now)) if file.event_type in TYPES]
    there = {file_id(name) for unit in stored_units(lake) for name in read_sums(lake.originals(unit))}
    staged = lake.path / "staged"
    staged.mkdir(parents=True, exist_ok=True, mode=0o700)
    LogStore(staged).fetch(reader, [file for file in files if file.id not in there])
    _set_aside(lake, files, window)
    made = ingest(staged, lake, keep=Keep.LINK, mapper=mapper)
    shutil.rmtree(staged)
    return made


def _set_aside(lake: Lake, files: Sequence[LogFile], window: Window) -> None:
    """Hours that their day's file replaced, and files that a newer one replaced, no longer make up a unit.

    They stay as evidence, beside it.
    """
    current = {file.id for file in files}
    days = {(file.event_type, file.day) for file in files}
    for unit in stored_units(lake):
        if (unit.type, unit.day) not in days or unit.day <= f"{window.start:%Y-%m-%d}":
            continue
        sums = read_sums(lake.originals(unit))
        old = [name for name in sums if file_id(name) and file_id(name) not in current]
        if old:
            move_originals(lake, unit, old)


# --- people ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stored:
    """The population as it was read: when, and which objects with which fields."""

    read_at: datetime
    objects: Mapping[str, tuple[str, ...]]


def bring_people(reader: OrgReader, lake: Lake, *, now: datetime) -> PeopleMap:
    """Read the key fields of every record about a person, and resolve them all. Raises BadInput when the
    lake is another org's."""
    claim(lake, reader)
    found = sources(candidates(reader))
    frames = read_population(reader, found)
    files: dict[str, Path] = {}
    for source in found:
        files[source.object] = _frame_file(lake, source.object)
        partial = part_of(files[source.object])
        frames[source.object].to_parquet(partial, index=False, compression="zstd")
        put_in_place(partial, files[source.object])
    made = build_people(lake, Files(files, found, {}), now.isoformat())
    told = {"read_at": now.isoformat(), "objects": {s.object: s.fields for s in found}}
    partial = part_of(_told_file(lake))
    partial.write_text(json.dumps(told, indent=2), encoding="utf-8")
    put_in_place(partial, _told_file(lake))
    return made


def stored_population(lake: Lake) -> Stored | None:
    """What the last night's reading holds; None without one."""
    path = _told_file(lake)
    if not path.exists():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    return Stored(utc(told["read_at"]), {name: tuple(fields) for name, fields in told["objects"].items()})


def current_population(
    reader: OrgReader, lake: Lake, found: Iterable[Source], now: datetime
) -> tuple[dict[str, pd.DataFrame], Coverage] | None:
    """The whole population: what was stored, and on top of it every record that changed since.

    None where nothing is stored or it is older than FRESH. Objects that were not stored, or with other
    fields, are read whole. Raises what reading the org raises.
    """
    stored = stored_population(lake)
    if stored is None or now - stored.read_at > FRESH:
        return None
    since = f"SystemModstamp >= {stored.read_at - OVERLAP:%Y-%m-%dT%H:%M:%SZ}"
    frames: dict[str, pd.DataFrame] = {}
    changed = 0
    for source in found:
        shape = reader.shape.get(source.object)
        dated = shape is not None and shape.field("SystemModstamp") is not None
        if not dated or set(source.fields) - set(stored.objects.get(source.object, ())):
            frames[source.object] = reader.frame(source.object, source.fields)
            continue
        old = pd.read_parquet(_frame_file(lake, source.object), columns=source.fields).astype("str")
        new = reader.frame(source.object, source.fields, since)
        changed += len(new)
        frames[source.object] = pd.concat([old[~old["Id"].isin(new["Id"])], new], ignore_index=True)
    return frames, _covered(stored, frames, changed, now)


def _covered(stored: Stored, frames: Mapping[str, pd.DataFrame], changed: int, now: datetime) -> Coverage:
    age = (now - stored.read_at).total_seconds() / 3600
    rows = sum(map(len, frames.values()))
    text = (
        f"Who is who was read {age:.1f} hours before ({stored.read_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC), "
        f"{rows} records; {changed} that changed since were read on top."
    )
    return Coverage("people", True, stored.read_at, now, rows, text)


def _frame_file(lake: Lake, name: str) -> Path:
    return lake.people / "population" / f"{name}.parquet"


def _told_file(lake: Lake) -> Path:
    return lake.people / "population.json"
