"""WHERE and HAVING in SQL, with SOQL's meaning of null, case, dates and operators.

SOQL knows no third truth value: `!=` and `NOT IN` include null, NOT turns "not true" into true.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from blocks.salesforce.soql import ast
from blocks.salesforce.soql.dates import SUNDAY, date_range, day_span
from blocks.salesforce.soql.names import names_of
from deployments.lab.salesforce import ids
from deployments.lab.salesforce import query_errors as errors
from deployments.lab.salesforce.query_functions import NUMERIC, TEXTUAL, Term, term
from deployments.lab.salesforce.query_source import Source, find_object
from deployments.lab.salesforce.schema import REIFIED

ORDERING = frozenset({ast.Op.LT, ast.Op.LE, ast.Op.GT, ast.Op.GE})
NO_LIKE = frozenset({("AuthSession", "SourceIp")})  # Object Reference: "SourceIp doesn't support LIKE"
LARGEST = 2**63  # SQLite's integers end there
TYPE_WORDS = {"datetime": "dateTime"}


class Conditions:
    """Turns the conditions of one query into SQL over its source."""

    def __init__(self, source: Source, *, having: bool = False) -> None:
        self.source = source
        self.statement = source.statement
        self.having = having

    def sql(self, condition: ast.Condition) -> str:
        match condition:
            case ast.And(items):
                return "(" + " AND ".join(self.sql(item) for item in items) + ")"
            case ast.Or(items):
                return "(" + " OR ".join(self.sql(item) for item in items) + ")"
            case ast.Not(item):
                return f"({self.sql(item)} IS NOT TRUE)"
            case ast.SemiJoin():
                return self._semi_join(condition)
            case ast.Comparison():
                return self._comparison(condition)

    def _left(self, operand: ast.Operand) -> Term:
        left = term(self.source, operand, aggregates=self.having)
        if left.column and not left.column.field.filterable and not left.aggregate:
            raise errors.not_possible(left.name, "filtered")
        return left

    # --- semi-joins

    def _semi_join(self, join: ast.SemiJoin) -> str:
        left = self._left(join.field)
        if left.type not in ("id", "reference"):
            raise errors.bad_query(
                "Semi join sub-selects can only be used with ID or reference fields", left.name
            )
        sobject = find_object(self.source.settings, join.query.object)
        inner = Source(self.statement, sobject, names_of(join.query))
        chosen = join.query.fields[0]
        if not isinstance(chosen, ast.FieldRef):
            raise errors.bad_query("Semi join sub-selects can only query one field")
        column = inner.column(chosen.path)
        if column.field.type not in ("id", "reference"):
            raise errors.bad_query("Semi join sub-selects can only query ID or reference fields", column.name)
        where = [*inner.row_filters(), f"{column.sql} IS NOT NULL"]
        if join.query.where is not None:
            where.append(Conditions(inner).sql(join.query.where))
        select = f"SELECT {column.sql} {inner.sql} WHERE {' AND '.join(where)}"
        if join.negated:
            return f"({left.sql} IS NULL OR {left.sql} NOT IN ({select}))"
        return f"{left.sql} IN ({select})"

    # --- comparisons

    def _comparison(self, comparison: ast.Comparison) -> str:
        left, op, value = self._left(comparison.left), comparison.op, comparison.value
        if isinstance(value, ast.DateLiteral):
            return self._literal(left, op, value)
        if isinstance(value, ast.Null) or (value == ast.Text("") and left.type in TEXTUAL):
            return self._null(left, op)
        if op in (ast.Op.IN, ast.Op.NOT_IN):
            return self._in(left, op, value)
        if op in (ast.Op.INCLUDES, ast.Op.EXCLUDES):
            return self._includes(left, op, value)
        if op is ast.Op.LIKE:
            return self._like(left, value)
        bound = self._value(left, value)
        if left.type == "boolean":
            return self._boolean(left, op, bool(bound))
        sql, right = self._folded(left, bound)
        if op is ast.Op.NE:
            return f"({left.sql} IS NULL OR {sql} <> {right})"
        return f"{sql} {op} {right}"

    def _null(self, left: Term, op: ast.Op) -> str:
        if op is ast.Op.EQ:
            return "0" if left.type == "boolean" else f"{left.sql} IS NULL"
        if op is ast.Op.NE:
            return "1" if left.type == "boolean" else f"{left.sql} IS NOT NULL"
        return "0"

    def _boolean(self, left: Term, op: ast.Op, wanted: bool) -> str:
        """A boolean is never null in Salesforce, not even one of a parent that is not there."""
        if op not in (ast.Op.EQ, ast.Op.NE):
            raise errors.wrong_operator("boolean", left.name)
        is_true = wanted == (op is ast.Op.EQ)
        return f"{left.sql} = 1" if is_true else f"{left.sql} IS NOT 1"

    def _folded(self, left: Term, bound: Any) -> tuple[str, str]:
        """Both sides of a comparison, without regard to case where the left side is text.

        SQLite's NOCASE knows ASCII only; it suffices, and can use an index, when the value is ASCII.
        """
        right = self.statement.bind(bound)
        if left.type not in TEXTUAL:
            return left.sql, right
        if bound.isascii():
            return left.sql, f"{right} COLLATE NOCASE"
        return f"soql_fold({left.sql})", f"soql_fold({right})"

    def _in(self, left: Term, op: ast.Op, value: ast.Value) -> str:
        items = value.items if isinstance(value, ast.List) else (value,)
        if any(isinstance(item, ast.DateLiteral) for item in items):
            single, glue = (ast.Op.EQ, " OR ") if op is ast.Op.IN else (ast.Op.NE, " AND ")
            parts = [self._one(left, single, item) for item in items]
            return f"({glue.join(parts)})"
        present = [item for item in items if not self._is_null(left, item)]
        bound = [self._value(left, item) for item in present]
        alternatives = self._any_of(left, bound)
        if len(present) < len(items):
            alternatives.append(f"{left.sql} IS NULL")
        found = f"({' OR '.join(alternatives)})"
        return found if op is ast.Op.IN else f"({found} IS NOT TRUE)"

    def _one(self, left: Term, op: ast.Op, value: ast.Value) -> str:
        if isinstance(value, ast.DateLiteral):
            return self._literal(left, op, value)
        if isinstance(value, ast.Null):
            return self._null(left, op)
        right = self.statement.bind(self._value(left, value))
        return f"{left.sql} IS {'NOT ' if op is ast.Op.NE else ''}{right}"

    @staticmethod
    def _is_null(left: Term, value: ast.Value) -> bool:
        return isinstance(value, ast.Null) or (value == ast.Text("") and left.type in TEXTUAL)

    def _any_of(self, left: Term, values: list[Any]) -> list[str]:
        textual = left.type in TEXTUAL
        plain = [value for value in values if not textual or value.isascii()]
        found = []
        if plain:
            collated = f"{left.sql} COLLATE NOCASE" if textual else left.sql
            found.append(f"{collated} IN ({', '.join(self.statement.bind(value) for value in plain)})")
        folded = [value.casefold() for value in values if textual and not value.isascii()]
        if folded:
            marks = ", ".join(self.statement.bind(value) for value in folded)
            found.append(f"soql_fold({left.sql}) IN ({marks})")
        return found

    def _includes(self, left: Term, op: ast.Op, value: ast.Value) -> str:
        if left.type != "multipicklist":
            raise errors.wrong_operator(left.type, left.name)
        items = value.items if isinstance(value, ast.List) else (value,)
        alternatives = []
        for item in items:
            chosen = str(self._value(left, item)).split(";")
            has = [f"instr(';' || {left.sql} || ';', {self.statement.bind(f';{one};')})" for one in chosen]
            alternatives.append("(" + " AND ".join(f"{one} > 0" for one in has) + ")")
        found = f"({' OR '.join(alternatives)})"
        return found if op is ast.Op.INCLUDES else f"({found} IS NOT TRUE)"

    def _like(self, left: Term, value: ast.Value) -> str:
        object_name = left.column.node.entity if left.column else ""
        if left.type not in TEXTUAL or (object_name, left.name) in NO_LIKE:
            raise errors.wrong_operator(left.type, left.name)
        if not isinstance(value, ast.Pattern):
            raise errors.wrong_value(left.name, left.type, quoted=True)
        pattern = value.value  # SQL reads it alike, with a backslash as ESCAPE
        if pattern.isascii():
            return f"{left.sql} LIKE {self.statement.bind(pattern)} ESCAPE '\\'"
        return f"soql_fold({left.sql}) LIKE {self.statement.bind(pattern.casefold())} ESCAPE '\\'"

    # --- values

    def _literal(self, left: Term, op: ast.Op, literal: ast.DateLiteral) -> str:
        settings = self.source.settings
        how = (literal, settings.now, settings.tz, SUNDAY, settings.fiscal_year_start_month)
        if left.type == "date":
            span = day_span(*how)
            start, end = span.start.isoformat(), span.end.isoformat()
        elif left.type == "datetime":
            start, end = (stored_instant(instant) for instant in date_range(*how))
        else:
            raise errors.wrong_value(left.name, left.type, quoted=left.type in TEXTUAL)
        first, last = self.statement.bind(start), self.statement.bind(end)
        match op:
            case ast.Op.EQ | ast.Op.IN:
                return f"({left.sql} >= {first} AND {left.sql} < {last})"
            case ast.Op.NE | ast.Op.NOT_IN:
                return f"({left.sql} IS NULL OR {left.sql} < {first} OR {left.sql} >= {last})"
            case ast.Op.GT:
                return f"{left.sql} >= {last}"
            case ast.Op.GE:
                return f"{left.sql} >= {first}"
            case ast.Op.LT:
                return f"{left.sql} < {first}"
            case ast.Op.LE:
                return f"{left.sql} < {last}"
        raise errors.wrong_operator(left.type, left.name)

    def _value(self, left: Term, value: ast.Value) -> Any:
        """The value as the store keeps it, if its kind fits the field. Raises INVALID_FIELD."""
        match value:
            case ast.Text(text) if left.type in TEXTUAL:
                return text
            case ast.Text(text) if left.type in ("id", "reference"):
                return self._id(left, text)
            case ast.Number(number) | ast.Currency(amount=number) if left.type in NUMERIC:
                whole = number == number.to_integral_value() and abs(number) < LARGEST
                return int(number) if whole else float(number)
            case ast.Boolean(flag) if left.type == "boolean":
                return int(flag)
            case ast.Date(day) if left.type == "date":
                return day.isoformat()
            case ast.DateTime(instant) if left.type == "datetime":
                return stored_instant(instant)
        quoted = left.type in TEXTUAL or left.type in ("id", "reference")
        raise errors.wrong_value(left.name, TYPE_WORDS.get(left.type, left.type), quoted=quoted)

    def _id(self, left: Term, text: str) -> str:
        targets = left.column.field.reference_to if left.column else ()
        entity = left.column.node.entity if left.column else ""
        if entity in REIFIED or set(targets) & set(REIFIED):
            return text
        canonical = ids.to_18(text) if re.fullmatch(r"[A-Za-z0-9]{15}([A-Za-z0-9]{3})?", text) else None
        if canonical is None:
            raise errors.QueryError("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {text}", left.name)
        return canonical


def stored_instant(instant: datetime) -> str:
    """An instant as the store writes it."""
    utc = instant.astimezone(UTC)
    return f"{utc.year:04d}-{utc:%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}+0000"
