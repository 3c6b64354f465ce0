"""List views: list, describe and results, each with the log rows of a real org.

One call shows at most 2,000 rows, 25 unless asked for more, from an offset that no log tells. The query log
holds the view's id, not its text.
Source: REST API Developer Guide, "List Views", "List View Describe", "List View Results".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import Any

from deployments.lab.salesforce.querying import perform, serve
from deployments.lab.salesforce.reports import as_text
from deployments.lab.salesforce.shown_events import note_list_view
from deployments.lab.salesforce.wire import ApiError, Call, Reply, not_found

MOST, USUAL = 2000, 25
_HIDDEN = ("Id", "CreatedDate", "LastModifiedDate", "SystemModstamp")  # sent, but not shown


@dataclass(frozen=True, slots=True)
class ListView:
    """A list view over one object; `where` is SOQL."""

    id: str
    name: str
    developer_name: str
    object: str
    columns: tuple[str, ...]
    where: str

    @property
    def sent(self) -> tuple[str, ...]:
        return (*self.columns, *_HIDDEN)

    @property
    def order(self) -> str:
        return f"ORDER BY {self.columns[0]} ASC NULLS FIRST, Id ASC NULLS FIRST"

    @property
    def soql(self) -> str:
        where = f" WHERE {self.where}" if self.where else ""
        columns = ", ".join(self.sent)
        return f"SELECT {columns} FROM {self.object} USING SCOPE everything{where} {self.order}"  # noqa: S608 - SOQL


def listed(call: Call, name: str) -> Reply:
    """GET /sobjects/{name}/listviews."""
    object_name = _readable(call, name)
    rows = (
        call.org.store.read()
        .execute(
            "SELECT Id, Name, DeveloperName FROM ListView WHERE SobjectType=? ORDER BY Id", (object_name,)
        )
        .fetchall()
    )
    base = f"{call.root}/sobjects/{object_name}/listviews"
    views = [
        {
            "id": row[0],
            "label": row[1],
            "developerName": row[2],
            "describeUrl": f"{base}/{row[0]}/describe",
            "resultsUrl": f"{base}/{row[0]}/results",
            "soqlCompatible": True,
            "url": f"{base}/{row[0]}",
        }
        for row in rows
    ]
    return Reply.json(
        {
            "done": True,
            "listviews": views,
            "nextRecordsUrl": None,
            "size": len(views),
            "sobjectType": object_name,
        }
    )


def described(call: Call, name: str, view_id: str) -> Reply:
    """GET /sobjects/{name}/listviews/{id}/describe."""
    view = _find(call, name, view_id)
    return Reply.json(
        {
            "columns": [_column(one) for one in view.sent],
            "id": view.id,
            "query": view.soql,
            "scope": "everything",
            "sobjectType": view.object,
        }
    )


def results(call: Call, name: str, view_id: str) -> Reply:
    """GET /sobjects/{name}/listviews/{id}/results?limit=&offset=."""
    view = _find(call, name, view_id)
    limit, offset = _number(call, "limit", USUAL), _number(call, "offset", 0)
    if not 1 <= limit <= MOST:
        raise ApiError(400, "ILLEGAL_QUERY_PARAMETER_VALUE", f"limit must be between 1 and {MOST}")
    soql = view.soql.replace("USING SCOPE everything ", "")
    rows = list(
        islice(perform(call.org, call.session, soql, call.version or "67.0").rows, offset, offset + limit)
    )
    serve(call, rows)
    call.notes.entity, call.notes.rows = view.object, len(rows)
    call.org.note_unique_query(call.session, view.id, "filter", call.request_id)
    note_list_view(call, view, rows)
    records = [
        {
            "columns": [
                {"fieldNameOrPath": one, "value": as_text(_value(row.record, one))} for one in view.sent
            ]
        }
        for row in rows
    ]
    return Reply.json(
        {
            "columns": [_column(one) for one in view.sent],
            "developerName": view.developer_name,
            "done": True,
            "id": view.id,
            "label": view.name,
            "records": records,
            "size": len(records),
        }
    )


def _find(call: Call, name: str, view_id: str) -> ListView:
    object_name = _readable(call, name)
    row = (
        call.org.store.read()
        .execute(
            "SELECT Id, Name, DeveloperName, ViewMetadata FROM ListView"
            " WHERE substr(Id, 1, 15)=substr(?, 1, 15) AND SobjectType=?",
            (view_id, object_name),
        )
        .fetchone()
    )
    if row is None:
        raise not_found()
    made = json.loads(row[3])
    return ListView(row[0], row[1], row[2], object_name, tuple(made["columns"]), made["where"])


def _readable(call: Call, name: str) -> str:
    found = call.org.schema.get(name)
    if found is None or not call.org.permissions.of(call.session.user_id).can_read(found.name):
        raise not_found()
    return found.name


def _number(call: Call, name: str, usual: int) -> int:
    text = call.query.get(name, "")
    return int(text) if text.isdigit() else usual


def _column(name: str) -> dict[str, Any]:
    return {
        "fieldNameOrPath": name,
        "label": name.replace(".", " "),
        "hidden": name in _HIDDEN,
        "sortable": True,
    }


def _value(record: dict[str, Any], path: str) -> Any:
    current: Any = record
    for step in path.split("."):
        current = current.get(step) if isinstance(current, dict) else None
    return current
