"""The twin's records: one SQLite table per object type, one writer, a reader for every thread.

Table names are object names, column names field names (quote both: Order, Group and Case are SQL words).
Text compares without regard to case, as Salesforce does; ids are canonical 18-character text and compare
exactly. Booleans are 0/1, datetimes `2026-11-24T09:30:00.000+0000`, dates `2026-11-24`.
Tables whose names start with an underscore are the lab's own and no object of the org:
`_person(object, record_id, person_id, residence)` is the ground truth of who is who.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployments.lab.salesforce import ids
from deployments.lab.salesforce.schema import REIFIED, SCHEMA, Field, Schema, SObject
from deployments.lab.salesforce.store_definitions import definitions

Row = dict[str, Any]

_SQL_TYPES = {"boolean": "INTEGER", "int": "INTEGER", "double": "REAL", "currency": "REAL", "percent": "REAL"}
_EXACT = {"id", "reference", "datetime", "date", "base64", "encryptedstring"}
_UNINDEXED = {
    "OwnerId", "CreatedById", "LastModifiedById", "ShipToContactId", "ReportsToId", "WhatId", "ManagerId",
    "Product2Id", "RelatedToId", "EntityDefinitionId", "BusinessOwnerId",
}  # fmt: skip
_INDEXED_TYPES = {"email", "reference"}
# Ids rise with CreatedDate, so only what is asked for by date alone has an index on it.
_DATED = {("Contact", "CreatedDate"), ("Case", "CreatedDate")}
# Kept narrow, since every record about a person has a row; `_person` is the view to read.
_TRUTH = (
    "CREATE TABLE _about (object TEXT NOT NULL, record_id TEXT NOT NULL, person INTEGER NOT NULL)",
    "CREATE TABLE _lives (person INTEGER PRIMARY KEY, residence TEXT NOT NULL)",
    "CREATE VIEW _person AS SELECT object, record_id, printf('P%08d', person) AS person_id, residence"
    " FROM _about JOIN _lives USING (person)",
    # A row added to the view is about the person it names, or about a new one when it names none we know.
    "CREATE TRIGGER _person_known INSTEAD OF INSERT ON _person"
    " WHEN EXISTS (SELECT 1 FROM _lives WHERE printf('P%08d', person) = NEW.person_id) BEGIN"
    " INSERT INTO _about VALUES (NEW.object, NEW.record_id, CAST(substr(NEW.person_id, 2) AS INTEGER)); END",
    "CREATE TRIGGER _person_new INSTEAD OF INSERT ON _person"
    " WHEN NOT EXISTS (SELECT 1 FROM _lives WHERE printf('P%08d', person) = NEW.person_id) BEGIN"
    " INSERT INTO _lives VALUES (NULL, NEW.residence);"
    " INSERT INTO _about VALUES (NEW.object, NEW.record_id, last_insert_rowid()); END",
)


class Store:
    """The records of one org in the file at `path`; made when missing.

    `clock` gives the instant that audit fields get. Safe to use from many threads: writers wait for each
    other, readers never wait. Errors: KeyError for an unknown object type or a field it does not have,
    sqlite3 errors for the rest.
    """

    def __init__(
        self,
        path: Path | str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        schema: Schema = SCHEMA,
    ) -> None:
        self.path = Path(path)
        self.schema = schema
        self.clock = clock
        self.system_user: str | None = None  # who audit fields name when a row does not say
        self._lock = threading.RLock()
        self._depth = 0
        self._local = threading.local()
        self._readers: weakref.WeakSet[_Reader] = weakref.WeakSet()
        self._writer = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        self._writer.row_factory = sqlite3.Row
        self._writer.execute("PRAGMA page_size=8192")  # rows are wide; counts for a new file only
        self._writer.execute("PRAGMA journal_mode=WAL")
        self._writer.execute("PRAGMA synchronous=NORMAL")
        self._create()
        self._columns = {name: _columns(self._writer, name) for name in schema.objects}
        found = self._writer.execute("SELECT Id FROM User ORDER BY Id LIMIT 1").fetchone()
        self.system_user = found["Id"] if found else ids.make_ids("005", 1, 1)[0]

    # --- connections ---------------------------------------------------------------------------

    def read(self) -> sqlite3.Connection:
        """This thread's own connection, which refuses to write. Rows are sqlite3.Row."""
        connection: _Reader | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self.path, check_same_thread=False, isolation_level=None, factory=_Reader
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA query_only=1")
            connection.execute("PRAGMA busy_timeout=10000")
            connection.execute("PRAGMA mmap_size=1073741824")
            self._local.connection = connection
            self._readers.add(connection)
        return connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """The writer in one transaction: committed at the end, undone by an exception. Nests."""
        with self._lock:
            outer = self._depth == 0
            if outer:
                self._writer.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._writer
            except BaseException:
                if outer and self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
            else:
                if outer:
                    self._writer.execute("COMMIT")
            finally:
                self._depth -= 1

    def close(self) -> None:
        """Close every connection. Call it when no thread reads any more."""
        for reader in list(self._readers):
            reader.close()
        with self._lock:
            self._writer.close()

    # --- records -------------------------------------------------------------------------------

    def new_id(self, prefix: str) -> str:
        """The next 18-character id for a key prefix."""
        return self.reserve_ids(prefix, 1)[0]

    def reserve_ids(self, prefix: str, count: int) -> list[str]:
        """The next `count` ids for a key prefix, never handed out again."""
        return ids.make_ids(prefix, self._advance(prefix, count), count)

    def insert(self, object_name: str, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Add records; Id, audit fields, full names and running numbers are filled in unless given."""
        sobject, now = self._object(object_name), _instant(self.clock())
        made: list[str] = []
        with self.write() as connection:
            for row in rows:
                record = self._completed(sobject, row, now)
                names = ", ".join(f'"{name}"' for name in record)
                marks = ", ".join("?" * len(record))
                connection.execute(
                    f'INSERT INTO "{sobject.name}" ({names}) VALUES ({marks})',  # noqa: S608 - names are the schema's
                    list(record.values()),
                )
                made.append(record["Id"])
        return made

    def update(self, object_name: str, record_id: str, changes: Mapping[str, Any]) -> bool:
        """Change fields of one record and its audit fields; False when there is no such record."""
        sobject, now = self._object(object_name), _instant(self.clock())
        with self.write() as connection:
            current = self._fetch(connection, sobject, record_id)
            if current is None:
                return False
            record = self._named(sobject, changes)
            for name, value in _modified(now, self.system_user).items():
                if sobject.field(name):
                    record.setdefault(name, value)
            if sobject.field("Name") and {"FirstName", "LastName"} & set(record):
                record.setdefault("Name", _full_name({**current, **record}))
            sets = ", ".join(f'"{name}" = ?' for name in record)
            connection.execute(
                f'UPDATE "{sobject.name}" SET {sets} WHERE Id = ?',  # noqa: S608 - names are the schema's
                [*record.values(), current["Id"]],
            )
        return True

    def delete(self, object_name: str, record_id: str) -> bool:
        """Mark a record deleted, or remove it when it is a setup object; False when there is none."""
        sobject = self._object(object_name)
        with self.write() as connection:
            current = self._fetch(connection, sobject, record_id)
            if current is None or current.get("IsDeleted"):
                return False
            if sobject.soft_delete:
                return self.update(object_name, current["Id"], {"IsDeleted": 1})
            connection.execute(f'DELETE FROM "{sobject.name}" WHERE Id = ?', [current["Id"]])  # noqa: S608
        return True

    def get(self, object_name: str, record_id: str) -> Row | None:
        """One record with all stored columns, hidden ones too; deleted ones are found as well."""
        return self._fetch(self.read(), self._object(object_name), record_id)

    def reserve_numbers(self, object_name: str, field: str, count: int) -> int:
        """Take `count` running numbers of an auto-number field; returns the first."""
        return self._advance(f"{object_name}.{field}", count)

    # --- bulk load -----------------------------------------------------------------------------

    @contextmanager
    def bulk(self) -> Iterator[None]:
        """Load very many records with `load`: no journal, indexes made at the end.

        Only for a new store that nobody reads yet: a crash inside leaves a file to be thrown away.
        """
        with self._lock:
            with suppress(sqlite3.OperationalError):  # somebody reads already: slower, but right
                self._writer.execute("PRAGMA journal_mode=OFF")
            self._writer.execute("PRAGMA synchronous=OFF")
            self._writer.execute("PRAGMA cache_size=-262144")
            self._writer.execute("PRAGMA temp_store=MEMORY")
            self._writer.execute("PRAGMA threads=2")
            for name in _index_names(self._writer):
                self._writer.execute(f'DROP INDEX "{name}"')
            with self.write():
                yield
            self._create_indexes()
            self._writer.execute("PRAGMA cache_size=-16384")
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.execute("PRAGMA synchronous=NORMAL")

    def load(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add rows as they are, by position. The caller fills every column that must not be empty."""
        names = ", ".join(f'"{name}"' for name in columns)
        marks = ", ".join("?" * len(columns))
        with self.write() as connection:
            connection.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', rows)  # noqa: S608

    # --- inside --------------------------------------------------------------------------------

    def _object(self, name: str) -> SObject:
        found = self.schema.get(name)
        if found is None:
            raise KeyError(f"no object type {name!r}")
        return found

    def _fetch(self, connection: sqlite3.Connection, sobject: SObject, record_id: str) -> Row | None:
        canonical = ids.to_18(record_id) or record_id
        row = connection.execute(f'SELECT * FROM "{sobject.name}" WHERE Id = ?', [canonical]).fetchone()  # noqa: S608
        return dict(row) if row else None

    def _named(self, sobject: SObject, row: Mapping[str, Any]) -> Row:
        columns, record = self._columns[sobject.name], {}
        for name, value in row.items():
            column = columns.get(name.lower())
            if column is None:
                raise KeyError(f"{sobject.name} has no column {name!r}")
            record[column] = int(value) if isinstance(value, bool) else value
        return record

    def _completed(self, sobject: SObject, row: Mapping[str, Any], now: str) -> Row:
        record = self._named(sobject, row)
        record.setdefault("Id", self.new_id(sobject.key_prefix))
        audit = {"CreatedDate": now, "CreatedById": self.system_user, **_modified(now, self.system_user)}
        for name, value in audit.items():
            if sobject.field(name):
                record.setdefault(name, value)
        for field in sobject.fields:
            if field.auto_number and field.name not in record:
                running = self._advance(f"{sobject.name}.{field.name}", 1)
                record[field.name] = field.auto_number.format(running)
        if "LastName" in record and sobject.field("Name"):
            record.setdefault("Name", _full_name(record))
        return record

    def _advance(self, counter: str, count: int) -> int:
        """Take `count` numbers of a named counter; returns the first."""
        with self.write() as connection:
            row = connection.execute("SELECT next FROM _counter WHERE name = ?", [counter]).fetchone()
            first = row["next"] if row else 1
            connection.execute("INSERT OR REPLACE INTO _counter VALUES (?, ?)", [counter, first + count])
        return int(first)

    def _create(self) -> None:
        exists = self._writer.execute("SELECT 1 FROM sqlite_master WHERE name = '_counter'").fetchone()
        if exists:
            return
        with self.write() as connection:
            for sobject in self.schema.objects.values():
                connection.execute(_create_table(sobject))
            connection.execute("CREATE TABLE _counter (name TEXT PRIMARY KEY, next INTEGER NOT NULL)")
            for statement in _TRUTH:
                connection.execute(statement)
            self._create_indexes()
        for name in REIFIED:
            if name in self.schema.objects:
                columns, rows = definitions(self.schema, name)
                # The first column is DurableId, to which references point: it serves as the hidden Id too.
                self.load(name, ("Id", *columns), [(row[0], *row) for row in rows])

    def _create_indexes(self) -> None:
        for sobject in self.schema.objects.values():
            self._writer.execute(f'CREATE UNIQUE INDEX "{sobject.name}.Id" ON "{sobject.name}" (Id)')
            for field in sobject.fields:
                if _indexed(sobject, field):
                    self._writer.execute(
                        f'CREATE INDEX "{sobject.name}.{field.name}" ON "{sobject.name}" ("{field.name}")'
                        f' WHERE "{field.name}" IS NOT NULL'
                    )


class _Reader(sqlite3.Connection):
    """A connection that can be held weakly: it closes when its thread ends."""

    def __del__(self) -> None:
        self.close()


def _indexed(sobject: SObject, field: Field) -> bool:
    if not field.stored or field.name in _UNINDEXED or (field.hidden and not field.name.endswith("Hash")):
        return False
    if (sobject.name, field.name) in _DATED or field.unique or field.external_id:
        return True
    return field.type in _INDEXED_TYPES


def _create_table(sobject: SObject) -> str:
    columns = []
    for field in sobject.fields:
        if not field.stored:
            continue
        kind = _SQL_TYPES.get(field.type, "TEXT")
        collation = " COLLATE NOCASE" if kind == "TEXT" and field.type not in _EXACT else ""
        default = " NOT NULL DEFAULT 0" if field.type == "boolean" else ""
        columns.append(f'"{field.name}" {kind}{collation}{default}')
    return f'CREATE TABLE "{sobject.name}" ({", ".join(columns)})'


def _columns(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    return {row["name"].lower(): row["name"] for row in connection.execute(f'PRAGMA table_info("{table}")')}


def _index_names(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    return [row["name"] for row in found]


def _instant(when: datetime) -> str:
    when = when.astimezone(UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}+0000"


def _modified(now: str, user: str | None) -> Row:
    return {"LastModifiedDate": now, "LastModifiedById": user, "SystemModstamp": now}


def _full_name(record: Mapping[str, Any]) -> str:
    return " ".join(part for part in (record.get("FirstName"), record.get("LastName")) if part)
