"""A logged statement made safe to run again: same rows as then, no side effects.

Date literals become the range they meant at the event; what writes (`FOR VIEW`), what locks (`FOR UPDATE`)
and what only Apex may say is dropped. Nothing here knows a schema: the caller says which fields hold dates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from blocks.salesforce.soql import ast
from blocks.salesforce.soql.dates import SUNDAY, date_range, day_span
from blocks.salesforce.soql.names import names_of

IsDate = Callable[[str, ast.Path], bool]  # object, path -> whether it holds a date without a time

DAY_FUNCTIONS = frozenset({"DAY_ONLY"})


@dataclass(frozen=True, slots=True)
class _Moment:
    at: datetime
    tz: str
    week_start: int
    fiscal_year_start_month: int
    is_date: IsDate


def pin(
    query: ast.Query,
    at: datetime,
    tz: str,
    *,
    week_start: int = SUNDAY,
    fiscal_year_start_month: int = 1,
    is_date: IsDate = lambda _object, _path: False,
) -> ast.Query:
    """The statement as it was meant at `at` (aware) by a user in the IANA zone `tz`.

    `is_date(object, path)` tells fields of type date from those of type datetime; for a child query the
    object is its relationship name. `!= TODAY` becomes outside the range or null, as SOQL's `!=` includes
    null.
    """
    return _pinned(query, _Moment(at, tz, week_start, fiscal_year_start_month, is_date))


def _pinned(query: ast.Query, moment: _Moment) -> ast.Query:
    fields = tuple(
        ast.SubQuery(_pinned(item.query, moment)) if isinstance(item, ast.SubQuery) else item
        for item in query.fields
    )
    return replace(
        query,
        fields=fields,
        where=None if query.where is None else _condition(query.where, query, moment),
        having=None if query.having is None else _condition(query.having, query, moment),
        with_=None if isinstance(query.with_, ast.Mode) else query.with_,
        for_=(),
        update=(),
        all_rows=False,
    )


def _condition(condition: ast.Condition, query: ast.Query, moment: _Moment) -> ast.Condition:
    match condition:
        case ast.And(items):
            return ast.And(tuple(_condition(item, query, moment) for item in items))
        case ast.Or(items):
            return ast.Or(tuple(_condition(item, query, moment) for item in items))
        case ast.Not(item):
            return ast.Not(_condition(item, query, moment))
        case ast.SemiJoin(field, negated, inner):
            return ast.SemiJoin(field, negated, _pinned(inner, moment))
        case ast.Comparison(left, op, ast.DateLiteral() as literal):
            start, end = _bounds(literal, left, query, moment)
            return range_condition(left, op, start, end)
        case ast.Comparison(left, op, ast.List(values)) if any(
            isinstance(value, ast.DateLiteral) for value in values
        ):
            return _list(left, op, values, query, moment)
    return condition


def _list(
    left: ast.Operand, op: ast.Op, values: tuple[ast.Value, ...], query: ast.Query, moment: _Moment
) -> ast.Condition:
    """`IN (TODAY, 2026-01-01T00:00:00Z)`: one comparison for each item."""
    single = ast.Op.EQ if op is ast.Op.IN else ast.Op.NE
    parts = tuple(_condition(ast.Comparison(left, single, value), query, moment) for value in values)
    if len(parts) == 1:
        return parts[0]
    return ast.Or(parts) if single is ast.Op.EQ else ast.And(parts)


def _bounds(
    literal: ast.DateLiteral, left: ast.Operand, query: ast.Query, moment: _Moment
) -> tuple[ast.Date, ast.Date] | tuple[ast.DateTime, ast.DateTime]:
    how = (literal, moment.at, moment.tz, moment.week_start, moment.fiscal_year_start_month)
    if _holds_date(left, query, moment):
        span = day_span(*how)
        return ast.Date(span.start), ast.Date(span.end)
    start, end = date_range(*how)
    return ast.DateTime(start), ast.DateTime(end)


def _holds_date(left: ast.Argument, query: ast.Query, moment: _Moment) -> bool:
    if isinstance(left, ast.FieldRef):
        return moment.is_date(query.object, names_of(query).plain(left.path))
    if not isinstance(left, ast.Function):
        return False
    return left.name.upper() in DAY_FUNCTIONS or any(_holds_date(arg, query, moment) for arg in left.args)


def range_condition(left: ast.Operand, op: ast.Op, start: ast.Value, end: ast.Value) -> ast.Condition:
    """A comparison with a half-open range, by SOQL's own rule for date literals."""
    match op:
        case ast.Op.EQ:
            return ast.And((ast.Comparison(left, ast.Op.GE, start), ast.Comparison(left, ast.Op.LT, end)))
        case ast.Op.GT:
            return ast.Comparison(left, ast.Op.GE, end)
        case ast.Op.GE:
            return ast.Comparison(left, ast.Op.GE, start)
        case ast.Op.LT:
            return ast.Comparison(left, ast.Op.LT, start)
        case ast.Op.LE:
            return ast.Comparison(left, ast.Op.LT, end)
    outside = (
        ast.Comparison(left, ast.Op.LT, start),
        ast.Comparison(left, ast.Op.GE, end),
        ast.Comparison(left, ast.Op.EQ, ast.Null()),
    )
    return ast.Or(outside)


def narrowed(query: ast.Query, *conditions: ast.Condition) -> ast.Query:
    """The statement with further conditions, all of which must hold."""
    parts = (*(() if query.where is None else (query.where,)), *conditions)
    if not parts:
        return query
    return replace(query, where=parts[0] if len(parts) == 1 else ast.And(parts))


def created_before(query: ast.Query, at: datetime) -> ast.Query:
    """Only records that existed at `at`: `CreatedDate <= at`."""
    instant = ast.DateTime(at.astimezone(UTC))
    return narrowed(query, ast.Comparison(ast.FieldRef(("CreatedDate",)), ast.Op.LE, instant))


def unlimited(query: ast.Query) -> ast.Query:
    """All rows the statement could have chosen from: without ORDER BY, LIMIT and OFFSET."""
    return replace(query, order_by=(), limit=None, offset=None)


def selecting(query: ast.Query, *paths: ast.Path) -> ast.Query:
    """The same rows with other columns; only for statements that return records."""
    return replace(query, fields=tuple(ast.FieldRef(path) for path in paths))
