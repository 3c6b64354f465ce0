"""The ledger's hash chain: what an entry's hash covers, and what a broken chain looks like.

An entry is one line of canonical JSON (UTF-8, keys sorted, no spaces). Its `hash` is the SHA-256 of that
JSON without `hash`; its `prev` is the hash of the line before it, so nothing can be edited, removed or
reordered without the head changing. The head alone is signed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

GENESIS = "0" * 64  # `prev` of the first entry
FIELDS = ("seq", "at", "kind", "id", "phase", "action", "target", "details", "prev", "hash")
ATTEMPT, RESULT, NOTE = "ATTEMPT", "RESULT", "NOTE"
OUTCOMES = ("ok", "failed", "unknown, re-checked")


def canonical(value: Any) -> bytes:
    """The one way these bytes are written; NaN and infinity are refused (ValueError)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def digest(entry: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical entry without its own hash."""
    return hashlib.sha256(canonical({k: v for k, v in entry.items() if k != "hash"})).hexdigest()


@dataclass(frozen=True, slots=True)
class Broken:
    """One place where the chain does not hold. `line` counts from 1."""

    line: int
    problem: str


@dataclass(frozen=True, slots=True)
class Link:
    """What the next entry must continue from."""

    seq: int = 0
    head: str = GENESIS


def parse_line(raw: bytes) -> dict[str, Any] | None:
    """The entry in one line, or None when it is not a JSON object in canonical form with our fields."""
    try:
        entry = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(entry, dict) or sorted(entry) != sorted(FIELDS) or not isinstance(entry["hash"], str):
        return None
    try:
        return entry if canonical(entry) == raw else None
    except (ValueError, TypeError):
        return None


def check_line(line: int, raw: bytes, before: Link) -> tuple[dict[str, Any] | None, Link, list[Broken]]:
    """Check one line against the link before it; returns the entry, the next link and what is wrong."""
    entry = parse_line(raw)
    if entry is None:
        return (
            None,
            Link(before.seq + 1, before.head),
            [Broken(line, "is not a ledger entry: edited or damaged")],
        )
    broken = []
    if digest(entry) != entry["hash"]:
        broken.append(Broken(line, "was edited: its content does not match its hash"))
    if entry["prev"] != before.head:
        broken.append(Broken(line, "does not follow the line before it: removed, added or reordered"))
    if type(entry["seq"]) is not int or entry["seq"] != before.seq + 1:
        broken.append(Broken(line, f"has number {entry['seq']!r} where {before.seq + 1} was expected"))
    seq = entry["seq"] if type(entry["seq"]) is int else before.seq + 1
    return entry, Link(seq, entry["hash"]), broken


def check_pairs(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every attempt has exactly one result, after it, and every result its attempt; else one line each."""
    open_: dict[str, Mapping[str, Any]] = {}
    done: set[str] = set()
    problems = []
    for entry in entries:
        if entry["kind"] == ATTEMPT:
            if entry["id"] in open_ or entry["id"] in done:
                problems.append(f"Attempt {entry['id']} (entry {entry['seq']}) was written twice.")
            open_[entry["id"]] = entry
        elif entry["kind"] == RESULT:
            if open_.pop(entry["id"], None) is None:
                again = "a second time" if entry["id"] in done else "without an attempt"
                problems.append(f"Result {entry['id']} (entry {entry['seq']}) was written {again}.")
            done.add(entry["id"])
        elif entry["kind"] != NOTE:
            problems.append(f"Entry {entry['seq']} is of an unknown kind.")
    problems.extend(
        f"Attempt {entry['id']} (entry {entry['seq']}, {entry['action']}) has no result."
        for entry in open_.values()
    )
    return problems
