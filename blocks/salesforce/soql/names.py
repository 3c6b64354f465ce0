"""Which field a path means: aliases and qualified roots taken away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from blocks.salesforce.soql import ast


@dataclass(frozen=True, slots=True)
class Names:
    """The names that one FROM clause introduces, lower case."""

    roots: frozenset[str]
    joins: dict[str, ast.Path]

    def plain(self, path: ast.Path) -> ast.Path:
        """The path from the root object: `a.Owner.Name` and `Account.Owner.Name` become `Owner.Name`."""
        first = path[0].lower()
        if first in self.joins:
            return (*self.joins[first], *path[1:])
        return path[1:] if len(path) > 1 and first in self.roots else path


def names_of(query: ast.Query) -> Names:
    """The alias, the object's own name, and the aliases of the older `FROM Contact c, c.Account a`."""
    roots = {query.object.rpartition(".")[2].lower()}
    if query.alias:
        roots.add(query.alias.lower())
    names = Names(frozenset(roots), {})
    for join in query.joins:
        names.joins[join.alias.lower()] = names.plain(join.path)
    return names


def function_fields(operand: ast.Argument) -> Iterator[ast.FieldRef]:
    """The fields inside an operand: itself, or the arguments of a call, however deep."""
    if isinstance(operand, ast.FieldRef):
        yield operand
    elif isinstance(operand, ast.Function):
        for arg in operand.args:
            yield from function_fields(arg)
