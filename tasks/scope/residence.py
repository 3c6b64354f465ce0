"""Where a person lives: ISO alpha-2, or US-XX in the United States, from the best reading of any of
their records.

Rank 1: an address with a country, and a state where that is the US; codes count before texts. Rank 2: an
address in the US without a recognisable state. Rank 3: no country in the address: the country of the
record's first identifying phone number, mobile first. Else "unknown". Among equal ranks: Contact, custom
person objects, Lead, Case, User; then the latest change; then the lowest id.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from tasks.scope.countries import us_state_code
from tasks.scope.keys import phone_region
from tasks.scope.population import Source

UNKNOWN = "unknown"


def residences(
    nodes: pd.DataFrame,
    population: Mapping[str, pd.DataFrame],
    sources: list[Source],
    claims: pd.DataFrame,
    persons: int,
) -> pd.Series[str]:
    """Residence by person number. `nodes` has object, record_id, row, region and person (-1: nobody)."""
    phones = claims[claims["rule"] == "phone"].sort_values(["node", "rank"], kind="stable")
    by_node = phones.drop_duplicates("node").set_index("node")["key"]
    readings = []
    for source in sources:
        if not (source.country or source.phones):
            continue
        mine = nodes[(nodes["object"] == source.object) & (nodes["person"] >= 0)]
        rows = population[source.object].loc[mine["row"]].set_axis(mine.index)
        codes, ranks = _read(mine["region"], _state(rows, source), by_node.reindex(mine.index).fillna(""))
        changed = rows["SystemModstamp"] if source.has_modstamp else pd.Series("", index=mine.index)
        readings.append(
            pd.DataFrame(
                {
                    "person": mine["person"],
                    "code": codes,
                    "rank": ranks,
                    "order": source.residence_order,
                    "changed": pd.to_datetime(changed, utc=True, errors="coerce", format="ISO8601"),
                    "id": mine["record_id"],
                }
            )
        )
    home = pd.Series(UNKNOWN, index=range(persons), dtype="str")
    if not readings:
        return home
    table = pd.concat(readings, ignore_index=True)
    table = table[table["rank"] < 4].sort_values(
        ["person", "rank", "order", "changed", "id"], ascending=[True, True, True, False, True], kind="stable"
    )
    best = table.drop_duplicates("person").set_index("person")["code"]
    home.loc[best.index] = best
    return home


def _state(rows: pd.DataFrame, source: Source) -> pd.Series[str]:
    state = pd.Series("", index=rows.index, dtype="str")
    for name in source.state:
        state = state.where(state != "", rows[name].map(lambda text: us_state_code(text) or ""))
    return state


def _read(
    region: pd.Series[str], state: pd.Series[str], phone: pd.Series[str]
) -> tuple[pd.Series[str], pd.Series[int]]:
    """(code, rank) of each record; rank 4 is no reading."""
    in_us = region == "US"
    by_phone = phone.map(lambda number: phone_region(number) or "" if number else "")
    code = region.where(~(in_us & (state != "")), "US-" + state)
    code = code.where(region != "", by_phone)
    rank = pd.Series(4, index=region.index)
    rank = rank.mask(by_phone != "", 3).mask(in_us, 2).mask((region != "") & ~(in_us & (state == "")), 1)
    return code, rank
