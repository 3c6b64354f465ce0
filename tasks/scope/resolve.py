"""From the suspects' calls to the records they saw: every query is run again, side by side; single reads and
what stands alone join them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from tasks.scope.directory import zones_of
from tasks.scope.judge import Run
from tasks.scope.matching import ALONE, NEAR, Ask, Matched
from tasks.scope.queries import Asked
from tasks.scope.reader import Reader
from tasks.scope.rerun import Zone, has_dates, rerun
from tasks.scope.single import read_singles


@dataclass(frozen=True, slots=True)
class Resolved:
    """The records of all runs, and what could not be resolved."""

    records: pd.DataFrame
    runs: tuple[Run, ...]
    notes: tuple[str, ...]


def resolve_calls(reader: Reader, calls: Matched, default_zone: Zone | None = None) -> Resolved:
    """The records of all calls. `default_zone`: how users read dates whose own zone cannot be read."""
    groups: dict[str, list[Ask]] = defaultdict(list)
    asked: dict[str, Asked] = {}
    for ask in calls.asks:
        key = ask.asked.digest or f"whole {ask.asked.object}"
        groups[key].append(ask)
        asked[key] = ask.asked
    dated = {ask.user for ask in calls.asks if ask.asked.query is not None and has_dates(ask.asked.query)}
    zones = zones_of(reader, dated, default_zone or Zone())
    until = max((ask.at for ask in calls.asks), default=datetime.now(UTC))
    frames: list[pd.DataFrame] = []
    runs: list[Run] = []
    notes: list[str] = []
    with ThreadPoolExecutor(4, thread_name_prefix="rerun") as pool:
        results = pool.map(lambda key: rerun(reader, asked[key], groups[key], zones, until), groups)
        for key, found in zip(groups, results, strict=True):
            first = groups[key][0]
            frames.append(
                found.records.assign(query=key, credential=first.credential, reason="; ".join(found.notes))
            )
            runs.extend(found.runs)
            notes.extend(f"{asked[key].object or 'unknown object'}: {note}" for note in found.notes)
    singles = read_singles(reader, calls.records)
    frames.append(singles.records)
    runs.extend(singles.runs)
    notes.extend(singles.notes)
    runs.extend(list(_unresolved(calls, runs)))
    whole = [frame for frame in frames if len(frame)]
    records = pd.concat(whole, ignore_index=True) if whole else singles.records
    return Resolved(records, tuple(sorted(runs, key=lambda run: run.at)), tuple(dict.fromkeys(notes)))


def _unresolved(calls: Matched, runs: Sequence[Run]) -> Iterator[Run]:
    """Successful reads whose records no source names: they count, by their observed rows; less those that
    query texts of the same session explain, which stand alone at that time (a composite call ran them)."""
    alone = [run for run in runs if run.source == ALONE and run.rerun is not None]
    for call in calls.unresolved:
        mine = [
            r for r in alone if r.credential == f"session:{call.session[:6]}" and abs(r.at - call.at) <= NEAR
        ]
        explained = sum(run.rerun or 0 for run in mine) if "composite" in call.path else 0
        alone = [run for run in alone if not explained or run not in mine]
        observed = None if call.rows is None else max(0, call.rows - explained)
        note = f"{call.path}: the logs do not say which records"
        name = f"call {call.path}"
        yield Run(
            name, call.entity, call.at, call.credential, call.kind.value, observed, None, False, 0, note
        )
