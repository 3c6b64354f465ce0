"""Scope: from the suspects to the records and people whose data left, as far as the logs go, and how
sure it is.

`scope` may be run again at any time: as later logs arrive the results become more precise, never less, and
what changed is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.salesforce.session import REQUEST_ID_PREFIX
from blocks.systems import Systems
from tasks.incident import Coverage, Incident, IncidentFolder, Ledger, Phase, ScopeSummary, Window, home
from tasks.scope.attribution import Attribution, Marks, Own, attribute
from tasks.scope.calls import Call, bulk_calls, rest_calls, usage_calls
from tasks.scope.directory import marks_of
from tasks.scope.exposure import Table, with_people, write
from tasks.scope.found import FoundCredential, found_credentials
from tasks.scope.gather import outside, with_stores
from tasks.scope.kept import keeping
from tasks.scope.kinds import categorise
from tasks.scope.lake import Lake, lake_of
from tasks.scope.lake_closed import with_suspects
from tasks.scope.lake_org import current_population, is_of
from tasks.scope.list_views import add_list_views
from tasks.scope.markers import place_markers
from tasks.scope.matching import Matched, match
from tasks.scope.other_sources import Suspected, listed_jobs, other_sources
from tasks.scope.people import People, resolve
from tasks.scope.population import Source, candidates, read_population, sources
from tasks.scope.reader import OrgReader, Reader
from tasks.scope.realtime import record_ids
from tasks.scope.report_runs import add_report_runs
from tasks.scope.rerun import Zone
from tasks.scope.resolve import Resolved, resolve_calls
from tasks.scope.salt import Salt, salt_of
from tasks.scope.shown import add_observed
from tasks.scope.sources import Logs, collect
from tasks.scope.summary import since_last, summarise


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a scoping works from, whether an org gave it or a folder of files."""

    reader: Reader
    logs: Logs
    marks: Marks
    own: Own | None
    salt: Salt
    zone: Zone | None = None  # how users read dates whose own zone cannot be read
    # Store and events of the suspects -> the ids of their records; None where the events carry them.
    records: Callable[[str, pd.DataFrame], Mapping[str, str]] | None = None
    # What the org tells beside its logs, once it is known who the suspects are.
    others: Callable[[Attribution], tuple[list[Call], tuple[Coverage, ...]]] | None = None


def scope(
    incident: Incident,
    systems: Systems,
    folder: IncidentFolder,
    ledger: Ledger,
    *,
    now: datetime,
    wait_s: float = 60,
    lake: Lake | None = None,
    on_progress: Callable[[str], None] = lambda _text: None,
) -> ScopeSummary:
    """Work out whose data left and write it into the incident's folder.

    `wait_s`: seconds to wait for late logs. `lake`: what was brought from this org ahead of time; without it
    everything is read now, with the same answer. Raises what reading the org raises when it cannot be read at
    all; a single source or query that fails widens the bounds and is named in the coverage statement.
    """
    reader = OrgReader(systems.salesforce)
    lake = lake if lake is not None and is_of(lake, reader) else None
    with ThreadPoolExecutor(1, thread_name_prefix="population") as pool:
        people = pool.submit(_population, reader, lake, now)  # while the logs are waited for
        on_progress("waiting for the event logs")
        logs = _collect(reader, incident, folder, now, wait_s, lake)
        logs = with_stores(reader, logs, incident.window, now, folder.sub("logs"))
        logs = replace(logs, coverage=(*logs.coverage, *outside(incident, systems, folder, now)))
        own = Own(REQUEST_ID_PREFIX, reader.org.whoami().user_id)
        salt = salt_of(systems.vault, folder.sub("exposure"))
        evidence = Evidence(
            reader,
            logs,
            marks_of(reader, incident),
            own,
            salt,
            records=keeping(folder.sub("logs"), partial(record_ids, reader)),
            others=partial(others_of, reader, incident.window, now),
        )
        return work_out(incident, evidence, people.result, folder, ledger, now=now, on_progress=on_progress)


def _collect(
    reader: OrgReader,
    incident: Incident,
    folder: IncidentFolder,
    now: datetime,
    wait_s: float,
    lake: Lake | None,
) -> Logs:
    markers = place_markers(reader)
    return collect(reader, incident.window, folder.sub("logs"), markers, now=now, wait_s=wait_s, lake=lake)


def work_out(
    incident: Incident,
    evidence: Evidence,
    population: Callable[[], Population],
    folder: IncidentFolder,
    ledger: Ledger,
    *,
    now: datetime,
    on_progress: Callable[[str], None] = lambda _text: None,
) -> ScopeSummary:
    """From events to people, and all of it written down. `population` may still be being read."""
    reader = evidence.reader
    attribution, calls, views = _attribute(incident, evidence, now)
    logs = replace(evidence.logs, coverage=(*evidence.logs.coverage, *views))
    on_progress(f"{len(attribution.events)} events are the suspects'")
    resolved = resolve_calls(reader, calls, evidence.zone)
    on_progress("resolving records to people")
    everybody = population()
    logs = replace(logs, coverage=(*logs.coverage, *everybody.coverage))
    who = _with_exposed(reader, everybody, resolved)
    rows = with_people(resolved.records, who)
    kinds, unseen = categorise(reader, rows)
    rows = rows.assign(categories=kinds)
    resolved = replace(resolved, notes=(*resolved.notes, *unseen))
    write(folder, Table(rows, resolved.runs), who, evidence.salt)
    return _told(folder, ledger, incident, summarise(incident, rows, resolved, calls, logs, attribution, now))


@dataclass(frozen=True, slots=True)
class Population:
    """Everybody the org knows, and the objects looked at for it."""

    sources: tuple[Source, ...]
    people: People
    coverage: tuple[Coverage, ...] = ()


def population_of(reader: Reader, exposed: Iterable[str] = ()) -> Population:
    found = sources(candidates(reader, exposed))
    return Population(found, resolve(read_population(reader, found), found))


def _population(reader: OrgReader, lake: Lake | None, now: datetime) -> Population:
    """Everybody, from the last night's reading and what changed since, where there is one."""
    if lake is not None:
        found = sources(candidates(reader))
        known = current_population(reader, lake, found, now)
        if known is not None:
            frames, line = known
            return Population(found, resolve(frames, found), (line,))
    return population_of(reader)


def _with_exposed(reader: Reader, known: Population, resolved: Resolved) -> People:
    """The people found; found again where an exposed object is about people and was not looked at."""
    exposed = [str(name) for name in resolved.records["object"].unique()]
    wanted = {source.object for source in sources(candidates(reader, exposed))}
    if wanted <= {source.object for source in known.sources}:
        return known.people
    return population_of(reader, exposed).people


def _attribute(
    incident: Incident, evidence: Evidence, now: datetime
) -> tuple[Attribution, Matched, tuple[Coverage, ...]]:
    """The suspects' events, what they asked for, and what their reports and list views come to."""
    events = evidence.logs.events
    if evidence.logs.closed:
        events = with_suspects(evidence.logs.closed, events, evidence.marks, incident.window, now)
    attribution = attribute(events, evidence.marks, incident.window, now=now, own=evidence.own)
    more, lines = evidence.others(attribution) if evidence.others else ([], ())
    calls = [*rest_calls(attribution), *bulk_calls(attribution), *usage_calls(attribution), *more]
    matched = match(attribution, calls, evidence.reader.shape)
    views = (
        *lines,
        *add_report_runs(attribution, matched, evidence.reader, evidence.zone),
        *add_list_views(attribution, matched, evidence.reader),
    )
    matched, named = add_observed(matched, attribution, evidence.reader, evidence.records)
    return attribution, matched, (*views, *named)


def others_of(
    reader: OrgReader, window: Window, now: datetime, attribution: Attribution
) -> tuple[list[Call], tuple[Coverage, ...]]:
    suspected = Suspected.of(attribution)
    jobs, line = listed_jobs(reader, attribution, suspected, window, now)
    return jobs, (*other_sources(reader, suspected, window, now), line)


def _told(folder: IncidentFolder, ledger: Ledger, incident: Incident, summary: ScopeSummary) -> ScopeSummary:
    """Write the summary and the ledger's line, with what changed since the last time."""
    changed = since_last(folder.read(folder.scope, ScopeSummary), summary)
    if changed is not None:
        summary = replace(summary, coverage=(*summary.coverage, changed))
    folder.write(folder.scope, summary)
    _note(ledger, incident, summary)
    if changed is not None:
        ledger.note(Phase.SCOPE, "scope changed", incident.id, detail=changed.statement)
    return summary


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
    return scope(
        incident, systems, folder, ledger, now=datetime.now(UTC), wait_s=wait_s, lake=lake_of(home())
    )
