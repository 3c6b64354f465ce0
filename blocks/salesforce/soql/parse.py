"""Text to tree: reads one SOQL statement with the LALR grammar beside this file."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args
from lark.exceptions import VisitError

from blocks.salesforce.soql import ast
from blocks.salesforce.soql.errors import SoqlSyntaxError
from blocks.salesforce.soql.strings import BadEscape, unescape, unescape_pattern

MAX_CHARACTERS = 100_000  # Salesforce's own limit
MAX_NESTING = 200  # of brackets and NOT; deeper than any client writes, shallow enough to walk recursively

# Words that the SOQL reference forbids as alias names.
RESERVED = frozenset(
    "and asc desc excludes first from group having in includes last like limit not null nulls or "
    "select using where with".split()
)

_NESTING = re.compile(r"'(?:[^'\\]|\\.)*'|(\()|(\))|(\bnot\b)", re.IGNORECASE)
_CLOSED = re.compile(r"'([^'\\\n\r]|\\[^\n\r])*'")


class _Misplaced(Exception):
    """A token that the grammar lets through but SOQL does not."""

    def __init__(self, token: Token, reason: str, shift: int = 0) -> None:
        super().__init__(reason)
        self.token = token
        self.reason = reason
        self.shift = shift


def _path(token: Token) -> ast.Path:
    if "." not in token:
        return (str(token),)
    return tuple(part.strip() for part in token.split("."))


def _name(token: Token) -> str:
    """An object or function name: dotted only where the caller says so."""
    return ".".join(_path(token))


def _alias(token: Token | None) -> str | None:
    if token is None:
        return None
    if token.lower() in RESERVED:
        raise _Misplaced(token, f"{token} is a word of SOQL and cannot be an alias")
    return str(token)


def _simple(token: Token, what: str) -> str:
    if "." in token:
        raise _Misplaced(token, f"{what} cannot be dotted")
    return str(token)


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """Builds the tree while the parser reduces: one method per rule or alias of the grammar."""

    def start(self, query: ast.Query) -> ast.Query:
        return query

    def query(self, fields: Any, sources: Any, *clauses: Any) -> ast.Query:
        scope, where, with_, group_by, having, order_by, limit, offset, tail = clauses
        (object_path, alias), *joins = sources
        return ast.Query(
            fields=fields,
            object=".".join(object_path),
            alias=alias,
            joins=tuple(ast.Join(path, name) for path, name in joins),
            scope=scope,
            where=where,
            with_=with_,
            group_by=group_by,
            having=having,
            order_by=order_by,
            limit=limit,
            offset=offset,
            **tail,
        )

    # --- SELECT and FROM

    def select_list(self, *items: ast.SelectItem) -> tuple[ast.SelectItem, ...]:
        return items

    def field(self, path: Token, alias: Token | None = None) -> ast.FieldRef:
        return ast.FieldRef(_path(path), _alias(alias))

    def function(self, name: Token, *args: Any) -> ast.Function | ast.Fields:
        called = _simple(name, "a function's name")
        present = tuple(arg for arg in args if arg is not None)
        if called.upper() == "FIELDS":
            match present:
                case (ast.FieldRef(path=(kind,)),) if kind.upper() in ("ALL", "CUSTOM", "STANDARD"):
                    return ast.Fields(kind.upper())
            raise _Misplaced(name, "FIELDS() takes ALL, CUSTOM or STANDARD")
        if any(isinstance(arg, ast.Fields) for arg in present):
            raise _Misplaced(name, "FIELDS() cannot be an argument")
        return ast.Function(called, present)

    def aliased(self, call: ast.Function | ast.Fields, alias: Token) -> ast.Function:
        if isinstance(call, ast.Fields):
            raise _Misplaced(alias, "FIELDS() cannot have an alias")
        return ast.Function(call.name, call.args, _alias(alias))

    def subquery(self, query: ast.Query) -> ast.SubQuery:
        return ast.SubQuery(query)

    def typeof(self, path: Token, *parts: Any) -> ast.TypeOf:
        *whens, otherwise = parts
        return ast.TypeOf(_path(path), tuple(whens), otherwise)

    def when(self, name: Token, fields: tuple[ast.FieldRef, ...]) -> ast.When:
        return ast.When(_simple(name, "the object after WHEN"), fields)

    def otherwise(self, fields: tuple[ast.FieldRef, ...] | None) -> tuple[ast.FieldRef, ...]:
        return fields or ()

    def plain_fields(self, *paths: Token) -> tuple[ast.FieldRef, ...]:
        return tuple(ast.FieldRef(_path(path)) for path in paths)

    def from_list(self, first: Any, *others: Any) -> list[Any]:
        for path, alias, token in others:
            if alias is None:
                raise _Misplaced(token, "a second source needs an alias")
            if len(path) < 2:
                raise _Misplaced(token, "a second source starts with the alias of the first")
        return [(path, alias) for path, alias, _ in (first, *others)]

    def from_item(self, path: Token, alias: Token | None) -> tuple[ast.Path, str | None, Token]:
        return _path(path), _alias(alias), path

    def scope(self, name: Token | None) -> str | None:
        return None if name is None else str(name)

    # --- conditions

    def where(self, condition: ast.Condition | None) -> ast.Condition | None:
        return condition

    having = where

    def and_(self, *items: ast.Condition) -> ast.And:
        return ast.And(items)

    def or_(self, *items: ast.Condition) -> ast.Or:
        return ast.Or(items)

    def not_(self, item: ast.Condition) -> ast.Not:
        return ast.Not(item)

    def compare(self, left: ast.Operand, operator: Token, value: ast.Value) -> ast.Comparison:
        return ast.Comparison(left, ast.Op("!=" if operator == "<>" else str(operator)), value)

    def like(self, left: ast.Operand, pattern: Token) -> ast.Comparison:
        return ast.Comparison(left, ast.Op.LIKE, ast.Pattern(self._unescaped(pattern, unescape_pattern)))

    def like_bind(self, left: ast.Operand, bind: Token) -> ast.Comparison:
        return ast.Comparison(left, ast.Op.LIKE, self.bind(bind))

    def in_(self, left: ast.Operand, values: ast.Value) -> ast.Comparison:
        return ast.Comparison(left, ast.Op.IN, values)

    def not_in(self, left: ast.Operand, values: ast.Value) -> ast.Comparison:
        return ast.Comparison(left, ast.Op.NOT_IN, values)

    def includes(self, left: ast.Operand, values: ast.Value) -> ast.Comparison:
        return ast.Comparison(left, ast.Op.INCLUDES, values)

    def excludes(self, left: ast.Operand, values: ast.Value) -> ast.Comparison:
        return ast.Comparison(left, ast.Op.EXCLUDES, values)

    def semi_join(self, field: ast.Operand, query: ast.Query) -> ast.SemiJoin:
        return ast.SemiJoin(field, False, query)

    def anti_join(self, field: ast.Operand, query: ast.Query) -> ast.SemiJoin:
        return ast.SemiJoin(field, True, query)

    def value_list(self, *values: ast.Value) -> ast.List:
        return ast.List(values)

    def list_bind(self, bind: Token) -> ast.Bind:
        return self.bind(bind)

    # --- values

    def text(self, token: Token) -> ast.Text:
        return ast.Text(self._unescaped(token, unescape))

    @staticmethod
    def _unescaped(token: Token, how: Any) -> str:
        try:
            return cast(str, how(token[1:-1]))
        except BadEscape as error:
            raise _Misplaced(token, "unknown escape in a string", error.position + 1) from None

    def number(self, token: Token) -> ast.Number:
        return ast.Number(Decimal(str(token)))

    def currency(self, token: Token) -> ast.Currency:
        return ast.Currency(token[:3].upper(), Decimal(token[3:]))

    def date(self, token: Token) -> ast.Date:
        try:
            return ast.Date(date.fromisoformat(token))
        except ValueError:
            raise _Misplaced(token, "no such day") from None

    def datetime(self, token: Token) -> ast.DateTime:
        head, fraction, zone = re.fullmatch(r"([^.]{19})(\.\d+)?(.+)", token.upper()).groups()  # type: ignore[union-attr]
        try:
            instant = datetime.fromisoformat(head + (fraction or "")[:7].ljust(7, "0").replace("0000000", ""))
            offset = datetime.strptime("+0000" if zone == "Z" else zone, "%z").tzinfo
            return ast.DateTime(instant.replace(tzinfo=offset).astimezone(UTC))
        except (ValueError, OverflowError):
            raise _Misplaced(token, "no such instant") from None

    def date_literal(self, token: Token) -> ast.DateLiteral:
        name, _, count = token.partition(":")
        return ast.DateLiteral(name.strip().upper(), int(count) if count else None)

    def boolean(self, token: Token) -> ast.Boolean:
        return ast.Boolean(token.lower() == "true")

    def null(self, _: Token) -> ast.Null:
        return ast.Null()

    def bind(self, token: Token) -> ast.Bind:
        return ast.Bind("".join(token[1:].split()))

    def integer(self, token: Token) -> int:
        if len(token) > 18:
            raise _Misplaced(token, "the number is too large")
        return int(token)

    # --- the clauses after WHERE

    def with_(self, body: ast.With | None) -> ast.With | None:
        return body

    def mode(self, token: Token) -> ast.Mode:
        return ast.Mode(token.upper())

    def categories(self, *categories: ast.DataCategory) -> tuple[ast.DataCategory, ...]:
        return categories

    def category(self, group: Token, selector: Token, *names: Token) -> ast.DataCategory:
        return ast.DataCategory(_name(group), selector.upper(), tuple(_name(name) for name in names))

    def group(self, *items: Any) -> ast.GroupBy | None:
        match items:
            case (None,):
                return None
            case (ast.Function(name=name, args=args),) if name.upper() in ("ROLLUP", "CUBE") and args:
                return ast.GroupBy(cast("tuple[ast.Operand, ...]", args), name.upper())
        return ast.GroupBy(items)

    def order(self, *items: Any) -> tuple[ast.OrderBy, ...]:
        return () if items == (None,) else items

    def order_item(self, by: ast.Operand, descending: bool, nulls_last: bool | None) -> ast.OrderBy:
        return ast.OrderBy(by, descending, nulls_last)

    def direction(self, token: Token | None) -> bool:
        return token is not None and token.upper() == "DESC"

    def nulls(self, token: Token | None) -> bool | None:
        return None if token is None else token.upper() == "LAST"

    def limit(self, count: int | ast.Bind | None) -> int | ast.Bind | None:
        return count

    offset = limit

    def for_(self, *what: Token) -> tuple[str, tuple[str, ...]]:
        return "for_", tuple(word.upper() for word in what)

    def update(self, *what: Token) -> tuple[str, tuple[str, ...]]:
        return "update", tuple(word.upper() for word in what)

    def all_rows(self) -> tuple[str, tuple[str, ...]]:
        return "all_rows", ()

    def tail(self, *items: tuple[str, tuple[str, ...]]) -> dict[str, Any]:
        clauses: dict[str, Any] = {}
        for name, words in items:
            clauses[name] = True if name == "all_rows" else clauses.get(name, ()) + words
        return clauses


@cache
def _parser() -> Lark:
    grammar = (files(__package__) / "grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", transformer=_Builder(), maybe_placeholders=True)


def parse(text: str) -> ast.Query:
    """Read one SOQL statement. Raises SoqlSyntaxError, which says where the text stops being SOQL."""
    _refuse_excess(text)
    try:
        return cast(ast.Query, _parser().parse(text))
    except UnexpectedInput as error:
        raise _unexpected(text, error) from None
    except VisitError as error:
        if isinstance(error.orig_exc, _Misplaced):
            raise _misplaced(text, error.orig_exc) from None
        raise
    except _Misplaced as error:
        raise _misplaced(text, error) from None


def _refuse_excess(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise _at(text, MAX_CHARACTERS, f"longer than {MAX_CHARACTERS:,} characters")
    if len(text) < MAX_NESTING:
        return
    depth = negations = 0
    for match in _NESTING.finditer(text):
        depth += (match[1] is not None) - (match[2] is not None)
        negations += match[3] is not None
        if depth > MAX_NESTING or negations > 10 * MAX_NESTING:
            raise _at(text, match.start(), "nested too deeply")


def _at(text: str, position: int, reason: str, found: str | None = None) -> SoqlSyntaxError:
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    return SoqlSyntaxError(reason, position, line, column, found)


def _misplaced(text: str, error: _Misplaced) -> SoqlSyntaxError:
    return _at(text, (error.token.start_pos or 0) + error.shift, error.reason, str(error.token))


def _unexpected(text: str, error: UnexpectedInput) -> SoqlSyntaxError:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return _at(text, len(text), "the statement ends too early")
    position = error.pos_in_stream if error.pos_in_stream is not None else len(text)
    if (
        isinstance(error, UnexpectedCharacters)
        and text[position] == "'"
        and not _CLOSED.match(text, position)
    ):
        return _at(text, position, "a string is not closed", text[position:])
    word = re.match(r"[A-Za-z_]\w*|[^\s\w]+|\S+", text[position:])
    return _at(text, position, "this was not expected here", word[0] if word else None)
