"""Salesforce record ids: 15 case-sensitive characters, and 3 more that make them safe where case is lost.

The last three characters are a checksum: each tells, for five of the first fifteen, which are upper case
(documented in Salesforce's "SOAP API Developer Guide", field type ID).
"""

from __future__ import annotations

import re

import numpy as np

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
INSTANCE = "5g0"  # the pod's two characters and the reserved one
_SHAPE = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")


def checksum(id15: str) -> str:
    """The three characters that turn a 15-character id into its 18-character form."""
    return "".join(
        SUFFIX[sum(1 << bit for bit, char in enumerate(id15[start : start + 5]) if "A" <= char <= "Z")]
        for start in (0, 5, 10)
    )


def to_18(text: str) -> str | None:
    """The canonical 18-character id from either form; None when it is not an id or the checksum is wrong.

    In an 18-character id the case of the first fifteen may have been lost: the checksum restores it.
    """
    if not _SHAPE.fullmatch(text):
        return None
    if len(text) == 15:
        return text + checksum(text)
    restored = []
    for group in range(3):
        mask = SUFFIX.find(text[15 + group].upper())
        if mask < 0:
            return None
        for bit, char in enumerate(text[group * 5 : group * 5 + 5]):
            if mask >> bit & 1 and not char.isalpha():
                return None
            restored.append(char.upper() if mask >> bit & 1 else char.lower())
    return "".join(restored) + text[15:].upper()


def make_ids(prefix: str, first: int, count: int) -> list[str]:
    """`count` consecutive 18-character ids from the running number `first` (>= 1), in sorting order."""
    numbers = np.arange(first, first + count, dtype=np.int64)
    codes = np.empty((count, 18), dtype=np.uint8)
    codes[:, :6] = np.frombuffer((prefix + INSTANCE).encode(), dtype=np.uint8)
    alphabet = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
    for position in range(14, 5, -1):
        codes[:, position] = alphabet[numbers % 62]
        numbers //= 62
    upper = (codes[:, :15] >= ord("A")) & (codes[:, :15] <= ord("Z"))
    masks = (upper.reshape(count, 3, 5) * (1 << np.arange(5))).sum(axis=2)
    codes[:, 15:] = np.frombuffer(SUFFIX.encode(), dtype=np.uint8)[masks]
    made: list[str] = codes.view("S18").ravel().astype("U18").tolist()
    return made
