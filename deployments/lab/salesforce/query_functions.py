"""SOQL's functions in SQL: dates, time zones, case folding, aggregates."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from blocks.salesforce.soql import ast
from deployments.lab.salesforce import query_errors as errors
from deployments.lab.salesforce.query_source import Column, Source

NUMERIC = frozenset({"int", "double", "currency", "percent"})
TEXTUAL = frozenset(
    {"string", "textarea", "email", "phone", "picklist", "multipicklist", "url", "encryptedstring"}
)
ONLY_BARE_COUNT = frozenset({"SetupAuditTrail"})  # Object Reference: count() works, count(Id) fails
LABELS = frozenset({"TOLABEL", "FORMAT", "CONVERTCURRENCY"})
DATE_PARTS: dict[str, Callable[[date, int, int], int]] = {
    "CALENDAR_YEAR": lambda day, _hour, _start: day.year,
    "CALENDAR_QUARTER": lambda day, _hour, _start: (day.month + 2) // 3,
    "CALENDAR_MONTH": lambda day, _hour, _start: day.month,
    "DAY_IN_MONTH": lambda day, _hour, _start: day.day,
    "DAY_IN_WEEK": lambda day, _hour, _start: day.isoweekday() % 7 + 1,
    "DAY_IN_YEAR": lambda day, _hour, _start: day.timetuple().tm_yday,
    "FISCAL_MONTH": lambda day, _hour, start: (day.month - start) % 12 + 1,
    "FISCAL_QUARTER": lambda day, _hour, start: (day.month - start) % 12 // 3 + 1,
    # A fiscal year is named after the calendar year in which it ends.
    "FISCAL_YEAR": lambda day, _hour, start: day.year + int(start > 1 and day.month >= start),
    "HOUR_IN_DAY": lambda _day, hour, _start: hour,
    "WEEK_IN_MONTH": lambda day, _hour, _start: (day.day + 6) // 7,
    "WEEK_IN_YEAR": lambda day, _hour, _start: (day.timetuple().tm_yday + 6) // 7,
}


@dataclass(frozen=True, slots=True)
class Term:
    """The left side of a comparison, or a thing to sort, group or select by.

    `type` is a describe type; `column` the field when it is one, also inside toLabel and the like.
    """

    sql: str
    type: str
    name: str
    column: Column | None = None
    aggregate: bool = False


def register(connection: sqlite3.Connection) -> None:
    """Teach a connection the functions that SQL lacks; once is enough."""
    try:
        connection.execute("SELECT soql_fold('')")
    except sqlite3.OperationalError:
        connection.create_function("soql_fold", 1, _fold, deterministic=True)
        connection.create_function("soql_date", 3, _date_part, deterministic=True)
        connection.create_function("soql_local", 2, _local, deterministic=True)


def _fold(text: str | None) -> str | None:
    return text.casefold() if isinstance(text, str) else text


def _date_part(part: str, text: str | None, fiscal_start: int) -> int | None:
    if not text:
        return None
    hour = int(text[11:13]) if len(text) > 12 else 0
    return DATE_PARTS[part](date.fromisoformat(text[:10]), hour, fiscal_start)


def _local(text: str | None, tz: str) -> str | None:
    if not text:
        return None
    utc = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    return utc.astimezone(_zone(tz)).strftime("%Y-%m-%dT%H:%M:%S.000")


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def term(source: Source, operand: ast.Operand, *, aggregates: bool = False) -> Term:
    """An operand as SQL. Aggregates are refused unless `aggregates`. Raises QueryError."""
    if isinstance(operand, ast.FieldRef):
        column = source.column(operand.path)
        return Term(column.sql, column.field.type, column.name, column)
    name = operand.name.upper()
    if name in ast.AGGREGATES:
        if not aggregates:
            raise errors.bad_query(f"aggregate function {operand.name} is not allowed here", operand.name)
        return _aggregate(source, name, operand)
    if name in LABELS:
        inner = term(source, _only(operand), aggregates=aggregates)
        return Term(inner.sql, inner.type, inner.name, inner.column, inner.aggregate)
    if name == "DAY_ONLY":
        argument = _instant(source, operand)
        return Term(f"substr({argument.sql}, 1, 10)", "date", argument.name, argument.column)
    if name in DATE_PARTS:
        argument = _instant(source, operand)
        start = source.settings.fiscal_year_start_month
        return Term(f"soql_date('{name}', {argument.sql}, {start})", "int", argument.name, argument.column)
    raise errors.bad_query(f"unexpected function: {operand.name}", operand.name)


def _only(call: ast.Function) -> ast.Operand:
    match call.args:
        case (ast.FieldRef() | ast.Function() as argument,):
            return argument
    raise errors.bad_query(f"{call.name} takes one field", call.name)


def _instant(source: Source, call: ast.Function) -> Term:
    """The argument of a date function: a date, a datetime in UTC, or convertTimezone(...) of one."""
    argument = _only(call)
    if isinstance(argument, ast.Function) and argument.name.upper() == "CONVERTTIMEZONE":
        inner = term(source, _only(argument))
        if inner.type == "datetime":
            zone = source.statement.bind(source.settings.tz)
            return Term(f"soql_local({inner.sql}, {zone})", "datetime", inner.name, inner.column)
    else:
        inner = term(source, argument)
        if inner.type in ("datetime", "date"):
            return inner
    raise errors.QueryError("INVALID_FIELD", f"field '{inner.name}' does not support {call.name}", inner.name)


def _aggregate(source: Source, name: str, call: ast.Function) -> Term:
    if name == "COUNT" and not call.args:
        return Term("COUNT(*)", "int", "COUNT", aggregate=True)
    inner = term(source, _only(call))
    if source.object.name in ONLY_BARE_COUNT:
        raise errors.bad_query(f"field {inner.name} does not support aggregate operator {name}", inner.name)
    if name in ("COUNT", "COUNT_DISTINCT"):
        distinct = "DISTINCT " if name == "COUNT_DISTINCT" else ""
        return Term(f"COUNT({distinct}{inner.sql})", "int", inner.name, inner.column, aggregate=True)
    numeric = inner.type in NUMERIC
    ordered = numeric or inner.type in ("date", "datetime", "id", "reference") or inner.type in TEXTUAL
    if not (numeric if name in ("SUM", "AVG") else ordered):
        raise errors.bad_query(f"field {inner.name} does not support aggregate operator {name}", inner.name)
    type_ = "double" if name == "AVG" else inner.type
    return Term(f"{name}({inner.sql})", type_, inner.name, inner.column, aggregate=True)
