"""Tree to text: one line of SOQL that `parse` reads back as the same tree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

from blocks.salesforce.soql import ast
from blocks.salesforce.soql.strings import quote, quote_pattern


def render(query: ast.Query) -> str:
    """The statement as text. `parse(render(query)) == query` for every tree that `parse` can build."""
    return " ".join(_clauses(query))


def _clauses(query: ast.Query) -> Iterator[str]:
    yield "SELECT " + ", ".join(_item(item) for item in query.fields)
    sources = [f"{query.object} {query.alias}" if query.alias else query.object]
    sources += [f"{'.'.join(join.path)} {join.alias}" for join in query.joins]
    yield "FROM " + ", ".join(sources)
    if query.scope:
        yield f"USING SCOPE {query.scope}"
    if query.where:
        yield f"WHERE {condition(query.where)}"
    if query.with_:
        yield f"WITH {_with(query.with_)}"
    if query.group_by:
        items = ", ".join(_operand(item) for item in query.group_by.items)
        yield f"GROUP BY {query.group_by.kind}({items})" if query.group_by.kind else f"GROUP BY {items}"
    if query.having:
        yield f"HAVING {condition(query.having)}"
    if query.order_by:
        yield "ORDER BY " + ", ".join(_order(item) for item in query.order_by)
    if query.limit is not None:
        yield f"LIMIT {_count(query.limit)}"
    if query.offset is not None:
        yield f"OFFSET {_count(query.offset)}"
    if query.for_:
        yield "FOR " + ", ".join(query.for_)
    if query.update:
        yield "UPDATE " + ", ".join(query.update)
    if query.all_rows:
        yield "ALL ROWS"


def _item(item: ast.SelectItem) -> str:
    match item:
        case ast.SubQuery(query):
            return f"({render(query)})"
        case ast.Fields(kind):
            return f"FIELDS({kind})"
        case ast.TypeOf(field, whens, otherwise):
            parts = [f"TYPEOF {'.'.join(field)}"]
            parts += [f"WHEN {when.object} THEN {_plain(when.fields)}" for when in whens]
            if otherwise:
                parts.append(f"ELSE {_plain(otherwise)}")
            return " ".join([*parts, "END"])
    text = _operand(item)
    return f"{text} {item.alias}" if item.alias else text


def _plain(fields: tuple[ast.FieldRef, ...]) -> str:
    return ", ".join(".".join(field.path) for field in fields)


def _operand(operand: ast.Operand) -> str:
    if isinstance(operand, ast.FieldRef):
        return ".".join(operand.path)
    return f"{operand.name}({', '.join(_argument(arg) for arg in operand.args)})"


def _argument(argument: ast.Argument) -> str:
    return _operand(argument) if isinstance(argument, ast.FieldRef | ast.Function) else value(argument)


def _with(with_: ast.With) -> str:
    if isinstance(with_, ast.Mode):
        return with_.name
    return "DATA CATEGORY " + " AND ".join(
        f"{category.group} {category.selector} "
        + (category.names[0] if len(category.names) == 1 else f"({', '.join(category.names)})")
        for category in with_
    )


def _order(item: ast.OrderBy) -> str:
    text = _operand(item.by) + (" DESC" if item.descending else "")
    if item.nulls_last is None:
        return text
    return text + (" NULLS LAST" if item.nulls_last else " NULLS FIRST")


def _count(count: int | ast.Bind) -> str:
    return str(count) if isinstance(count, int) else value(count)


def condition(tree: ast.Condition) -> str:
    """One condition as it stands after WHERE or HAVING."""
    match tree:
        case ast.And(items):
            return " AND ".join(_nested(item) for item in items)
        case ast.Or(items):
            return " OR ".join(_nested(item) for item in items)
        case ast.Not(item):
            return f"NOT {_nested(item)}"
        case ast.Comparison(left, op, right):
            return f"{_operand(left)} {op} {value(right)}"
        case ast.SemiJoin(field, negated, query):
            return f"{_operand(field)} {'NOT IN' if negated else 'IN'} ({render(query)})"


def _nested(tree: ast.Condition) -> str:
    text = condition(tree)
    return f"({text})" if isinstance(tree, ast.And | ast.Or | ast.Not) else text


def value(literal: ast.Value) -> str:
    """One literal as SOQL writes it; instants in UTC, with a fraction only where there is one."""
    match literal:
        case ast.Text(text):
            return quote(text)
        case ast.Pattern(pattern):
            return quote_pattern(pattern)
        case ast.Number(number):
            return format(number, "f")
        case ast.Currency(code, amount):
            return f"{code}{amount:f}"
        case ast.Boolean(flag):
            return "true" if flag else "false"
        case ast.Null():
            return "null"
        case ast.Date(day):
            return day.isoformat()
        case ast.DateTime(instant):
            return instant.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
        case ast.DateLiteral(name, n):
            return name if n is None else f"{name}:{n}"
        case ast.Bind(expression):
            return f":{expression}"
        case ast.List(items):
            return f"({', '.join(value(item) for item in items)})"
