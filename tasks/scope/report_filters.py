"""One filter of a report as a SOQL condition; None where SOQL does not say the same."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from blocks.errors import LeakResponseError
from blocks.salesforce.soql import parse
from blocks.salesforce.soql.ast import Comparison, DateLiteral
from tasks.scope.rerun import Zone
from tasks.scope.shape import FieldShape

_TEXT = frozenset({"string", "picklist", "email", "phone", "url", "combobox", "id", "reference", "textarea"})
_NUMBER = frozenset({"int", "double", "currency", "percent"})
_COMPARED = {
    "lessThan": "<",
    "greaterThan": ">",
    "lessOrEqual": "<=",
    "greaterOrEqual": ">=",
    "equals": "=",
    "notEqual": "!=",
}


@dataclass(frozen=True, slots=True)
class Day:
    """A range of days, both included; open where None."""

    first: date | None
    last: date | None


def condition(path: str, field: FieldShape, operator: str, value: str, zone: Zone) -> str | None:
    """`path` is the field's, from the row; `value` is as the report holds it, several parted by commas."""
    if not field.filterable:
        return None
    values = next(csv.reader([value], skipinitialspace=True), [])
    if not any(one.strip() for one in values):
        return {"equals": f"{path} = null", "notEqual": f"{path} != null"}.get(operator)
    if field.type in _TEXT:
        return _text(path, operator, values)
    if field.type == "multipicklist":
        return _multi(path, operator, values)
    if field.type == "boolean":
        return _flag(path, operator, values)
    if field.type in _NUMBER:
        return _number(path, operator, values)
    if field.type in ("date", "datetime") and len(values) == 1:
        return _date(path, field, operator, values[0].strip(), zone)
    return None


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _like(text: str) -> str:
    return re.sub(r"([%_])", r"\\\1", text.replace("\\", "\\\\").replace("'", "\\'"))


def _any(parts: Sequence[str]) -> str:
    return " OR ".join(parts) if len(parts) == 1 else f"({' OR '.join(parts)})"


def _text(path: str, operator: str, values: Sequence[str]) -> str | None:
    if operator == "equals":
        return _any([f"{path} = {_quoted(one) if one else 'null'}" for one in values])
    if operator == "notEqual":
        return " AND ".join(f"{path} != {_quoted(one) if one else 'null'}" for one in values)
    whole = [one for one in values if one]
    if operator == "contains":
        return _any([f"{path} LIKE '%{_like(one)}%'" for one in whole])
    if operator == "startsWith":
        return _any([f"{path} LIKE '{_like(one)}%'" for one in whole])
    if operator == "notContain":
        free = " AND ".join(f"(NOT {path} LIKE '%{_like(one)}%')" for one in whole)
        return f"(({free}) OR {path} = null)"
    return None


def _multi(path: str, operator: str, values: Sequence[str]) -> str | None:
    word = {"includes": "INCLUDES", "excludes": "EXCLUDES"}.get(operator)
    return f"{path} {word} ({', '.join(map(_quoted, values))})" if word else None


def _flag(path: str, operator: str, values: Sequence[str]) -> str | None:
    known = {"true": "true", "1": "true", "false": "false", "0": "false"}
    words = {known.get(one.strip().casefold(), "") for one in values}
    sign = {"equals": "=", "notEqual": "!="}.get(operator)
    return f"{path} {sign} {words.pop()}" if sign and len(words) == 1 and "" not in words else None


def _number(path: str, operator: str, values: Sequence[str]) -> str | None:
    plain = [one.strip().replace(" ", "") for one in values]
    if operator not in _COMPARED or not all(re.fullmatch(r"-?\d+(\.\d+)?", one) for one in plain):
        return None
    if operator == "equals":
        return _any([f"{path} = {one}" for one in plain])
    if operator == "notEqual":
        return " AND ".join(f"{path} != {one}" for one in plain)
    return f"{path} {_COMPARED[operator]} {plain[0]}" if len(plain) == 1 else None


# --- dates ---------------------------------------------------------------------------------------


def _date(path: str, field: FieldShape, operator: str, value: str, zone: Zone) -> str | None:
    if operator not in _COMPARED:
        return None
    if literal := _literal(value):
        return f"{path} {_COMPARED[operator]} {literal}"
    try:
        day = date.fromisoformat(value[:10])
    except ValueError:
        return None  # how a date is written depends on who wrote it
    before, after = day - timedelta(days=1), day + timedelta(days=1)
    ranges = {
        "equals": Day(day, day),
        "lessThan": Day(None, before),
        "lessOrEqual": Day(None, day),
        "greaterThan": Day(after, None),
        "greaterOrEqual": Day(day, None),
    }
    return dates(path, field, ranges[operator], zone) if operator in ranges else None


def _literal(value: str) -> str | None:
    """TODAY, LAST_N_DAYS:30, THIS FISCAL QUARTER ... as SOQL writes it; None when SOQL has no such word."""
    text = re.sub(r"\s+", "_", value.strip().upper())
    if not re.fullmatch(r"[A-Z_]+(:\d+)?", text):
        return None
    try:
        where = parse(f"SELECT Id FROM X WHERE F = {text}").where  # noqa: S608 - SOQL, only parsed
    except LeakResponseError:
        return None
    known = isinstance(where, Comparison) and isinstance(where.value, DateLiteral)
    return text if known else None


def dates(path: str, field: FieldShape, days: Day, zone: Zone) -> str | None:
    """A range of days, for a moment in the zone of who ran the report; None where that is not known."""
    if field.type == "date":
        parts = [f"{path} >= {days.first}"] if days.first else []
        parts += [f"{path} <= {days.last}"] if days.last else []
        return " AND ".join(parts) or None
    if field.type != "datetime" or not zone.name:
        return None
    parts = [f"{path} >= {_start(days.first, zone)}"] if days.first else []
    parts += [f"{path} < {_start(days.last + timedelta(days=1), zone)}"] if days.last else []
    return " AND ".join(parts) or None


def _start(day: date, zone: Zone) -> str:
    begins = datetime.combine(day, time(), ZoneInfo(zone.name)).astimezone(UTC)
    return f"{begins:%Y-%m-%dT%H:%M:%SZ}"
