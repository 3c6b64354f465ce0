"""Aggregate queries: GROUP BY, ROLLUP and CUBE, HAVING, and the names of the answer's columns.

An aggregate row discloses no record, so nothing here tells what was served.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from blocks.salesforce.soql import ast
from deployments.lab.salesforce import query_errors as errors
from deployments.lab.salesforce.query_functions import TEXTUAL, Term, term
from deployments.lab.salesforce.query_order import direction
from deployments.lab.salesforce.query_select import Convert, formatter
from deployments.lab.salesforce.query_source import Source
from deployments.lab.salesforce.query_where import Conditions

MAX_ROWS = 2000  # of an aggregate answer: there is no queryMore for it


@dataclass(frozen=True, slots=True)
class Output:
    """One column of the answer: its key and, for GROUPING(), the group item it asks about."""

    key: str
    term: Term
    grouping: int | None = None
    format: Convert | None = None

    def convert(self, value: Any) -> Any:
        if self.format is not None:
            return self.format(value)
        if value is None:
            return None
        if self.term.type == "boolean":
            return bool(value)
        return float(value) if self.term.type in ("double", "currency", "percent") else value


class Groups:
    """One aggregate query over its source, ready to be written as SQL."""

    def __init__(self, source: Source, query: ast.Query) -> None:
        self.source = source
        self.query = query
        items = query.group_by.items if query.group_by else ()
        self.items = [self._group(item) for item in items]
        self._sql = [item.sql for item in self.items]
        self.outputs = list(self._outputs(query.fields))
        keys = [output.key for output in self.outputs]
        for key in keys:
            if keys.count(key) > 1:
                raise errors.bad_query(f"duplicate alias: {key}", key)

    def _group(self, item: ast.Operand) -> Term:
        made = term(self.source, item)
        if made.type in ("base64", "address", "multipicklist", "encryptedstring") or _long(made):
            raise errors.bad_query(f"field '{made.name}' can not be grouped in a query call", made.name)
        return made

    def _outputs(self, fields: Sequence[ast.SelectItem]) -> Iterator[Output]:
        unnamed = 0
        for item in fields:
            if not isinstance(item, ast.FieldRef | ast.Function):
                raise errors.bad_query("only grouped fields and aggregate functions can be selected here")
            alias = item.alias
            if alias is None and isinstance(item, ast.Function):
                alias = f"expr{unnamed}"
                unnamed += 1
            yield self._output(item, alias)

    def _output(self, item: ast.Operand, alias: str | None) -> Output:
        if isinstance(item, ast.Function) and item.name.upper() == "GROUPING":
            return Output(alias or "", *self._grouping(item))
        made = self.grouped(item)
        shown = formatter(item, made) if isinstance(item, ast.Function) else None
        return Output(alias or made.name, made, format=shown)

    def _grouping(self, call: ast.Function) -> tuple[Term, int]:
        asked = call.args[0] if call.args else None
        kind = self.query.group_by.kind if self.query.group_by else None
        if kind and isinstance(asked, ast.FieldRef | ast.Function):
            sql = term(self.source, asked).sql
            if sql in self._sql:
                return Term("0", "int", "GROUPING"), self._sql.index(sql)
        raise errors.bad_query("GROUPING takes a field of GROUP BY ROLLUP or CUBE", call.name)

    def grouped(self, item: ast.Operand) -> Term:
        """An aggregate, or something that is in GROUP BY; anything else has no single value."""
        made = term(self.source, item, aggregates=True)
        if not made.aggregate and made.sql not in self._sql:
            raise errors.bad_query(f"Field must be grouped or aggregated: {made.name}", made.name)
        return made

    def sql(self, where: str, limit: str) -> str:
        """The whole statement; a ROLLUP or CUBE is the union of its groupings."""
        orders = [(self.grouped(order.by), order) for order in self.query.order_by]
        having = f" HAVING {self._having(self.query.having)}" if self.query.having else ""
        selects = [self._select(kept, orders, where, having) for kept in self._sets()]
        sql = " UNION ALL ".join(selects)
        if orders:
            first = len(self.outputs)
            keys = ", ".join(
                f"c{first + n}{' COLLATE NOCASE' if made.type in TEXTUAL else ''} {direction(order)}"
                for n, (made, order) in enumerate(orders)
            )
            sql = f"SELECT * FROM ({sql}) ORDER BY {keys}"  # noqa: S608 - made of schema names and binds
        return sql + limit

    def _having(self, condition: ast.Condition) -> str:
        for leaf in ast.leaves(condition):
            if isinstance(leaf, ast.Comparison):
                self.grouped(leaf.left)
        return Conditions(self.source, having=True).sql(condition)

    def _sets(self) -> list[frozenset[int]]:
        """The groupings: which of the GROUP BY items each keeps."""
        everything = range(len(self.items))
        kind = self.query.group_by.kind if self.query.group_by else None
        if kind == "ROLLUP":
            return [frozenset(range(size)) for size in range(len(self.items), -1, -1)]
        if kind == "CUBE":
            sizes = range(len(self.items), -1, -1)
            return [frozenset(kept) for size in sizes for kept in combinations(everything, size)]
        return [frozenset(everything)]

    def _select(
        self, kept: frozenset[int], orders: list[tuple[Term, ast.OrderBy]], where: str, having: str
    ) -> str:
        dropped = {self._sql[n] for n in range(len(self.items)) if n not in kept}
        columns = []
        for output in self.outputs:
            if output.grouping is not None:
                columns.append(str(int(output.grouping not in kept)))
            else:
                columns.append("NULL" if output.term.sql in dropped else output.term.sql)
        columns += ["NULL" if made.sql in dropped else made.sql for made, _ in orders]
        listed = ", ".join(f"{sql} AS c{n}" for n, sql in enumerate(columns))
        group = ", ".join(self._sql[n] for n in sorted(kept))
        by = f" GROUP BY {group}" if group else ""
        return f"SELECT {listed} {self.source.sql}{where}{by}{having}"

    def record(self, row: Sequence[Any]) -> dict[str, Any]:
        record: dict[str, Any] = {"attributes": {"type": "AggregateResult"}}
        for n, output in enumerate(self.outputs):
            record[output.key] = output.convert(row[n])
        return record


def _long(made: Term) -> bool:
    return made.type == "textarea" and bool(made.column) and not made.column.field.filterable  # type: ignore[union-attr]
