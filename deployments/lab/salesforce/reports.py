"""Reports: list, describe, run synchronously, and export as CSV, each with the log rows of a real org.

A synchronous run shows its summary, and with `includeDetails=true` at most 2,000 detail rows, and says by
`allData` whether that is all; the export that the user interface offers holds them all. Running needs
*Run Reports*, the export *Export Reports* as well, and no API right. A private report is its owner's alone.
Source: Reports and Dashboards REST API Developer Guide, "Execute Sync"; object reference, EventLogFile types
Report and ReportExport. The order of steps and the words of errors are as far as they are published.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployments.lab.salesforce.query import Row
from deployments.lab.salesforce.querying import perform, serve
from deployments.lab.salesforce.shown_events import note_report
from deployments.lab.salesforce.wire import ApiError, Call, Reply, not_found

MOST_DETAILS = 2000
RUN, EXPORT = "PermissionsRunReports", "PermissionsExportReport"
BY_API, BY_EXPORT = "ReportRunUsingSynchronousAnalyticsAPI", "ReportExported"
PRIVATE = "Private Reports"
_ALL_TIME = {"column": "CREATED_DATE", "durationValue": "CUSTOM", "startDate": None, "endDate": None}
CSV_TYPE = "text/csv; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Report:
    """A tabular report over one object. `where` is SOQL, `described` the same as reportMetadata tells it."""

    id: str
    name: str
    description: str
    type: str
    object: str
    columns: tuple[str, ...]
    where: str
    described: Mapping[str, Any]

    @property
    def soql(self) -> str:
        where = f" WHERE {self.where}" if self.where else ""
        return f"SELECT Id, {', '.join(self.columns)} FROM {self.object}{where} ORDER BY Id"  # noqa: S608 - SOQL


def listed(call: Call) -> Reply:
    """GET /analytics/reports."""
    _need(call, RUN)
    rows = call.org.store.read().execute("SELECT Id, Name FROM Report WHERE IsDeleted=0 ORDER BY Id")
    base = f"{call.root}/analytics/reports"
    return Reply.json(
        [
            {
                "id": row[0],
                "name": row[1],
                "url": f"{base}/{row[0]}",
                "describeUrl": f"{base}/{row[0]}/describe",
            }
            for row in rows.fetchall()
        ]
    )


def described(call: Call, report_id: str) -> Reply:
    """GET /analytics/reports/{id}/describe."""
    _need(call, RUN)
    return Reply.json({"reportMetadata": _metadata(_find(call, report_id))})


def run(call: Call, report_id: str) -> Reply:
    """GET or POST /analytics/reports/{id}: the row count, and the first 2,000 detail rows if asked for."""
    _need(call, RUN)
    report = _find(call, report_id)
    rows, total = _rows(call, report, MOST_DETAILS)
    details = call.query.get("includeDetails", "false").lower() == "true"
    shown = rows if details else []
    serve(call, shown)
    call.notes.entity, call.notes.rows = report.object, len(shown)
    _note_run(call, report, total, BY_API)
    note_report(call, report, shown, total, "ReportRunUsingSynchronousApi")
    call.org.note_unique_query(call.session, report.id, "report", call.request_id)
    cells = [[_cell(row.record.get(name)) for name in report.columns] for row in shown]
    return Reply.json(
        {
            "attributes": {"reportId": report.id, "reportName": report.name, "type": "Report"},
            "allData": total <= MOST_DETAILS,
            "factMap": {
                "T!T": {
                    "aggregates": [{"label": str(total), "value": total}],
                    "rows": [{"dataCells": row} for row in cells],
                }
            },
            "hasDetailRows": details,
            "reportMetadata": _metadata(report),
        }
    )


def exported(call: Call, report_id: str) -> Reply:
    """GET /{report id}?export=1&xf=csv: every row, as the user interface's "Details Only" export sends it."""
    if call.org.is_inactive(call.session.user_id):
        raise not_found()
    _need(call, RUN, EXPORT)
    report = _find(call, report_id)
    rows, total = _rows(call, report, None)
    serve(call, rows)
    _note_run(call, report, total, BY_EXPORT)
    note_report(call, report, rows, total, "ReportExported", "CSV")
    call.org.events.add(
        "ReportExport",
        call.org.caller(call)
        | {
            "URI": f"/{report.id[:15]}",
            "CLIENT_INFO": call.agent,
            "REPORT_DESCRIPTION": report.name,
            "URI_ID_DERIVED": report.id,
        },
    )
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(report.columns)
    writer.writerows([as_text(row.record.get(name)) for name in report.columns] for row in rows)
    return Reply(200, out.getvalue().encode(), CSV_TYPE)


def _rows(call: Call, report: Report, most: int | None) -> tuple[list[Row], int]:
    """The rows the caller may see (all, or the first), and how many there are."""
    result = perform(call.org, call.session, report.soql, call.version or "67.0")
    rows: list[Row] = []
    for row in result.rows:
        if most is not None and len(rows) >= most:
            break
        rows.append(row)
    return rows, result.total


def _find(call: Call, report_id: str) -> Report:
    row = (
        call.org.store.read()
        .execute(
            "SELECT Id, Name, Description, ReportMetadata FROM Report"
            " WHERE substr(Id, 1, 15)=substr(?, 1, 15) AND IsDeleted=0 AND (FolderName<>? OR OwnerId=?)",
            (report_id, PRIVATE, call.session.user_id),
        )
        .fetchone()
    )
    if row is None:
        raise not_found()
    made = json.loads(row[3])
    readable = call.org.permissions.of(call.session.user_id).readable_fields(made["object"])
    columns = tuple(name for name in made["columns"] if readable is None or name in readable)
    return Report(
        row[0],
        row[1],
        row[2] or "",
        made["type"],
        made["object"],
        columns,
        made["where"],
        made["described"],
    )


def _need(call: Call, *permissions: str) -> None:
    access = call.org.permissions.of(call.session.user_id)
    if not all(access.has(one) for one in permissions):
        raise ApiError(403, "FORBIDDEN", "You don't have sufficient privileges to perform this operation.")


def _note_run(call: Call, report: Report, total: int, origin: str) -> None:
    call.org.events.add(
        "Report",
        call.org.caller(call)
        | {
            "URI": call.path,
            "REQUEST_STATUS": "S",
            "ENTITY_NAME": report.object,
            "DISPLAY_TYPE": "D",
            "RENDERING_TYPE": "Text",
            "REPORT_ID": report.id[:15],
            "REPORT_ID_DERIVED": report.id,
            "ROW_COUNT": total,
            "NUMBER_COLUMNS": len(report.columns),
            "ORIGIN": origin,
        },
    )


def _metadata(report: Report) -> dict[str, Any]:
    return {
        "id": report.id,
        "name": report.name,
        "description": report.description,
        "reportFormat": "TABULAR",
        "reportType": {"type": report.type, "label": report.object},
        "detailColumns": [f"{report.object}.{name}" for name in report.columns],
        "reportFilters": [],
        "reportBooleanFilter": None,
        "standardDateFilter": _ALL_TIME,
        "crossFilters": [],
        "topRows": None,
        "groupingsDown": [],
        "groupingsAcross": [],
        "scope": "organization",
        **report.described,
    }


def _cell(value: Any) -> dict[str, Any]:
    return {"label": as_text(value) or "-", "value": value}


def as_text(value: Any) -> str:
    return "" if value is None else str(value)
