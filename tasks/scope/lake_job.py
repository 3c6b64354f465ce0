"""The question of an incident, answered from the lake: whose records did the suspects' events name?

Only the days of the window are opened. In each, the marks of the suspects spread over sessions, logins and
requests (the rule of `attribution.py`); the records that the events name are looked up in the prepared map,
and what the principals usually do comes from the cube. Each day is one function of its own that can travel to
another process; whatever runs the days, the answer is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from tasks.incident import Window
from tasks.scope.attribution import NAMELESS, NO_KEYS, Marks, Own, is_public
from tasks.scope.cube import column_sql, number_sql
from tasks.scope.engine import files, name, text
from tasks.scope.ingest import Mapper
from tasks.scope.lake import AT, Lake, Unit, days, moment, within
from tasks.scope.lake_people import records_file

RECORDS = "RECORDS"  # the ids an event names, as JSON
BASELINE = timedelta(days=30)
_IDS = "'\"([a-zA-Z0-9]{15})(?:[a-zA-Z0-9]{3})?\"'"
_EMPTY = frozenset[str]()


@dataclass(frozen=True, slots=True)
class Known:
    """What tells the suspects' events apart: the marks, and the requests already known as theirs."""

    marks: Marks
    requests: frozenset[str] = _EMPTY
    ours: frozenset[str] = _EMPTY  # sessions that hold nothing but this product's own calls

    def union(self, others: Iterable[Known]) -> Known:
        marks, requests = self.marks, self.requests
        for other in others:
            marks = replace(
                marks,
                sessions=marks.sessions | other.marks.sessions,
                logins=marks.logins | other.marks.logins,
                machines=marks.machines | other.marks.machines,
            )
            requests |= other.requests
        return replace(self, marks=marks, requests=requests)


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the window: its units with their columns."""

    day: str
    units: tuple[tuple[Unit, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class DayFound:
    """What one day holds of the suspects. `sums`: type, principal, certain, events, rows, bytes. `records`:
    id (15 characters), certain."""

    known: Known
    sums: pd.DataFrame
    records: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Found:
    """The answer.

    `sums`: type, principal, certain, events, rows, bytes. `records`: id, certain, object, person, residence,
    kinds (an id that the map does not know has object "" and person -1). `features`: one line for each
    principal of the cube. `table`: residence, kind, and records and people with lower and upper bound.
    """

    known: Known
    sums: pd.DataFrame
    records: pd.DataFrame
    features: pd.DataFrame
    table: pd.DataFrame = field(repr=False)


def find(
    lake: Lake,
    marks: Marks,
    window: Window,
    *,
    now: datetime,
    own: Own | None = None,
    kinds: Sequence[str] = (),
    mapper: Mapper | None = None,
) -> Found:
    """Whose records the suspects' events name, for events in the window.

    `kinds` names the bits of the map's `kinds`. `mapper` runs the days apart, in other
    processes or on a cluster that shares the lake's folder; without one the engine here takes them all at
    once, and spills.
    """
    known = Known(marks, ours=own_sessions(lake, window, now, own))
    chosen = window_days(lake, window, now)
    with lake.engine.connect() as db:
        if mapper is None:
            day = Day("all", tuple(unit for day in chosen for unit in day.units))
            _load(db, day_sql(lake, day, window, now, own))
            one = search_day(db, known)
            known, sums, records = one.known, one.sums, one.records
        else:
            known, sums, records = _apart(_Search(lake, window, now, own, known), chosen, mapper)
        sums, records = together(sums, records)
        who = look_up(db, f"read_parquet({text(records_file(lake))})", records)
        usual = _features(db, lake, window, now)
        return Found(known, sums, who, usual, tabulate(db, who, kinds))


def _apart(
    search: _Search, chosen: Sequence[Day], mapper: Mapper
) -> tuple[Known, pd.DataFrame, pd.DataFrame]:
    """Each day by itself, and again with what the others found, until no day finds more."""
    known = search.known
    while True:
        answers: list[DayFound] = list(mapper(replace(search, known=known), chosen))
        grown = known.union(answer.known for answer in answers)
        if grown == known or len(chosen) == 1:  # a day alone has spread its marks to the end already
            break
        known = grown
    sums = _concat([answer.sums for answer in answers], _SUMS)
    return grown, sums, _concat([answer.records for answer in answers], _RECORDS)


def together(sums: pd.DataFrame, records: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One line for each type, principal and certainty, and for each record."""
    if len(sums):
        sums = sums.groupby(["type", "principal", "certain"], as_index=False, sort=True).sum()
    if len(records):
        records = records.groupby("id", as_index=False, sort=True)[["certain"]].max()
    return sums, records


_SUMS = {
    "type": "str",
    "principal": "str",
    "certain": "bool",
    "events": "int64",
    "rows": "int64",
    "bytes": "int64",
}
_RECORDS = {"id": "str", "certain": "bool"}


def _concat(frames: Sequence[pd.DataFrame], types: Mapping[str, str]) -> pd.DataFrame:
    full = [frame for frame in frames if len(frame)]
    if full:
        return pd.concat(full, ignore_index=True)
    return pd.DataFrame({column: pd.Series(dtype=kind) for column, kind in types.items()})


def window_days(lake: Lake, window: Window, now: datetime) -> list[Day]:
    units = sorted(((unit, info.columns) for unit, info in lake.inside(window, now)), key=lambda u: u[0].day)
    return [Day(day, tuple(group)) for day, group in groupby(units, key=lambda unit: unit[0].day)]


# --- one day -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Search:
    lake: Lake
    window: Window
    now: datetime
    own: Own | None
    known: Known

    def __call__(self, day: Day) -> DayFound:
        with self.lake.engine.connect() as db:
            _load(db, day_sql(self.lake, day, self.window, self.now, self.own))
            return search_day(db, self.known)


def day_sql(lake: Lake, day: Day, window: Window, now: datetime, own: Own | None) -> str:
    """Units of one type with the same columns are read as one."""
    alike: dict[tuple[str, tuple[str, ...]], list[Path]] = {}
    for unit, columns in day.units:
        alike.setdefault((unit.type, columns), []).append(lake.events_file(unit))
    if not alike:
        return narrow_sql("", (), f"(SELECT NULL::TIMESTAMP AS {name(AT)} LIMIT 0)", window, now, None)
    return " UNION ALL ".join(
        narrow_sql(kind, columns, f"read_parquet({files(paths)})", window, now, own)
        for (kind, columns), paths in alike.items()
    )


def narrow_sql(
    kind: str, columns: Sequence[str], relation: str, window: Window, now: datetime, own: Own | None
) -> str:
    """SQL for what the search needs of one unit's events in the window, without this product's own calls."""
    narrow = {
        "type": text(kind),
        "request": column_sql("request_id", columns),
        "session": column_sql("session", columns),
        "login": column_sql("login", columns),
        "principal": f"left(trim({column_sql('user', columns)}), 15)",
        "user_name": f"lower({column_sql('user_name', columns)})",
        "app": f"left(trim({column_sql('app', columns)}), 15)",
        "app_name": column_sql("app_name", columns),
        "ip": column_sql("ip", columns),
        "agent": column_sql("agent", columns),
        "rows": number_sql("rows", columns),
        "bytes": number_sql("bytes", columns),
        "records": name(RECORDS) if RECORDS in columns else "''",
    }
    chosen = ", ".join(f"{sql} AS {name(key)}" for key, sql in narrow.items())
    mine = f" AND NOT ({_own(narrow, own)})" if own else ""
    return f"SELECT {chosen} FROM {relation} WHERE {within(window, now)}{mine}"  # noqa: S608


def _own(narrow: Mapping[str, str], own: Own) -> str:
    user = text(own.user[:15])
    return f"starts_with({narrow['request']}, {text(own.prefix)}) AND {narrow['principal']} = {user}"


def _load(db: duckdb.DuckDBPyConnection, sql: str) -> None:
    db.execute(f"CREATE TEMP TABLE events AS {sql}")


def search_day(db: duckdb.DuckDBPyConnection, known: Known) -> DayFound:
    """Spread the marks over table `events` to the end, then count what is the suspects'."""
    grown = spread_marks(db, known)
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE found AS SELECT *, {CERTAIN} AS certain FROM events "  # noqa: S608
        f"WHERE ({CERTAIN} OR {MACHINE}) AND {_NOT_OURS}"
    )
    sums = db.execute(
        "SELECT type, principal, certain, count(*) AS events, sum(rows)::BIGINT AS rows, "
        "sum(bytes)::BIGINT AS bytes FROM found GROUP BY ALL"
    ).df()
    records = db.execute(
        "SELECT id, max(certain) AS certain FROM (SELECT unnest(regexp_extract_all(records, "  # noqa: S608
        f"{_IDS}, 1)) AS id, "
        "certain FROM found WHERE records <> '') WHERE regexp_matches(id, '[0-9]') GROUP BY id"
    ).df()
    return DayFound(grown, sums.astype(_SUMS), records.astype(_RECORDS))


def spread_marks(db: duckdb.DuckDBPyConnection, known: Known) -> Known:
    """Spread the marks over table `events` until no new session, login or request is found."""
    put_marks(db, known)
    while _spread_once(db):
        pass
    grown = known.union([_found_marks(db)])
    _put_machines(db, grown)
    return grown


def _in(column: str, table: str) -> str:
    return f"{name(column)} IN (SELECT v FROM mark_{table})"  # noqa: S608


CERTAIN = (
    f"({_in('principal', 'users')} OR {_in('app', 'apps')} OR {_in('session', 'sessions')} OR "
    f"{_in('login', 'logins')} OR {_in('request', 'requests')} OR {_in('app_name', 'app_names')} OR "
    f"{_in('user_name', 'user_names')})"
)
MACHINE = "(ip, agent) IN (SELECT (ip, agent) FROM mark_machines)"
_NOT_OURS = f"NOT (type IN ({', '.join(map(text, sorted(NAMELESS)))}) AND {_in('session', 'ours')})"


_NO_KEYS = ", ".join(text(key) for key in sorted(NO_KEYS))
# Of sessions of which nobody says the app (the rule of `attribution`), and whatever may name that of others.
_OF_NO_APP = (
    f"(session NOT IN ({_NO_KEYS}) AND NOT {_in('session', 'named_session')} "
    f"AND (login IN ({_NO_KEYS}) OR NOT {_in('login', 'named_login')})) "
    f"OR {_in('session', 'other_session')} OR {_in('login', 'other_login')}"
)


def put_marks(db: duckdb.DuckDBPyConnection, known: Known) -> None:
    """The marks as tables, so that a thousand sessions are one join."""
    marks = known.marks
    fixed = {
        "users": {user[:15] for user in marks.users},
        "apps": {app[:15] for app in marks.apps},
        "user_names": {user.lower() for user in marks.user_names},
        "app_names": marks.app_names,
        "ours": known.ours,
    }
    for table, held in fixed.items():
        _put(db, table, v=sorted(held))
    for table, found in (
        ("sessions", marks.sessions),
        ("logins", marks.logins),
        ("requests", known.requests),
    ):
        _put(db, table, v=list(found))
    _put_machines(db, known)


def _put_machines(db: duckdb.DuckDBPyConnection, known: Known) -> None:
    machines = list(known.marks.machines)
    _put(db, "machines", ip=[ip for ip, _ in machines], agent=[agent for _, agent in machines])


def _put(db: duckdb.DuckDBPyConnection, table: str, **columns: list[str]) -> None:
    strings = pa.table({column: pa.array(values, pa.string()) for column, values in columns.items()})
    db.register("marks_table", strings)
    db.execute(f"CREATE OR REPLACE TEMP TABLE mark_{table} AS SELECT * FROM marks_table")  # noqa: S608
    db.unregister("marks_table")


def _spread_once(db: duckdb.DuckDBPyConnection) -> bool:
    """Add sessions, logins and requests of the events that are surely the suspects'; whether any was new."""
    db.execute(
        "CREATE OR REPLACE TEMP TABLE sure AS SELECT request, session, login, ip, agent "  # noqa: S608
        f"FROM events WHERE {CERTAIN} AND {_NOT_OURS}"
    )
    added = 0
    for column in ("request", "session", "login"):
        added += db.execute(
            f"INSERT INTO mark_{column}s SELECT DISTINCT {column} FROM sure ANTI JOIN mark_{column}s "  # noqa: S608
            f"ON {column} = v WHERE {column} NOT IN ({_NO_KEYS})"
        ).fetchall()[0][0]
    return added > 0


def _found_marks(db: duckdb.DuckDBPyConnection) -> Known:
    keys = [
        frozenset(db.execute(f"SELECT v FROM mark_{table}").fetchnumpy()["v"].tolist())  # noqa: S608
        for table in ("requests", "sessions", "logins")
    ]
    pairs = db.execute("SELECT DISTINCT ip, agent FROM sure").fetchall()
    machines = frozenset((ip, agent) for ip, agent in pairs if agent.strip() and is_public(ip))
    return Known(Marks(sessions=keys[1], logins=keys[2], machines=machines), keys[0])


def sessions_sql(columns: Sequence[str], relation: str, window: Window, now: datetime, own: Own) -> str:
    """SQL for each session in the window and whether a call is this product's own: session, mine."""
    narrow = {
        "request": column_sql("request_id", columns),
        "principal": f"left(trim({column_sql('user', columns)}), 15)",
    }
    return (
        f"SELECT {column_sql('session', columns)} AS session, {_own(narrow, own)} AS mine "  # noqa: S608
        f"FROM {relation} WHERE {within(window, now)}"
    )


def own_sessions(lake: Lake, window: Window, now: datetime, own: Own | None) -> frozenset[str]:
    """Sessions that hold nothing but this product's own calls: the query log's lines of these are ours."""
    if own is None:
        return _EMPTY
    parts = [
        sessions_sql(info.columns, f"read_parquet({text(lake.events_file(unit))})", window, now, own)
        for unit, info in lake.inside(window, now)
        if unit.type not in NAMELESS
    ]
    if not parts:
        return _EMPTY
    with lake.engine.connect() as db:
        rows = db.execute(
            f"SELECT session FROM ({' UNION ALL '.join(parts)}) GROUP BY session HAVING "  # noqa: S608
            "bool_and(mine)"
        ).fetchall()
    return frozenset(row[0] for row in rows) - NO_KEYS


# --- the suspects' events as they were logged -----------------------------------------------------------


Units = Sequence[tuple[Unit, tuple[str, ...]]]  # with their columns


def spread(lake: Lake, units: Units, known: Known, window: Window, now: datetime) -> Known:
    """What these units add to the marks, spread to the end inside them."""
    with lake.engine.connect() as db:
        _load(db, day_sql(lake, Day("all", tuple(units)), window, now, None))
        return spread_marks(db, known)


def suspect_events(
    lake: Lake,
    known: Known,
    window: Window,
    *,
    now: datetime,
    own: Own | None = None,
    units: Units | None = None,
    nameless: pd.DataFrame | None = None,
) -> dict[str, pd.DataFrame]:
    """All columns of the events that `known` tells apart, by type: what `attribution.attribute` takes.

    `units`: those to look at; by default all that touch the window. `nameless` (session and login of events
    outside of the lake): also the events of sessions of which the lake never says the app, and of these.
    A few thousand rows out of millions; attributing them gives what attributing everything would give.
    """
    found: dict[str, pd.DataFrame] = {}
    by_type: dict[str, list[tuple[Unit, tuple[str, ...]]]] = {}
    if units is None:
        units = [(unit, info.columns) for unit, info in lake.inside(window, now)]
    for unit, columns in units:
        by_type.setdefault(unit.type, []).append((unit, columns))
    with lake.engine.connect() as db:
        put_marks(db, known)
        wanted = f"({CERTAIN} OR {MACHINE}) AND {_NOT_OURS}"
        if nameless is not None:
            _put_named(db, day_sql(lake, Day("all", tuple(units)), window, now, own), nameless)
            wanted = f"({wanted}) OR {_OF_NO_APP}"
        for kind, held in by_type.items():
            parts = [_whole(lake, unit, columns, window, now, own, wanted) for unit, columns in held]
            rows = db.execute(f"{' UNION ALL BY NAME '.join(parts)} ORDER BY {name(AT)}").df()
            if len(rows):
                found[kind] = rows.drop(columns=[AT]).fillna("").astype("str")
    return found


def _whole(
    lake: Lake,
    unit: Unit,
    columns: Sequence[str],
    window: Window,
    now: datetime,
    own: Own | None,
    wanted: str,
) -> str:
    relation = f"read_parquet({text(lake.events_file(unit))}, file_row_number=true)"
    narrow = narrow_sql(unit.type, columns, relation, window, now, own)
    place = name("file_row_number")
    inner = narrow.replace("SELECT ", f"SELECT {place} AS {name('_place')}, ", 1)
    return (
        f"SELECT * EXCLUDE ({place}) FROM {relation} WHERE {place} IN "  # noqa: S608
        f"(SELECT {name('_place')} FROM ({inner}) WHERE {wanted})"
    )


def _put_named(db: duckdb.DuckDBPyConnection, events: str, nameless: pd.DataFrame) -> None:
    """Tables of the sessions and logins whose app some event says, and of those of other events."""
    for column in ("session", "login"):
        db.execute(
            f"CREATE OR REPLACE TEMP TABLE mark_named_{column} AS SELECT DISTINCT {column} AS v "  # noqa: S608
            f"FROM ({events}) WHERE trim(app) <> '' OR trim(app_name) <> '' OR {CERTAIN}"
        )
        _put(db, f"other_{column}", v=sorted(set(nameless[column]) - NO_KEYS))


# --- who and how usual ------------------------------------------------------------------------------------


def look_up(db: duckdb.DuckDBPyConnection, people: str, records: pd.DataFrame) -> pd.DataFrame:
    """The records with what the map `people` (SQL to select from) knows of them."""
    db.register("affected", records)
    return db.execute(
        "SELECT a.id, a.certain, coalesce(m.object, '') AS object, coalesce(m.person, "  # noqa: S608
        "-1)::INTEGER AS person, coalesce(m.residence, '') AS residence, "
        "coalesce(m.kinds, 0)::BIGINT AS kinds FROM affected a "
        f"LEFT JOIN (SELECT * FROM {people} SEMI JOIN affected USING (id)) m USING (id) ORDER BY a.id"
    ).df()


def tabulate(db: duckdb.DuckDBPyConnection, who: pd.DataFrame, kinds: Sequence[str]) -> pd.DataFrame:
    """Records and people by residence and kind of data, each with lower and upper bound."""
    bits = pd.DataFrame({"kind": list(kinds), "bit": [1 << n for n in range(len(kinds))]})
    db.register("who", who)
    db.register("bits", bits.astype({"kind": "str", "bit": "int64"}))
    return db.execute(
        "SELECT residence, kind, count(*) FILTER (certain) AS records_lower, count(*) AS records_upper, "
        "count(DISTINCT person) FILTER (certain) AS people_lower, count(DISTINCT person) AS people_upper "
        "FROM who JOIN bits ON (who.kinds & bits.bit) <> 0 WHERE person >= 0 GROUP BY ALL ORDER BY ALL"
    ).df()


def features(lake: Lake, window: Window, now: datetime, baseline: timedelta = BASELINE) -> pd.DataFrame:
    """For each principal: what the window shows, and how that differs from the days before it.

    Columns: principal, events, rows, bytes, queries, hours (with any event), peak_rows (most rows in one
    hour), base_peak_rows, new_ips, new_agents, new_entities.
    """
    with lake.engine.connect() as db:
        return _features(db, lake, window, now, baseline)


def _features(
    db: duckdb.DuckDBPyConnection, lake: Lake, window: Window, now: datetime, baseline: timedelta = BASELINE
) -> pd.DataFrame:
    before = Window(window.start - baseline, window.start)
    there = [lake.cube_file(day) for day in dict.fromkeys([*days(before, now), *days(window, now)])]
    there = [path for path in there if path.exists()]
    if not there:
        return pd.DataFrame({column: pd.Series(dtype="int64") for column in _FEATURES})
    return db.execute(features_sql(f"read_parquet({files(there)})", window, now)).df()


_FEATURES = (
    "principal", "events", "rows", "bytes", "queries", "hours", "peak_rows", "base_peak_rows", "new_ips",
    "new_agents", "new_entities",
)  # fmt: skip


def features_sql(cube: str, window: Window, now: datetime) -> str:
    """SQL of the features over a cube. An hour belongs to the window when it overlaps it."""
    first = window.start.replace(minute=0, second=0, microsecond=0)
    inside = within(Window(first, window.end), now).replace(name(AT), "hour")
    new = " UNION ALL ".join(
        f"SELECT principal, '{c}' AS what FROM (SELECT principal, {c}, bool_and(inside) AS "  # noqa: S608
        "fresh FROM seen "
        f"WHERE {c} <> '' GROUP BY principal, {c}) WHERE fresh"
        for c in ("ip", "agent", "entity")
    )
    return (
        f"WITH seen AS (SELECT *, {inside} AS inside FROM {cube} "  # noqa: S608
        f"WHERE principal <> '' AND (hour IS NULL OR hour <= {moment(window.end or now)})), "
        "hourly AS (SELECT principal, hour, inside, sum(events) AS events, sum(rows) AS rows, sum(bytes) "
        "AS bytes, "
        "sum(queries) AS queries FROM seen GROUP BY ALL), "
        "fresh AS (SELECT principal, count(*) FILTER (what = 'ip') AS ips, count(*) FILTER (what = "
        "'agent') AS agents, "
        f"count(*) FILTER (what = 'entity') AS entities FROM ({new}) GROUP BY principal) "
        "SELECT principal, coalesce(sum(events) FILTER (inside), 0)::BIGINT AS events, "
        "coalesce(sum(rows) FILTER (inside), 0)::BIGINT AS rows, coalesce(sum(bytes) FILTER (inside), "
        "0)::BIGINT "
        "AS bytes, coalesce(sum(queries) FILTER (inside), 0)::BIGINT AS queries, count(*) FILTER (inside) "
        "AS hours, "
        "coalesce(max(rows) FILTER (inside), 0)::BIGINT AS peak_rows, "
        "coalesce(max(rows) FILTER (NOT inside), 0)::BIGINT AS base_peak_rows, "
        "coalesce(any_value(f.ips), 0)::BIGINT AS new_ips, coalesce(any_value(f.agents), 0)::BIGINT AS "
        "new_agents, "
        "coalesce(any_value(f.entities), 0)::BIGINT AS new_entities "
        "FROM hourly LEFT JOIN fresh f USING (principal) GROUP BY principal ORDER BY principal"
    )
