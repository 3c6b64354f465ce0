"""Which kinds of data each exposure shows: the categories of its fields, looked up once for each field
set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from blocks.errors import LeakResponseError
from tasks.scope.categories import SAMPLED, categories_by_field
from tasks.scope.reader import OrgReader, flat

SAMPLE_ROWS = 200


def categorise(reader: OrgReader, rows: pd.DataFrame) -> pd.Series[str]:
    """Comma-separated data categories for each exposure (`object` and comma-separated `fields`)."""
    shown: dict[str, set[str]] = {}
    combinations = rows[["object", "fields"]].drop_duplicates()
    for name, fields in combinations.itertuples(index=False):
        shown.setdefault(str(name), set()).update(str(fields).split(","))
    with ThreadPoolExecutor(4, thread_name_prefix="categories") as pool:
        by_object = dict(zip(shown, pool.map(lambda n: _by_field(reader, n, shown[n]), shown), strict=True))
    names = [
        ",".join(
            sorted(
                {
                    c
                    for field in str(fields).split(",")
                    for c in by_object[str(name)].get(field.casefold(), ())
                }
            )
        )
        for name, fields in combinations.itertuples(index=False)
    ]
    table = combinations.assign(categories=names)
    return (
        rows[["object", "fields"]].merge(table, how="left").set_axis(rows.index)["categories"].astype("str")
    )


def _by_field(reader: OrgReader, name: str, fields: set[str]) -> dict[str, frozenset[str]]:
    """Categories of these fields of one object, by field name in lower case; compound fields by their
    parts."""
    shape = reader.shape.get(name) if name else None
    if shape is None:
        return {}
    wanted = {field.casefold() for field in fields}
    exposed = [f.name for f in shape.fields if f.name.casefold() in wanted and f.type in SAMPLED]
    found = categories_by_field(shape, reader.compliance(name), _samples(reader, name, exposed))
    return {field.casefold(): kinds for field, kinds in found.items()}


def _samples(reader: OrgReader, name: str, fields: list[str]) -> dict[str, list[str]]:
    if not fields:
        return {}
    soql = f"SELECT {', '.join(fields)} FROM {name} ORDER BY Id DESC LIMIT {SAMPLE_ROWS}"  # noqa: S608 - describe's names
    try:
        page = flat(reader.query(soql), fields)
    except LeakResponseError:
        return {}
    return {field: [value for value in page[field] if value] for field in fields}
