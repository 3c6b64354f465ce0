"""Runs SOQL over the twin's records: compiles a parsed statement to SQLite and streams the rows.

Each row comes with what it discloses (object, record id, fields), which is the lab's ground truth: the fields
that the row carries by value, for the root, its parents and its child records. A masked encrypted field and
the address of a blob disclose nothing; neither does an aggregate. A field that is null discloses that it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from blocks.salesforce.soql import Query, SoqlInvalid, SoqlSyntaxError, ast, parse, validate
from blocks.salesforce.soql.names import names_of
from deployments.lab.salesforce import query_columns
from deployments.lab.salesforce import query_errors as errors
from deployments.lab.salesforce.query_big import check_big
from deployments.lab.salesforce.query_errors import QueryError
from deployments.lab.salesforce.query_functions import register
from deployments.lab.salesforce.query_groups import MAX_ROWS, Groups
from deployments.lab.salesforce.query_order import limit_sql
from deployments.lab.salesforce.query_records import Records, Row, stream, where_sql
from deployments.lab.salesforce.query_select import Served
from deployments.lab.salesforce.query_source import (
    Settings,
    Source,
    Statement,
    Viewer,
    check_reified,
    find_object,
)
from deployments.lab.salesforce.schema import Schema, SObject

__all__ = ["QueryError", "Result", "Row", "Served", "Viewer", "execute", "read_soql"]


class Reads(Protocol):
    """What execution needs of a store: this thread's connection."""

    def read(self) -> sqlite3.Connection: ...


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
    connection = opened(store)
    zone = tz if isinstance(tz, str) else tz.key
    settings = Settings(schema, viewer, now, zone, all_rows, tooling, api_version, fiscal_start(connection))
    try:
        sobject = find_object(settings, query.object)
        validate(query, max_offset=None if sobject.row_limit else 2000)
        check_reified(sobject, query)
        check_big(sobject, query)
        return Result(connection, settings, sobject, query)
    except SoqlInvalid as error:
        raise QueryError(error.code, error.reason) from None
    except QueryError as error:
        raise (error if text is None else error.located(text)) from None


def opened(store: Reads) -> sqlite3.Connection:
    """This thread's connection, taught the functions that queries use."""
    connection = store.read()
    register(connection)
    return connection


def fiscal_start(connection: sqlite3.Connection) -> int:
    """The month in which the organisation's fiscal year starts; January where nothing is said."""
    row = connection.execute("SELECT FiscalYearStartMonth FROM Organization LIMIT 1").fetchone()
    return int(row[0]) if row and row[0] else 1


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
        self._records: Records | None = None
        if not self.aggregate:
            self._records = Records(settings, sobject, query)
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
            return self._number(self._records.count_sql, params)
        if self.count_only:
            return self._number(self._sql, self._statement.params)
        return len(self._aggregates)

    def _number(self, sql: str, params: dict[str, Any]) -> int:
        return int(self._connection.execute(sql, params).fetchone()[0])

    @cached_property
    def _aggregates(self) -> list[Row]:
        rows = [
            Row(self._groups.record(raw), ())
            for raws in stream(self._connection, self._sql, self._statement.params)
            for raw in raws
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
