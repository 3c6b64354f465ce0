"""Which kinds of data each exposure shows: by its fields, and by what stands in the free text of the very
record.

A field's own category is looked up once for each field. Free text is read for each exposed record, so that
only people whose text shows a password or a card number count as such; where there is too much of it, a
sample speaks for the field, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pandas as pd

from blocks.errors import LeakResponseError
from tasks.scope.categories import SAMPLED, categories_by_field, is_free_text
from tasks.scope.reader import Reader
from tasks.scope.secrets import categories_in
from tasks.scope.shape import ObjectShape

SAMPLE_ROWS = 200
TEXT_ROWS = 250_000  # exposed records of one object whose texts are all read; about a minute

_Shown = dict[str, frozenset[str]]  # field in lower case -> categories


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Categories by field, and by (field, record) where the record's own text decides."""

    fields: _Shown
    texts: dict[str, dict[str, frozenset[str]]]
    note: str = ""


def categorise(reader: Reader, rows: pd.DataFrame) -> tuple[pd.Series[str], tuple[str, ...]]:
    """Comma-separated data categories for each exposure (`object`, `record_id`, comma-separated `fields`),
    and what could not be looked at."""
    shown: dict[str, set[str]] = {}
    for name, fields in rows[["object", "fields"]].drop_duplicates().itertuples(index=False):
        shown.setdefault(str(name), set()).update(str(fields).casefold().split(","))
    ids = {str(name): frozenset(part["record_id"]) for name, part in rows.groupby("object")}
    with ThreadPoolExecutor(4, thread_name_prefix="categories") as pool:
        found = pool.map(lambda name: _kinds(reader, name, shown[name], ids[name]), shown)
        kinds = dict(zip(shown, found, strict=True))
    groups = rows.groupby(["object", "fields"], sort=False)["record_id"]
    parts = [_of_group(kinds[str(key[0])], str(key[1]), part) for key, part in groups]
    named = pd.concat(parts).reindex(rows.index) if parts else pd.Series("", index=rows.index, dtype="str")
    return named.astype("str"), tuple(kind.note for kind in kinds.values() if kind.note)


def _of_group(kinds: _Kinds, fields: str, records: pd.Series[str]) -> pd.Series[str]:
    """The categories of records that showed the same fields."""
    names = fields.casefold().split(",")
    always = frozenset[str]().union(*(kinds.fields.get(name, frozenset()) for name in names))
    texts = [kinds.texts[name] for name in names if name in kinds.texts]
    if not texts:
        return pd.Series(",".join(sorted(always)), index=records.index, dtype="str")
    none: frozenset[str] = frozenset()
    return records.map(lambda i: ",".join(sorted(always.union(*(text.get(i, none) for text in texts)))))


def _kinds(reader: Reader, name: str, wanted: set[str], ids: frozenset[str]) -> _Kinds:
    shape = reader.shape.get(name) if name else None
    if shape is None:
        return _Kinds({}, {})
    exposed = [f for f in shape.fields if f.name.casefold() in wanted]
    texts = [f.name for f in exposed if is_free_text(shape, f)]
    read, note = _texts(reader, name, texts, ids)
    sampled = [f.name for f in exposed if f.type in SAMPLED and f.name.casefold() not in read]
    found = categories_by_field(shape, reader.compliance(name), _samples(reader, shape, sampled))
    return _Kinds({field.casefold(): kinds for field, kinds in found.items()}, read, note)


def _texts(
    reader: Reader, name: str, fields: list[str], ids: frozenset[str]
) -> tuple[dict[str, dict[str, frozenset[str]]], str]:
    """By field in lower case, the categories each exposed record's own text shows; and why a sample is used
    instead."""
    if not fields:
        return {}, ""
    if len(ids) > TEXT_ROWS:
        return {}, f"{name}: free text of {len(ids)} records was judged by a sample of {SAMPLE_ROWS}"
    try:
        page = reader.frame(name, ["Id", *fields])
    except LeakResponseError:
        return {}, f"{name}: free text could not be read; its kinds of data are not known"
    page = page[page["Id"].isin(ids)]
    return {field.casefold(): dict(_shown(page["Id"], page[field])) for field in fields}, ""


def _shown(ids: pd.Series[str], texts: pd.Series[str]) -> Iterable[tuple[str, frozenset[str]]]:
    """The records whose text shows something; equal texts are looked at once."""
    kinds = {text: categories_in(text) for text in texts.unique()}
    for record_id, text in zip(ids, texts, strict=True):
        if kinds[text]:
            yield record_id, kinds[text]


def _samples(reader: Reader, shape: ObjectShape, fields: list[str]) -> dict[str, list[str]]:
    if not fields:
        return {}
    try:
        page = reader.sample(shape.name, fields, SAMPLE_ROWS)
    except LeakResponseError:
        return {}
    return {field: [value for value in page[field] if value] for field in fields}
