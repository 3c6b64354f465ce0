"""Why a SOQL statement is not accepted. Messages never repeat the statement: it may hold personal data."""

from __future__ import annotations

from blocks.errors import BadInput


class SoqlSyntaxError(BadInput):
    """The text is not SOQL. `position` counts characters from 0; `line` and `column` from 1.

    `found` is the offending piece of the text (None at its end). It may hold personal data, so it is not
    part of the message; a server may show it to whoever sent the statement.
    """

    def __init__(self, reason: str, position: int, line: int, column: int, found: str | None = None) -> None:
        super().__init__(
            f"The SOQL is not valid at line {line}, column {column}: {reason}.",
            "Correct the statement there; nothing was run.",
        )
        self.reason = reason
        self.position = position
        self.line = line
        self.column = column
        self.found = found


class SoqlInvalid(BadInput):
    """The statement reads well, but the API refuses what it asks. `reason` follows Salesforce's own words."""

    def __init__(self, reason: str, code: str = "MALFORMED_QUERY") -> None:
        super().__init__(
            f"Salesforce refuses this SOQL: {reason}.", "Correct the statement; nothing was run."
        )
        self.reason = reason
        self.code = code
