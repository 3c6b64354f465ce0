"""What a stored event (a big object) may be asked: a range of EventDate, newest first, a limit; nothing else.

Source: platform events guide, "Standard SOQL Usage" of ApiEvent, ListViewEvent and BulkApiResultEventStore:
WHERE, ORDER BY and LIMIT alone; EventDate and EventIdentifier can be filtered, by < > <= >=; only EventDate
DESC sorts. The error codes and texts are from memory.
"""

from __future__ import annotations

from blocks.salesforce.soql import ast
from deployments.lab.salesforce import query_errors as errors
from deployments.lab.salesforce.query_errors import QueryError
from deployments.lab.salesforce.schema import SObject

FILTERS = frozenset({"eventdate", "eventidentifier"})
OPERATORS = frozenset({ast.Op.LT, ast.Op.GT, ast.Op.LE, ast.Op.GE})


def check_big(sobject: SObject, query: ast.Query) -> None:
    """Refuse what a big object does not answer. Raises QueryError."""
    if not sobject.big:
        return
    if ast.is_aggregate(query) or any(not isinstance(item, ast.FieldRef) for item in query.fields):
        raise QueryError("BIG_OBJECT_UNSUPPORTED_OPERATION", "Big object does not support this operation")
    for leaf in ast.leaves(query.where):
        if not isinstance(leaf, ast.Comparison) or not isinstance(leaf.left, ast.FieldRef):
            raise errors.bad_query("Big object queries support comparisons of indexed fields only")
        name = leaf.left.path[-1]
        if name.lower() not in FILTERS:
            raise errors.not_possible(name, "filtered")
        if leaf.op not in OPERATORS:
            raise QueryError("INVALID_QUERY_FILTER_OPERATOR", "invalid operator on big object field", name)
    if query.offset:
        raise errors.bad_query("Big object queries support WHERE, ORDER BY and LIMIT only")
    for order in query.order_by:
        by = order.by
        if not isinstance(by, ast.FieldRef) or by.path[-1].lower() != "eventdate" or not order.descending:
            raise errors.bad_query("Big object queries can be ordered by EventDate DESC only")
