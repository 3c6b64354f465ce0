"""`AuthSession.IsCurrent`: true for the session that asks, and so different for every caller.

No column can hold that, so a filter on it becomes one on the asking session's id, and rows are told after the
fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from blocks.salesforce.soql.ast import And, Boolean, Comparison, Condition, FieldRef, Not, Op, Or, Query, Text
from deployments.lab.salesforce.query import Row

OBJECT = "authsession"
_FIELD = "iscurrent"


def asks(query: Query) -> bool:
    return query.object.lower() == OBJECT


def rewritten(query: Query, session_id: str) -> Query:
    """The same query with IsCurrent in its filter resolved for this session."""
    if query.where is None or not asks(query):
        return query
    return replace(query, where=_resolved(query.where, session_id))


def _resolved(condition: Condition, session_id: str) -> Condition:
    match condition:
        case And(items):
            return And(tuple(_resolved(item, session_id) for item in items))
        case Or(items):
            return Or(tuple(_resolved(item, session_id) for item in items))
        case Not(item):
            return Not(_resolved(item, session_id))
        case Comparison(FieldRef(path), Op.EQ | Op.NE as op, Boolean(value)) if path[-1].lower() == _FIELD:
            current = value is (op is Op.EQ)
            return Comparison(FieldRef((*path[:-1], "Id")), Op.EQ if current else Op.NE, Text(session_id))
    return condition


def told(rows: Iterable[Row], session_id: str) -> Iterator[Row]:
    """Rows of AuthSession with IsCurrent as this session sees it, where the row says whose it is."""
    for row in rows:
        if "IsCurrent" in row.record and "Id" in row.record:
            row.record["IsCurrent"] = row.record["Id"] == session_id
        yield row
