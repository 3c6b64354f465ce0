"""ORDER BY, LIMIT and OFFSET in SQL, with Salesforce's rule that nulls come first unless said otherwise."""

from __future__ import annotations

from blocks.salesforce.soql import ast
from deployments.lab.salesforce import query_errors as errors
from deployments.lab.salesforce.query_functions import TEXTUAL, Term, term
from deployments.lab.salesforce.query_source import Source

UNSORTABLE = frozenset({"base64", "address", "multipicklist", "encryptedstring"})


def direction(order: ast.OrderBy) -> str:
    """ASC or DESC, and where nulls go."""
    return f"{'DESC' if order.descending else 'ASC'} NULLS {'LAST' if order.nulls_last else 'FIRST'}"


def order_sql(source: Source, orders: tuple[ast.OrderBy, ...]) -> str:
    """The ORDER BY clause of a record query, or nothing. Text sorts without regard to case."""
    if not orders:
        return ""
    keys = []
    for order in orders:
        made = term(source, order.by)
        _refuse_unsortable(made)
        collation = " COLLATE NOCASE" if made.type in TEXTUAL else ""
        keys.append(f"{made.sql}{collation} {direction(order)}")
    return " ORDER BY " + ", ".join(keys)


def _refuse_unsortable(made: Term) -> None:
    found = made.column.field if made.column else None
    if made.type in UNSORTABLE or (made.type == "textarea" and found and not found.filterable):
        raise errors.bad_query(f"field '{made.name}' can not be sorted in a query call", made.name)


def limit_sql(query: ast.Query, row_limit: int | None = None) -> str:
    """LIMIT and OFFSET, or nothing. `row_limit` is what the object gives out at most."""
    limits = [n for n in (query.limit, row_limit) if isinstance(n, int)]
    offset = query.offset if isinstance(query.offset, int) else 0
    if not limits and not offset:
        return ""
    return f" LIMIT {min(limits, default=-1)} OFFSET {offset}"
