"""Runs SOQL over the twin's records: compiles a parsed statement to SQLite and streams the rows.

Each row comes with what it discloses (object, record id, fields), which is the lab's ground truth: the fields
that the row carries by value, for the root, its parents and its child records. A masked encrypted field and
the address of a blob disclose nothing; neither does an aggregate. A field that is null discloses that it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from blocks.salesforce.soql import Query, SoqlInvalid, SoqlSyntaxError, ast, parse, validate
from blocks.salesforce.soql.names import names_of
from deployments.lab.salesforce import query_columns
from deployments.lab.salesforce import query_errors as errors
from deployments.lab.salesforce.query_errors import QueryError
from deployments.lab.salesforce.query_functions import register
from deployments.lab.salesforce.query_groups import MAX_ROWS, Groups
from deployments.lab.salesforce.query_order import limit_sql, order_sql
from deployments.lab.salesforce.query_select import Builder, Selection, Served, child_object
from deployments.lab.salesforce.query_source import (
    Settings,
    Source,
    Statement,
    Viewer,
    check_reified,
    find_object,
)
from deployments.lab.salesforce.query_where import Conditions
from deployments.lab.salesforce.schema import Field, Schema, SObject

__all__ = ["QueryError", "Result", "Row", "Served", "Viewer", "execute", "read_soql"]

PAGE = 1000  # rows fetched from SQLite at a time


class Reads(Protocol):
    """What execution needs of a store: this thread's connection."""

    def read(self) -> sqlite3.Connection: ...


class Row(NamedTuple):
    record: dict[str, Any]
    served: tuple[Served, ...]


def read_soql(text: str) -> Query:
    """Parse a statement as the REST API does. Raises QueryError MALFORMED_QUERY with row and column."""
    try:
        return parse(text)
    except SoqlSyntaxError as error:
        raise errors.malformed(text, error) from None


def execute(
    store: Reads,
    schema: Schema,
    query: Query,
    viewer: Viewer,
    *,
    now: datetime,
    tz: str | ZoneInfo,
    all_rows: bool = False,
    tooling: bool = False,
    api_version: str = "67.0",
    text: str | None = None,
) -> Result:
    """Check and compile a statement for a viewer; rows are read when the result is iterated.

    `tz` is the viewer's zone, `all_rows` what queryAll adds: deleted records. `text`, when given, puts
    Salesforce's excerpt with row and column into messages. Raises QueryError before any row is read.
    """
    zone = tz if isinstance(tz, str) else tz.key
    settings = Settings(schema, viewer, now, zone, all_rows, tooling, api_version)
    try:
        sobject = find_object(settings, query.object)
        validate(query, max_offset=None if sobject.row_limit else 2000)
        check_reified(sobject, query)
        connection = store.read()
        register(connection)
        return Result(connection, settings, sobject, query)
    except SoqlInvalid as error:
        raise QueryError(error.code, error.reason) from None
    except QueryError as error:
        raise (error if text is None else error.located(text)) from None


@dataclass(frozen=True, slots=True)
class _Child:
    """A child query of a record query, and the parameter that carries the parent's id."""

    name: str
    query: _Records


class _Records:
    """A compiled query for records: its SQL, and how to build a row."""

    def __init__(
        self,
        settings: Settings,
        sobject: SObject,
        query: Query,
        parent: Field | None = None,
    ) -> None:
        self.statement = Statement(settings)
        self.source = Source(self.statement, sobject, names_of(query))
        self.selection = Selection(self.source)
        self.selection.add(query.fields)
        where = where_sql(self.source, query)
        if parent is not None:
            where.append(f"{self.source.root.targets[0].sql(parent.name)} = :parent")
        order = order_sql(self.source, query.order_by)
        self._tail = f" WHERE {' AND '.join(where)}" if where else ""
        limit = limit_sql(query, sobject.row_limit)
        columns = ", ".join(self.selection.columns)
        self.sql = f"SELECT {columns} {self.source.sql}{self._tail}{order}{limit}"
        self.count_sql = f"SELECT COUNT(*) FROM (SELECT 1 {self.source.sql}{self._tail}{limit})"  # noqa: S608
        self.children = [self._child(settings, item.query) for item in self.selection.children]
        for step in self.selection.root.steps:
            if step.child is not None:
                step.key = self.children[step.child].name
        self.builder = Builder(self.selection, settings.api_version)

    def _child(self, settings: Settings, query: Query) -> _Child:
        name, sobject, reference = child_object(self.source, query)
        return _Child(name, _Records(settings, sobject, query, parent=reference))

    def rows(self, connection: sqlite3.Connection, parent: str | None = None) -> Iterator[Row]:
        """Stream the rows; a child query is run for each parent as it passes by."""
        id_at = self.selection.root.id_at
        for raw in _stream(connection, self.sql, {**self.statement.params, "parent": parent}):
            served: list[Served] = []
            answers = [self._answer(connection, child, raw[id_at], served) for child in self.children]
            own: list[Served] = []
            record = self.builder.build(raw, answers, own)
            yield Row(record, (*own, *served))

    @staticmethod
    def _answer(
        connection: sqlite3.Connection, child: _Child, parent: str, served: list[Served]
    ) -> dict[str, Any] | None:
        records = []
        for row in child.query.rows(connection, parent):
            records.append(row.record)
            served += row.served
        return {"totalSize": len(records), "done": True, "records": records} if records else None

    def columns(self) -> list[dict[str, Any]]:
        inner = [child.query.columns() for child in self.children]
        return query_columns.record_columns(self.selection.root, inner)


def where_sql(source: Source, query: Query) -> list[str]:
    """Every condition a row must meet: those written, and those of deletion, ownership and scope."""
    if isinstance(query.with_, tuple):
        raise errors.bad_query(f"WITH DATA CATEGORY is not supported on {source.object.name}")
    where = source.row_filters()
    if (query.scope or "").lower() == "mine" and source.object.field("OwnerId"):
        owner = source.statement.bind(source.settings.viewer.user_id)
        where.append(f"{source.root.targets[0].sql('OwnerId')} = {owner}")
    if query.where is not None:
        where.append(Conditions(source).sql(query.where))
    return where


def _stream(connection: sqlite3.Connection, sql: str, params: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.row_factory = None
    cursor.arraysize = PAGE
    cursor.execute(sql, params)
    while rows := cursor.fetchmany():
        yield from rows


class Result:
    """A checked, compiled query. Iterate `rows` once, from one thread at a time.

    `entity` is the object in FROM; `aggregate` tells rows of AggregateResult (also of `COUNT()`, which has a
    `total` and no rows). `page_size` is how many rows a page of this object holds at most.
    """

    def __init__(
        self, connection: sqlite3.Connection, settings: Settings, sobject: SObject, query: Query
    ) -> None:
        self._connection = connection
        self.object = sobject
        self.entity = sobject.name
        self.page_size = sobject.page_size
        self.query = query
        self.count_only = ast.is_count(query)
        self.aggregate = ast.is_aggregate(query)
        self._records: _Records | None = None
        if not self.aggregate:
            self._records = _Records(settings, sobject, query)
            return
        self._statement = Statement(settings)
        source = Source(self._statement, sobject, names_of(query))
        self._groups = Groups(source, query)
        where = where_sql(source, query)
        tail = f" WHERE {' AND '.join(where)}" if where else ""
        if self.count_only:
            limit = limit_sql(query)
            self._sql = f"SELECT COUNT(*) FROM (SELECT 1 {source.sql}{tail}{limit})"  # noqa: S608 - names are the schema's
        else:
            self._sql = self._groups.sql(tail, limit_sql(query))

    @cached_property
    def total(self) -> int:
        """How many rows the whole answer has, counted when first asked."""
        if self._records is not None:
            params = self._records.statement.params
            return int(next(_stream(self._connection, self._records.count_sql, params))[0])
        if self.count_only:
            return int(next(_stream(self._connection, self._sql, self._statement.params))[0])
        return len(self._aggregates)

    @cached_property
    def _aggregates(self) -> list[Row]:
        rows = [
            Row(self._groups.record(raw), ())
            for raw in _stream(self._connection, self._sql, self._statement.params)
        ]
        if len(rows) > MAX_ROWS:
            raise QueryError(
                "EXCEEDED_ID_LIMIT",
                "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single "
                "batch",
            )
        return rows

    @property
    def rows(self) -> Iterator[Row]:
        """The rows, streamed; every use starts the query anew."""
        if self._records is not None:
            return self._records.rows(self._connection)
        return iter(()) if self.count_only else iter(self._aggregates)

    @property
    def columns(self) -> list[dict[str, Any]]:
        """`columnMetadata` of the answer to `columns=true`."""
        if self._records is not None:
            return self._records.columns()
        return query_columns.aggregate_columns(self._groups)
