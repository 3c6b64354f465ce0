"""The exposures of an incident as a table, kept as Parquet, and the readers others use.

One line for each record and field set and query: who it is about (a hashed key), from when, whether that is
certain (lower bound) or only possible (upper bound), and which kinds of data it shows. Names, addresses and
values are in none of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.incident import Bounds, IncidentFolder
from tasks.scope.judge import Run
from tasks.scope.people import People
from tasks.scope.salt import Salt

EXPOSURES = "exposures.parquet"
SUBJECTS = "subjects.parquet"
RUNS = "runs.parquet"
JOINS = "joins.parquet"
KEYS = "subject_keys.parquet"
SALT = "salt.json"  # which salt the keys were hashed with, not the salt
COLUMNS = (
    "object", "record_id", "fields", "query", "at", "credential", "certain", "changed", "reason", "subject",
    "residence", "categories",
)  # fmt: skip
NOBODY = -1


@dataclass(frozen=True, slots=True)
class Table:
    """Exposures with the person of each record, before it is written; `person` is -1 where there is none."""

    rows: pd.DataFrame
    runs: tuple[Run, ...]


def with_people(exposures: pd.DataFrame, people: People) -> pd.DataFrame:
    """Add `person` and `residence` to each exposure."""
    person = people.records.set_index("record_id")["person"]
    person = person[~person.index.duplicated()]
    known = exposures["record_id"].map(person).fillna(NOBODY).astype("int64")
    home = known.map(people.residence).where(known != NOBODY, "").fillna("")
    return exposures.assign(person=known, residence=home)


# --- bounds --------------------------------------------------------------------------------------


def record_bounds(rows: pd.DataFrame, runs: Iterable[Run]) -> Bounds:
    """How many different records left: certain ones and what single runs observed; all possible ones.

    Rows that a log observed but no re-run names count for the upper bound.
    """
    runs = tuple(runs)
    per_object = records_by_object(rows)
    sure = records_by_object(rows[rows["certain"].astype(bool)])
    least = _least(runs)
    unnamed = _unnamed(runs)
    names = set(per_object) | set(least) | set(unnamed)
    upper = {name: per_object.get(name, 0) + unnamed.get(name, 0) for name in names}
    lower = {name: min(max(sure.get(name, 0), least.get(name, 0)), upper[name]) for name in names}
    return Bounds(sum(lower.values()), sum(upper.values()))


def _least(runs: Iterable[Run]) -> dict[str, int]:
    """By object, the most rows that one run surely returned."""
    most: dict[str, int] = {}
    for run in runs:
        most[run.object] = max(most.get(run.object, 0), run.least)
    return most


def _unnamed(runs: Iterable[Run]) -> dict[str, int]:
    """By object, rows that were observed and that no re-run names: once for each query."""
    by_query: dict[tuple[str, str], int] = {}
    for run in runs:
        if run.observed is None or run.nested or (run.rerun is None and run.certain):
            continue
        key = (run.object, run.query)
        named = run.rerun if run.named is None else run.named
        by_query[key] = max(by_query.get(key, 0), run.observed - (named or 0))
    total: dict[str, int] = {}
    for (name, _), count in by_query.items():
        total[name] = total.get(name, 0) + max(0, count)
    return total


def subject_bounds(rows: pd.DataFrame, runs: Iterable[Run], records: Bounds) -> Bounds:
    """How many different people. A run that returned k of many records touched at least the fewest people
    who can hold k of them; a record without a name may be about one more person."""
    people = rows[rows["person"] != NOBODY]
    upper = int(people["person"].nunique())
    lower = int(people.loc[people["certain"].astype(bool), "person"].nunique())
    for name, k in _least(runs).items():
        mine = rows[rows["object"] == name].drop_duplicates("record_id")
        held = np.sort(mine.loc[mine["person"] != NOBODY, "person"].value_counts().to_numpy())[::-1]
        free = int((mine["person"] == NOBODY).sum())
        if k > free and len(held):
            lower = max(lower, int(np.searchsorted(held.cumsum(), k - free)) + 1)
    identified = int(rows.drop_duplicates(["object", "record_id"]).shape[0])
    upper += max(0, records.upper - identified)
    return Bounds(min(lower, upper), upper)


def records_by_object(rows: pd.DataFrame) -> dict[str, int]:
    """Different records by object, all of the upper bound, largest first."""
    found = rows.drop_duplicates(["object", "record_id"])["object"].value_counts()
    return {str(name): int(count) for name, count in found.items()}


def people_by_residence(rows: pd.DataFrame, subjects: Bounds) -> dict[str, Bounds]:
    """Different people by residence; people nobody could name may live anywhere and count as unknown."""
    people = rows.loc[rows["person"] != NOBODY, ["person", "residence", "certain"]]
    found = _bounds_by(people.assign(name=people["residence"]))
    unnamed = subjects.upper - int(people["person"].nunique())
    if unnamed > 0:
        known = found.get("unknown", Bounds(0, 0))
        found["unknown"] = Bounds(known.lower, known.upper + unnamed)
    return found


def people_by_category(rows: pd.DataFrame) -> dict[str, Bounds]:
    """Different people by the kind of their data that was shown."""
    people = rows.loc[rows["person"] != NOBODY, ["person", "categories", "certain"]].drop_duplicates()
    spread = people.assign(name=people["categories"].str.split(",")).explode("name")
    return _bounds_by(spread[spread["name"] != ""])


def _bounds_by(people: pd.DataFrame) -> dict[str, Bounds]:
    """Bounds by `name`, largest first."""
    upper = people.drop_duplicates(["person", "name"])["name"].value_counts()
    sure = people[people["certain"].astype(bool)].drop_duplicates(["person", "name"])["name"].value_counts()
    return {str(name): Bounds(int(sure.get(name, 0)), int(count)) for name, count in upper.items()}


# --- files ---------------------------------------------------------------------------------------


def subject_names(people: People, salt: Salt) -> pd.Series[str]:
    """The hashed key of each person: of the lowest id among their records, so that it stays the same on a
    re-run unless two people turn out to be one."""
    lowest = people.records.groupby("person")["record_id"].min()
    return lowest.map(salt.subject)


def write(folder: IncidentFolder, table: Table, people: People, salt: Salt) -> None:
    """Write all tables of this scoping, each whole or not at all, readable by the owner only."""
    out = folder.sub("exposure")
    names = subject_names(people, salt)
    rows = table.rows.assign(subject=table.rows["person"].map(names).fillna(""))
    folder.write(out / SALT, {"id": salt.id, "kept_in": salt.kept_in})
    _write(out / EXPOSURES, rows[list(COLUMNS)])
    affected = rows[rows["person"] != NOBODY]
    subjects = affected.groupby("subject", as_index=False).agg(
        residence=("residence", "first"), certain=("certain", "any"), records=("record_id", "nunique")
    )
    _write(out / SUBJECTS, subjects)
    _write(out / RUNS, runs_table(table.runs))
    ids = pd.concat([people.joins["record_id"], people.joins["to_record_id"]])
    about = ids.isin(people.records.loc[people.records["person"].isin(affected["person"]), "record_id"])
    _write(out / JOINS, people.joins[about.groupby(level=0).any().to_numpy(dtype=bool)])
    keys = people.keys[people.keys["person"].isin(affected["person"].unique())]
    pairs = keys[["rule", "key"]].to_numpy(dtype=object)
    hashed = [salt.subject(f"{rule}:{key}") for rule, key in pairs]
    _write(
        out / KEYS,
        pd.DataFrame(
            {"key": hashed, "rule": keys["rule"].to_numpy(), "subject": keys["person"].map(names).to_numpy()}
        ),
    )


def _write(path: Path, frame: pd.DataFrame) -> None:
    partial = path.with_suffix(".part")
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    frame.to_parquet(partial, index=False, compression="zstd")
    partial.replace(path)


def runs_table(runs: Iterable[Run]) -> pd.DataFrame:
    """One line for each run of a query: observed rows, re-run rows, the difference and the reason."""
    names = (
        "query",
        "object",
        "at",
        "credential",
        "source",
        "observed",
        "rerun",
        "difference",
        "certain",
        "note",
    )
    data: Mapping[str, list[object]] = {name: [getattr(run, name) for run in runs] for name in names}
    frame = pd.DataFrame(data)
    for name in ("observed", "rerun", "difference"):
        frame[name] = frame[name].astype("Int64")
    return frame


def exposures(folder: IncidentFolder) -> pd.DataFrame:
    """All exposures of the last scoping (columns COLUMNS); empty when there was none."""
    return _read(folder, EXPOSURES, COLUMNS)


def affected_records(folder: IncidentFolder, *, certain: bool = False) -> pd.DataFrame:
    """object, record_id of every record that left or may have left; with `certain` only those that
    surely did."""
    rows = _read(folder, EXPOSURES, COLUMNS)
    if certain:
        rows = rows[rows["certain"].astype(bool)]
    return rows[["object", "record_id"]].drop_duplicates(ignore_index=True)


def affected_subjects(folder: IncidentFolder, *, certain: bool = False) -> pd.DataFrame:
    """subject (hashed), object, record_id, residence: the exposed records of every affected data subject."""
    rows = _read(folder, EXPOSURES, COLUMNS)
    rows = rows[rows["subject"] != ""]
    if certain:
        rows = rows[rows["certain"].astype(bool)]
    return rows[["subject", "object", "record_id", "residence"]].drop_duplicates(ignore_index=True)


def runs(folder: IncidentFolder) -> pd.DataFrame:
    """One line for each run of a query, as `runs_table` makes it."""
    return _read(folder, RUNS, ("query",))


def _read(folder: IncidentFolder, name: str, columns: Iterable[str]) -> pd.DataFrame:
    path = folder.path / "exposure" / name
    if not path.exists():
        return pd.DataFrame({column: pd.Series(dtype="object") for column in columns})
    return pd.read_parquet(path)
