"""Record queries: the SQL of one level, its rows streamed, its child queries run for many parents at once."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from blocks.salesforce.soql import Query
from blocks.salesforce.soql.names import names_of
from deployments.lab.salesforce import query_columns
from deployments.lab.salesforce import query_errors as errors
from deployments.lab.salesforce.query_order import limit_sql, order_sql
from deployments.lab.salesforce.query_select import Builder, Selection, Served, child_object
from deployments.lab.salesforce.query_source import Settings, Source, Statement
from deployments.lab.salesforce.query_where import Conditions
from deployments.lab.salesforce.schema import Field, SObject

PAGE = 1000  # rows fetched from SQLite at a time
PARENTS = 200  # parents whose children are looked up at once

Raw = tuple[Any, ...]


class Row(NamedTuple):
    """One record as REST's JSON, and what it discloses: (object, record id, fields) of each record in it."""

    record: dict[str, Any]
    served: tuple[Served, ...]


@dataclass(frozen=True, slots=True)
class _Child:
    """A child query and the name of its relationship."""

    name: str
    query: Records


class Records:
    """A compiled query for records. With `parent`, the child's field that refers to the parent, it is a child
    query: its LIMIT and OFFSET then hold for each parent.
    """

    def __init__(
        self, settings: Settings, sobject: SObject, query: Query, parent: Field | None = None
    ) -> None:
        self.statement = Statement(settings)
        self._query = query
        self._source = Source(self.statement, sobject, names_of(query))
        self._selection = Selection(self._source)
        self._selection.add(query.fields)
        self._id_at = self._selection.root.id_at
        self._parent_at = -1
        where = where_sql(self._source, query)
        limit = limit_sql(query, sobject.row_limit)
        if parent is not None:
            reference = self._source.root.targets[0].sql(parent.name)
            self._parent_at = self._selection.fetch(reference)
            where.append(f"{reference} IN (SELECT value FROM json_each(:parents))")  # noqa: S608
            limit = ""
        order = order_sql(self._source, query.order_by)
        tail = f" WHERE {' AND '.join(where)}" if where else ""
        columns = ", ".join(self._selection.columns)
        self._sql = f"SELECT {columns} {self._source.sql}{tail}{order}{limit}"
        self.count_sql = f"SELECT COUNT(*) FROM (SELECT 1 {self._source.sql}{tail}{limit})"  # noqa: S608
        self._children = [self._child(settings, item.query) for item in self._selection.children]
        for step in self._selection.root.steps:
            if step.child is not None:
                step.key = self._children[step.child].name
        self._builder = Builder(self._selection, settings.api_version)

    def _child(self, settings: Settings, query: Query) -> _Child:
        name, sobject, reference = child_object(self._source, query)
        return _Child(name, Records(settings, sobject, query, parent=reference))

    def rows(self, connection: sqlite3.Connection) -> Iterator[Row]:
        """Stream the rows; children are looked up for a few parents at a time as these pass by."""
        size = PARENTS if self._children else PAGE
        for raws in stream(connection, self._sql, self.statement.params, size):
            yield from self._built(connection, raws)

    def _built(self, connection: sqlite3.Connection, raws: Sequence[Raw]) -> Iterator[Row]:
        parents = [raw[self._id_at] for raw in raws]
        found = [child.query.of_parents(connection, parents) for child in self._children]
        for raw in raws:
            served: list[Served] = []
            answers: list[dict[str, Any] | None] = []
            below: list[Served] = []
            for rows_of in found:
                rows = rows_of.get(raw[self._id_at], [])
                records = [row.record for row in rows]
                answers.append(
                    {"totalSize": len(records), "done": True, "records": records} if rows else None
                )
                for row in rows:
                    below += row.served
            record = self._builder.build(raw, answers, served)
            yield Row(record, (*served, *below))

    def of_parents(self, connection: sqlite3.Connection, parents: Sequence[str]) -> dict[str, list[Row]]:
        """The children of each of these parents, in order, each parent's cut by LIMIT and OFFSET."""
        offset = self._query.offset if isinstance(self._query.offset, int) else 0
        limit = self._query.limit if isinstance(self._query.limit, int) else None
        last = None if limit is None else offset + limit
        params = {**self.statement.params, "parents": json.dumps(parents)}
        by_parent: dict[str, list[Raw]] = defaultdict(list)
        for raws in stream(connection, self._sql, params, PAGE):
            for raw in raws:
                by_parent[raw[self._parent_at]].append(raw)
        kept = {parent: raws[offset:last] for parent, raws in by_parent.items()}
        built = self._built(connection, [raw for raws in kept.values() for raw in raws])
        return {parent: [next(built) for _ in raws] for parent, raws in kept.items()}

    def columns(self) -> list[dict[str, Any]]:
        """`columnMetadata` of this query."""
        inner = [child.query.columns() for child in self._children]
        return query_columns.record_columns(self._selection.root, inner)


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


def stream(
    connection: sqlite3.Connection, sql: str, params: dict[str, Any], size: int = PAGE
) -> Iterator[list[Raw]]:
    """The rows of a statement, `size` at a time."""
    cursor = connection.cursor()
    cursor.row_factory = None
    cursor.execute(sql, params)
    while rows := cursor.fetchmany(size):
        yield rows
