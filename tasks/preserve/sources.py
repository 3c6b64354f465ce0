"""What a snapshot reads: a name, the system it asks, and a function that asks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tasks.incident import System


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source answered. `left_out` says in one sentence what could not be had; empty when complete."""

    rows: list[Any]
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to preserve. `name` is its file's name; `read` raises a LeakResponseError when it cannot."""

    name: str
    system: System
    read: Callable[[], Reading]
