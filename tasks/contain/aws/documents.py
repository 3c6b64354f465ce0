"""Policy documents as a ledger's before-state can carry them, and whether two of them say the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

PIECE = 3000  # characters: a before-state holds texts of up to 4000


def pieces(text: str) -> list[str]:
    """A text of any length in printable pieces; `joined` is the inverse, byte for byte."""
    escaped = json.dumps(text)[1:-1]
    return [escaped[at : at + PIECE] for at in range(0, len(escaped), PIECE)]


def joined(parts: Sequence[str]) -> str:
    """What `pieces` was given."""
    text: str = json.loads(f'"{"".join(parts)}"')
    return text


def statements(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The statements of a policy; AWS also takes a single one without a list."""
    found = document.get("Statement", [])
    return [found] if isinstance(found, dict) else list(found)


def named_in(statement: Mapping[str, Any]) -> list[str]:
    """The AWS principals that a resource policy's statement names."""
    principal = statement.get("Principal", {})
    named = principal.get("AWS", []) if isinstance(principal, Mapping) else principal
    return [named] if isinstance(named, str) else list(named)
