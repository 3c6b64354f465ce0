"""Events that were queried stay in the incident's folder: stores forget, and licences end, evidence does not.

Kept as Parquet beside the log files, readable by the owner only. What was kept before is joined with what is
there now, each event once, so that running again never knows less.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

FOLDER = "stores"
IDENTIFIER = "EVENT_IDENTIFIER"
Read = Callable[[str, pd.DataFrame], Mapping[str, str]]


def with_kept(folder: Path, events: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The events by type, with those kept by an earlier scoping; all of them are kept now."""
    place = _place(folder)
    found = dict(events)
    for path in place.glob("*.parquet"):
        if not path.stem.endswith("-records"):
            found.setdefault(path.stem, pd.DataFrame())
    for kind, rows in found.items():
        path = place / f"{kind}.parquet"
        joined = _joined(pd.read_parquet(path), rows) if path.exists() else rows
        if len(joined):
            found[kind] = joined
            _write(path, joined)
    return found


def keeping(folder: Path, read: Read) -> Read:
    """`read` (store, events -> EventIdentifier -> `Records`), which asks only for what is not kept yet."""
    place = _place(folder)

    def kept(store: str, events: pd.DataFrame) -> Mapping[str, str]:
        path = place / f"{store}-records.parquet"
        known: dict[str, str] = {}
        if path.exists():
            frame = pd.read_parquet(path)
            known = dict(zip(frame["identifier"], frame["records"], strict=True))
        missing = events[~events[IDENTIFIER].isin(known)]
        if len(missing):
            known |= read(store, missing)
            _write(path, pd.DataFrame({"identifier": list(known), "records": list(known.values())}))
        return known

    return kept


def _place(folder: Path) -> Path:
    place = folder / FOLDER
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return place


def _joined(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    if new.empty:
        return old
    both = pd.concat([old, new], ignore_index=True).fillna("").astype("str")
    by = [IDENTIFIER] if IDENTIFIER in old and IDENTIFIER in new else None
    return both.drop_duplicates(by, keep="last", ignore_index=True)


def _write(path: Path, frame: pd.DataFrame) -> None:
    partial = path.with_suffix(".part")
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    frame.to_parquet(partial, index=False, compression="zstd")
    partial.replace(path)
