"""Bulk API results: a record query as CSV in batches, made by SQLite so that a million rows are quick.

Column names are as Bulk API 2.0 writes them: parents dotted. Instants end in Z. What a batch discloses is
told by columns of ids instead of one tuple for each row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from blocks.salesforce.soql import Query, SoqlInvalid, ast, validate
from blocks.salesforce.soql.names import names_of
from deployments.lab.salesforce.query import Reads, fiscal_start, opened
from deployments.lab.salesforce.query_errors import QueryError, bad_query
from deployments.lab.salesforce.query_functions import LABELS, term
from deployments.lab.salesforce.query_order import limit_sql, order_sql
from deployments.lab.salesforce.query_records import where_sql
from deployments.lab.salesforce.query_select import value_sql
from deployments.lab.salesforce.query_source import (
    Column,
    Node,
    Settings,
    Source,
    Statement,
    Viewer,
    check_reified,
    find_object,
    visible_fields,
)
from deployments.lab.salesforce.schema import Schema

BATCH = 10_000
UNQUOTABLE = frozenset(
    {"id", "reference", "boolean", "int", "double", "currency", "percent", "date", "datetime"}
)


@dataclass(frozen=True, slots=True)
class ServedIds:
    """Records of one object that a batch disclosed, each once, all with the same fields."""

    object: str
    ids: tuple[str, ...]
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CsvBatch:
    """Some rows: their CSV text (every line ended), how many they are, and what they disclose."""

    text: str
    rows: int
    served: tuple[ServedIds, ...]


def to_csv(
    store: Reads,
    schema: Schema,
    query: Query,
    viewer: Viewer,
    *,
    now: datetime,
    tz: str | ZoneInfo,
    all_rows: bool = False,
    api_version: str = "67.0",
    delimiter: str = ",",
    line_ending: str = "\n",
    batch_rows: int = BATCH,
    text: str | None = None,
) -> Export:
    """Check and compile a statement for Bulk API 2.0; rows are read when the batches are iterated.

    Raises QueryError before any row is read: also for what Bulk refuses (aggregates, child queries, TYPEOF,
    OFFSET, compound addresses).
    """
    connection = opened(store)
    zone = tz if isinstance(tz, str) else tz.key
    settings = Settings(schema, viewer, now, zone, all_rows, False, api_version, fiscal_start(connection))
    try:
        sobject = find_object(settings, query.object)
        validate(query, bulk=True)
        check_reified(sobject, query)
        source = Source(Statement(settings), sobject, names_of(query))
        return Export(connection, source, query, delimiter, line_ending, batch_rows)
    except SoqlInvalid as error:
        raise QueryError(error.code, error.reason) from None
    except QueryError as error:
        raise (error if text is None else error.located(text)) from None


class Export:
    """A compiled export. `header` is the first line; iterate `batches` once, from one thread at a time."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        source: Source,
        query: Query,
        delimiter: str,
        line_ending: str,
        batch_rows: int,
    ) -> None:
        self.entity = source.object.name
        self._connection = connection
        self._line_ending = line_ending
        self._batch_rows = batch_rows
        named = list(_columns(source, query))
        self.columns = tuple(name for name, _ in named)
        self.header = delimiter.join(f'"{name}"' for name in self.columns) + line_ending
        self._holders = _holders(source, [column for _, column in named])
        where = where_sql(source, query)
        tail = f" WHERE {' AND '.join(where)}" if where else ""
        order = order_sql(source, query.order_by)
        limit = limit_sql(query, source.object.row_limit)
        mark = source.statement.bind(delimiter)
        line = f" || {mark} || ".join(_quoted(source, column) for _, column in named)
        chosen = ", ".join([line, *(holder.id_sql for holder, _ in self._holders)])
        self._sql = f"SELECT {chosen} {source.sql}{tail}{order}{limit}"
        self._count = f"SELECT COUNT(*) FROM (SELECT 1 {source.sql}{tail}{limit})"  # noqa: S608
        self._params = source.statement.params

    @cached_property
    def total(self) -> int:
        """How many rows the whole export has, counted when first asked."""
        return int(self._connection.execute(self._count, self._params).fetchone()[0])

    @property
    def batches(self) -> Iterator[CsvBatch]:
        """The rows in order, without the header, never more than one batch in memory."""
        cursor = self._connection.cursor()
        cursor.row_factory = None
        cursor.execute(self._sql, self._params)
        while rows := cursor.fetchmany(self._batch_rows):
            lines, *ids = zip(*rows, strict=True)
            served = tuple(
                ServedIds(holder.entity, known, fields)
                for (holder, fields), column in zip(self._holders, ids, strict=True)
                if (known := tuple(dict.fromkeys(one for one in column if one is not None)))
            )
            yield CsvBatch(self._line_ending.join(lines) + self._line_ending, len(rows), served)


def _columns(source: Source, query: Query) -> Iterator[tuple[str, Column]]:
    """The header name and the field of each column."""
    for item in query.fields:
        match item:
            case ast.FieldRef(path):
                yield _named(source.column(path))
            case ast.Function(name, _, alias) if name.upper() in LABELS:
                made = term(source, item).column
                if made is None:
                    raise bad_query(f"unexpected function: {name}", name)
                yield alias or _named(made)[0], _named(made)[1]
            case ast.Fields(kind):
                for found in visible_fields(source.settings, source.object):
                    if found.type != "address" and (kind == "ALL" or found.custom == (kind == "CUSTOM")):
                        yield _named(source.field_of(source.root, found.name))
            case _:
                raise bad_query("not supported in Bulk Query")


def _named(column: Column) -> tuple[str, Column]:
    if column.field.type == "address":
        raise QueryError("FEATURENOTENABLED", "Selecting compound data not supported in Bulk Query")
    return ".".join((*column.node.path, column.name)), column


def _quoted(source: Source, column: Column) -> str:
    """One CSV field in SQL: always in quotes, null as nothing."""
    sql, _, _ = value_sql(source, column)
    type_ = column.field.type
    if type_ == "boolean":
        sql = f"CASE {sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
    elif type_ == "datetime":
        sql = f"replace({sql}, '+0000', 'Z')"
    present = f"COALESCE({sql}, '')"
    return f"""'"' || {present if type_ in UNQUOTABLE else f'''replace({present}, '"', '""')'''} || '"'"""


def _holders(source: Source, columns: list[Column]) -> list[tuple[Node, tuple[str, ...]]]:
    """Each table whose records the rows disclose, as a node of its own, with the fields that leave."""
    fields: dict[tuple[str, str], dict[str, None]] = {}
    nodes: dict[tuple[str, str], Node] = {}
    for column in columns:
        _, _, discloses = value_sql(source, column)
        given = dict(column.served) if discloses else {}
        for target in column.node.targets:
            if target.object.name in given:
                key = (target.table, target.object.name)
                nodes[key] = Node(column.node.path, (target,))
                fields.setdefault(key, {})[given[target.object.name]] = None
    return [(nodes[key], tuple(fields[key])) for key in nodes]
