"""Lists in the incident's folder that only ever grow: answers, duty history, approvals, confirmations.

Each file is rewritten whole or not at all, under one lock for all of them, so that the flows, the watch and
the Slack receiver can work on one incident at the same time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tasks.incident import IncidentFolder

T = TypeVar("T")


@contextmanager
def locked(folder: IncidentFolder, name: str = "notify") -> Iterator[None]:
    """Hold one of the incident's locks, against other threads and processes. Not re-entrant."""
    path = folder.path / f".{name}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def notify_file(folder: IncidentFolder, name: str) -> Path:
    """A file of this phase's own sub-folder."""
    return folder.sub("notify") / name


def read_all(folder: IncidentFolder, path: Path, kind: type[T]) -> list[T]:
    """Every record so far, oldest first."""
    return folder.read(path, list[kind]) or []  # type: ignore[valid-type]


def append(folder: IncidentFolder, path: Path, kind: type[T], new: Iterable[T]) -> None:
    """Add records at the end. The caller holds the lock."""
    fresh = list(new)
    if fresh:
        folder.write(path, [*read_all(folder, path, kind), *fresh])
