"""Which other records a query's filter looks at, and whether they have changed since: a filter by
`Account.Name`, or by a semi-join, may match other rows now although the rows themselves did not change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from blocks.errors import LeakResponseError
from blocks.salesforce.soql import Query, ast
from blocks.salesforce.soql.names import function_fields, names_of
from tasks.scope.reader import Reader
from tasks.scope.shape import ObjectShape


@dataclass(frozen=True, slots=True)
class Links:
    """`paths`: parents whose changes each row tells. `moved`: objects that were looked at, of which records
    have changed since the query first ran, and which cannot be tied to rows: any row may have matched."""

    paths: tuple[ast.Path, ...] = ()
    moved: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(
            ".".join((*path, name)) for path in self.paths for name in ("SystemModstamp", "IsDeleted")
        )


def links_of(
    reader: Reader, query: Query, shape: ObjectShape, since: datetime, *, by_row: bool = True
) -> Links:
    """What the WHERE of `query` over `shape` looks at besides the rows themselves. Without `by_row` all of it
    is looked at as a whole."""
    paths: dict[ast.Path, None] = {}
    others: dict[str, None] = {}
    for path in _compared(query):
        _walk(reader, shape, tuple(step.casefold() for step in path[:-1]), paths, others, by_row)
    for leaf in ast.leaves(query.where):
        if isinstance(leaf, ast.SemiJoin):
            others.update(dict.fromkeys(_inside(reader, leaf.query)))
    return Links(tuple(paths), tuple(name for name in sorted(others) if not _quiet(reader, name, since)))


def changed_since(links: Links, since: datetime) -> ast.Condition:
    """Rows that changed since, or whose linked records did or are gone: they may have matched then."""
    tests: list[ast.Condition] = []
    for path in ((), *links.paths):
        stamp = ast.FieldRef((*path, "SystemModstamp"))
        tests.append(ast.Comparison(stamp, ast.Op.GT, ast.DateTime(since)))
    for path in links.paths:
        gone = ast.FieldRef((*path, "IsDeleted"))
        tests.append(ast.Comparison(gone, ast.Op.EQ, ast.Boolean(True)))
    return tests[0] if len(tests) == 1 else ast.Or(tuple(tests))


def _compared(query: Query) -> Iterator[ast.Path]:
    """The paths that WHERE compares, without aliases; those of inner queries are not among them."""
    names = names_of(query)
    for leaf in ast.leaves(query.where):
        for field in function_fields(leaf.field if isinstance(leaf, ast.SemiJoin) else leaf.left):
            yield names.plain(field.path)


def _walk(
    reader: Reader,
    shape: ObjectShape | None,
    path: ast.Path,
    paths: dict[ast.Path, None],
    others: dict[str, None],
    by_row: bool,
) -> None:
    """Note each parent on the way; from one of several kinds on, its objects as a whole."""
    for place, step in enumerate(path, 1):
        lookup = shape.parent(step) if shape else None
        targets = lookup.reference_to if lookup else ()
        parents = [parent for name in targets if (parent := reader.shape.get(name)) is not None]
        shape = parents[0] if len(parents) == len(targets) == 1 else None
        if by_row and shape and shape.field("SystemModstamp") and shape.field("IsDeleted"):
            paths[path[:place]] = None
        else:
            others.update(dict.fromkeys(targets or (step,)))


def _inside(reader: Reader, query: Query) -> Iterator[str]:
    """The objects that a semi-join's inner query looks at."""
    yield query.object
    shape = reader.shape.get(query.object)
    found: dict[str, None] = {}
    names = names_of(query)
    selected = [
        names.plain(field.path)
        for item in query.fields
        if isinstance(item, ast.FieldRef | ast.Function)
        for field in function_fields(item)
    ]
    for path in (*_compared(query), *selected):
        current = shape
        for step in path[:-1]:
            lookup = current.parent(step) if current else None
            targets = lookup.reference_to if lookup else (step,)
            found.update(dict.fromkeys(targets))
            current = reader.shape.get(targets[0]) if len(targets) == 1 else None
    for leaf in ast.leaves(query.where):
        if isinstance(leaf, ast.SemiJoin):
            found.update(dict.fromkeys(_inside(reader, leaf.query)))
    yield from found


def _quiet(reader: Reader, object_name: str, since: datetime) -> bool:
    """Whether no record of this object came, changed or went since; False where nobody can tell."""
    shape = reader.shape.get(object_name)
    if shape is None or shape.field("SystemModstamp") is None:
        return False
    moment = f"{since:%Y-%m-%dT%H:%M:%S}.{since.microsecond // 1000:03d}Z"
    soql = f"SELECT Id FROM {shape.name} WHERE SystemModstamp > {moment} LIMIT 1"  # noqa: S608 - describe's name
    try:
        return next(iter(reader.query(soql, all_rows=True)), None) is None
    except LeakResponseError:
        return False
