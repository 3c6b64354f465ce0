"""Read an org for scoping: small answers by REST, large ones by Bulk 2.0, always as text in a DataFrame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property
from typing import Any, Protocol

import pandas as pd

from blocks.errors import Refused, Unreachable
from blocks.salesforce.bulk import bulk_query
from blocks.salesforce.errors import SalesforceRefused
from blocks.salesforce.org import SalesforceOrg
from blocks.salesforce.soql import Query
from tasks.scope.shape import OrgShape

BULK_FROM = 2_000  # rows; below it one REST page is quicker than a job


class Reader(Protocol):
    """What scoping asks of an org, or of a folder of exported records that stands for one."""

    shape: OrgShape

    def once(self, name: str, read: Callable[[], pd.DataFrame]) -> pd.DataFrame: ...

    def query(
        self, soql: str, *, all_rows: bool = False, tooling: bool = False
    ) -> Iterator[dict[str, Any]]: ...

    def size(self, soql: str) -> int: ...

    def doubts(self, query: Query) -> list[str]: ...

    def frame(
        self, object_name: str, fields: Sequence[str], where: str = "", *, all_rows: bool = True
    ) -> pd.DataFrame: ...

    def bulk(self, soql: str, fields: Sequence[str], *, all_rows: bool = True) -> pd.DataFrame: ...

    def sample(self, object_name: str, fields: Sequence[str], rows: int) -> pd.DataFrame: ...

    def compliance(self, object_name: str) -> dict[str, tuple[str, ...]]: ...

    def object_of(self, record_id: str) -> str: ...

    @property
    def object_names(self) -> frozenset[str]: ...


class OrgReader:
    """What scoping asks of an org. Read-only, safe for many threads."""

    def __init__(self, org: SalesforceOrg) -> None:
        self.org = org
        self.shape = OrgShape(self._describe, self._names)
        self._lock = threading.Lock()
        self._answers: dict[str, Future[pd.DataFrame]] = {}

    def once(self, name: str, read: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The answer of `read`, asked once for each `name`, however many threads want it."""
        with self._lock:
            known = self._answers.get(name)
            answer: Future[pd.DataFrame] = known or Future()
            self._answers[name] = answer
        if known is None:
            try:
                answer.set_result(read())
            except BaseException as error:
                answer.set_exception(error)
        return answer.result()

    # --- answers -----------------------------------------------------------------------------------

    def query(self, soql: str, *, all_rows: bool = False, tooling: bool = False) -> Iterator[dict[str, Any]]:
        """Records as the REST API gives them, page by page."""
        return self.org.query(soql, what="scope query", all_rows=all_rows, tooling=tooling)

    def size(self, soql: str) -> int:
        """The answer of a `SELECT COUNT()`."""
        return self.org.count(soql, what="scope count")

    def doubts(self, query: Query) -> list[str]:
        """Why the rows that answer this may be too many: an org reads every condition."""
        return []

    def count(self, object_name: str, condition: str = "") -> int:
        soql = f"SELECT COUNT() FROM {object_name}{condition}"  # noqa: S608 - SOQL from describe's names
        return self.size(soql)

    def frame(
        self, object_name: str, fields: Sequence[str], where: str = "", *, all_rows: bool = True
    ) -> pd.DataFrame:
        """These fields of all rows, deleted ones too; one text column for each field, empty where null.

        `where` is a condition without the word WHERE. Parent fields are dotted.
        """
        condition = f" WHERE {where}" if where else ""
        soql = f"SELECT {', '.join(fields)} FROM {object_name}{condition}"  # noqa: S608 - as above
        if self.count(object_name, condition) > BULK_FROM:
            return self.bulk(soql, fields, all_rows=all_rows)
        return flat(self.query(soql, all_rows=all_rows), fields)

    def bulk(self, soql: str, fields: Sequence[str], *, all_rows: bool = True) -> pd.DataFrame:
        """The rows of a Bulk 2.0 query with these columns."""
        pages = list(bulk_query(self.org, soql, what="scope export", all_rows=all_rows))
        if not pages:
            return pd.DataFrame({name: pd.Series(dtype="str") for name in fields})
        joined = pd.concat(pages, ignore_index=True)
        names = {column.casefold(): column for column in joined.columns}
        return pd.DataFrame({name: joined[names[name.casefold()]].astype("str") for name in fields})

    def sample(self, object_name: str, fields: Sequence[str], rows: int) -> pd.DataFrame:
        """These fields of the newest rows."""
        soql = f"SELECT {', '.join(fields)} FROM {object_name} ORDER BY Id DESC LIMIT {rows}"  # noqa: S608 - as above
        return flat(self.query(soql), fields)

    def read(self, path: str) -> bytes:
        """The raw bytes of a blob such as an event log file."""
        return bytes(self.org.call("GET", path).content)

    def get(self, path: str) -> Any:
        return self.org.rest("GET", path)

    # --- what the org is ----------------------------------------------------------------------------

    def _describe(self, name: str) -> Mapping[str, Any] | None:
        try:
            described: Mapping[str, Any] = self.org.rest("GET", f"sobjects/{name}/describe", what="describe")
        except SalesforceRefused:
            return None
        return described

    def _names(self) -> list[str]:
        listed = self.org.rest("GET", "sobjects", what="list objects")
        return [str(o["name"]) for o in listed["sobjects"] if o.get("queryable", True)]

    @cached_property
    def _prefixes(self) -> dict[str, str]:
        listed = self.org.rest("GET", "sobjects", what="list objects")
        return {str(o["keyPrefix"]): str(o["name"]) for o in listed["sobjects"] if o.get("keyPrefix")}

    def object_of(self, record_id: str) -> str:
        """The object a record id belongs to, by its first three characters; "" when unknown."""
        return self._prefixes.get(record_id[:3], "")

    @cached_property
    def object_names(self) -> frozenset[str]:
        return frozenset(self._names())

    def compliance(self, object_name: str) -> dict[str, tuple[str, ...]]:
        """The org's own classification: field name -> compliance groups, or its sensitivity where it has
        none."""
        rows = self.query(
            "SELECT QualifiedApiName, ComplianceGroup FROM FieldDefinition "  # noqa: S608 - describe's name
            f"WHERE EntityDefinition.QualifiedApiName = '{object_name}'"
        )
        found: dict[str, tuple[str, ...]] = {}
        try:
            for row in rows:
                groups = tuple(g for g in str(row.get("ComplianceGroup") or "").split(";") if g)
                if groups:
                    found[str(row["QualifiedApiName"])] = groups
        except (Refused, Unreachable):
            return {}
        return found


def flat(records: Iterator[Mapping[str, Any]], fields: Sequence[str]) -> pd.DataFrame:
    """REST records as text columns; a dotted name walks into the parent."""
    rows = list(records)
    return pd.DataFrame(
        {name: pd.Series([_text(value_at(row, name)) for row in rows], dtype="str") for name in fields}
    )


def value_at(record: Mapping[str, Any] | None, path: str) -> Any:
    """The value at a dotted path, whatever the case of its names; None where a parent is missing."""
    current: Any = record
    for step in path.split("."):
        if not isinstance(current, Mapping):
            return None
        current = current[step] if step in current else _folded(current, step)
    return current


def _folded(record: Mapping[str, Any], name: str) -> Any:
    wanted = name.casefold()
    return next((value for key, value in record.items() if key.casefold() == wanted), None)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
