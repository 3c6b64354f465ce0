"""Reads of single records, where the address itself names the record: the surest exposures there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from blocks.errors import LeakResponseError
from tasks.scope.calls import Call
from tasks.scope.directory import quoted
from tasks.scope.ids import long_id
from tasks.scope.judge import Run
from tasks.scope.reader import Reader
from tasks.scope.shape import ObjectShape


@dataclass(frozen=True, slots=True)
class Singles:
    records: pd.DataFrame
    runs: tuple[Run, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Target:
    object: str
    record_id: str
    fields: tuple[str, ...]


def read_singles(reader: Reader, calls: Iterable[Call]) -> Singles:
    """The records that these calls read, one line for each call."""
    rows: list[dict[str, object]] = []
    runs: list[Run] = []
    notes: list[str] = []
    known: dict[tuple[str, str, tuple[str, ...]], list[_Target] | None] = {}
    for call in calls:
        key = (call.entity, call.record, call.fields)
        if key not in known:
            known[key] = _targets(reader, call)
        targets = known[key]
        if targets is None:
            notes.append(f"{call.entity}: a single read cannot be resolved")
        for target in targets or ():
            rows.append(
                {
                    "object": target.object,
                    "record_id": target.record_id,
                    "fields": ",".join(target.fields),
                    "at": call.at,
                    "certain": call.certain,
                    "changed": False,
                    "query": f"read {call.path}",
                    "credential": call.credential,
                    "reason": "" if call.certain else "weakly attributed",
                }
            )
        runs.append(_run(call, targets))
    names = ("object", "record_id", "fields", "at", "certain", "changed", "query", "credential", "reason")
    empty = pd.DataFrame({name: pd.Series(dtype="object") for name in names})
    return Singles(pd.DataFrame(rows) if rows else empty, tuple(runs), tuple(dict.fromkeys(notes)))


def _run(call: Call, targets: list[_Target] | None) -> Run:
    certain = bool(call.certain and targets)
    note = "" if targets is not None else "the record could not be resolved"
    found = None if targets is None else len(targets)
    observed = 1 if not call.rows else call.rows
    name = targets[0].object if targets else call.entity
    return Run(
        f"read {call.path}",
        name,
        call.at,
        call.credential,
        call.kind.value,
        observed,
        found,
        certain,
        0,
        note,
    )


def _targets(reader: Reader, call: Call) -> list[_Target] | None:
    """The records behind an address; None when they cannot be told."""
    shape = reader.shape.get(call.entity)
    if shape is None:
        return None
    try:
        if "=" in call.record:
            field, _, value = call.record.partition("=")
            soql = f"SELECT Id FROM {shape.name} WHERE {field} = {quoted([value])}"  # noqa: S608 - SOQL, quoted
            return [_whole(shape, str(row["Id"]), call.fields) for row in reader.query(soql, all_rows=True)]
        if len(call.fields) == 1 and shape.field(call.fields[0]) is None:
            return _related(reader, shape, call)
    except LeakResponseError:
        return None
    return [_whole(shape, long_id(call.record), call.fields)]


def _whole(shape: ObjectShape, record_id: str, fields: tuple[str, ...]) -> _Target:
    return _Target(shape.name, record_id, fields or tuple(f.name for f in shape.fields))


def _related(reader: Reader, shape: ObjectShape, call: Call) -> list[_Target] | None:
    """`/sobjects/Contact/003.../Account` reads the parent, `/sobjects/Account/001.../Contacts` the
    children."""
    (name,) = call.fields
    lookup = shape.parent(name)
    child = shape.children.get(name.casefold())
    if lookup is not None:
        soql = f"SELECT {lookup.name} FROM {shape.name} WHERE Id = {quoted([call.record])}"  # noqa: S608
        ids = [str(row[lookup.name]) for row in reader.query(soql, all_rows=True) if row.get(lookup.name)]
    elif child is not None:
        soql = f"SELECT Id FROM {child[0]} WHERE {child[1]} = {quoted([call.record])}"  # noqa: S608
        ids = [str(row["Id"]) for row in reader.query(soql)]
    else:
        return None
    shapes = [(reader.shape.get(reader.object_of(record_id)), record_id) for record_id in ids]
    return [_whole(found, record_id, ()) for found, record_id in shapes if found is not None]
