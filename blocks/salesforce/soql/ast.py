"""What a SOQL statement says: frozen dataclasses that hold every clause and forget the spelling.

Names keep the case they were written in; compare them without case. Text is unescaped, instants are in UTC,
`<>` is `!=`, redundant brackets are gone. `render` writes a tree back and `parse` reads the same tree again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

Path = tuple[str, ...]


class Op(StrEnum):
    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    LIKE = "LIKE"
    IN = "IN"
    NOT_IN = "NOT IN"
    INCLUDES = "INCLUDES"
    EXCLUDES = "EXCLUDES"


# --- values --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """The right side of LIKE: `%` and `_` are wild cards; a backslash makes `%`, `_` and itself literal."""

    value: str


@dataclass(frozen=True, slots=True)
class Number:
    value: Decimal


@dataclass(frozen=True, slots=True)
class Currency:
    """An amount with its ISO code, such as `USD5000`."""

    code: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Boolean:
    value: bool


@dataclass(frozen=True, slots=True)
class Null:
    pass


@dataclass(frozen=True, slots=True)
class Date:
    value: date


@dataclass(frozen=True, slots=True)
class DateTime:
    """An instant, in UTC."""

    value: datetime


@dataclass(frozen=True, slots=True)
class DateLiteral:
    """`TODAY`, or with a count `LAST_N_DAYS:30`. The name is upper case."""

    name: str
    n: int | None = None


@dataclass(frozen=True, slots=True)
class Bind:
    """An Apex expression such as `ids` or `a.b`, without its colon. REST refuses it."""

    expression: str


@dataclass(frozen=True, slots=True)
class List:
    items: tuple[Value, ...]


Value = Text | Pattern | Number | Currency | Boolean | Null | Date | DateTime | DateLiteral | Bind | List


# --- what can be selected ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldRef:
    path: Path
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """A call such as `COUNT(Id)` or `FORMAT(MIN(Amount))`; `COUNT()` has no arguments."""

    name: str
    args: tuple[Argument, ...]
    alias: str | None = None


Argument = FieldRef | Function | Text | Number | Bind
Operand = FieldRef | Function


@dataclass(frozen=True, slots=True)
class SubQuery:
    """Child records. The inner query's `object` is a relationship name."""

    query: Query


@dataclass(frozen=True, slots=True)
class When:
    object: str
    fields: tuple[FieldRef, ...]


@dataclass(frozen=True, slots=True)
class TypeOf:
    """`TYPEOF What WHEN Account THEN Phone ELSE Name END`."""

    field: Path
    whens: tuple[When, ...]
    otherwise: tuple[FieldRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Fields:
    """`FIELDS(ALL)`, `FIELDS(CUSTOM)` or `FIELDS(STANDARD)`; the kind is upper case."""

    kind: str


SelectItem = FieldRef | Function | SubQuery | TypeOf | Fields


# --- conditions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class And:
    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    item: Condition


@dataclass(frozen=True, slots=True)
class Comparison:
    left: Operand
    op: Op
    value: Value


@dataclass(frozen=True, slots=True)
class SemiJoin:
    """`AccountId IN (SELECT ...)`; with `negated` the anti-join `NOT IN`."""

    field: Operand
    negated: bool
    query: Query


Condition = And | Or | Not | Comparison | SemiJoin


# --- clauses -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Join:
    """The older notation `FROM Contact c, c.Account a`: `a` stands for the path."""

    path: Path
    alias: str


@dataclass(frozen=True, slots=True)
class Mode:
    """`WITH SECURITY_ENFORCED`, `USER_MODE` or `SYSTEM_MODE`; upper case."""

    name: str


@dataclass(frozen=True, slots=True)
class DataCategory:
    """`Geography__c ABOVE usa__c`; the selector is upper case."""

    group: str
    selector: str
    names: tuple[str, ...]


With = Mode | tuple[DataCategory, ...]


@dataclass(frozen=True, slots=True)
class GroupBy:
    items: tuple[Operand, ...]
    kind: str | None = None  # None, "ROLLUP" or "CUBE"


@dataclass(frozen=True, slots=True)
class OrderBy:
    by: Operand
    descending: bool = False
    nulls_last: bool | None = None  # None: not said; Salesforce then puts nulls first


@dataclass(frozen=True, slots=True)
class Query:
    fields: tuple[SelectItem, ...]
    object: str
    alias: str | None = None
    joins: tuple[Join, ...] = ()
    scope: str | None = None
    where: Condition | None = None
    with_: With | None = None
    group_by: GroupBy | None = None
    having: Condition | None = None
    order_by: tuple[OrderBy, ...] = ()
    limit: int | Bind | None = None
    offset: int | Bind | None = None
    for_: tuple[str, ...] = ()  # VIEW, REFERENCE, UPDATE
    update: tuple[str, ...] = ()  # TRACKING, VIEWSTAT
    all_rows: bool = False


AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"})


def is_aggregate_call(item: object) -> bool:
    """Whether this is an aggregate function, also inside `FORMAT(...)` and the like."""
    if not isinstance(item, Function):
        return False
    return item.name.upper() in AGGREGATES or any(is_aggregate_call(arg) for arg in item.args)


def is_aggregate(query: Query) -> bool:
    """Whether the answer holds aggregate rows instead of records."""
    return query.group_by is not None or any(is_aggregate_call(item) for item in query.fields)


def is_count(query: Query) -> bool:
    """Whether this is `SELECT COUNT() FROM ...`, which answers with a size and no rows."""
    match query.fields:
        case (Function(name=name, args=(), alias=None),):
            return name.upper() == "COUNT"
    return False


def leaves(condition: Condition | None) -> Iterator[Comparison | SemiJoin]:
    """Every comparison and semi-join of a condition, left to right, not those of inner queries."""
    match condition:
        case None:
            return
        case And(items) | Or(items):
            for item in items:
                yield from leaves(item)
        case Not(item):
            yield from leaves(item)
        case _:
            yield condition


def subqueries(query: Query) -> Iterator[Query]:
    """The child queries of the SELECT list, not those of semi-joins."""
    for item in query.fields:
        if isinstance(item, SubQuery):
            yield item.query
