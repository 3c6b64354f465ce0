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
    units = lake.units(day)
    infos = [lake.info(unit) for unit in units]
    made = [f"{u.type} {i.fingerprint}" for u, i in zip(units, infos, strict=True) if i is not None]
    return hashlib.sha256("\n".join([str(FORMAT), *made]).encode()).hexdigest()


def build_cube(lake: Lake, day: str) -> None:
    """Make the day's cube from its units."""
    units = [(unit, info) for unit in lake.units(day) if (info := lake.info(unit))]
    write_cube(lake, day, [(u, i.columns, lake.events_file(u)) for u, i in units], _made_from(lake, day))


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


def cube_sql(
    relations: Iterable[tuple[str, Sequence[str], str]], *, keys: Sequence[str] = KEYS, day: str = ""
) -> str:
    """SQL of the cube over (event type, columns, relation), by these of KEYS.

    `day` names a column of the relations: where they hold several days, a session has its holder each day.
    """
    parts: dict[bool, list[str]] = {False: [], True: []}
    for kind, columns, relation in relations:
        parts[kind in QUERY_LOGS].append(_part(columns, relation, day))
    named, nameless = (" UNION ALL ".join(parts[one]) or _NOTHING for one in (False, True))
    by = ", ".join(keys)
    sums = ", ".join(f"sum({measure})::BIGINT AS {measure}" for measure in MEASURES)
    counted = f"SELECT {by}, 1 AS events, rows, bytes, 0 AS queries FROM"
    if not parts[True]:
        return f"SELECT {by}, {sums} FROM ({counted} ({named})) GROUP BY ALL"  # noqa: S608
    held = [key for key in ("principal", "app", "ip", "agent") if key in keys]
    firsts = ", ".join(f"min({key}) AS {key}" for key in held)
    taken = {key: f"coalesce(h.{key}, '') AS {key}" if key in held else f"n.{key}" for key in keys}
    return (
        f"WITH named AS MATERIALIZED ({named}), holders AS (SELECT day, session, {firsts} FROM named "  # noqa: S608
        "WHERE session <> '' AND principal <> '' GROUP BY day, session), "
        f"asked AS (SELECT {', '.join(taken.values())}, 1 AS events, n.rows, n.bytes, 1 AS queries "
        f"FROM ({nameless}) n LEFT JOIN holders h USING (day, session)) "
        f"SELECT {by}, {sums} FROM ({counted} named UNION ALL SELECT * FROM asked) GROUP BY ALL"
    )


_NOTHING = (
    "SELECT NULL::TIMESTAMP AS hour, '' AS day, '' AS session, '' AS principal, '' AS app, '' AS ip, "
    "'' AS agent, '' AS entity, 0::BIGINT AS rows, 0::BIGINT AS bytes LIMIT 0"
)


def _part(columns: Sequence[str], relation: str, day: str) -> str:
    values = {
        "hour": f"date_trunc('hour', {name(AT)})",
        "day": name(day) if day else "''",
        "session": column_sql("session", columns),
        "principal": f"left({column_sql('user', columns)}, 15)",
        "app": f"left({column_sql('app', columns)}, 15)",
        "ip": column_sql("ip", columns),
        "agent": column_sql("agent", columns),
        "entity": column_sql("entity", columns),
        "rows": number_sql("rows", columns),
        "bytes": number_sql("bytes", columns),
    }
    chosen = ", ".join(f"{sql} AS {key}" for key, sql in values.items())
    return f"SELECT {chosen} FROM {relation}"  # noqa: S608


def read_cube(lake: Lake, days: Iterable[str]) -> pd.DataFrame:
    """The cubes of these days as one table; days without one are left out."""
    there = [lake.cube_file(day) for day in days if lake.cube_file(day).exists()]
    if not there:
        return pd.DataFrame(columns=[*KEYS, *MEASURES])
    with lake.engine.connect() as db:
        return db.execute(f"SELECT * FROM read_parquet({files(there)}) ORDER BY ALL").df()  # noqa: S608
