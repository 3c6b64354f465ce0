"""String literals: SOQL's backslash escapes, read and written."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PLAIN = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "b": "\b",
    "f": "\f",
    '"': '"',
    "'": "'",
    "\\": "\\",
    "_": "_",
    "%": "%",
}
_WRITTEN = {
    "\\": "\\\\",
    "'": "\\'",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\b",
    "\f": "\\f",
}


class BadEscape(ValueError):
    """A backslash is followed by something that SOQL does not know."""

    def __init__(self, position: int) -> None:
        super().__init__(f"unknown escape at {position}")
        self.position = position


def unescape(inner: str) -> str:
    """The text between the quotes of an ordinary string. Raises BadEscape."""
    if "\\" not in inner:
        return inner
    return _pairs(_ESCAPE.sub(_character, inner))


def unescape_pattern(inner: str) -> str:
    r"""The same for LIKE: `\%`, `\_` and `\\` keep their backslash, for whoever reads the pattern."""
    if "\\" not in inner:
        return inner

    def replaced(match: re.Match[str]) -> str:
        character = _character(match)
        return f"\\{character}" if match[2] in ("_", "%") or character == "\\" else character

    return _pairs(_ESCAPE.sub(replaced, inner))


def _character(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    character = _PLAIN.get(match[2].lower())
    if character is None:
        raise BadEscape(match.start())
    return character


def _pairs(text: str) -> str:
    """Join surrogate halves that were written as two `\\uXXXX` escapes."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def quote(value: str) -> str:
    """The string as a SOQL literal with its quotes."""
    return "'" + "".join(_WRITTEN.get(character, character) for character in value) + "'"


def quote_pattern(pattern: str) -> str:
    """A LIKE pattern as a SOQL literal; its backslashes already stand before what they escape."""
    return "'" + "".join(c if c == "\\" else _WRITTEN.get(c, c) for c in pattern) + "'"
