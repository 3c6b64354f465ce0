"""The summary of a scoping: bounds in counts, and the coverage statement that says what they rest on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pandas as pd

from tasks.incident import Bounds, Coverage, Incident, ScopeSummary
from tasks.scope.attribution import Attribution
from tasks.scope.exposure import (
    people_by_category,
    people_by_residence,
    record_bounds,
    records_by_object,
    subject_bounds,
)
from tasks.scope.matching import Matched
from tasks.scope.queries import Asked
from tasks.scope.resolve import Resolved
from tasks.scope.sources import Logs


def summarise(
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
        presumed=_presumed(rows, calls, subjects),
    )


def _presumed(rows: pd.DataFrame, calls: Matched, subjects: Bounds) -> dict[str, int]:
    """People by residence if every bulk result of which something was fetched was fetched whole."""
    fetched = {ask.asked.digest for ask in calls.asks if ask.certain and ask.partly}
    whole = rows.assign(certain=rows["certain"].astype(bool) | rows["query"].isin(fetched))
    return {name: bounds.lower for name, bounds in people_by_residence(whole, subjects).items()}


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
    if fetched := sum(bool(ask.partly) for ask in calls.asks):
        text = (
            f"Results of {fetched} bulk queries were fetched, and no log tells how many of their rows: the "
            "lower bounds count none of them; the notification duties presume that all were."
        )
        lines.append(("bulk results", True, fetched, text))
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


def since_last(before: ScopeSummary | None, now: ScopeSummary) -> Coverage | None:
    """What changed against the last scoping of this incident; None where there was none before."""
    if before is None:
        return None
    changes = [
        f"{name} {_range(old)} to {_range(new)}"
        for name, old, new in (
            ("records", before.records, now.records),
            ("people", before.subjects, now.subjects),
        )
        if old != new
    ]
    objects = sorted(
        name
        for name in {*before.records_by_object, *now.records_by_object}
        if before.records_by_object.get(name) != now.records_by_object.get(name)
    )
    if objects:
        changes.append(f"other counts for {', '.join(objects)}")
    events = sum(c.events for c in now.coverage) - sum(c.events for c in before.coverage)
    was = f"{before.as_of:%Y-%m-%d %H:%M} UTC"
    text = f"Since the scoping of {was}: {'; '.join(changes) or 'no change'}; {events:+d} lines of evidence."
    return Coverage("what changed since", True, before.as_of, now.as_of, len(changes), text)


def _range(bounds: Bounds) -> str:
    return str(bounds.upper) if bounds.lower == bounds.upper else f"{bounds.lower}-{bounds.upper}"
