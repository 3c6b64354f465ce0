"""Which fields a statement returns and which it only filters by. Pure: no schema, no org.

Paths are as written, without aliases and qualified roots. To learn an object's name behind a relationship,
walk the org's describe from `root` along `children` and then along `path`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from blocks.salesforce.soql import ast
from blocks.salesforce.soql.names import Names, function_fields, names_of


@dataclass(frozen=True, slots=True)
class FieldUse:
    """One field as a statement uses it.

    `root` is the object in FROM; `children` the child relationships from it down to the subquery that uses
    the field; `path` parent relationships and the field. With `wildcard` (ALL, CUSTOM, STANDARD) the path is
    empty. `when` is the object type after WHEN or "" in ELSE of a TYPEOF, else None. `aggregate`: only the
    value of an aggregate or of a group leaves, no record.
    """

    root: str
    children: tuple[str, ...]
    path: ast.Path
    wildcard: str | None = None
    when: str | None = None
    aggregate: bool = False


def returned_fields(query: ast.Query) -> tuple[FieldUse, ...]:
    """What the rows of the answer carry, in the order asked; functions are unwrapped to their fields."""
    return tuple(dict.fromkeys(_returned(query, query.object, ())))


def _returned(query: ast.Query, root: str, children: tuple[str, ...]) -> Iterator[FieldUse]:
    names = names_of(query)
    aggregate = ast.is_aggregate(query)
    for item in query.fields:
        match item:
            case ast.SubQuery(inner):
                yield from _returned(inner, root, (*children, inner.object.rpartition(".")[2]))
            case ast.Fields(kind):
                yield FieldUse(root, children, (), wildcard=kind)
            case ast.TypeOf():
                yield from _typeof(item, names, root, children)
            case _:
                for field in function_fields(item):
                    yield FieldUse(root, children, names.plain(field.path), aggregate=aggregate)


def _typeof(item: ast.TypeOf, names: Names, root: str, children: tuple[str, ...]) -> Iterator[FieldUse]:
    base = names.plain(item.field)
    for when in item.whens:
        for field in when.fields:
            yield FieldUse(root, children, (*base, *field.path), when=when.object)
    for field in item.otherwise:
        yield FieldUse(root, children, (*base, *field.path), when="")


def filter_fields(query: ast.Query) -> tuple[FieldUse, ...]:
    """What WHERE and HAVING compare, in subqueries and semi-joins too: learnable without being returned.

    The inner object of a semi-join is a root of its own.
    """
    return tuple(dict.fromkeys(_filtered(query, query.object, ())))


def order_fields(query: ast.Query) -> tuple[FieldUse, ...]:
    """What ORDER BY sorts by: it tells the order of values, and with LIMIT which records were chosen."""
    names = names_of(query)
    return tuple(
        FieldUse(query.object, (), names.plain(field.path))
        for item in query.order_by
        for field in function_fields(item.by)
    )


def _filtered(query: ast.Query, root: str, children: tuple[str, ...]) -> Iterator[FieldUse]:
    names = names_of(query)
    for condition in (query.where, query.having):
        for leaf in ast.leaves(condition):
            left = leaf.field if isinstance(leaf, ast.SemiJoin) else leaf.left
            for field in function_fields(left):
                yield FieldUse(root, children, names.plain(field.path), aggregate=condition is query.having)
            if isinstance(leaf, ast.SemiJoin):
                yield from _semi_join(leaf.query)
    for inner in ast.subqueries(query):
        yield from _filtered(inner, root, (*children, inner.object.rpartition(".")[2]))


def _semi_join(query: ast.Query) -> Iterator[FieldUse]:
    names = names_of(query)
    for item in query.fields:
        if isinstance(item, ast.FieldRef | ast.Function):
            for field in function_fields(item):
                yield FieldUse(query.object, (), names.plain(field.path))
    yield from _filtered(query, query.object, ())


def objects_filtered(query: ast.Query) -> tuple[str, ...]:
    """The objects that semi-joins look into, once each."""
    found: dict[str, None] = {}
    for statement in (query, *_all_subqueries(query)):
        for condition in (statement.where, statement.having):
            for leaf in ast.leaves(condition):
                if isinstance(leaf, ast.SemiJoin):
                    found[leaf.query.object] = None
                    found.update(dict.fromkeys(objects_filtered(leaf.query)))
    return tuple(found)


def _all_subqueries(query: ast.Query) -> Iterator[ast.Query]:
    for inner in ast.subqueries(query):
        yield inner
        yield from _all_subqueries(inner)
