"""The columnar engine underneath the lake: one DuckDB connection with bounds on memory, disk and threads.

Readers of this package meet pandas; DuckDB scans, joins and aggregates what does not fit into memory.
Nothing is loaded from a network, and identifiers are always quoted: DuckDB compares them without case.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb


@dataclass(frozen=True, slots=True)
class Engine:
    """What one piece of work may use. `temp` is where it spills; a private folder in it is removed after."""

    memory: str = "1500MB"
    threads: int = os.cpu_count() or 1
    temp: Path | None = None

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own, in memory, that spills into its own folder.

        Raises duckdb.OutOfMemoryException only when an operation can neither fit nor spill.
        """
        if self.temp is not None:
            self.temp.mkdir(parents=True, exist_ok=True, mode=0o700)
        spill = Path(tempfile.mkdtemp(prefix="spill-", dir=self.temp))
        connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": self.memory,
                "threads": self.threads,
                "temp_directory": str(spill),
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET enable_progress_bar = false")
            yield connection
        finally:
            connection.close()
            shutil.rmtree(spill, ignore_errors=True)


def name(identifier: str) -> str:
    """A column or table name as SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str | Path) -> str:
    """A text as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"


def files(paths: Iterable[Path]) -> str:
    """Several files as an SQL list."""
    return "[" + ", ".join(text(path) for path in paths) + "]"


def first_filled(columns: Iterable[str]) -> str:
    """SQL for the first of these text columns that is not empty; empty text when there is none."""
    filled = [f"nullif({name(column)}, '')" for column in columns]
    return f"coalesce({', '.join([*filled, repr('')])})"
