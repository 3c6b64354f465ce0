"""Random SOQL from the grammar: statements as trees, from a seeded `random.Random`.

With `WILD` the names are anything the grammar allows, keywords among them, and the statement need not make
sense to any org. With a `Vocabulary` of real objects and typed fields the statements can be run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TypeVar

from blocks.salesforce.soql import ast

T = TypeVar("T")

# Names that are keywords elsewhere in the grammar are names here.
NAMES = (
    "Id", "Name", "Email", "CreatedDate", "Order", "Group", "Limit", "Offset", "Count", "Data", "Category",
    "Scope", "Update", "View", "Type", "End__c", "When__c", "By", "All__c", "Rows", "Today", "Nulls__c", "x1",
    "ns__Field__c", "Owner", "a", "Last_N_Days__c", "For__c", "First", "Tracking", "Fields__c", "TypeOf__c",
)  # fmt: skip
TEXTS = (
    "", "x", "O'Hara", "back\\slash", "tab\tnew\nline", "ümläut", "日本", "100%", "a_b", "\u0001", "😀",
    '"q"', "-- no comment", "%';--", "\\_", "\\%", "\r\f\b",
)  # fmt: skip
LITERALS = (
    "YESTERDAY", "TODAY", "TOMORROW", "LAST_WEEK", "THIS_WEEK", "NEXT_WEEK", "LAST_MONTH", "THIS_MONTH",
    "NEXT_MONTH", "LAST_90_DAYS", "NEXT_90_DAYS", "THIS_QUARTER", "LAST_QUARTER", "NEXT_QUARTER", "THIS_YEAR",
    "LAST_YEAR", "NEXT_YEAR", "THIS_FISCAL_QUARTER", "LAST_FISCAL_QUARTER", "NEXT_FISCAL_QUARTER",
    "THIS_FISCAL_YEAR", "LAST_FISCAL_YEAR", "NEXT_FISCAL_YEAR",
)  # fmt: skip
UNITS = ("DAYS", "WEEKS", "MONTHS", "QUARTERS", "YEARS", "FISCAL_QUARTERS", "FISCAL_YEARS")
COUNTED = tuple(f"{way}_N_{unit}" for way in ("LAST", "NEXT") for unit in UNITS) + tuple(
    f"N_{unit}_AGO" for unit in UNITS
)
FUNCTIONS = (
    "toLabel", "FORMAT", "convertCurrency", "CALENDAR_YEAR", "DAY_ONLY", "COUNT", "COUNT_DISTINCT", "max",
)  # fmt: skip
ORDERING = (ast.Op.LT, ast.Op.LE, ast.Op.GT, ast.Op.GE)


@dataclass(frozen=True)
class Vocabulary:
    """Objects with typed fields (text, number, boolean, date, datetime, id) and how they hang together."""

    fields: Mapping[str, Mapping[str, str]]
    parents: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    texts: tuple[str, ...] = TEXTS
    numbers: tuple[Decimal, ...] = (Decimal(0), Decimal(1), Decimal("2.5"), Decimal("-7"), Decimal("1e20"))
    ids: tuple[str, ...] = ()
    around: datetime = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


class Generator:
    """Makes statements; the same Random in the same state makes the same ones."""

    def __init__(self, random: Random, vocabulary: Vocabulary | None = None) -> None:
        self.random = random
        self.vocabulary = vocabulary

    # --- choices

    def _one(self, choices: tuple[T, ...] | list[T]) -> T:
        return choices[self.random.randrange(len(choices))]

    def _maybe(self, make: Callable[[], T], chance: float = 0.3) -> T | None:
        return make() if self.random.random() < chance else None

    def _some(self, make: Callable[[], T], most: int = 3, least: int = 1) -> tuple[T, ...]:
        return tuple(make() for _ in range(self.random.randint(least, most)))

    # --- any statement the grammar allows

    def query(self, depth: int = 0) -> ast.Query:
        """Any statement; children and semi-joins down to two levels."""
        return ast.Query(
            fields=self._some(lambda: self._item(depth), 4),
            object=self._one(NAMES),
            alias=self._maybe(lambda: self._one(("a", "acc", "x1", "z9"))),
            scope=self._maybe(lambda: self._one(("Mine", "Everything", "Team")), 0.1),
            where=self._maybe(lambda: self.condition(depth), 0.7),
            with_=self._maybe(self._with, 0.1),
            group_by=self._maybe(self._group, 0.2),
            having=self._maybe(lambda: self.condition(2), 0.1),
            order_by=self._some(self._order, 3, 0),
            limit=self._maybe(self._count),
            offset=self._maybe(self._count, 0.2),
            for_=tuple(self._some(lambda: self._one(("VIEW", "REFERENCE", "UPDATE")), 2, 0)),
            update=tuple(self._some(lambda: self._one(("TRACKING", "VIEWSTAT")), 1, 0)),
            all_rows=self.random.random() < 0.1,
        )

    def _count(self) -> int | ast.Bind:
        return self._one((0, 1, 200, 2000, ast.Bind("n")))

    def _path(self) -> ast.Path:
        return self._some(lambda: self._one(NAMES), 3)

    def _field(self) -> ast.FieldRef:
        return ast.FieldRef(self._path())

    def _item(self, depth: int) -> ast.SelectItem:
        kind = self.random.random()
        alias = self._maybe(lambda: self._one(("n", "total", "expr9")), 0.2)
        if kind < 0.6:
            return ast.FieldRef(self._path(), alias)
        if kind < 0.8:
            return ast.Function(*self._call(), alias)
        if kind < 0.85:
            return ast.Fields(self._one(("ALL", "CUSTOM", "STANDARD")))
        if kind < 0.92 or depth >= 2:
            whens = self._some(lambda: ast.When(self._one(NAMES), self._some(self._field)), 2)
            return ast.TypeOf(self._path(), whens, self._some(self._field, 2, 0))
        return ast.SubQuery(self.query(depth + 1))

    def _call(self) -> tuple[str, tuple[ast.Argument, ...]]:
        name = self._one(FUNCTIONS)
        if name == "COUNT" and self.random.random() < 0.5:
            return name, ()
        if self.random.random() < 0.2:
            point = ast.Function("GEOLOCATION", (ast.Number(Decimal("37.5")), ast.Number(Decimal("-122"))))
            return "DISTANCE", (self._field(), point, ast.Text("mi"))
        inner = (
            ast.Function("convertTimezone", (self._field(),)) if self.random.random() < 0.3 else self._field()
        )
        return name, (inner,)

    def _operand(self) -> ast.Operand:
        return self._field() if self.random.random() < 0.8 else ast.Function(*self._call())

    def condition(self, depth: int = 0) -> ast.Condition:
        kind = self.random.random()
        if depth < 3 and kind < 0.2:
            return ast.And(self._some(lambda: self.condition(depth + 1), 3, 2))
        if depth < 3 and kind < 0.35:
            return ast.Or(self._some(lambda: self.condition(depth + 1), 3, 2))
        if depth < 3 and kind < 0.45:
            return ast.Not(self.condition(depth + 1))
        if depth < 2 and kind < 0.55:
            return ast.SemiJoin(self._operand(), self.random.random() < 0.5, self.query(depth + 2))
        return self._comparison()

    def _comparison(self) -> ast.Comparison:
        left, kind = self._operand(), self.random.random()
        if kind < 0.15:
            op = self._one((ast.Op.IN, ast.Op.NOT_IN, ast.Op.INCLUDES, ast.Op.EXCLUDES))
            values = ast.List(self._some(self.value, 3)) if self.random.random() < 0.9 else ast.Bind("ids")
            return ast.Comparison(left, op, values)
        if kind < 0.3:
            return ast.Comparison(left, ast.Op.LIKE, self.pattern())
        return ast.Comparison(left, self._one((ast.Op.EQ, ast.Op.NE, *ORDERING)), self.value())

    def pattern(self) -> ast.Pattern:
        parts = self._some(lambda: self._one(("%", "_", "\\%", "\\_", "\\\\", "a", "'", "ü", "\n")), 5, 0)
        return ast.Pattern("".join(parts))

    def value(self) -> ast.Value:
        return self._one(
            [
                ast.Text(self._one(TEXTS)),
                ast.Number(self._one((Decimal(0), Decimal("-1.50"), Decimal("1e30"), Decimal("0.0001")))),
                ast.Currency("USD", Decimal(5000)),
                ast.Boolean(self.random.random() < 0.5),
                ast.Null(),
                ast.Date(self.day()),
                ast.DateTime(self.instant()),
                self.date_literal(),
                ast.Bind(self._one(("x", "a.b", "list[0]", "get(1)"))),
            ]
        )

    def date_literal(self) -> ast.DateLiteral:
        if self.random.random() < 0.5:
            return ast.DateLiteral(self._one(LITERALS))
        return ast.DateLiteral(self._one(COUNTED), self._one((1, 2, 30, 365)))

    def instant(self) -> datetime:
        base = self.vocabulary.around if self.vocabulary else datetime(2024, 2, 29, 12, tzinfo=UTC)
        moved = base + timedelta(minutes=self.random.randint(-500_000, 500_000))
        return moved + timedelta(milliseconds=self._one((0, 0, 7, 250)))

    def day(self) -> date:
        return self.instant().date()

    def _with(self) -> ast.With:
        if self.random.random() < 0.5:
            return ast.Mode(self._one(("SECURITY_ENFORCED", "USER_MODE", "SYSTEM_MODE")))
        return self._some(
            lambda: ast.DataCategory(
                "Geo__c",
                self._one(("AT", "ABOVE", "BELOW", "ABOVE_OR_BELOW")),
                self._some(lambda: "usa__c", 2),
            ),
            2,
        )

    def _group(self) -> ast.GroupBy:
        items = self._some(self._operand, 2)
        return ast.GroupBy(items, self._one((None, None, "ROLLUP", "CUBE")))

    def _order(self) -> ast.OrderBy:
        return ast.OrderBy(self._operand(), self.random.random() < 0.5, self._one((None, True, False)))

    # --- statements that an org with the vocabulary can run

    def runnable(self, object_name: str | None = None) -> ast.Query:
        """`SELECT Id, ... FROM object WHERE ...` over the vocabulary, without LIMIT and order."""
        assert self.vocabulary is not None
        name = object_name or self._one(tuple(self.vocabulary.fields))
        paths = dict.fromkeys([("Id",), *(self.path(name)[0] for _ in range(self.random.randint(0, 3)))])
        return ast.Query(
            fields=tuple(ast.FieldRef(path) for path in paths),
            object=name,
            where=self._maybe(lambda: self.filter(name), 0.9),
        )

    def path(self, object_name: str) -> tuple[ast.Path, str]:
        """A field of the object, or of a parent, with its type."""
        assert self.vocabulary is not None
        parents = self.vocabulary.parents.get(object_name, {})
        if parents and self.random.random() < 0.3:
            relationship = self._one(tuple(parents))
            rest, kind = self.path(parents[relationship])
            return (relationship, *rest), kind
        name = self._one(tuple(self.vocabulary.fields[object_name]))
        return (name,), self.vocabulary.fields[object_name][name]

    def filter(self, object_name: str, depth: int = 0) -> ast.Condition:
        kind = self.random.random()
        if depth < 3 and kind < 0.25:
            return ast.And(self._some(lambda: self.filter(object_name, depth + 1), 3, 2))
        if depth < 3 and kind < 0.45:
            return ast.Or(self._some(lambda: self.filter(object_name, depth + 1), 3, 2))
        if depth < 3 and kind < 0.55:
            return ast.Not(self.filter(object_name, depth + 1))
        return self.typed_comparison(*self.path(object_name))

    def typed_comparison(self, path: ast.Path, kind: str) -> ast.Comparison:
        left, dice = ast.FieldRef(path), self.random.random()
        if kind == "boolean":
            return ast.Comparison(left, self._one((ast.Op.EQ, ast.Op.NE)), self._typed(kind))
        if dice < 0.15:
            return ast.Comparison(left, self._one((ast.Op.EQ, ast.Op.NE)), ast.Null())
        if dice < 0.3:
            values = self._some(lambda: self._maybe(ast.Null, 0.1) or self._typed(kind), 4)
            return ast.Comparison(left, self._one((ast.Op.IN, ast.Op.NOT_IN)), ast.List(values))
        if dice < 0.5 and kind == "text":
            return ast.Comparison(left, ast.Op.LIKE, self._like())
        return ast.Comparison(left, self._one((ast.Op.EQ, ast.Op.NE, *ORDERING)), self._typed(kind))

    def _like(self) -> ast.Pattern:
        assert self.vocabulary is not None
        text = self._one(self.vocabulary.texts)
        literal = "".join(f"\\{c}" if c in "\\%_" else c for c in text)
        start, end = literal[:3].rstrip("\\"), text[-1:].replace("\\", "")
        return ast.Pattern(self._one((literal, f"{start}%", f"%{end}", f"_%{end}_", "_%", "%")))

    def _typed(self, kind: str) -> ast.Value:
        assert self.vocabulary is not None
        match kind:
            case "text":
                return ast.Text(self._one(self.vocabulary.texts))
            case "number":
                return ast.Number(self._one(self.vocabulary.numbers))
            case "boolean":
                return ast.Boolean(self.random.random() < 0.5)
            case "date":
                return self.date_literal() if self.random.random() < 0.5 else ast.Date(self.day())
            case "datetime":
                return self.date_literal() if self.random.random() < 0.5 else ast.DateTime(self.instant())
        return ast.Text(self._one(self.vocabulary.ids))
