"""Rows that an event names by id: they were returned, whatever a re-run gives now."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tasks.scope.ids import long_id
from tasks.scope.judge import Run
from tasks.scope.matching import Ask
from tasks.scope.queries import Asked


def with_named(rows: pd.DataFrame, asks: Sequence[Ask]) -> pd.DataFrame:
    """`rows` and those that only the events name: changed since beyond recognition, or gone for good."""
    wanted = {one for ask in asks for one in ask.ids}
    if not wanted:
        return rows
    known = set(rows["Id"].str.slice(0, 15)) if "Id" in rows else set()
    missing = sorted(long_id(one) for one in wanted if one[:15] not in known)
    if not missing:
        return rows
    more = pd.DataFrame({"Id": missing, "matched": False}).reindex(columns=rows.columns)
    texts = [name for name in more.columns if name not in ("matched", "children")]
    more[texts] = more[texts].fillna("")
    return pd.concat([rows, more], ignore_index=True)


def named_alone(asked: Asked, asks: Sequence[Ask], note: str) -> tuple[pd.DataFrame, list[Run]]:
    """The records and runs as the events alone tell them, where the query is not run again."""
    lines: dict[str, dict[str, object]] = {}
    fields = next((r.fields for r in asked.returned if not r.path and not r.children), ())
    for ask in sorted(asks, key=lambda ask: ask.at):
        for one in ask.ids:
            line = {
                "object": asked.object,
                "record_id": long_id(one),
                "fields": ",".join(fields),
                "at": ask.at,
                "certain": settled(ask),
                "changed": False,
            }
            lines.setdefault(one[:15], line)
            lines[one[:15]]["certain"] = bool(lines[one[:15]]["certain"]) or settled(ask)
    return pd.DataFrame(list(lines.values())), [_run(ask, note) for ask in asks]


def settled(ask: Ask) -> bool:
    """Whether the rows are known to have reached the suspects."""
    return ask.certain and not ask.partly


def _run(ask: Ask, note: str) -> Run:
    return Run(
        ask.asked.digest,
        ask.asked.object,
        ask.at,
        ask.credential,
        ask.source,
        ask.rows,
        None,
        ask.whole and settled(ask),
        len(ask.ids) if settled(ask) else 0,
        "" if ask.whole and settled(ask) else ask.partly or ask.doubt or note,
        named=len(ask.ids),
    )
