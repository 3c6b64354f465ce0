"""A folder of exported records that stands for the org: the same questions, answered from CSV and Parquet.

What a file lacks is named and widens the answer; nothing in a file ends the work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from blocks.errors import LeakResponseError
from blocks.salesforce.soql import Query, ast, parse
from blocks.salesforce.soql.names import names_of
from tasks.scope.evaluate import Evaluation, Unknown
from tasks.scope.local_files import Found, data_files
from tasks.scope.local_names import (
    PREFIXES,
    child_relationship,
    field_name,
    field_type,
    id_column,
    object_of_file,
    relationship_name,
)
from tasks.scope.logs import read_table
from tasks.scope.shape import FieldShape, ObjectShape, OrgShape

SAMPLED_IDS = 2_000


class NoAnswer(LeakResponseError):
    """The files cannot answer this at all."""


@dataclass(frozen=True, slots=True)
class Records:
    """The tables by object, and what was wrong with the files."""

    tables: Mapping[str, pd.DataFrame]  # by the object's own name
    problems: tuple[str, ...]


def read_records(folder: Path) -> Records:
    """All records below a folder. Several files of one object are put together; of equal ids the last is
    kept."""
    with data_files(folder) as found:
        return _read(found)


def _read(found: Found) -> Records:
    parts: dict[str, list[pd.DataFrame]] = {}
    problems = [*found.problems]
    for path in found.paths:
        try:
            table, wrong = read_table(path)
        except OSError as error:
            problems.append(f"{path.name}: cannot be read ({type(error).__name__}).")
            continue
        problems.extend(f"{path.name}: {text}." for text in wrong)
        name, table, wrong = _named(path.name, table)
        problems.extend(f"{path.name}: {text}." for text in wrong)
        if name:
            parts.setdefault(name, []).append(table)
    tables = {}
    for name, frames in parts.items():
        joined = pd.concat(frames, ignore_index=True).fillna("")
        once = joined.assign(short=joined["Id"].str.slice(0, 15)).drop_duplicates("short", keep="last")
        if len(once) < len(joined):
            problems.append(f"{name}: {len(joined) - len(once)} records were there twice; the last is used.")
        tables[name] = once.drop(columns="short").reset_index(drop=True)
    return Records(tables, tuple(problems))


def _named(file: str, table: pd.DataFrame) -> tuple[str, pd.DataFrame, list[str]]:
    """The object, its table with API names, and what is wrong; "" where it holds no records."""
    if table.empty:
        return "", table, ["holds no records"]
    column = id_column(table.columns, "") or next(
        (c for c in (id_column(table.columns, name) for name in PREFIXES.values()) if c), None
    )
    sample = table[column].head(SAMPLED_IDS) if column else pd.Series([], dtype="str")
    name = object_of_file(file, sample)
    if not name:
        return "", table, ["neither its name nor its ids tell which object it holds; left out"]
    own = id_column(table.columns, name)
    if own is None:
        return "", table, [f"has no Id column, so its {name} records cannot be told apart; left out"]
    names = {c: "Id" if c == own else field_name(c) for c in table.columns}
    renamed = table.rename(columns=names)
    renamed = renamed.loc[:, ~renamed.columns.duplicated()]
    there = renamed["Id"] != ""
    wrong = [] if there.all() else [f"{int((~there).sum())} lines have no Id and were left out"]
    missing = [c for c in ("CreatedDate", "SystemModstamp", "IsDeleted") if c not in renamed]
    if missing:
        wrong.append(f"column {', '.join(missing)} is missing: {_meaning(missing)}")
    return name, renamed[there], wrong


def _meaning(missing: Sequence[str]) -> str:
    meanings = {
        "CreatedDate": "records made after an event cannot be told",
        "SystemModstamp": "changes since cannot be told",
        "IsDeleted": "deleted records are probably not in the export",
    }
    return "; ".join(meanings[name] for name in missing)


# --- the folder as an org --------------------------------------------------------------------------


class LocalReader:
    """Answers what an org would, from tables. Read-only, safe for many threads."""

    def __init__(self, tables: Mapping[str, pd.DataFrame]) -> None:
        self.tables = {name.casefold(): table for name, table in tables.items()}
        self._names = {name.casefold(): name for name in tables}
        self._prefix = {str(table["Id"].iloc[0])[:3]: name for name, table in tables.items() if len(table)}
        self._shapes = self._described()
        self.shape = OrgShape(lambda _name: None, lambda: sorted(self._names.values()))
        self.shape.preset(self._shapes.values())
        self._lock = threading.Lock()
        self._answers: dict[str, pd.DataFrame] = {}

    def once(self, name: str, read: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        with self._lock:
            if name not in self._answers:
                self._answers[name] = read()
            return self._answers[name]

    def query(self, soql: str, *, all_rows: bool = False, tooling: bool = False) -> Iterator[dict[str, Any]]:
        """Records in the shape of the REST API. Raises NoAnswer."""
        query = parse(soql)
        try:
            yield from self._records(query, self._evaluation().rows(query, all_rows=all_rows))
        except Unknown as unknown:
            raise NoAnswer(
                f"The files cannot answer a query on {query.object}: {unknown}.", "Export it."
            ) from None

    def size(self, soql: str) -> int:
        query = parse(soql)
        try:
            return len(self._evaluation().rows(query, all_rows=True))
        except Unknown as unknown:
            raise NoAnswer(f"The files cannot count {query.object}: {unknown}.", "Export it.") from None

    def doubts(self, query: Query) -> list[str]:
        """What of this statement the files cannot answer, so that the rows are too many."""
        evaluation = self._evaluation()
        try:
            evaluation.rows(query, all_rows=True)
        except Unknown as unknown:
            return [str(unknown)]
        missing = [] if "CreatedDate" in self.tables[query.object.casefold()] else ["CreatedDate"]
        made = [
            f"{query.object} was exported without {name}: later records may be among them" for name in missing
        ]
        return list(dict.fromkeys([*evaluation.doubts, *made]))

    def frame(
        self, object_name: str, fields: Sequence[str], where: str = "", *, all_rows: bool = True
    ) -> pd.DataFrame:
        condition = f" WHERE {where}" if where else ""
        soql = f"SELECT {', '.join(fields)} FROM {object_name}{condition}"  # noqa: S608 - SOQL, parsed
        return self.bulk(soql, fields, all_rows=all_rows)

    def bulk(self, soql: str, fields: Sequence[str], *, all_rows: bool = True) -> pd.DataFrame:
        """The rows of a query with these columns; a field that was not exported is empty."""
        query, evaluation = parse(soql), self._evaluation()
        try:
            rows = evaluation.rows(query, all_rows=all_rows)
        except Unknown as unknown:
            raise NoAnswer(f"The files cannot answer this: {unknown}.", "Export it.") from None
        columns = {
            name: self._value(evaluation, query.object, rows, tuple(name.split("."))) for name in fields
        }
        return pd.DataFrame(columns).reset_index(drop=True)

    def sample(self, object_name: str, fields: Sequence[str], rows: int) -> pd.DataFrame:
        return self.frame(object_name, fields).tail(rows)

    def compliance(self, object_name: str) -> dict[str, tuple[str, ...]]:
        """The org's classification is not in an export."""
        return {}

    def object_of(self, record_id: str) -> str:
        return self._prefix.get(record_id[:3], PREFIXES.get(record_id[:3], ""))

    @cached_property
    def object_names(self) -> frozenset[str]:
        return frozenset(self._names.values())

    # --- inside ----------------------------------------------------------------------------------

    def _evaluation(self) -> Evaluation:
        return Evaluation(self.tables, self.shape)

    def _value(
        self, evaluation: Evaluation, object_name: str, rows: pd.DataFrame, path: ast.Path
    ) -> pd.Series[str]:
        try:
            return evaluation.values(rows, object_name, path)
        except Unknown:
            return pd.Series("", index=rows.index, dtype="str")

    def _records(self, query: Query, rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
        evaluation, names = self._evaluation(), names_of(query)
        paths = [names.plain(item.path) for item in query.fields if isinstance(item, ast.FieldRef)]
        columns = {path: self._value(evaluation, query.object, rows, path).tolist() for path in paths}
        children = [
            (item.query.object, self._children(query.object, item.query))
            for item in query.fields
            if isinstance(item, ast.SubQuery)
        ]
        for place, record_id in enumerate(rows["Id"].tolist()):
            record: dict[str, Any] = {}
            for path, values in columns.items():
                _put(record, path, values[place])
            for name, by_parent in children:
                found = by_parent.get(record_id[:15], [])
                record[name] = {"totalSize": len(found), "done": True, "records": found} if found else None
            yield record

    def _children(self, parent: str, query: Query) -> dict[str, list[dict[str, Any]]]:
        shape = self.shape.get(parent)
        known = shape.children.get(query.object.rpartition(".")[2].casefold()) if shape else None
        if known is None:
            return {}
        child, lookup = known
        inner = replace(query, object=child, limit=None, offset=None, order_by=())
        rows = self._evaluation().rows(inner, all_rows=True)
        found: dict[str, list[dict[str, Any]]] = {}
        for key, record in zip(rows[lookup].str.slice(0, 15), self._records(inner, rows), strict=True):
            found.setdefault(str(key), []).append(record)
        return found

    def _described(self) -> dict[str, ObjectShape]:
        fields = {key: self._fields(table) for key, table in self.tables.items()}
        children: dict[str, dict[str, tuple[str, str]]] = {key: {} for key in self.tables}
        for key, known in fields.items():
            for one in known:
                for target in one.reference_to:
                    if target.casefold() in children:
                        name = child_relationship(self._names[key]).casefold()
                        children[target.casefold()].setdefault(name, (self._names[key], one.name))
        return {key: ObjectShape(self._names[key], fields[key], children[key]) for key in self.tables}

    def _fields(self, table: pd.DataFrame) -> tuple[FieldShape, ...]:
        return tuple(self._field(str(name), table[name]) for name in table.columns)

    def _field(self, name: str, values: pd.Series[str]) -> FieldShape:
        kind = field_type(name, values)
        targets: tuple[str, ...] = ()
        if kind in ("reference", "string"):
            prefixes = values[values.str.len().isin([15, 18])].str.slice(0, 3).head(SAMPLED_IDS).unique()
            found = {self._prefix.get(p) or PREFIXES.get(p) for p in prefixes} - {None}
            targets = (
                tuple(sorted(str(one) for one in found))
                if kind == "reference" or self._all_ids(values)
                else ()
            )
            kind = "reference" if targets else kind
        relationship = relationship_name(name) if kind == "reference" else None
        return FieldShape(name, kind, name, relationship, targets, name.endswith("__c"))

    def _all_ids(self, values: pd.Series[str]) -> bool:
        filled = values[values != ""].head(SAMPLED_IDS)
        return not filled.empty and bool(filled.str.slice(0, 3).isin(set(self._prefix)).all())


def _put(record: dict[str, Any], path: ast.Path, value: str) -> None:
    current = record
    for step in path[:-1]:
        current = current.setdefault(step, {})
    current[path[-1]] = value or None
