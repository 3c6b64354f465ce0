"""Which reports the suspects ran or exported, and so which rows they saw.

One run leaves lines in up to five logs: Report, ReportExport, RestApi, the usage log, the query log. It is
counted once: by its request id, else by session, report and time. The rows come from the report as it is now,
run again as a query; a report that is gone, not ours to see or changed since shows perhaps all of its object.

A run over the API or in the browser shows at most 2,000 rows, and the API only a summary unless details are
asked for, which the address tells where a log keeps it whole; an export holds every row.
Source: Reports and Dashboards REST API Developer Guide; object reference, EventLogFile types Report (ORIGIN)
and ReportExport.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from tasks.incident import Coverage
from tasks.scope.attribution import Attribution
from tasks.scope.directory import zones_of
from tasks.scope.logs import column
from tasks.scope.matching import ALONE, Ask, Matched
from tasks.scope.queries import Asked
from tasks.scope.reader import Reader
from tasks.scope.report_query import asked_by_report, objects_of, whole
from tasks.scope.rerun import Zone
from tasks.scope.view_definitions import Definition, reports
from tasks.scope.view_events import Seen, lonely_ids, near, number, seen

MOST_SHOWN = 2_000  # rows of one run that is no export
_RUN = re.compile(
    r"/analytics/reports/(?P<id>00O\w{12,15})(?P<rest>/instances(?:/\w+)?)?/?(?:\?(?P<query>.*))?$"
)
_EXPORT = re.compile(r"/(?P<id>00O\w{12,15})\b")
# Addresses below analytics/reports that show no record.
_NOTHING = re.compile(
    r"^analytics/(?:reports(?:/\.\.\.(?:/(?:describe|fields))?)?|report-?types.*)$", re.IGNORECASE
)


@dataclass(slots=True)
class ReportRun:
    """One run. `rows` is how many the report has, `shown` how many the API is known to have sent."""

    seen: Seen
    source: str
    objects: tuple[str, ...] = ()
    rows: int | None = None
    shown: int | None = None
    export: bool = False
    certain: bool = False
    altered: bool = False  # run with other columns or filters than the saved ones
    doubt: str = ""

    @property
    def most(self) -> int | None:
        return None if self.export else MOST_SHOWN


def add_report_runs(
    attribution: Attribution, calls: Matched, reader: Reader, default_zone: Zone | None = None
) -> tuple[Coverage, ...]:
    """Put the suspects' report runs among `calls` as queries to run again; say what could not be told."""
    runs = list(report_runs(attribution, calls.reports))
    _forget(calls)
    if not runs:
        return ()
    told = reports(reader, {run.seen.id for run in runs})
    zones = zones_of(reader, {run.seen.user for run in runs}, default_zone)
    widened: dict[str, str] = {}
    for run in runs:
        definition = told[run.seen.id]
        for asked in _asked(run, definition, reader, zones.get(run.seen.user, Zone())):
            calls.asks.append(_ask(run, asked))
            calls.queries[asked.digest] = asked
            if asked.widened:
                widened[run.seen.id] = asked.widened
    calls.asks.sort(key=lambda ask: ask.at)
    return (_coverage(runs, widened),)


def report_runs(attribution: Attribution, texts: Sequence[str]) -> Iterator[ReportRun]:
    """Each run once, oldest first. `texts`: report ids that the query log holds, claimed or not."""
    runs = list(_logged(attribution))
    _exports(attribution, runs)
    _requests(attribution, runs)
    _usage(attribution, runs)
    _query_log(attribution, runs, texts)
    return iter(sorted(runs, key=lambda run: run.seen.at))


# --- the logs, each in turn ------------------------------------------------------------------------


def _logged(attribution: Attribution) -> Iterator[ReportRun]:
    rows = attribution.of_type("Report")
    if rows.empty:
        return
    ids = column(rows, "REPORT_ID_DERIVED", "REPORT_ID", "URI_ID_DERIVED")
    more = zip(
        column(rows, "ROW_COUNT"),
        column(rows, "ORIGIN"),
        column(rows, "ENTITY_NAME"),
        column(rows, "REQUEST_STATUS"),
        strict=True,
    )
    for one, (count, origin, entity, status) in zip(seen(rows, ids), more, strict=True):
        if status.upper() in ("F", "U"):  # failed or unauthorised: nothing was shown
            continue
        run = ReportRun(one, "report", _names(entity), number(count))
        _by_origin(run, origin)
        yield run


def _by_origin(run: ReportRun, origin: str) -> None:
    """What the way in which a report was run says of the rows that were shown."""
    word = origin.casefold()
    if "export" in word:
        run.export, run.certain, run.source = True, run.seen.certain, "report export"
    elif "api" in word:
        run.doubt = "no log tells whether the detail rows were asked for"
    elif any(part in word for part in ("classic", "lightning", "mobile")):
        run.doubt = "in the browser rows are sent as one scrolls: no log tells how many"
    else:
        run.doubt = f"how many rows a run of origin {origin or 'unknown'} shows is not known"
        run.export = not origin  # it may have been one


def _exports(attribution: Attribution, runs: list[ReportRun]) -> None:
    rows = attribution.of_type("ReportExport")
    if rows.empty:
        return
    from_uri = column(rows, "URI").str.extract(_EXPORT)["id"].fillna("")
    ids = column(rows, "URI_ID_DERIVED", "REPORT_ID_DERIVED", "REPORT_ID")
    ids = ids.where(ids.str.startswith("00O"), from_uri)
    free = [run for run in runs if run.export]
    for one in seen(rows, ids):
        run = _take(free, one)
        if run is None:
            run = ReportRun(one, "report export", export=True)
            runs.append(run)
        run.export, run.certain, run.doubt = True, run.certain or one.certain, ""


def _requests(attribution: Attribution, runs: list[ReportRun]) -> None:
    rows = attribution.of_type("RestApi")
    if rows.empty:
        return
    parts = column(rows, "URI").str.extract(_RUN)
    rows, parts = rows[parts["id"].notna()], parts[parts["id"].notna()]
    more = zip(
        column(rows, "METHOD"),
        column(rows, "STATUS_CODE"),
        column(rows, "ROWS_PROCESSED"),
        column(rows, "ENTITY_NAME"),
        parts["query"].fillna(""),
        strict=True,
    )
    free = [run for run in runs if "export" not in run.source]
    for one, (method, status, count, entity, query) in zip(seen(rows, parts["id"]), more, strict=True):
        if method.upper() in ("PATCH", "DELETE", "PUT") or (number(status) or 200) >= 400:
            continue
        run = _take(free, one)
        if run is None:
            run = ReportRun(one, "report")
            _by_origin(run, "api")
            runs.append(run)
        run.objects = run.objects or _names(entity)
        run.altered |= method.upper() == "POST"
        run.shown = number(count) or None
        if run.shown or "includedetails=true" in query.casefold():
            run.certain, run.doubt = one.certain, ""


def _usage(attribution: Attribution, runs: list[ReportRun]) -> None:
    """Calls that only the usage log holds, which names no session."""
    rows = attribution.of_type("ApiTotalUsage")
    if rows.empty:
        return
    parts = column(rows, "API_RESOURCE").str.extract(_RUN)
    rows, parts = rows[parts["id"].notna()], parts[parts["id"].notna()]
    methods, states = column(rows, "HTTP_METHOD"), column(rows, "STATUS_CODE")
    for one, method, status in zip(seen(rows, parts["id"]), methods, states, strict=True):
        if method.upper() in ("PATCH", "DELETE", "PUT") or (number(status) or 200) >= 400:
            continue
        if any(run.seen.request == one.request and run.seen.id == one.id for run in runs):
            continue
        run = ReportRun(one, "report", doubt="only the usage log names this run: its rows are not known")
        run.altered = method.upper() == "POST"
        runs.append(run)


def _query_log(attribution: Attribution, runs: list[ReportRun], texts: Sequence[str]) -> None:
    for one in lonely_ids(attribution, texts, "00O", [run.seen for run in runs]):
        run = ReportRun(one, ALONE, export=True)
        run.doubt = "only the query log names this report: how it was run, and by whom, is not known"
        runs.append(run)


def _take(free: list[ReportRun], one: Seen) -> ReportRun | None:
    """The run that this line is about, taken out of `free`: by request, else the nearest of the session."""
    same = [run for run in free if run.seen.id == one.id]
    asked = [run for run in same if one.request and run.seen.request == one.request]
    found = asked or [run for run in same if near(run.seen, one)]
    if not found:
        return None
    run = min(found, key=lambda run: abs(run.seen.at - one.at))
    free.remove(run)
    return run


def _names(entity: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in re.split(r"[,;]", entity) if name.strip())


# --- what a run showed -----------------------------------------------------------------------------


def _asked(run: ReportRun, told: Definition, reader: Reader, zone: Zone) -> tuple[Asked, ...]:
    """The queries that a run amounts to."""
    shape, metadata = reader.shape, told.described.get("reportMetadata") or {}
    objects = objects_of(metadata, shape) if metadata else run.objects
    why = told.why
    if run.altered:
        why = "it was run with columns or filters of its own, which no log holds"
    elif metadata and told.changed is not None and told.changed > run.seen.at:
        why = "it was changed after it was run"
    if why or not metadata:
        return whole(run.seen.id, why or "it cannot be described", objects or run.objects, shape)
    return asked_by_report(
        run.seen.id,
        metadata,
        shape,
        user=run.seen.user,
        zone=zone,
        most=run.most,
        hints=run.objects,
    )


def _ask(run: ReportRun, asked: Asked) -> Ask:
    most = run.rows if run.most is None or run.rows is None else min(run.rows, run.most)
    return Ask(
        asked,
        run.seen.at.to_pydatetime(),
        run.seen.credential,
        run.certain,
        rows=run.shown or most,
        source=run.source,
        session=run.seen.session,
        user=run.seen.user,
        doubt=run.doubt,
    )


def _forget(calls: Matched) -> None:
    """Calls and texts that are told as report runs now, or that show no record."""
    calls.reports[:] = [one for one in calls.reports if not one.startswith("00O")]
    kept = []
    for call in calls.unresolved:
        if _NOTHING.match(call.path) and not call.rows:
            calls.recon += not call.path.endswith("reports/...")
        elif not call.path.startswith("analytics/reports/..."):
            kept.append(call)
    calls.unresolved[:] = kept


def _coverage(runs: Sequence[ReportRun], widened: dict[str, str]) -> Coverage:
    exports = sum(run.source == "report export" for run in runs)
    text = (
        f"{len(runs)} runs of {len({run.seen.id for run in runs})} reports, {exports} of them exports; "
        f"their rows were found by running the reports' filters again"
    )
    text += f". Of {len(widened)} reports more is assumed than was read." if widened else "."
    times: Iterable[pd.Timestamp] = [run.seen.at for run in runs]
    return Coverage("reports", True, min(times).to_pydatetime(), max(times).to_pydatetime(), len(runs), text)
