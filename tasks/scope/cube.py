"""The hourly cube: for each day, what each principal read, by app, address, client program and object.

It answers "is this much for them?" from a few rows instead of all events. A query log names no user: its rows
go to whoever held the session on that day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from tasks.scope.attribution import COLUMNS
from tasks.scope.engine import files, first_filled, name, text
from tasks.scope.lake import AT, FORMAT, Lake, Unit, meta_sql, part_of, put_in_place, read_meta

# What the attribution's columns are called here, and the measures, whatever an event type calls them.
SOURCES: dict[str, tuple[str, ...]] = {
    **COLUMNS,
    "entity": ("ENTITY_NAME", "ENTITY_TYPE", "QUERIED_ENTITIES"),
    "rows": ("ROWS_PROCESSED", "RECORDS_PROCESSED", "ROW_COUNT", "ROWS_RETURNED"),
    "bytes": ("RESPONSE_SIZE",),
}
KEYS = ("hour", "principal", "app", "ip", "agent", "entity")
MEASURES = ("events", "rows", "bytes", "queries")
QUERY_LOGS = ("UniqueQuery",)


def column_sql(wanted: str, columns: Sequence[str]) -> str:
    """SQL for one of SOURCES from what a unit has; empty text where it has none of them."""
    there = [source for source in SOURCES[wanted] if source in columns]
    return first_filled(there)


def number_sql(wanted: str, columns: Sequence[str]) -> str:
    return f"coalesce(try_cast({column_sql(wanted, columns)} AS BIGINT), 0)"


def cube_fingerprint(lake: Lake, day: str) -> str | None:
    """From which units the day's cube is to be made; None when it is already."""
    made_from = _made_from(lake, day)
    stored = read_meta(lake.cube_file(day)) or {}
    return None if stored.get("fingerprint") == made_from else made_from


def _made_from(lake: Lake, day: str) -> str:
    units = [unit for unit in lake.units() if unit.day == day]
    infos = [lake.info(unit) for unit in units]
    made = [f"{u.type} {i.fingerprint}" for u, i in zip(units, infos, strict=True) if i is not None]
    return hashlib.sha256("\n".join([str(FORMAT), *made]).encode()).hexdigest()


def build_cube(lake: Lake, day: str) -> None:
    """Make the day's cube from its units."""
    made_from = _made_from(lake, day)
    units = [(unit, info) for unit in lake.units() if unit.day == day and (info := lake.info(unit))]
    write_cube(lake, day, [(u, i.columns, lake.events_file(u)) for u, i in units], made_from)


def write_cube(
    lake: Lake, day: str, units: Sequence[tuple[Unit, Sequence[str], Path]], made_from: str
) -> None:
    sql = cube_sql([(u.type, columns, f"read_parquet({text(path)})") for u, columns, path in units])
    target = lake.cube_file(day)
    partial = part_of(target)
    with lake.engine.connect() as db:
        db.execute(
            f"COPY ({sql}) TO {text(partial)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, "
            f"{meta_sql({'fingerprint': made_from})})"
        )
    put_in_place(partial, target)


def cube_sql(relations: Iterable[tuple[str, Sequence[str], str]]) -> str:
    """SQL of the cube over (event type, columns, relation)."""
    parts = [(kind, _part(kind, columns, relation)) for kind, columns, relation in relations]
    named = " UNION ALL ".join(sql for kind, sql in parts if kind not in QUERY_LOGS)
    nameless = " UNION ALL ".join(sql for kind, sql in parts if kind in QUERY_LOGS)
    keys = ", ".join(KEYS)
    sums = "sum(events)::BIGINT AS events, sum(rows)::BIGINT AS rows, sum(bytes)::BIGINT AS bytes, "
    sums += "sum(queries)::BIGINT AS queries"
    if not parts:
        empty = ", ".join(f"'' AS {key}" for key in KEYS[1:])
        zeros = ", ".join(f"0::BIGINT AS {measure}" for measure in MEASURES)
        return f"SELECT NULL::TIMESTAMP AS hour, {empty}, {zeros} LIMIT 0"
    if not nameless:
        return f"SELECT {keys}, {sums} FROM ({named}) GROUP BY ALL ORDER BY ALL"  # noqa: S608
    if not named:
        return f"SELECT {keys}, {sums} FROM ({nameless}) GROUP BY ALL ORDER BY ALL"  # noqa: S608
    return (
        f"WITH named AS MATERIALIZED ({named}), holders AS (SELECT session, min(principal) "  # noqa: S608
        "AS principal, "
        "min(app) AS app, min(ip) AS ip, min(agent) AS agent FROM named "
        "WHERE session <> '' AND principal <> '' GROUP BY session), "
        f"nameless AS ({nameless}), joined AS (SELECT n.hour, coalesce(h.principal, '') AS principal, "
        "coalesce(h.app, '') AS app, coalesce(h.ip, '') AS ip, coalesce(h.agent, '') AS agent, n.entity, "
        "n.events, n.rows, n.bytes, n.queries FROM nameless n LEFT JOIN holders h USING (session)) "
        f"SELECT {keys}, {sums} FROM (SELECT {keys}, events, rows, bytes, queries FROM named "
        f"UNION ALL SELECT {keys}, events, rows, bytes, queries FROM joined) GROUP BY ALL ORDER BY ALL"
    )


def _part(kind: str, columns: Sequence[str], relation: str) -> str:
    """Per hour and session already: the query log is joined by session, and there are fewer of them."""
    query = "1" if kind in QUERY_LOGS else "0"
    values = {
        "hour": f"date_trunc('hour', {name(AT)})",
        "session": column_sql("session", columns),
        "principal": f"left({column_sql('user', columns)}, 15)",
        "app": f"left({column_sql('app', columns)}, 15)",
        "ip": column_sql("ip", columns),
        "agent": column_sql("agent", columns),
        "entity": column_sql("entity", columns),
    }
    measures = {
        "events": "count(*)",
        "rows": f"sum({number_sql('rows', columns)})",
        "bytes": f"sum({number_sql('bytes', columns)})",
        "queries": f"count(*) * {query}",
    }
    chosen = ", ".join(f"{sql} AS {key}" for key, sql in (values | measures).items())
    return f"SELECT {chosen} FROM {relation} GROUP BY {', '.join(map(str, range(1, len(values) + 1)))}"  # noqa: S608


def read_cube(lake: Lake, days: Iterable[str]) -> pd.DataFrame:
    """The cubes of these days as one table; days without one are left out."""
    there = [lake.cube_file(day) for day in days if lake.cube_file(day).exists()]
    if not there:
        return pd.DataFrame(columns=[*KEYS, *MEASURES])
    with lake.engine.connect() as db:
        return db.execute(f"SELECT * FROM read_parquet({files(there)}) ORDER BY ALL").df()  # noqa: S608
