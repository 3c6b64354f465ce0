"""What the incident report says, worked out from the incident's folder before any HTML is made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks.incident import (
    AccessStatus,
    Bounds,
    Containment,
    Duty,
    DutyStatus,
    Incident,
    IncidentFolder,
    Mode,
    ScopeSummary,
)
from tasks.report.text import bounds, plural, seconds, time_left
from tasks.report.timeline import Line, timeline

# Worst first: what needs a person stands on top.
ORDER = (
    AccessStatus.FAILED,
    AccessStatus.OPEN,
    AccessStatus.ASKED,
    AccessStatus.MANUAL,
    AccessStatus.REFUSED,
    AccessStatus.PLANNED,
    AccessStatus.CLOSED,
)
TONES = {
    AccessStatus.FAILED: "bad",
    AccessStatus.OPEN: "bad",
    AccessStatus.ASKED: "bad",
    AccessStatus.MANUAL: "warn",
    AccessStatus.REFUSED: "warn",
    AccessStatus.PLANNED: "calm",
    AccessStatus.CLOSED: "good",
}
LABELS = {
    AccessStatus.FAILED: "still open",
    AccessStatus.OPEN: "open",
    AccessStatus.ASKED: "open, waits for approval",
    AccessStatus.MANUAL: "needs a person",
    AccessStatus.REFUSED: "protected, left open",
    AccessStatus.PLANNED: "would be closed",
    AccessStatus.CLOSED: "closed, proven",
}


@dataclass(frozen=True, slots=True)
class Headline:
    """The one sentence that a reader takes away, and its tone: good, warn, bad or calm."""

    tone: str
    text: str
    detail: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One key figure."""

    figure: str
    caption: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Clock:
    """One duty with its time left. `used` is the share of its time that has passed, 0 to 1."""

    duty: Duty
    tone: str
    left: str
    used: float | None


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: lower and upper bound, in percent of the longest."""

    label: str
    value: Bounds
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the template shows."""

    incident: Incident
    now: datetime
    headline: Headline
    tiles: tuple[Tile, ...]
    clocks: tuple[Clock, ...]
    undetermined: tuple[Duty, ...]
    not_due: tuple[Duty, ...]
    duties_known: bool
    containment: tuple[Containment, ...]
    manual: tuple[Containment, ...]
    scope: ScopeSummary | None
    residences: tuple[Bar, ...]
    categories: tuple[Bar, ...]
    unknowns: tuple[str, ...]
    timeline: tuple[Line, ...]
    entries: int
    head: str
    seals: tuple[str, ...]


def report_of(folder: IncidentFolder, entries: Iterable[Mapping[str, Any]], now: datetime) -> Report | None:
    """The report from what the phases have left so far; None when the incident was never declared."""
    incident = folder.read(folder.incident, Incident)
    if incident is None:
        return None
    containment = folder.read(folder.containment, list[Containment])
    scope = folder.read(folder.scope, ScopeSummary)
    duties = folder.read(folder.duties, list[Duty])
    listed = list(entries)
    clocks = clocks_of(duties or [], now)
    known = sorted(containment or [], key=lambda c: (ORDER.index(c.status), c.access))
    return Report(
        incident=incident,
        now=now,
        headline=headline_of(incident, containment),
        tiles=_tiles(incident, containment, scope, clocks),
        clocks=clocks,
        undetermined=tuple(d for d in duties or [] if d.status is DutyStatus.UNDETERMINED),
        not_due=tuple(d for d in duties or [] if d.status is DutyStatus.NOT_DUE),
        duties_known=duties is not None,
        containment=tuple(known),
        manual=tuple(c for c in known if c.status is AccessStatus.MANUAL),
        scope=scope,
        residences=bars(scope.by_residence if scope else {}),
        categories=bars(scope.by_category if scope else {}),
        unknowns=tuple(_unknowns(containment, scope, duties, listed, _snapshot_gaps(folder))),
        timeline=tuple(timeline(listed)),
        entries=len(listed),
        head=str(listed[-1]["hash"]) if listed else "",
        seals=tuple(
            f"{e['target']} by key {str(e['details'].get('sha256', ''))[:16]}"
            for e in listed
            if e["action"] == "sealed"
        ),
    )


def headline_of(incident: Incident, containment: list[Containment] | None) -> Headline:
    """Contained means proven: anything else is said as what it is."""
    if containment is None:
        return Headline("bad", "Containment has not run.", "Every access of the suspects counts as open.")
    of = {status: [c for c in containment if c.status is status] for status in AccessStatus}
    closed = len(of[AccessStatus.CLOSED])
    still = sum(len(of[s]) for s in (AccessStatus.FAILED, AccessStatus.OPEN, AccessStatus.ASKED))
    if incident.mode is Mode.PLAN:
        planned = plural(len(of[AccessStatus.PLANNED]), "access", "accesses")
        return Headline("calm", f"Plan only: nothing was changed. {planned} would be closed.", "")
    left = [
        plural(len(of[AccessStatus.MANUAL]), "manual step") + " open" if of[AccessStatus.MANUAL] else "",
        f"{plural(len(of[AccessStatus.REFUSED]), 'access', 'accesses')} left open by a guard"
        if of[AccessStatus.REFUSED]
        else "",
    ]
    detail = "; ".join(part for part in left if part)
    proven = f"{closed:,} of {plural(len(containment), 'access', 'accesses')} closed and proven"
    if still:
        what = plural(still, "access is", "accesses are")
        return Headline(
            "bad", f"Not contained: {what} still open.", "; ".join(filter(None, (proven, detail)))
        )
    if not containment:
        return Headline("warn", "No access of the suspects was found.", "Check how the suspects are named.")
    if detail:
        return Headline("warn", f"Contained by us, not finished: {detail}.", proven)
    longest = seconds(max(c.seconds for c in containment))
    return Headline("good", "Contained: every access is closed and proven.", f"{proven} within {longest}")


def clocks_of(duties: list[Duty], now: datetime) -> tuple[Clock, ...]:
    """The duties that are owed, what is due first on top; one without a due time after them."""
    owed = [duty for duty in duties if duty.status is DutyStatus.DUE]
    owed.sort(key=lambda d: (d.due_at is None, d.due_at or now, d.rule))
    return tuple(_clock(duty, now) for duty in owed)


def _clock(duty: Duty, now: datetime) -> Clock:
    if duty.due_at is None:
        return Clock(duty, "warn", "no fixed time: without undue delay", None)
    used = None
    if duty.clock_start and duty.due_at > duty.clock_start:
        used = min(1.0, max(0.0, (now - duty.clock_start) / (duty.due_at - duty.clock_start)))
    tone = "bad" if now > duty.due_at else "warn" if used is not None and used >= 0.5 else "good"
    return Clock(duty, tone, time_left(duty.due_at, now), used)


def bars(values: Mapping[str, Bounds]) -> tuple[Bar, ...]:
    """Longest first, `unknown` last: it is a bucket, not a place."""
    longest = max((value.upper for value in values.values()), default=0) or 1
    ordered = sorted(values.items(), key=lambda item: (item[0] == "unknown", -item[1].upper, item[0]))
    return tuple(
        Bar(label, value, 100 * value.lower / longest, 100 * value.upper / longest)
        for label, value in ordered
    )


def _tiles(
    incident: Incident,
    containment: list[Containment] | None,
    scope: ScopeSummary | None,
    clocks: tuple[Clock, ...],
) -> tuple[Tile, ...]:
    closed = [c for c in containment or [] if c.status is AccessStatus.CLOSED]
    total = len(containment or [])
    tone = "good" if closed and len(closed) == total else "bad"
    timed = [clock for clock in clocks if clock.duty.due_at]
    first = timed[0] if timed else None
    last = seconds(max(c.seconds for c in closed)) if closed else "none yet"
    plan = incident.mode is Mode.PLAN
    return (
        Tile(f"{len(closed):,} of {total:,}", "accesses closed and proven", "" if plan else tone),
        Tile(last, "until the last of them was proven closed"),
        Tile(bounds(scope.subjects) if scope else "not known yet", "persons whose data left"),
        Tile(
            first.left if first else "none timed",
            f"first: {first.duty.recipient}" if first else "no duty with a due time",
            first.tone if first else "",
        ),
    )


def _unknowns(
    containment: list[Containment] | None,
    scope: ScopeSummary | None,
    duties: list[Duty] | None,
    entries: list[Mapping[str, Any]],
    gaps: list[str],
) -> Iterable[str]:
    """What is not known, each as a sentence. Unknown is never zero."""
    if containment is None:
        yield "Which accesses are open: containment has not run."
    if scope is None:
        yield "Whose data left: scoping has not run."
    else:
        yield from _scope_unknowns(scope)
    if duties is None:
        yield "Which notifications are owed: the duties were not computed yet."
    for duty in duties or []:
        if duty.status is DutyStatus.UNDETERMINED:
            facts = ", ".join(duty.missing) or "facts that only a person can give"
            yield f"Whether {duty.recipient} must be told ({duty.rule}): it needs {facts}."
    yield from gaps
    results = {e["id"] for e in entries if e["kind"] == "RESULT"}
    open_ = [e for e in entries if e["kind"] == "ATTEMPT" and e["id"] not in results]
    if open_:
        yield f"What became of {plural(len(open_), 'attempt')} whose result was never written."


def _scope_unknowns(scope: ScopeSummary) -> Iterable[str]:
    for source in scope.coverage:
        if not source.present:
            yield f"{source.source} is not available. {source.statement}"
    if scope.unparsed_queries:
        yield (
            f"What {plural(scope.unparsed_queries, 'query', 'queries')} of {scope.queries:,} returned: their "
            "text was not understood, so all readable fields are assumed."
        )
    unknown = scope.by_residence.get("unknown")
    if unknown and unknown.upper:
        yield f"Where {bounds(unknown)} of the persons live."
    if scope.subjects.lower != scope.subjects.upper:
        yield f"The exact number of persons: it is from {bounds(scope.subjects)}."


def _snapshot_gaps(folder: IncidentFolder) -> list[str]:
    """What the snapshot could not read, from its index."""
    index = folder.path / "snapshot" / "index.json"
    if not index.exists():
        return ["The state before containment: no snapshot was taken."]
    sources = json.loads(index.read_text(encoding="utf-8"))["sources"]
    return [f"Snapshot of {s['source']}: {s['problem']}" for s in sources if s["problem"]]
