"""ReportEvent and ListViewEvent of what a report or a list view showed: the ids in each row, the columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deployments.lab.salesforce.query import Row
from deployments.lab.salesforce.querying import id_of
from deployments.lab.salesforce.wire import Call

if TYPE_CHECKING:
    from deployments.lab.salesforce.list_views import ListView
    from deployments.lab.salesforce.reports import Report


def note_report(
    call: Call, report: Report, rows: Sequence[Row], total: int, operation: str, export: str = ""
) -> None:
    """A report ran: `rows` are those that were sent, `total` all it has."""
    call.org.stores.shown(
        "ReportEvent",
        call.session,
        call.org.caller(call),
        _cells(rows),
        {
            "ReportId": report.id,
            "Name": report.name,
            "Description": report.description,
            "ColumnHeaders": f"[{', '.join(f'{report.object}.{name}' for name in report.columns)}]",
            "DisplayedFieldEntities": f"[{report.object.upper()}S]",
            "NumberOfColumns": len(report.columns),
            "QueriedEntities": _entities(report.object, rows),
            "RowsProcessed": total,
            "Operation": operation,
            "ExportFileFormat": export or None,
            "EventSource": "Classic" if export else "API",
            "Format": "Tabular",
            "Scope": "organization",
        },
    )


def note_list_view(call: Call, view: ListView, rows: Sequence[Row]) -> None:
    """A page of a list view was read."""
    call.org.stores.shown(
        "ListViewEvent",
        call.session,
        call.org.caller(call),
        _cells(rows),
        {
            "ListViewId": view.id,
            "Name": view.name,
            "DeveloperName": view.developer_name,
            "ColumnHeaders": ", ".join(view.columns),
            "NumberOfColumns": len(view.columns),
            "QueriedEntities": _entities(view.object, rows),
            "RowsProcessed": len(rows),
            "EventSource": "API",
            "Scope": "Everything",
        },
    )


def _cells(rows: Sequence[Row]) -> list[list[str]]:
    """The ids of the records in each row, the row's own first."""
    return [list(dict.fromkeys([id_of(row.record), *(one[1] for one in row.served)])) for row in rows]


def _entities(name: str, rows: Sequence[Row]) -> str:
    return ", ".join(sorted({name, *(one[0] for row in rows for one in row.served)}))
