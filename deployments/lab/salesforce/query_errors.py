"""Why the org refuses a query: Salesforce's error codes and its own message texts."""

from __future__ import annotations

import re
from typing import Final

from blocks.salesforce.soql import SoqlSyntaxError

EXCERPT: Final = 60  # characters of the statement shown before and after the place


class QueryError(Exception):
    """A refused query. `about` is the name in the statement that the message points at."""

    def __init__(self, error_code: str, message: str, about: str | None = None) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.message = message
        self.about = about

    def located(self, text: str) -> QueryError:
        """The same error with Salesforce's excerpt, caret and row:column before the message."""
        if self.about is None:
            return self
        found = re.search(rf"(?<!\w){re.escape(self.about)}(?!\w)", text, re.IGNORECASE)
        if found is None:
            return self
        return QueryError(self.error_code, _pointed(text, found.start(), self.message))


def _pointed(text: str, position: int, message: str) -> str:
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    start = max(0, position - EXCERPT)
    excerpt = re.sub(r"[\r\n]", " ", text[start : position + EXCERPT])
    return f"\n{excerpt}\n{' ' * (position - start)}^\nERROR at Row:{line}:Column:{column}\n{message}"


def malformed(text: str, error: SoqlSyntaxError) -> QueryError:
    """A syntax error as the REST API words it."""
    message = f"unexpected token: '{error.found or '<EOF>'}'"
    return QueryError("MALFORMED_QUERY", _pointed(text, error.position, message))


def no_type(name: str) -> QueryError:
    return QueryError(
        "INVALID_TYPE",
        f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to "
        "append the '__c' after the entity name. Please reference your WSDL or the describe call for the "
        "appropriate names.",
        name,
    )


def no_column(name: str, entity: str) -> QueryError:
    return QueryError(
        "INVALID_FIELD",
        f"No such column '{name}' on entity '{entity}'. If you are attempting to use a custom field, be sure "
        "to append the '__c' after the custom field name. Please reference your WSDL or the describe call "
        "for the appropriate names.",
        name,
    )


def no_relationship(name: str) -> QueryError:
    return QueryError(
        "INVALID_FIELD",
        f"Didn't understand relationship '{name}' in field path. If you are attempting to use a custom "
        "relationship, be sure to append the '__r' after the custom relationship name. Please reference "
        "your WSDL or the describe call for the appropriate names.",
        name,
    )


def no_child_relationship(name: str) -> QueryError:
    return QueryError(
        "INVALID_TYPE",
        f"Didn't understand relationship '{name}' in FROM part of query call. If you are attempting to use a "
        "custom relationship, be sure to append the '__r' after the custom relationship name. Please "
        "reference your WSDL or the describe call for the appropriate names.",
        name,
    )


def not_possible(field: str, what: str) -> QueryError:
    """`what` is filtered, sorted or grouped."""
    return QueryError("INVALID_FIELD", f"field '{field}' can not be {what} in a query call", field)


def wrong_value(field: str, type_: str, *, quoted: bool) -> QueryError:
    should = "should be" if quoted else "should not be"
    return QueryError(
        "INVALID_FIELD",
        f"value of filter criterion for field '{field}' must be of type {type_} and {should} enclosed in "
        "quotes",
        field,
    )


def wrong_operator(type_: str, field: str) -> QueryError:
    return QueryError("INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {type_} field", field)


def bad_query(message: str, about: str | None = None) -> QueryError:
    return QueryError("MALFORMED_QUERY", message, about)
