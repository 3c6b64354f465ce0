"""Record ids in their two forms: logs and events carry either."""

from __future__ import annotations

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def long_id(record_id: str) -> str:
    """The 18-character form of an id: three check characters tell which of its letters are capitals."""
    if len(record_id) != 15:
        return record_id
    parts = (record_id[i : i + 5] for i in (0, 5, 10))
    return record_id + "".join(
        _ALPHABET[sum(1 << n for n, letter in enumerate(part) if letter.isascii() and letter.isupper())]
        for part in parts
    )
