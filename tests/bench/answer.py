"""The question that every variant answers, and the form of the answer: one text, compared byte for byte."""

from __future__ import annotations

import json
from datetime import timedelta

import pandas as pd

from tasks.incident import Window
from tasks.scope.attribution import Marks
from tasks.scope.population import Source
from tests.bench.generate import ATTACK, SUSPECTS, user_id

WINDOW = Window(*ATTACK)
NOW = ATTACK[1] + timedelta(days=6)
MARKS = Marks(users=frozenset(map(user_id, SUSPECTS)))
KINDS = ("contact", "dob", "name", "order_history")
CONTACT = Source(
    "Contact", True, ("Email",), ("MobilePhone",), last_name="LastName", country=("MailingCountry",),
    state=("MailingState",),
)  # fmt: skip
CASE = Source(
    "Case", False, ("SuppliedEmail",), full_name="SuppliedName", country=("Country__c",),
    lookups=("ContactId",),
    has_modstamp=False,
)  # fmt: skip
SOURCES = [CONTACT, CASE]
MASKS = {
    "Contact": {
        "Email": 1, "MobilePhone": 1, "MailingStreet": 1, "MailingCity": 1, "Birthdate": 2, "FirstName": 4,
        "LastName": 4,
    },
    "Case": {"SuppliedEmail": 1, "SuppliedName": 4, "Subject": 8},
}  # fmt: skip
SUMS = ["type", "principal", "certain", "events", "rows", "bytes"]
TABLE = ["residence", "kind", "records_lower", "records_upper", "people_lower", "people_upper"]


def answer(sums: pd.DataFrame, who: pd.DataFrame, features: pd.DataFrame, table: pd.DataFrame) -> str:
    """`who`: id, certain, person, residence, kinds of each affected record; person -1 where unknown."""
    known = who[who["person"] >= 0]
    odd = (features["peak_rows"] > 3 * features["base_peak_rows"]) & (features["new_ips"] > 0)
    value = {
        "sums": _rows(sums, SUMS),
        "records": [len(who), int(who["certain"].sum()), len(who) - len(known)],
        "people": [int(known["person"].nunique()), int(known.loc[known["certain"], "person"].nunique())],
        "kinds": int(who["kinds"].sum()),
        "features": {c: int(features[c].sum()) for c in sorted(features.columns) if c != "principal"},
        "principals": len(features),
        "odd": int(odd.sum()),
        "table": _rows(table, TABLE),
    }
    return json.dumps(value, sort_keys=True)


def _rows(frame: pd.DataFrame, columns: list[str]) -> list[list[object]]:
    found = [
        [one.item() if hasattr(one, "item") else one for one in row]
        for row in frame[columns].itertuples(index=False)
    ]
    return sorted(found, key=lambda row: [str(one) for one in row])
