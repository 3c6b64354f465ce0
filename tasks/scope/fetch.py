"""Read the rows that a query gives: small answers by REST, large ones by Bulk 2.0, equal ones once."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from blocks.salesforce.soql import Query, render
from blocks.salesforce.soql.ast import FieldRef, Function, SubQuery
from tasks.scope.reader import BULK_FROM, Reader, flat


def fetch(reader: Reader, query: Query) -> pd.DataFrame:
    """Rows with a text column for each id, and `children`: the nested records of child queries."""
    soql = render(query)
    return reader.once(soql, lambda: _fetched(reader, query, soql))


def _fetched(reader: Reader, query: Query, soql: str) -> pd.DataFrame:
    columns = [".".join(item.path) for item in query.fields if isinstance(item, FieldRef)]
    if not any(isinstance(item, SubQuery) for item in query.fields):
        counted = render(replace(query, fields=(Function("COUNT", ()),), order_by=()))
        if reader.size(counted) > BULK_FROM:
            return reader.bulk(soql, columns)
        return flat(reader.query(soql, all_rows=True), columns)
    records = list(reader.query(soql, all_rows=True))
    rows = flat(iter(records), columns)
    return rows.assign(children=pd.Series(records, dtype="object"))
