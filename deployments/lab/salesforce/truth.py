"""Ground truth: which record and which fields were served to which credential, when.

Kept compactly, one row for each page served and each object in it, and told as one line per record.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson

Served = tuple[str, str, tuple[str, ...]]  # object, record id, fields


class Truth:
    """An append-only record of what was disclosed. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._path = path
        self._db.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
            "CREATE TABLE IF NOT EXISTS fields(id INTEGER PRIMARY KEY, names TEXT UNIQUE);"
            "CREATE TABLE IF NOT EXISTS serve(seq INTEGER PRIMARY KEY, at TEXT, credential TEXT,"
            " object TEXT, fields INTEGER, ids TEXT);"
        )
        self._known: dict[tuple[str, ...], int] = {}

    def _field_set(self, fields: tuple[str, ...]) -> int:
        if fields not in self._known:
            names = ",".join(fields)
            self._db.execute("INSERT OR IGNORE INTO fields(names) VALUES (?)", (names,))
            row = self._db.execute("SELECT id FROM fields WHERE names=?", (names,)).fetchone()
            self._known[fields] = int(row[0])
        return self._known[fields]

    def add(self, at: datetime, credential: str, served: Iterable[Served]) -> None:
        """Record one page that was sent."""
        groups: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
        for name, record_id, fields in served:
            groups[name, fields].append(record_id)
        if not groups:
            return
        when = _text(at)
        with self._lock:
            self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT INTO serve(at,credential,object,fields,ids) VALUES (?,?,?,?,?)",
                [
                    (when, credential, name, self._field_set(fields), " ".join(dict.fromkeys(ids)))
                    for (name, fields), ids in groups.items()
                ],
            )
            self._db.execute("COMMIT")

    def lines(self, credential: str | None = None, since: datetime | None = None) -> Iterator[bytes]:
        """JSON Lines in chunks, oldest first; `credential` may be a prefix that ends in `*`."""
        # The lines are pulled one chunk at a time, each perhaps by another thread.
        reader = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, check_same_thread=False)
        try:
            where, values = ["1"], []
            if credential and credential.endswith("*"):
                where.append("substr(credential,1,?)=?")
                values += [len(credential) - 1, credential[:-1]]
            elif credential:
                where.append("credential=?")
                values.append(credential)
            if since:
                where.append("at>=?")
                values.append(_text(since))
            rows = reader.execute(
                "SELECT at,credential,object,names,ids FROM serve JOIN fields ON fields.id=serve.fields"  # noqa: S608
                f" WHERE {' AND '.join(where)} ORDER BY seq",
                values,
            )
            for at, who, name, fields, ids in rows:
                yield _expand(at, who, name, fields, ids)
        finally:
            reader.close()


def _text(instant: datetime) -> str:
    """Instants in UTC, all of one length, so that text sorts as time."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")


def _expand(at: str, who: str, name: str, fields: str, ids: str) -> bytes:
    line = {"at": at, "credential": who, "object": name, "fields": fields.split(",") if fields else []}
    return b"".join(orjson.dumps({**line, "record_id": i}) + b"\n" for i in ids.split(" "))
