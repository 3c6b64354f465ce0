"""Query calls: SOQL in, pages of records out, with what was served written down as ground truth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from blocks.salesforce.soql import Query
from deployments.lab.salesforce import current_session
from deployments.lab.salesforce.cursors import Asked, Cursor, invalid_locator
from deployments.lab.salesforce.event_stores import NAMES as EVENT_STORES
from deployments.lab.salesforce.org import Org
from deployments.lab.salesforce.query import QueryError, Result, Row, execute, read_soql
from deployments.lab.salesforce.sessions import SESSION_OBJECTS, Session
from deployments.lab.salesforce.wire import ApiError, Call, Reply

DEFAULT_PAGE = 2000
LEAST_PAGE = 200
_BATCHED = SESSION_OBJECTS | {"SetupAuditTrail"} | EVENT_STORES


@lru_cache(maxsize=512)
def parsed(text: str) -> Query:
    """The statement; 400 MALFORMED_QUERY when it is none."""
    try:
        return read_soql(text)
    except QueryError as error:
        raise ApiError(400, error.error_code, error.message) from None


def before_running(org: Org, text: str) -> None:
    """Bring the tables a statement names up to date."""
    lowered = text.lower()
    named = {name for name in _BATCHED if name.lower() in lowered}
    if named:
        org.before_reading(named)


def perform(
    org: Org, session: Session, text: str, version: str, *, all_rows: bool = False, tooling: bool = False
) -> Result:
    """Run a statement as the session's user. Raises ApiError with Salesforce's code."""
    before_running(org, text)
    return run_query(org, session, parsed(text), version, text=text, all_rows=all_rows, tooling=tooling)


def run_query(
    org: Org,
    session: Session,
    query: Query,
    version: str,
    *,
    text: str | None = None,
    all_rows: bool = False,
    tooling: bool = False,
) -> Result:
    """Run a parsed statement as the session's user. Raises ApiError with Salesforce's code."""
    try:
        return execute(
            org.store,
            org.schema,
            current_session.rewritten(query, session.id),
            org.permissions.of(session.user_id),
            now=org.clock.now(),
            tz=org.time_zone_of(session.user_id),
            all_rows=all_rows,
            tooling=tooling,
            api_version=version,
            text=text,
        )
    except QueryError as error:
        raise ApiError(400, error.error_code, error.message) from None


def query(call: Call, *, all_rows: bool = False, tooling: bool = False) -> Reply:
    """GET /query, /queryAll, /tooling/query."""
    if "explain" in call.query:
        return _explain(call)
    text = call.query.get("q", "").strip()
    if not text:
        raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
    org, session = call.org, call.session

    def begin() -> Result:
        return perform(org, session, text, call.version, all_rows=all_rows, tooling=tooling)

    result = begin()
    call.notes.entity = result.entity
    if "columns" in call.query:
        return Reply.json(_columns(result))
    org.note_unique_query(session, text, request_id=call.request_id)
    size = _page_size(call, result)
    ran = Asked(text, "QueryAll" if all_rows else "Query", result.entity, seen=not tooling)
    if result.aggregate or result.total <= size:
        return _page(call, list(result.rows), result.total, None, ran)
    cursor = Cursor(session.user_id, size, begin, ran)
    org.cursors.add(cursor)
    return _cursor_page(call, cursor, 0, tooling)


def more(call: Call, locator: str) -> Reply:
    """GET /query/{locator}-{offset}."""
    cursor_id, _, offset = locator.rpartition("-")
    if not offset.isdigit():
        raise invalid_locator()
    cursor = call.org.cursors.find(cursor_id, call.session.user_id)
    call.notes.entity = cursor.entity
    return _cursor_page(call, cursor, int(offset), "/tooling/" in call.path)


def _cursor_page(call: Call, cursor: Cursor, offset: int, tooling: bool) -> Reply:
    rows = cursor.page(offset)
    ran = replace(cursor.asked, operation="QueryMore") if offset else cursor.asked
    after = offset + len(rows)
    if not rows or after >= cursor.total:
        call.org.cursors.done(cursor)
        return _page(call, rows, cursor.total, None, ran)
    base = f"{call.root}/tooling/query" if tooling else f"{call.root}/query"
    return _page(call, rows, cursor.total, f"{base}/{cursor.id}-{after}", ran)


def _page(call: Call, rows: list[Row], total: int, following: str | None, ran: Asked) -> Reply:
    made: dict[str, Any] = {"totalSize": total, "done": following is None}
    if following is not None:
        made["nextRecordsUrl"] = following
    rows = list(current_session.told(rows, call.session.id))
    made["records"] = [row.record for row in rows]
    call.notes.rows = len(rows) or (total if total and not following else 0)
    if rows:
        call.notes.fields = max(len(rows[0].record) - 1, 0)
    serve(call, rows)
    _store(call, rows, total, ran)
    return Reply.json(made)


def _store(call: Call, rows: list[Row], total: int, ran: Asked) -> None:
    """The page as ApiEvent, where it is kept; the Tooling API leaves none."""
    if ran.seen:
        call.org.stores.queried(
            call.session,
            call.org.caller(call),
            ran.text,
            [i for row in rows if (i := id_of(row.record))],
            operation=ran.operation,
            total=total,
            entities={ran.entity, *(one[0] for row in rows for one in row.served)},
            version=call.version,
            returned=len(rows),
        )


def id_of(record: Mapping[str, Any]) -> str:
    """The id of a record in a reply; "" for a row of an aggregate."""
    return str((record.get("attributes") or {}).get("url") or "").rpartition("/")[2]


def serve(call: Call, rows: Iterable[Row]) -> None:
    """Write down that these rows go out to the caller now."""
    served = [one for row in rows for one in row.served]
    if served:
        call.org.truth.add(call.org.clock.now(), call.session.credential, served)


def _page_size(call: Call, result: Result) -> int:
    most = min(result.page_size, DEFAULT_PAGE)
    asked = re.search(r"batchSize\s*=\s*(\d+)", call.headers.get("sforce-query-options", ""), re.IGNORECASE)
    return min(most, max(int(asked[1]), LEAST_PAGE)) if asked else most


def _columns(result: Result) -> dict[str, Any]:
    return {
        "columnMetadata": result.columns,
        "entityName": result.entity,
        "groupBy": result.query.group_by is not None,
        "idSelected": any(c["columnName"].lower() == "id" for c in result.columns),
        "keyPrefix": result.object.key_prefix,
    }


def _explain(call: Call) -> Reply:
    text = call.query["explain"]
    result = perform(call.org, call.session, text, call.version)
    row = call.org.store.read().execute(f'SELECT COUNT(*) FROM "{result.entity}"').fetchone()  # noqa: S608
    total = int(row[0])
    return Reply.json(
        {
            "plans": [
                {
                    "cardinality": result.total,
                    "fields": [],
                    "leadingOperationType": "TableScan",
                    "notes": [],
                    "relativeCost": 1.0,
                    "sobjectCardinality": total,
                    "sobjectType": result.entity,
                }
            ],
            "sourceQuery": text,
        }
    )


# --- SOSL ----------------------------------------------------------------------------------------

_FIND = re.compile(r"^\s*FIND\s*\{(?P<term>(?:[^}\\]|\\.)*)\}", re.IGNORECASE)
_RETURNING = re.compile(
    r"\bRETURNING\s+(?P<what>.+?)(?:\s+(?:WITH|LIMIT|UPDATE)\b.*)?$", re.IGNORECASE | re.DOTALL
)
_TARGET = re.compile(r"(\w+)\s*(?:\(([^)]*)\))?")
_SEARCHED = ("string", "email", "phone", "textarea", "url", "encryptedstring")
_SEARCHABLE = ("Account", "Contact", "Lead", "Case", "User")
SEARCH_MOST = 2000


def search(call: Call) -> Reply:
    """GET /search?q=FIND {term} RETURNING Contact(Id, Name)."""
    text = call.query.get("q", "")
    found = _FIND.match(text)
    if found is None:
        raise ApiError(
            400, "MALFORMED_SEARCH", "No search term found. The search term must be enclosed in braces."
        )
    term = re.sub(r"\\(.)", r"\1", found["term"]).strip().strip('"').replace("*", "%")
    if len(term.replace("%", "")) < 2:
        raise ApiError(400, "MALFORMED_SEARCH", "search term must be longer than one character")
    rows = [row for name, fields in _targets(call, text) for row in _matches(call, name, fields, term)]
    rows = rows[:SEARCH_MOST]
    call.notes.rows = len(rows)
    serve(call, rows)
    return Reply.json({"searchRecords": [row.record for row in rows]})


def _targets(call: Call, text: str) -> list[tuple[str, str]]:
    clause = _RETURNING.search(text)
    if clause is None:
        return [(name, "Id") for name in _SEARCHABLE]
    return [(name, fields.strip() or "Id") for name, fields in _TARGET.findall(clause["what"])]


def _matches(call: Call, name: str, fields: str, term: str) -> list[Row]:
    found = call.org.schema.get(name)
    if found is None:
        raise ApiError(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.")
    columns, _, rest = fields.partition(" WHERE ")
    allowed = call.org.permissions.of(call.session.user_id).readable_fields(found.name)
    quoted = term.replace("\\", "\\\\").replace("'", "\\'")
    tests = " OR ".join(
        f"{f.name} LIKE '%{quoted}%'"
        for f in found.fields
        if f.type in _SEARCHED and f.filterable and not f.hidden and (allowed is None or f.name in allowed)
    )
    where = f"({tests})" + (f" AND ({rest})" if rest else "")
    text = f"SELECT {columns} FROM {found.name} WHERE {where} LIMIT {SEARCH_MOST}"  # noqa: S608 - SOQL, parsed again
    result = perform(call.org, call.session, text, call.version)
    call.notes.entity = found.name
    return list(result.rows)
