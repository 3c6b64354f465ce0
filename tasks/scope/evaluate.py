"""Answer a SOQL statement from tables in memory: for a team that has its records only as exported files.

What an export cannot answer (a column that is not there, a function) is taken as "may be": such rows are
kept, and the condition is named, so that the caller knows the answer to be an upper bound.

Meaning of null, case and operators as in the SOQL reference: no third truth value, `!=` and `NOT IN` include
null, text compares without case, ids by their first 15 characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from blocks.salesforce.soql import Query, ast
from blocks.salesforce.soql.names import Names, names_of
from tasks.scope.shape import OrgShape

Mask = npt.NDArray[np.bool_]
_ORDERING = {ast.Op.LT: np.less, ast.Op.LE: np.less_equal, ast.Op.GT: np.greater, ast.Op.GE: np.greater_equal}


class Unknown(Exception):
    """This part of a statement cannot be answered from the tables; the text names it without values."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """For each row: does it surely match, may it match."""

    sure: Mask
    maybe: Mask


@dataclass(slots=True)
class Evaluation:
    """One statement over the tables. `doubts` names what could not be answered."""

    tables: Mapping[str, pd.DataFrame]  # by object name in lower case; all text, Id in every one
    shape: OrgShape
    doubts: list[str] = field(default_factory=list)

    def rows(self, query: Query, *, all_rows: bool) -> pd.DataFrame:
        """The whole rows that match or may match, in the order asked for. Raises Unknown without the
        table."""
        table = self.table(query.object)
        names = names_of(query)
        keep = np.ones(len(table), dtype=bool)
        if not all_rows and "IsDeleted" in table:
            keep &= ~_truth(table["IsDeleted"])
        if query.where is not None:
            keep &= self._condition(query.where, query.object, table, names).maybe
        found = table[keep]
        for order in reversed(query.order_by):
            found = self._sorted(found, query.object, names, order)
        if isinstance(query.offset, int):
            found = found.iloc[query.offset :]
        return found.iloc[: query.limit] if isinstance(query.limit, int) else found

    def table(self, name: str) -> pd.DataFrame:
        found = self.tables.get(name.casefold())
        if found is None:
            raise Unknown(f"there is no file of {name} records")
        return found

    def values(self, rows: pd.DataFrame, object_name: str, path: ast.Path) -> pd.Series[str]:
        """The values at a path for these rows of the object, empty where null. Raises Unknown."""
        shape = self.shape.get(object_name)
        if shape is None:
            raise Unknown(f"{object_name} cannot be described")
        if len(path) == 1:
            known = shape.field(path[0])
            if known is None:
                raise Unknown(f"{object_name} was exported without {path[0]}")
            return rows[known.name]
        lookup = shape.parent(path[0])
        if lookup is None:
            raise Unknown(f"{object_name}.{path[0]} cannot be followed")
        if path[1:] == ("Id",):
            return rows[lookup.name]
        keys = rows[lookup.name].str.slice(0, 15)
        found = pd.Series("", index=rows.index, dtype="str")
        missing: list[str] = []
        for target in lookup.reference_to:
            try:
                parents = self.table(target)
                value = self.values(parents, target, path[1:])
            except Unknown as unknown:
                missing.append(str(unknown))
                continue
            by_id = pd.Series(value.to_numpy(), index=parents["Id"].str.slice(0, 15).to_numpy())
            found = found.where(found != "", keys.map(by_id[~by_id.index.duplicated()]).fillna(""))
        if missing and ((found == "") & (keys != "")).any():
            raise Unknown(missing[0])
        return found

    def _sorted(self, rows: pd.DataFrame, object_name: str, names: Names, order: ast.OrderBy) -> pd.DataFrame:
        try:
            values = self._operand(rows, object_name, names, order.by)
        except Unknown as unknown:
            self.doubts.append(f"the order cannot be told: {unknown}")
            return rows
        numbers = pd.to_numeric(values, errors="coerce")
        key: pd.Series[Any] = values.str.casefold() if numbers.isna().any() else numbers
        empty = (values == "").to_numpy()
        first = np.argsort(key.to_numpy(), kind="stable")
        if order.descending:
            first = first[::-1]
        last = order.nulls_last is True
        ranked = np.concatenate([first[~empty[first]], first[empty[first]]])
        if not last:
            ranked = np.concatenate([first[empty[first]], first[~empty[first]]])
        return rows.iloc[ranked]

    # --- conditions ------------------------------------------------------------------------------

    def _condition(
        self, condition: ast.Condition, object_name: str, table: pd.DataFrame, names: Names
    ) -> _Verdict:
        match condition:
            case ast.And(items):
                parts = [self._condition(item, object_name, table, names) for item in items]
                return _Verdict(_all(p.sure for p in parts), _all(p.maybe for p in parts))
            case ast.Or(items):
                parts = [self._condition(item, object_name, table, names) for item in items]
                return _Verdict(~_all(~p.sure for p in parts), ~_all(~p.maybe for p in parts))
            case ast.Not(item):
                inner = self._condition(item, object_name, table, names)
                return _Verdict(~inner.maybe, ~inner.sure)
        try:
            if isinstance(condition, ast.SemiJoin):
                return self._semi_join(condition, object_name, table, names)
            exact = self._comparison(condition, object_name, table, names)
            return _Verdict(exact, exact)
        except Unknown as unknown:
            self.doubts.append(str(unknown))
            size = len(table)
            return _Verdict(np.zeros(size, dtype=bool), np.ones(size, dtype=bool))

    def _semi_join(self, join: ast.SemiJoin, object_name: str, table: pd.DataFrame, names: Names) -> _Verdict:
        left = self._operand(table, object_name, names, join.field).str.slice(0, 15)
        chosen = join.query.fields[0]
        if not isinstance(chosen, ast.FieldRef):
            raise Unknown("a semi-join over a function cannot be answered")
        known = len(self.doubts)
        inner = self.rows(join.query, all_rows=True)
        values = self.values(inner, join.query.object, names_of(join.query).plain(chosen.path))
        found = ((left != "") & left.isin(set(values.str.slice(0, 15)) - {""})).to_numpy()
        if len(self.doubts) == known:
            exact = ~found if join.negated else found
            return _Verdict(exact, exact)
        # The inner answer may be too wide: a row found in it may match, a row not found surely does not.
        nothing, everything = np.zeros(len(table), dtype=bool), np.ones(len(table), dtype=bool)
        return _Verdict(~found, everything) if join.negated else _Verdict(nothing, found)

    def _operand(
        self, rows: pd.DataFrame, object_name: str, names: Names, operand: ast.Operand
    ) -> pd.Series[str]:
        if isinstance(operand, ast.Function):
            inner = operand.args[0] if len(operand.args) == 1 else None
            if operand.name.casefold() != "tolabel" or not isinstance(inner, ast.FieldRef):
                raise Unknown(f"{operand.name}() cannot be answered from files")
            operand = inner
        return self.values(rows, object_name, names.plain(operand.path))

    def _comparison(self, one: ast.Comparison, object_name: str, table: pd.DataFrame, names: Names) -> Mask:
        left = self._operand(table, object_name, names, one.left)
        values = one.value.items if isinstance(one.value, ast.List) else (one.value,)
        match one.op:
            case ast.Op.IN | ast.Op.EQ:
                return _any(left, values)
            case ast.Op.NOT_IN | ast.Op.NE:
                return ~_any(left, values)
            case ast.Op.INCLUDES:
                return _includes(left, values)
            case ast.Op.EXCLUDES:
                return ~_includes(left, values)
            case ast.Op.LIKE:
                return _like(left, values[0])
        keys, right = _comparable(left, values[0])
        with np.errstate(invalid="ignore"):
            return np.asarray(_ORDERING[one.op](keys, right), dtype=bool) & (left != "").to_numpy()


def _all(masks: Iterable[Mask]) -> Mask:
    return np.asarray(np.logical_and.reduce(list(masks)), dtype=bool)


def _any(left: pd.Series[str], values: Iterable[ast.Value]) -> Mask:
    found = np.zeros(len(left), dtype=bool)
    for value in values:
        if isinstance(value, ast.Null) or value == ast.Text(""):
            found |= (left == "").to_numpy()
        else:
            keys, right = _comparable(left, value)
            # A boolean is never null, not even one of a parent that is not there.
            there = np.ones(len(left), dtype=bool) if isinstance(value, ast.Boolean) else left != ""
            found |= np.asarray(keys == right, dtype=bool) & np.asarray(there, dtype=bool)
    return found


def _comparable(left: pd.Series[str], value: ast.Value) -> tuple[npt.NDArray[Any], Any]:
    """Both sides in a form that compares as Salesforce compares them. Raises Unknown."""
    match value:
        case ast.Text(text):
            if _ID.fullmatch(text) and left.map(lambda one: one == "" or bool(_ID.fullmatch(one))).all():
                return left.str.slice(0, 15).to_numpy(dtype=object), text[:15]
            return left.str.casefold().to_numpy(dtype=object), text.casefold()
        case ast.Number(number) | ast.Currency(amount=number):
            return pd.to_numeric(left, errors="coerce").to_numpy(dtype=float), float(number)
        case ast.Boolean(flag):
            return _truth(left).astype(object), flag
        case ast.Date(day):
            return left.str.slice(0, 10).to_numpy(dtype=object), day.isoformat()
        case ast.DateTime(instant):
            read = pd.to_datetime(left, utc=True, errors="coerce", format="ISO8601")
            if (read.isna() & (left != "")).any():
                raise Unknown("a date in the files cannot be read")
            naive = read.dt.tz_localize(None).to_numpy()
            return naive, pd.Timestamp(instant).tz_convert("UTC").tz_localize(None).to_datetime64()
    raise Unknown(f"a {type(value).__name__} cannot be compared in files")


_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


def _truth(values: pd.Series[str]) -> Mask:
    return np.asarray(values.str.casefold().isin(["true", "1", "yes"]), dtype=bool)


def _includes(left: pd.Series[str], values: Iterable[ast.Value]) -> Mask:
    found = np.zeros(len(left), dtype=bool)
    chosen = left.map(lambda text: frozenset(text.split(";")))
    for value in values:
        if not isinstance(value, ast.Text):
            raise Unknown("INCLUDES needs texts")
        wanted = frozenset(value.value.split(";"))
        found |= np.asarray(chosen.map(wanted.issubset), dtype=bool)
    return found


def _like(left: pd.Series[str], value: ast.Value) -> Mask:
    if not isinstance(value, ast.Pattern):
        raise Unknown("LIKE needs a pattern")
    parts = re.findall(r"\\.|.", value.value, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    pattern = "".join(wild[p] if p in wild else re.escape(p[1:] if len(p) == 2 else p) for p in parts)
    matcher = re.compile(pattern, re.DOTALL | re.IGNORECASE)
    return np.asarray(left.map(lambda text: text != "" and matcher.fullmatch(text) is not None), dtype=bool)
