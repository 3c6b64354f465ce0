"""What the grammar lets through and the APIs refuse: Apex-only syntax and contradictions between clauses.

Needs no schema. Messages follow Salesforce's own; which of them are word for word is not documented.
"""

from __future__ import annotations

from collections.abc import Iterator

from blocks.salesforce.soql import ast
from blocks.salesforce.soql.errors import SoqlInvalid
from blocks.salesforce.soql.names import names_of

MAX_OFFSET = 2000
MAX_FIELDS_ROWS = 200
MAX_SUBQUERIES = 20
MAX_DEPTH = 5  # levels of child queries, the outer one included
MAX_SEMI_JOINS = 2
MAX_ROLLUP = 3


def validate(query: ast.Query, *, bulk: bool = False, max_offset: int | None = MAX_OFFSET) -> None:
    """Refuse what REST refuses, and with `bulk` what Bulk API 2.0 refuses. Raises SoqlInvalid."""
    if bulk:
        _bulk(query)
    _statement(query, max_offset, depth=1)


def _statement(query: ast.Query, max_offset: int | None, depth: int) -> None:
    _apex_only(query)
    _selection(query)
    _grouping(query)
    _rows(query, max_offset)
    _semi_joins(query)
    children = list(ast.subqueries(query))
    if len(children) > MAX_SUBQUERIES:
        raise SoqlInvalid(f"maximum {MAX_SUBQUERIES} child relationship queries are allowed")
    if children and depth >= MAX_DEPTH:
        raise SoqlInvalid(f"relationship queries are allowed down to {MAX_DEPTH} levels")
    for inner in children:
        if ast.is_aggregate(inner):
            raise SoqlInvalid("aggregate functions are not supported in a child relationship query")
        _statement(inner, max_offset, depth + 1)


def _apex_only(query: ast.Query) -> None:
    if query.all_rows:
        raise SoqlInvalid("ALL ROWS not allowed in this context")
    counts = (query.limit, query.offset)
    if any(isinstance(count, ast.Bind) for count in counts) or any(_binds(query)):
        raise SoqlInvalid("Bind variables only allowed in Apex code")


def _binds(query: ast.Query) -> Iterator[bool]:
    for condition in (query.where, query.having):
        for leaf in ast.leaves(condition):
            if isinstance(leaf, ast.Comparison):
                items = leaf.value.items if isinstance(leaf.value, ast.List) else (leaf.value,)
                yield any(isinstance(item, ast.Bind) for item in items)
                yield _bound_call(leaf.left)
    for item in query.fields:
        yield isinstance(item, ast.Function) and _bound_call(item)


def _bound_call(operand: ast.Argument) -> bool:
    if isinstance(operand, ast.Function):
        return any(_bound_call(arg) for arg in operand.args)
    return isinstance(operand, ast.Bind)


def _selection(query: ast.Query) -> None:
    if any(_is_bare_count(item) for item in query.fields):
        if len(query.fields) > 1:
            raise SoqlInvalid("count() must be the only element in the select list")
        if query.order_by:
            raise SoqlInvalid("ORDER BY is not allowed with count()")
        if query.group_by:
            raise SoqlInvalid("count() cannot be grouped; use COUNT(Id)")
    aggregate = ast.is_aggregate(query)
    names = names_of(query)
    seen: set[ast.Path] = set()
    for item in query.fields:
        if isinstance(item, ast.FieldRef):
            if item.alias and not aggregate:
                raise SoqlInvalid("only aggregate expressions use field aliasing")
            plain = tuple(part.lower() for part in names.plain(item.path))
            if plain in seen and not (aggregate and item.alias):
                raise SoqlInvalid(f"duplicate field selected: {'.'.join(item.path)}")
            seen.add(plain)
        elif aggregate and not isinstance(item, ast.Function):
            raise SoqlInvalid("only grouped fields and aggregate functions can be selected here")
    aliases = [item.alias.lower() for item in query.fields if isinstance(item, ast.Function) and item.alias]
    for alias in aliases:
        if aliases.count(alias) > 1:
            raise SoqlInvalid(f"duplicate alias: {alias}")


def _is_bare_count(item: ast.SelectItem) -> bool:
    return isinstance(item, ast.Function) and item.name.upper() == "COUNT" and not item.args


def _grouping(query: ast.Query) -> None:
    if query.having and not query.group_by:
        raise SoqlInvalid("HAVING can only be used with GROUP BY")
    for leaf in ast.leaves(query.where):
        if isinstance(leaf, ast.Comparison) and ast.is_aggregate_call(leaf.left):
            raise SoqlInvalid("aggregate functions cannot be used in WHERE; use HAVING")
    if query.group_by and query.group_by.kind and len(query.group_by.items) > MAX_ROLLUP:
        raise SoqlInvalid(f"{query.group_by.kind} takes at most {MAX_ROLLUP} fields")
    overall = ast.is_aggregate(query) and not query.group_by and not ast.is_count(query)
    if overall and query.limit is not None:
        raise SoqlInvalid("Non-grouped query that uses overall aggregate functions cannot also use LIMIT")


def _rows(query: ast.Query, max_offset: int | None) -> None:
    if isinstance(query.offset, int) and max_offset is not None and query.offset > max_offset:
        raise SoqlInvalid(f"Maximum SOQL offset allowed is {max_offset}", "NUMBER_OUTSIDE_VALID_RANGE")
    kinds = {item.kind for item in query.fields if isinstance(item, ast.Fields)}
    limited = isinstance(query.limit, int) and query.limit <= MAX_FIELDS_ROWS
    if kinds & {"ALL", "CUSTOM"} and not limited and not _by_ids(query):
        raise SoqlInvalid(f"The SOQL FIELDS function must have a LIMIT of at most {MAX_FIELDS_ROWS}")
    if "UPDATE" in query.for_ and query.order_by:
        raise SoqlInvalid("ORDER BY is not allowed with FOR UPDATE")


def _by_ids(query: ast.Query) -> bool:
    """`WHERE Id IN (...)` with few enough ids bounds FIELDS() as a LIMIT does."""
    for leaf in query.where.items if isinstance(query.where, ast.And) else (query.where,):
        match leaf:
            case ast.Comparison(ast.FieldRef(path=path), ast.Op.EQ, _) if path[-1].lower() == "id":
                return True
            case ast.Comparison(ast.FieldRef(path=path), ast.Op.IN, ast.List(items)):
                if path[-1].lower() == "id" and len(items) <= MAX_FIELDS_ROWS:
                    return True
    return False


def _semi_joins(query: ast.Query) -> None:
    joins = [leaf for leaf in ast.leaves(query.where) if isinstance(leaf, ast.SemiJoin)]
    if any(isinstance(leaf, ast.SemiJoin) for leaf in ast.leaves(query.having)):
        raise SoqlInvalid("Semi join sub-selects are not allowed in HAVING")
    if len(joins) > MAX_SEMI_JOINS:
        raise SoqlInvalid(f"maximum {MAX_SEMI_JOINS} semi join sub-selects are allowed")
    if _under_or(query.where):
        raise SoqlInvalid("Semi join sub-selects are not allowed with the 'OR' operator")
    for join in joins:
        inner = join.query
        if any(isinstance(leaf, ast.SemiJoin) for leaf in ast.leaves(inner.where)):
            raise SoqlInvalid("Nesting of semi join sub-selects is not supported")
        if ast.is_aggregate(inner) or inner.order_by or inner.limit is not None or inner.for_:
            raise SoqlInvalid("a semi join sub-select takes no aggregate, ORDER BY, LIMIT or FOR")
        if len(inner.fields) != 1 or not isinstance(inner.fields[0], ast.FieldRef):
            raise SoqlInvalid("Semi join sub-selects can only query one field")
        _apex_only(inner)


def _under_or(condition: ast.Condition | None) -> bool:
    match condition:
        case ast.Or() as either:
            return any(isinstance(leaf, ast.SemiJoin) for leaf in ast.leaves(either))
        case ast.And(items):
            return any(_under_or(item) for item in items)
        case ast.Not(item):
            return _under_or(item)
    return False


def _bulk(query: ast.Query) -> None:
    if ast.is_aggregate(query) or query.group_by:
        raise SoqlInvalid("Aggregate Relationships not supported in Bulk Query", "FEATURENOTENABLED")
    if query.offset is not None:
        raise SoqlInvalid("OFFSET not supported in Bulk Query", "FEATURENOTENABLED")
    for item in query.fields:
        if isinstance(item, ast.TypeOf):
            raise SoqlInvalid("TYPEOF not supported in Bulk Query", "FEATURENOTENABLED")
        if isinstance(item, ast.SubQuery):
            raise SoqlInvalid("Child relationships not supported in Bulk Query", "FEATURENOTENABLED")
