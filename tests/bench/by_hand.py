"""The answer written by hand for one purpose in plain pandas and DuckDB: what this project is held against.

Each knows this data: only its phone spellings, its countries, no crowd of strangers on one key. All use the
same vectorised components, the fastest at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from tasks.scope.attribution import is_public as public
from tasks.scope.people import components
from tests.bench.answer import KINDS, MARKS, MASKS, SUMS, WINDOW, answer
from tests.bench.generate import COLUMNS, TYPES

LANDS = {
    "Germany": "DE", "Deutschland": "DE", "US": "US", "France": "FR", "Italy": "IT", "Spain": "ES",
    "Netherlands": "NL", "Sweden": "SE", "Ireland": "IE",
}  # fmt: skip
STATES = {"CA": "CA", "New York": "NY", "TX": "TX", "Florida": "FL"}
USERS = sorted(user[:15] for user in MARKS.users)
NARROW = {
    "request": "REQUEST_ID", "session": "SESSION_KEY", "login": "LOGIN_KEY", "principal": "USER_ID",
    "ip": ("CLIENT_IP", "SOURCE_IP"), "agent": ("USER_AGENT", "BROWSER_TYPE", "CLIENT_NAME"),
    "entity": ("ENTITY_NAME", "QUERIED_ENTITIES"), "rows": ("ROWS_PROCESSED", "ROWS_RETURNED"),
    "bytes": "RESPONSE_SIZE", "records": "RECORDS", "stamp": "TIMESTAMP",
}  # fmt: skip
FIRST, LAST = (
    f"{at:%Y%m%d%H%M%S}.{at.microsecond // 1000:03d}" for at in (WINDOW.start, WINDOW.end or WINDOW.start)
)


def source_of(kind: str, wanted: str) -> str | None:
    """The column of this event type that holds what is wanted."""
    names = NARROW[wanted]
    return next((n for n in ((names,) if isinstance(names, str) else names) if n in COLUMNS[kind]), None)


def spread(match: Callable[[dict[str, set[str]]], dict[str, set[str]]]) -> dict[str, set[str]]:
    """Ask for the keys of what the known keys match until no new ones come."""
    known: dict[str, set[str]] = {"session": set(), "login": set(), "request": set()}
    while True:
        found = {column: values - {"", "null", "0000000000000000"} for column, values in match(known).items()}
        if all(found[column] <= known[column] for column in known):
            return known
        known = {column: known[column] | found[column] for column in known}


def number_people(size: int, left: Any, right: Any) -> Any:
    roots = components(size, np.asarray(left, dtype=np.int64), np.asarray(right, dtype=np.int64))
    present = np.zeros(size, dtype=bool)
    present[roots] = True
    return (np.cumsum(present) - 1)[roots]


def table_of(who: pd.DataFrame) -> pd.DataFrame:
    known = who[who["person"] >= 0]
    parts = []
    for bit, kind in enumerate(KINDS):
        held = known[known["kinds"] & (1 << bit) != 0]
        groups = held.groupby("residence")
        sure = held[held["certain"]].groupby("residence")
        part = pd.DataFrame({"records_upper": groups.size(), "people_upper": groups["person"].nunique()})
        part = part.assign(records_lower=sure.size(), people_lower=sure["person"].nunique(), kind=kind)
        parts.append(part.fillna(0).reset_index())
    counts = ["records_lower", "records_upper", "people_lower", "people_upper"]
    return pd.concat(parts, ignore_index=True).astype(dict.fromkeys(counts, "int64"))


# --- plain pandas --------------------------------------------------------------------------------------


def plain_pandas(folder: Path) -> str:
    """What anybody would write first: read every file, put them together, go on from there."""
    events = pd.concat([_pandas_type(folder, kind) for kind in TYPES], ignore_index=True)
    inside = events[(events["stamp"] >= FIRST) & (events["stamp"] <= LAST)]
    keys = spread(lambda known: _pandas_keys(inside, known))
    sure = _pandas_sure(inside, keys)
    pairs = inside.loc[sure, ["ip", "agent"]].drop_duplicates()
    pairs = pairs[(pairs["agent"] != "") & pairs["ip"].map(public)]
    weak = pd.MultiIndex.from_frame(inside[["ip", "agent"]]).isin(pd.MultiIndex.from_frame(pairs))
    found = inside[sure | weak].assign(certain=sure[sure | weak])
    sums = found.groupby(["type", "principal", "certain"], as_index=False).agg(
        events=("rows", "size"), rows=("rows", "sum"), bytes=("bytes", "sum")
    )
    ids = (
        found.assign(id=found["records"].str.findall(r'"(\w{15})\w{3}"')).explode("id").dropna(subset=["id"])
    )
    affected = ids.groupby("id", as_index=False)["certain"].max()
    who = affected.merge(_pandas_people(folder), on="id", how="left")
    who = who.fillna({"person": -1, "residence": "", "kinds": 0}).astype({"kinds": "int64"})
    return answer(sums[SUMS], who, _pandas_features(events), table_of(who))


def _pandas_type(folder: Path, kind: str) -> pd.DataFrame:
    files = sorted((folder / "logs").glob(f"{kind}-*.csv"))
    rows = pd.concat(
        [pd.read_csv(file, dtype=str, keep_default_na=False) for file in files], ignore_index=True
    )
    found = {w: rows[s] if (s := source_of(kind, w)) else "" for w in NARROW}
    frame = pd.DataFrame(found | {"type": kind}, index=rows.index)
    for name in ("rows", "bytes"):
        frame[name] = pd.to_numeric(frame[name], errors="coerce").fillna(0).astype("int64")
    return frame.assign(principal=frame["principal"].str[:15])


def _pandas_sure(rows: pd.DataFrame, keys: dict[str, set[str]]) -> pd.Series:
    sure = rows["principal"].isin(USERS)
    for column, values in keys.items():
        sure |= rows[column].isin(values)
    return sure


def _pandas_keys(rows: pd.DataFrame, known: dict[str, set[str]]) -> dict[str, set[str]]:
    chosen = rows[_pandas_sure(rows, known)]
    return {column: set(chosen[column]) for column in known}


def _pandas_features(events: pd.DataFrame) -> pd.DataFrame:
    holders = events[(events["principal"] != "") & (events["session"] != "")].groupby("session")
    holders = holders[["principal", "ip", "agent"]].min()
    query = events["type"] == "UniqueQuery"
    for column in ("principal", "ip", "agent"):
        events.loc[query, column] = events.loc[query, "session"].map(holders[column]).fillna("")
    events = events[(events["principal"] != "") & (events["stamp"] <= LAST)]
    hour = events["stamp"].str[:10]
    events = events.assign(
        hour=hour, inside=hour >= FIRST[:10], queries=(events["type"] == "UniqueQuery").astype(int)
    )
    hourly = events.groupby(["principal", "hour", "inside"], as_index=False).agg(
        events=("rows", "size"), rows=("rows", "sum"), bytes=("bytes", "sum"), queries=("queries", "sum")
    )
    return _pandas_finish(hourly, {c: _pandas_fresh(events, c) for c in ("ip", "agent", "entity")})


def _pandas_fresh(events: pd.DataFrame, column: str) -> pd.Series:
    seen = events[events[column] != ""].groupby(["principal", column])["inside"].all()
    return seen[seen].groupby("principal").size()


def _pandas_finish(hourly: pd.DataFrame, fresh: dict[str, pd.Series]) -> pd.DataFrame:
    inside, before = (
        hourly[hourly["inside"]].groupby("principal"),
        hourly[~hourly["inside"]].groupby("principal"),
    )
    found = pd.DataFrame(index=pd.Index(hourly["principal"].unique(), name="principal"))
    for column in ("events", "rows", "bytes", "queries"):
        found[column] = inside[column].sum()
    found = found.assign(
        hours=inside.size(), peak_rows=inside["rows"].max(), base_peak_rows=before["rows"].max()
    )
    named = {"ip": "new_ips", "agent": "new_agents", "entity": "new_entities"}
    found = found.assign(**{named[column]: values for column, values in fresh.items()})
    return found.fillna(0).astype("int64").reset_index()


def _pandas_records(folder: Path, name: str) -> pd.DataFrame:
    files = sorted((folder / "records").glob(f"{name}-*.csv"), key=lambda p: int(p.stem.split("-")[1]))
    return pd.concat([pd.read_csv(f, dtype=str, keep_default_na=False) for f in files], ignore_index=True)


def _pandas_people(folder: Path) -> pd.DataFrame:
    contact, case = _pandas_records(folder, "Contact"), _pandas_records(folder, "Case")
    land = pd.concat([contact["MailingCountry"], case["Country__c"]], ignore_index=True).map(LANDS).fillna("")
    state = contact["MailingState"].map(STATES).reindex(land.index).fillna("")
    ids = pd.concat([contact["Id"], case["Id"]], ignore_index=True)
    mail = pd.concat([contact["Email"], case["SuppliedEmail"]], ignore_index=True).str.strip().str.lower()
    parts = mail.str.split("@", n=1, expand=True)
    own = parts[0].str.split("+").str[0]
    email = (own + "@" + parts[1]).where((own != "") & (own != "noreply") & parts[1].notna())
    digits = contact["MobilePhone"].str.replace(r"\D", "", regex=True)
    phone = ("+49" + digits.str[1:]).where(digits.str.startswith("01512"))
    phone = phone.mask(digits.str.startswith("49"), "+" + digits)
    phone = phone.mask(digits.str.len() == 10, "+1" + digits).mask(
        digits.str.startswith("1415"), "+" + digits
    )
    phone = phone.mask(digits.isin(["", "0000000000"])).reindex(ids.index)
    lookup = pd.concat([pd.Series("", contact.index), case["ContactId"]], ignore_index=True)
    left, right = [], []
    for keys in (email, phone):
        first = pd.Series(keys.index, keys.index).groupby(keys).transform("first")
        linked = first.notna() & (first != keys.index)
        left.append(keys.index[linked]), right.append(first[linked])
    target = lookup.map(pd.Series(ids.index, ids)).dropna()
    left.append(target.index), right.append(target)
    about = (email.notna() | (lookup != "") | (mail != "")).to_numpy() | (np.arange(len(ids)) < len(contact))
    names = case["SuppliedName"].str.strip() != ""
    about[len(contact) :] |= names.to_numpy()
    person = number_people(len(ids), np.concatenate(left), np.concatenate(right))
    kinds = np.concatenate([_pandas_kinds(contact, "Contact"), _pandas_kinds(case, "Case")])
    code = land.where(~((land == "US") & (state != "")), "US-" + state)
    rank = np.where((land == "US") & (state == ""), 2, 1)
    changed = pd.to_datetime(contact["SystemModstamp"], utc=True).reindex(ids.index)
    place = np.where(np.arange(len(ids)) < len(contact), 0, 3)
    reads = pd.DataFrame(
        {"person": person, "code": code, "rank": rank, "place": place, "changed": changed, "id": ids}
    )
    reads = reads[code != ""].sort_values(
        ["person", "rank", "place", "changed", "id"], ascending=[True, True, True, False, True]
    )
    home = reads.drop_duplicates("person").set_index("person")["code"]
    residence = pd.Series(person).map(home).fillna("unknown")
    return pd.DataFrame({"id": ids.str[:15], "person": person, "residence": residence, "kinds": kinds})[about]


def _pandas_kinds(rows: pd.DataFrame, name: str) -> Any:
    total = np.zeros(len(rows), dtype=np.int64)
    for column, mask in MASKS[name].items():
        total |= np.where(rows[column] != "", mask, 0)
    return total


# --- DuckDB --------------------------------------------------------------------------------------------


def duckdb_files(folder: Path) -> str:
    with duckdb.connect() as db:
        _duck_settings(db, folder)
        parts = []
        for kind in TYPES:
            columns = "{" + ", ".join(f"'{c}': 'VARCHAR'" for c in COLUMNS[kind]) + "}"
            relation = (
                f"read_csv('{folder}/logs/{kind}-*.csv', columns={columns}, header=true, auto_detect=false, "
            )
            relation += "delim=',', quote='\"', escape='\"', new_line='\\n', parallel=true)"
            parts.append(_duck_narrow(kind, relation))
        db.execute(f"CREATE TEMP TABLE events AS {' UNION ALL '.join(parts)}")
        _duck_holders(db)
        return _duck_answer(db, "events", _duck_cube_of_events(), _duck_people(db, folder))


def duckdb_lake(folder: Path) -> str:
    """Over the lake's own files, cube and map: the most that preparing could give."""
    with duckdb.connect() as db:
        _duck_settings(db, folder)
        days = sorted(WINDOW_DAYS)
        parts = []
        for kind in TYPES:
            listed = ", ".join(f"'{folder}/lake/events/{kind}/{day}.parquet'" for day in days)
            parts.append(_duck_narrow(kind, f"read_parquet([{listed}])"))
        db.execute(f"CREATE TEMP TABLE events AS {' UNION ALL '.join(parts)}")
        people = (
            f"SELECT id, person, residence, kinds FROM read_parquet('{folder}/lake/people/records.parquet')"
        )
        cubes = f"read_parquet('{folder}/lake/cube/*.parquet')"
        cube = f"SELECT strftime(hour, '%Y%m%d%H') AS hour, * EXCLUDE (hour) FROM {cubes}"
        return _duck_answer(db, "events", cube, people)


WINDOW_DAYS = {f"{day:%Y-%m-%d}" for day in pd.date_range(WINDOW.start, WINDOW.end, freq="D")}


def _duck_settings(db: duckdb.DuckDBPyConnection, folder: Path) -> None:
    db.execute("SET threads = 2; SET memory_limit = '8GB'; SET preserve_insertion_order = false")
    db.execute(f"SET temp_directory = '{folder}/duck-tmp'")


def _duck_narrow(kind: str, relation: str) -> str:
    found = []
    for wanted in NARROW:
        source = source_of(kind, wanted)
        sql = f'"{source}"' if source else "''"
        sql = f"coalesce(try_cast({sql} AS BIGINT), 0)" if wanted in ("rows", "bytes") else sql
        found.append(f"{f'left({sql}, 15)' if wanted == 'principal' else sql} AS {wanted}")
    return f"SELECT '{kind}' AS type, {', '.join(found)} FROM {relation}"


def _duck_holders(db: duckdb.DuckDBPyConnection) -> None:
    db.execute(
        "CREATE TEMP TABLE holders AS SELECT session, min(principal) AS principal, min(ip) AS ip, "
        "min(agent) AS agent "
        "FROM events WHERE principal <> '' AND session <> '' GROUP BY session"
    )


def _duck_cube_of_events() -> str:
    return (
        "SELECT left(stamp, 10) AS hour, CASE WHEN type = 'UniqueQuery' THEN coalesce(h.principal, '') "
        "ELSE e.principal END "
        "AS principal, CASE WHEN type = 'UniqueQuery' THEN coalesce(h.ip, '') ELSE e.ip END AS ip, "
        "CASE WHEN type = 'UniqueQuery' THEN coalesce(h.agent, '') ELSE e.agent END AS agent, entity, "
        "count(*) AS events, sum(rows) AS rows, sum(bytes) AS bytes, count(*) FILTER (type = "
        "'UniqueQuery') AS queries "
        "FROM events e LEFT JOIN holders h USING (session) GROUP BY ALL"
    )


def _duck_answer(db: duckdb.DuckDBPyConnection, events: str, cube: str, people: str) -> str:
    db.execute(
        f"CREATE TEMP TABLE inside AS SELECT * FROM {events} WHERE stamp BETWEEN '{FIRST}' AND '{LAST}'"
    )
    users = ", ".join(f"'{user}'" for user in USERS)

    def match(known: dict[str, set[str]]) -> dict[str, set[str]]:
        for column, values in known.items():
            db.register("frame", pd.DataFrame({"v": sorted(values)}, dtype="str"))
            db.execute(f"CREATE OR REPLACE TEMP TABLE known_{column} AS SELECT v FROM frame")
        sure = f"principal IN ({users})" + "".join(f" OR {c} IN (SELECT v FROM known_{c})" for c in known)
        db.execute(f"CREATE OR REPLACE TEMP TABLE sure AS SELECT *, ({sure}) AS certain FROM inside")
        return {
            c: {r[0] for r in db.execute(f"SELECT DISTINCT {c} FROM sure WHERE certain").fetchall()}
            for c in known
        }

    spread(match)
    pairs = db.execute("SELECT DISTINCT ip, agent FROM sure WHERE certain").df()
    pairs = pairs[(pairs["agent"] != "") & pairs["ip"].map(public)]
    db.register("pairs", pairs)
    db.execute(
        "CREATE TEMP TABLE found AS SELECT * FROM sure WHERE certain OR (ip, agent) IN (SELECT (ip, agent) "
        "FROM pairs)"
    )
    sums = db.execute(
        "SELECT type, principal, certain, count(*) AS events, sum(rows)::BIGINT AS rows, "
        "sum(bytes)::BIGINT AS bytes "
        "FROM found GROUP BY ALL"
    ).df()
    who = db.execute(
        "WITH affected AS (SELECT left(trim(id, '\"'), 15) AS id, max(certain) AS certain FROM (SELECT "
        "certain, "
        "unnest(string_split(trim(records, '[]'), ',')) AS id FROM found WHERE length(records) > 2) GROUP "
        "BY ALL) "
        "SELECT a.id, certain, coalesce(person, -1)::INTEGER AS person, coalesce(residence, '') AS "
        "residence, "
        f"coalesce(kinds, 0)::BIGINT AS kinds FROM affected a LEFT JOIN ({people}) p USING (id)"
    ).df()
    return answer(sums, who, _duck_features(db, cube), table_of(who))


def _duck_features(db: duckdb.DuckDBPyConnection, cube: str) -> pd.DataFrame:
    db.execute(
        f"CREATE TEMP TABLE cube AS SELECT *, hour >= '{FIRST[:10]}' AS inside FROM ({cube}) "
        f"WHERE principal <> '' AND hour <= '{LAST[:10]}'"
    )
    hourly = db.execute(
        "SELECT principal, hour, inside, sum(events)::BIGINT AS events, sum(rows)::BIGINT AS rows, "
        "sum(bytes)::BIGINT AS bytes, sum(queries)::BIGINT AS queries FROM cube GROUP BY ALL"
    ).df()
    fresh = {
        c: db.execute(
            f"SELECT principal, count(*) AS n FROM (SELECT principal, {c} FROM cube WHERE {c} <> '' GROUP "
            "BY ALL "
            "HAVING bool_and(inside)) GROUP BY principal"
        ).df().set_index("principal")["n"]
        for c in ("ip", "agent", "entity")
    }  # fmt: skip
    return _pandas_finish(hourly, fresh)


def _duck_kinds(name: str) -> str:
    return " | ".join(f"(CASE WHEN \"{c}\" <> '' THEN {m} ELSE 0 END)" for c, m in MASKS[name].items())


def _case(column: str, codes: dict[str, str]) -> str:
    return f"CASE {column} " + "".join(f"WHEN '{k}' THEN '{v}' " for k, v in codes.items()) + "ELSE '' END"


def _duck_people(db: duckdb.DuckDBPyConnection, folder: Path) -> str:
    read = f"read_csv('{folder}/records/%s-*.csv', all_varchar=true, header=true, "
    read += "quote='\"', escape='\"', nullstr='\\N')"
    db.execute(
        "CREATE TEMP SEQUENCE s MINVALUE 0; CREATE TEMP TABLE nodes AS SELECT nextval('s') AS node, * FROM ("
        'SELECT "Id" AS id, lower(trim("Email")) AS mail, regexp_replace("MobilePhone", \'[^0-9]\', '
        "'', 'g') AS d, "
        f"'' AS lookup, {_case('MailingCountry', LANDS)} AS land, {_case('MailingState', STATES)} AS state, "
        '-epoch_us("SystemModstamp"::TIMESTAMPTZ) AS age, 0 AS place, '
        f"{_duck_kinds('Contact')} AS kinds, true AS about FROM {read % 'Contact'} UNION ALL "
        f'SELECT "Id", lower(trim("SuppliedEmail")), \'\', "ContactId", {_case("Country__c", LANDS)}, \'\', '
        f"NULL, 3, {_duck_kinds('Case')}, \"SuppliedName\" <> '' OR \"SuppliedEmail\" <> '' OR "
        "\"ContactId\" <> '' "
        f"FROM {read % 'Case'})"
    )
    phone = (
        "CASE WHEN d IN ('', '0000000000') THEN NULL WHEN d LIKE '01512%' THEN '49' || substr(d, 2) "
        "WHEN length(d) = 10 THEN '1' || d ELSE d END"
    )
    own = "split_part(split_part(mail, '@', 1), '+', 1)"
    db.execute(
        f"CREATE TEMP TABLE claims AS SELECT node, hash('e', {own}, split_part(mail, '@', 2)) AS key FROM "
        "nodes "
        f"WHERE contains(mail, '@') AND {own} NOT IN ('', 'noreply') UNION ALL "
        f"SELECT node, hash('p', {phone}) FROM nodes WHERE {phone} IS NOT NULL UNION ALL "
        "SELECT node, hash('i', lookup) FROM nodes WHERE lookup <> '' UNION ALL "
        "SELECT node, hash('i', id) FROM nodes SEMI JOIN (SELECT lookup FROM nodes WHERE lookup <> '') l "
        "ON l.lookup = id"
    )
    edges = db.execute(
        "SELECT node, head FROM claims JOIN (SELECT key, min(node) AS head FROM claims GROUP BY key "
        "HAVING count(*) > 1) USING (key) WHERE node <> head"
    ).fetchnumpy()
    size = db.execute("SELECT count(*) FROM nodes").fetchall()[0][0]
    person = pd.DataFrame(
        {"node": np.arange(size), "person": number_people(size, edges["node"], edges["head"])}
    )
    db.register("numbered", person)
    db.execute(
        "CREATE TEMP TABLE homes AS SELECT person, arg_min(CASE WHEN land = 'US' AND state <> '' THEN "
        "'US-' || state "
        "ELSE land END, ROW(CASE WHEN land = 'US' AND state = '' THEN 2 ELSE 1 END, place, "
        "coalesce(age, 9223372036854775807), id)) AS residence FROM nodes JOIN numbered USING (node) "
        "WHERE land <> '' GROUP BY person"
    )
    return (
        "SELECT left(id, 15) AS id, person, coalesce(residence, 'unknown') AS residence, kinds FROM nodes "
        "JOIN numbered USING (node) LEFT JOIN homes USING (person) WHERE about"
    )
