"""Query rows as the Bulk API writes them: flat CSV, every value quoted, parents dotted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from deployments.lab.salesforce.query import Result

Path = tuple[str, ...]


def columns_of(result: Result) -> list[Path]:
    """The path of each column, in the order selected."""
    return [path for column in result.columns for path in _paths(column, ())]


def _paths(column: dict[str, Any], above: Path) -> Iterator[Path]:
    here = (*above, column["columnName"])
    if not column["joinColumns"]:
        yield here
    for inner in column["joinColumns"]:
        yield from _paths(inner, here)


def value_at(record: dict[str, Any], path: Path) -> Any:
    """The value at a path; None where a parent is missing."""
    value: Any = record
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def line_of(values: Iterable[Any], delimiter: str) -> str:
    return delimiter.join(_quoted(value) for value in values)


def _quoted(value: Any) -> str:
    if value is None:
        return '""'
    if isinstance(value, bool):
        return '"true"' if value else '"false"'
    if isinstance(value, str):
        if len(value) == 28 and value.endswith("+0000") and value[10] == "T":
            value = value[:-5] + "Z"  # instants are written with Z here, with +0000 in JSON
        return '"' + value.replace('"', '""') + '"'
    if isinstance(value, dict | list):
        return '"' + orjson.dumps(value).decode().replace('"', '""') + '"'
    return f'"{value}"'
