"""Scope: from the suspects to the records and people whose data left, as far as the logs go, and how
sure it is.

`scope` may be run again at any time: as later logs arrive the results become more precise, never less.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.salesforce.session import REQUEST_ID_PREFIX
from blocks.systems import Systems
from tasks.incident import Coverage, Incident, IncidentFolder, Ledger, Phase, ScopeSummary
from tasks.scope.attribution import Attribution, Own, attribute
from tasks.scope.calls import bulk_calls, rest_calls
from tasks.scope.directory import marks_of, zones_of
from tasks.scope.exposure import (
    Table,
    people_by_category,
    people_by_residence,
    record_bounds,
    records_by_object,
    subject_bounds,
    with_people,
    write,
)
from tasks.scope.found import FoundCredential, found_credentials
from tasks.scope.judge import Run
from tasks.scope.kinds import categorise
from tasks.scope.markers import place_markers
from tasks.scope.matching import Ask, Matched, match
from tasks.scope.people import People, resolve
from tasks.scope.population import Source, candidates, read_population, sources
from tasks.scope.queries import Asked
from tasks.scope.reader import OrgReader
from tasks.scope.rerun import has_dates, rerun
from tasks.scope.salt import salt_of
from tasks.scope.single import read_singles
from tasks.scope.sources import Logs, collect


@dataclass(frozen=True, slots=True)
class Resolved:
    """The records of all runs, and what could not be resolved."""

    records: pd.DataFrame
    runs: tuple[Run, ...]
    notes: tuple[str, ...]


def scope(
    incident: Incident,
    systems: Systems,
    folder: IncidentFolder,
    ledger: Ledger,
    *,
    now: datetime,
    wait_s: float = 60,
    on_progress: Callable[[str], None] = lambda _text: None,
) -> ScopeSummary:
    """Work out whose data left and write it into the incident's folder.

    `wait_s`: seconds to wait for late logs. Raises what reading the org raises when it cannot be read at
    all; a single source or query that fails widens the bounds and is named in the coverage statement.
    """
    reader = OrgReader(systems.salesforce)
    with ThreadPoolExecutor(1, thread_name_prefix="population") as pool:
        people = pool.submit(_population, reader)  # while the logs are waited for
        on_progress("waiting for the event logs")
        logs = _collect(reader, incident, folder, now, wait_s)
        attribution, calls = _attribute(reader, incident, logs, now)
        on_progress(f"{len(attribution.events)} events are the suspects'")
        resolved = _resolve(reader, calls)
        on_progress("resolving records to people")
        who = _with_exposed(reader, people, resolved)
    rows = with_people(resolved.records, who)
    kinds, unseen = categorise(reader, rows)
    rows = rows.assign(categories=kinds)
    resolved = replace(resolved, notes=(*resolved.notes, *unseen))
    salt = salt_of(systems.vault, folder.sub("exposure"))
    write(folder, Table(rows, resolved.runs), who, salt)
    summary = _summary(incident, rows, resolved, calls, logs, attribution, now)
    folder.write(folder.scope, summary)
    _note(ledger, incident, summary)
    return summary


def _collect(
    reader: OrgReader, incident: Incident, folder: IncidentFolder, now: datetime, wait_s: float
) -> Logs:
    markers = place_markers(reader)
    return collect(reader, incident.window, folder.sub("logs"), markers, now=now, wait_s=wait_s)


@dataclass(frozen=True, slots=True)
class _Population:
    sources: tuple[Source, ...]
    people: People


def _population(reader: OrgReader, exposed: Iterable[str] = ()) -> _Population:
    found = sources(candidates(reader, exposed))
    return _Population(found, resolve(read_population(reader, found), found))


def _with_exposed(reader: OrgReader, known: Future[_Population], resolved: Resolved) -> People:
    """The people found; found again where an exposed object is about people and was not looked at."""
    population = known.result()
    exposed = [str(name) for name in resolved.records["object"].unique()]
    wanted = {source.object for source in sources(candidates(reader, exposed))}
    if wanted <= {source.object for source in population.sources}:
        return population.people
    return _population(reader, exposed).people


def _attribute(
    reader: OrgReader, incident: Incident, logs: Logs, now: datetime
) -> tuple[Attribution, Matched]:
    marks = marks_of(reader, incident)
    own = Own(REQUEST_ID_PREFIX, reader.org.whoami().user_id)
    attribution = attribute(logs.events, marks, incident.window, now=now, own=own)
    calls = [*rest_calls(attribution), *bulk_calls(attribution)]
    return attribution, match(attribution, calls, reader.shape)


def _resolve(reader: OrgReader, calls: Matched) -> Resolved:
    """Run every query again, side by side; single reads and what stands alone join them."""
    groups: dict[str, list[Ask]] = defaultdict(list)
    asked: dict[str, Asked] = {}
    for ask in calls.asks:
        key = ask.asked.digest or f"whole {ask.asked.object}"
        groups[key].append(ask)
        asked[key] = ask.asked
    dated = {ask.user for ask in calls.asks if ask.asked.query is not None and has_dates(ask.asked.query)}
    zones = zones_of(reader, dated)
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
    runs.extend(_unresolved(calls))
    whole = [frame for frame in frames if len(frame)]
    records = pd.concat(whole, ignore_index=True) if whole else singles.records
    return Resolved(records, tuple(sorted(runs, key=lambda run: run.at)), tuple(dict.fromkeys(notes)))


def _unresolved(calls: Matched) -> list[Run]:
    """Successful reads whose records no source names: they count, by their observed rows."""
    return [
        Run(
            f"call {call.path}",
            call.entity,
            call.at,
            call.credential,
            call.kind.value,
            call.rows,
            None,
            False,
            0,
            f"{call.path}: the logs do not say which records",
        )
        for call in calls.unresolved
    ]


# --- the summary ---------------------------------------------------------------------------------


def _summary(
    incident: Incident,
    rows: pd.DataFrame,
    resolved: Resolved,
    calls: Matched,
    logs: Logs,
    attribution: Attribution,
    now: datetime,
) -> ScopeSummary:
    records = record_bounds(rows, resolved.runs)
    subjects = subject_bounds(rows, resolved.runs, records)
    unparsed = sum(1 for asked in calls.queries.values() if asked.widened and asked.query is None)
    return ScopeSummary(
        records=records,
        subjects=subjects,
        records_by_object=records_by_object(rows),
        by_residence=people_by_residence(rows, subjects),
        by_category=people_by_category(rows),
        coverage=(*logs.coverage, *_statements(resolved, calls, logs, attribution)),
        queries=len(calls.queries),
        unparsed_queries=unparsed,
        as_of=now,
        found_suspects=tuple(s for s in incident.suspects if s.found_in),
    )


def _statements(
    resolved: Resolved, calls: Matched, logs: Logs, attribution: Attribution
) -> tuple[Coverage, ...]:
    """What the work itself could not settle, each as one line."""
    lines: list[tuple[str, bool, int, str]] = []
    for problem, files in _gathered(logs.problems).items():
        lines.append(("event log files", True, files, f"{files} files: {problem}"))
    if attribution.undated:
        text = f"{attribution.undated} events have no readable time and count as inside the window."
        lines.append(("event log files", True, attribution.undated, text))
    if calls.unresolved:
        paths = ", ".join(sorted({call.path for call in calls.unresolved})[:5])
        text = (
            f"{len(calls.unresolved)} calls whose records no log names ({paths}): they raise the upper bound."
        )
        lines.append(("calls that name no record", False, len(calls.unresolved), text))
    if calls.reports:
        text = f"{len(calls.reports)} reports or list views were run; their rows are not resolved."
        lines.append(("reports and list views", False, len(calls.reports), text))
    if aggregates := [asked for asked in calls.queries.values() if asked.aggregate]:
        lines.append(("aggregate queries", True, len(aggregates), _aggregates(aggregates)))
    text = f"{calls.recon} calls that show no record, {calls.writes} writes, {calls.refused} refused calls."
    lines.append(("the suspects' other calls", True, calls.recon + calls.writes + calls.refused, text))
    lines += [("queries run again", True, 0, f"{note}.") for note in resolved.notes]
    return tuple(Coverage(name, present, None, None, count, text) for name, present, count, text in lines)


def _gathered(problems: Iterable[str]) -> dict[str, int]:
    """The same problem in many files, once: event type and problem -> files."""
    found: dict[str, int] = {}
    for problem in problems:
        name, _, text = problem.partition(": ")
        key = f"{name.partition('-')[0]}: {text}"
        found[key] = found.get(key, 0) + 1
    return found


def _aggregates(aggregates: list[Asked]) -> str:
    objects = ", ".join(sorted({asked.object for asked in aggregates}))
    grouped = sorted({f"{asked.object}.{name}" for asked in aggregates for name in asked.grouped})
    shown = f"; the values of {', '.join(grouped)} were shown without their records" if grouped else ""
    return f"{len(aggregates)} queries counted or summed over {objects}: no record was shown{shown}."


def _note(ledger: Ledger, incident: Incident, summary: ScopeSummary) -> None:
    ledger.note(
        Phase.SCOPE,
        "scope",
        incident.id,
        records={"lower": summary.records.lower, "upper": summary.records.upper},
        subjects={"lower": summary.subjects.lower, "upper": summary.subjects.upper},
        queries=summary.queries,
        unparsed=summary.unparsed_queries,
    )


# --- Prefect -------------------------------------------------------------------------------------


@task(name="find-credentials", cache_policy=NO_CACHE, persist_result=False)
def find_credentials(incident: Incident, systems: Systems) -> list[FoundCredential]:
    """Credentials in the free text the suspects could read. The values stay in this process's memory."""
    return found_credentials(incident, systems)


@task(name="scope", cache_policy=NO_CACHE, persist_result=False)
def scope_incident(
    incident: Incident, systems: Systems, folder: IncidentFolder, ledger: Ledger, wait_s: float = 60
) -> ScopeSummary:
    """Whose data left. Counts alone leave the incident's folder."""
    return scope(incident, systems, folder, ledger, now=datetime.now(UTC), wait_s=wait_s)
