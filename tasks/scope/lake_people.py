"""The record-to-person map of the whole population, made ahead of time: who each record is about.

The same rules as `people.resolve`, over millions of records: keys become 64-bit hashes in the engine, which
spills, and the components run over star edges in numpy (two of 20 million keys share a hash by chance once in
100,000 maps). A key that very many strangers share joins nobody. No address, number or name is stored.

    people/records.parquet    id (15 characters), object, person (-1: nobody), residence, kinds (bit mask)
    people/joins.parquet      record, joined to, by which rule
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.scope.countries import country_code, us_state_code
from tasks.scope.engine import name, text
from tasks.scope.keys import ROLE_ADDRESSES, email_key, name_key, phone_region
from tasks.scope.lake import FORMAT, Lake, meta_sql, part_of, put_in_place, read_meta
from tasks.scope.lake_phones import phone_keys
from tasks.scope.people import CROWD, SHARED_BY, components
from tasks.scope.population import Source
from tasks.scope.residence import UNKNOWN

RULES = ("id", "email", "phone")
LOOKUP = len(RULES)  # from here on the rules are the population's lookups, one by one
NODE = "_node"
NOBODY = -1
_SPACE = " || ".join(f"chr({code})" for code in (32, 9, 10, 11, 12, 13, 28, 29, 30, 31))  # as str.strip
# Trimming a set of characters is slow, and hardly any text needs it.
_STRIP = f"CASE WHEN left(t, 1) > ' ' AND right(t, 1) > ' ' THEN t ELSE trim(t, {_SPACE}) END"


@dataclass(frozen=True, slots=True)
class PeopleMap:
    """What was made: how many records, people, and keys that join nobody because too many share them."""

    records: int
    people: int
    crowds: int


@dataclass(frozen=True, slots=True)
class Population:
    """The records as files: object -> Parquet, every value as text. `kinds` gives each field's data kinds as
    a bit mask; a record holds the kinds of its fields that are not empty."""

    files: Mapping[str, Path]
    sources: Sequence[Source]
    kinds: Mapping[str, Mapping[str, int]]


def records_file(lake: Lake) -> Path:
    return lake.people / "records.parquet"


def build_people(
    lake: Lake, population: Population, made_from: str, *, crowd: int = CROWD, joins: bool = True
) -> PeopleMap:
    """Make the map from the whole population and put it in place whole.

    Over affected records alone two of a person's records may be linked only by one that was not affected.
    """
    with lake.engine.connect() as db:
        records, people, crowds = _resolve(db, population, crowd)
        _residences(db, population)
        if joins:
            _write_joins(db, lake, population)
        _write(db, lake, population, made_from)
    return PeopleMap(records, people, crowds)


def people_of(
    db: duckdb.DuckDBPyConnection, population: Population, affected: pd.DataFrame, *, crowd: int = CROWD
) -> str:
    """SQL for what the map would hold of the records in `affected` (column id) and of all records of the
    same people. Everybody is resolved; only who is concerned is placed and told."""
    _resolve(db, population, crowd)
    db.register("affected_ids", affected[["id"]])
    db.execute(
        "CREATE TEMP TABLE concerned AS SELECT DISTINCT person FROM persons JOIN nodes USING (node) "
        "WHERE person >= 0 AND left(nodes.id, 15) IN (SELECT id FROM affected_ids)"
    )
    db.execute("DELETE FROM persons WHERE person >= 0 AND person NOT IN (SELECT person FROM concerned)")
    _residences(db, population)
    return f"({_map_sql(population)})"


def _resolve(db: duckdb.DuckDBPyConnection, population: Population, crowd: int) -> tuple[int, int, int]:
    """Tables `nodes`, `edges`, `persons` and `phone_places`; how many records, people and crowds."""
    db.execute(f"CREATE OR REPLACE TEMP MACRO strip(t) AS {_STRIP}")
    _nodes(db, population)
    _claims(db, population)
    crowds = _drop_shared_phones(db, population) + _drop_crowds(db, population, crowd)
    _phone_places(db)
    return (*_components(db), crowds)


def people_made_from(lake: Lake) -> str | None:
    """What names the population the map was made from; None where there is no map."""
    meta = read_meta(records_file(lake)) or {}
    return str(meta["fingerprint"]) if meta.get("format") == FORMAT else None


# --- nodes: one for each record ------------------------------------------------------------------------


def _nodes(db: duckdb.DuckDBPyConnection, population: Population) -> None:
    """Table `nodes`, numbered by object and place in the file, and a view of each object's records."""
    db.execute(
        "CREATE TEMP TABLE nodes (node UINTEGER, object UTINYINT, id VARCHAR, about BOOLEAN, "
        "region VARCHAR, state VARCHAR, changed BIGINT, kinds BIGINT)"
    )
    _dictionary(db, population, "countries", [s.country for s in population.sources], country_code)
    _dictionary(db, population, "states", [s.state for s in population.sources], us_state_code)
    first = 0
    for number, source in enumerate(population.sources):
        path = population.files[source.object]
        db.execute(
            f"CREATE TEMP VIEW records_{number} AS SELECT * EXCLUDE (file_row_number), "  # noqa: S608
            f"(file_row_number + {first})::UINTEGER AS {name(NODE)} "
            f"FROM read_parquet({text(path)}, file_row_number=true)"
        )
        region, region_joins = _code_of(source.country, "countries", "c")
        state, state_joins = _code_of(source.state, "states", "s")
        db.execute(
            f"INSERT INTO nodes SELECT {name(NODE)}, {number}, {name('Id')}, "  # noqa: S608
            f"{_about(source)}, {region}, "
            f"{state}, {_changed(source)}, {_kinds(population.kinds.get(source.object, {}))} "
            f"FROM records_{number} {region_joins} {state_joins}"
        )
        first += int(db.execute(f"SELECT count(*) FROM records_{number}").fetchall()[0][0])  # noqa: S608


def _about(source: Source) -> str:
    """SQL: whether a record is about anybody by itself."""
    if source.always:
        return "true"
    names = [*source.lookups, *source.emails, *source.phones, source.full_name]
    if source.object == "EmailMessage":
        return "false"
    return " OR ".join(f"strip({name(n)}) <> ''" for n in names if n) or "false"


def _changed(source: Source) -> str:
    return f"epoch_us(try_cast({name('SystemModstamp')} AS TIMESTAMPTZ))" if source.has_modstamp else "NULL"


def _kinds(masks: Mapping[str, int]) -> str:
    held = [
        f"CASE WHEN {name(column)} <> '' THEN {mask} ELSE 0 END" for column, mask in masks.items() if mask
    ]
    return " | ".join(f"({one})" for one in held) or "0"


def _dictionary(
    db: duckdb.DuckDBPyConnection,
    population: Population,
    table: str,
    columns: Sequence[tuple[str, ...]],
    code: Callable[[str], str | None],
) -> None:
    """A table from each different text to its code: few texts, many records."""
    parts = [
        f"SELECT DISTINCT {name(column)} FROM "  # noqa: S608
        f"read_parquet({text(population.files[source.object])})"
        for source, names in zip(population.sources, columns, strict=True)
        for column in names
    ]
    texts = [row[0] for row in db.execute(" UNION ".join(parts)).fetchall()] if parts else []
    known = {one: found for one in texts if one and (found := code(one))}
    db.execute(f"CREATE TEMP TABLE {table} (written VARCHAR, code VARCHAR)")
    db.execute(
        f"INSERT INTO {table} SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[])",
        [list(known), list(known.values())],
    )


def _code_of(columns: tuple[str, ...], table: str, alias: str) -> tuple[str, str]:
    """SQL for the first known code of these columns, and the joins it needs."""
    tables = [f"{alias}{n}" for n, _ in enumerate(columns)]
    joins = " ".join(
        f"LEFT JOIN {table} {one} ON {name(column)} = {one}.written"
        for one, column in zip(tables, columns, strict=True)
    )
    return f"coalesce({', '.join([*(f'{one}.code' for one in tables), repr('')])})", joins


# --- claims: which key each record carries -------------------------------------------------------------


def _claims(db: duckdb.DuckDBPyConnection, population: Population) -> None:
    """Table `claims`: key (64-bit hash, told apart by kind), node, rule (index into RULES or a lookup's)."""
    db.execute("CREATE TEMP TABLE claims (key UBIGINT, node UINTEGER, rule UTINYINT)")
    _email_claims(db, population)
    _phone_claims(db, population)
    db.execute("CREATE TEMP TABLE gained (node UINTEGER)")
    db.execute("CREATE TEMP TABLE lookups (key UBIGINT, node UINTEGER, rule UTINYINT)")
    for rule, (number, column, parent_of) in enumerate(_links(population), start=LOOKUP):
        if not parent_of:
            db.execute(
                f"INSERT INTO lookups SELECT hash('i', {name(column)}), {name(NODE)}, {rule} "  # noqa: S608
                f"FROM records_{number} WHERE {name(column)} <> ''"
            )
            continue
        allowed = [str(n) for n, s in enumerate(population.sources) if s.object in parent_of]
        db.execute(
            "CREATE OR REPLACE TEMP TABLE followed AS "  # noqa: S608
            f"SELECT {name(NODE)} AS node, {name(column)} AS parent FROM records_{number} r SEMI JOIN "
            f"(SELECT id FROM nodes WHERE about AND object IN ({', '.join(allowed) or 'NULL'})) n "
            f"ON r.{name(column)} = n.id"
        )
        db.execute(f"INSERT INTO lookups SELECT hash('i', parent), node, {rule} FROM followed")  # noqa: S608
        db.execute("INSERT INTO gained SELECT node FROM followed")
    db.execute(
        "INSERT INTO claims SELECT * FROM lookups UNION ALL "  # noqa: S608
        f"SELECT hash('i', id), node, {RULES.index('id')} FROM nodes "
        "WHERE hash('i', id) IN (SELECT key FROM lookups)"
    )
    db.execute("DROP TABLE lookups")
    email = RULES.index("email")
    db.execute(f"INSERT INTO gained SELECT DISTINCT node FROM claims WHERE rule = {email}")  # noqa: S608


def _links(population: Population) -> list[tuple[int, str, tuple[str, ...]]]:
    """Every lookup: place of its source, column, and for one to a parent the objects it may follow."""
    found: list[tuple[int, str, tuple[str, ...]]] = []
    for number, source in enumerate(population.sources):
        found += [(number, column, ()) for column in source.lookups]
        if source.parent:
            found.append((number, source.parent, source.parent_of or ("",)))
    return found


def rule_names(population: Population) -> list[str]:
    """What each rule number means."""
    names = list(RULES)
    for number, column, parent_of in _links(population):
        kind = "parent" if parent_of else "lookup"
        names.append(f"{kind} {population.sources[number].object}.{column}")
    return names


def _email_claims(db: duckdb.DuckDBPyConnection, population: Population) -> None:
    """As `keys.email_key`: in SQL where the text is ASCII, else by that function itself."""
    roles = ", ".join(text(role) for role in sorted(ROLE_ADDRESSES))
    rule = RULES.index("email")
    for number, source in enumerate(population.sources):
        for column in source.emails:
            # In steps: pushed down as one, each use of a part would work it out again.
            db.execute(
                f"CREATE OR REPLACE TEMP TABLE addresses AS SELECT {name(NODE)} AS node, "  # noqa: S608
                f"lower(strip({name(column)})) AS address FROM records_{number} "
                f"WHERE contains({name(column)}, '@') AND strlen({name(column)}) = length({name(column)})"
            )
            db.execute(
                "CREATE OR REPLACE TEMP TABLE addresses AS SELECT node, "
                "split_part(split_part(address, '@', 1), '+', 1) AS own, "
                "substr(address, strpos(address, '@') + 1) AS domain FROM addresses"
            )
            db.execute(
                f"INSERT INTO claims SELECT hash('e', own || '@' || domain), node, {rule} FROM addresses "  # noqa: S608
                f"WHERE own <> '' AND domain <> '' AND own NOT IN ({roles})"
            )
            odd = db.execute(
                f"SELECT {name(NODE)} AS node, {name(column)} AS address FROM records_{number} "  # noqa: S608
                f"WHERE contains({name(column)}, '@') AND strlen({name(column)}) <> length({name(column)})"
            ).df()
            keyed = [(node, key) for node, t in odd.itertuples(index=False) if (key := email_key(t))]
            if keyed:
                db.execute(
                    f"INSERT INTO claims SELECT hash('e', key), node, {rule} FROM "  # noqa: S608
                    "(SELECT unnest($1::UINTEGER[]) AS node, unnest($2::VARCHAR[]) AS key)",
                    [[int(node) for node, _ in keyed], [key for _, key in keyed]],
                )


def _phone_claims(db: duckdb.DuckDBPyConnection, population: Population) -> None:
    """Claims by phone, and table `phone_reads`: the numbers of records that have no country of their own."""
    parts = [
        f"SELECT {name(NODE)} AS node, {name(column)} AS number, {rank} AS rank FROM "  # noqa: S608
        f"records_{number} "
        f"WHERE {name(column)} <> ''"
        for number, source in enumerate(population.sources)
        for rank, column in enumerate(source.phones)
    ]
    db.execute("CREATE TEMP TABLE phone_reads (node UINTEGER, rank UTINYINT, key VARCHAR, home VARCHAR)")
    if not parts:
        return
    db.execute(
        "CREATE TEMP TABLE numbers AS SELECT p.node, p.number, p.rank, n.region "  # noqa: S608
        f"FROM ({' UNION ALL '.join(parts)}) p JOIN nodes n USING (node)"
    )
    phone_keys(db, "numbers", "known_numbers")
    db.execute(
        f"INSERT INTO claims SELECT hash('p', key), node, {RULES.index('phone')} "  # noqa: S608
        "FROM numbers JOIN known_numbers USING (number, region) WHERE key IS NOT NULL"
    )
    # Only a record without a country of its own is placed by its phone; those texts were read with no region.
    db.execute(
        "INSERT INTO phone_reads SELECT node, rank, key, home FROM numbers "
        "JOIN known_numbers USING (number, region) WHERE region = '' AND key IS NOT NULL"
    )
    db.execute("DROP TABLE numbers")
    db.execute("DROP TABLE known_numbers")


def _phone_places(db: duckdb.DuckDBPyConnection) -> None:
    """Table `phone_places`: the country of each record's first number that identifies somebody."""
    db.execute(
        "CREATE TEMP TABLE phone_firsts AS SELECT node, arg_min(key, rank) AS key, "  # noqa: S608
        "arg_min(home, rank) AS home "
        "FROM phone_reads WHERE hash('p', key) IN (SELECT key FROM claims WHERE rule = "
        f"{RULES.index('phone')}) "
        "GROUP BY node"
    )
    unsure = [
        row[0] for row in db.execute("SELECT DISTINCT key FROM phone_firsts WHERE home IS NULL").fetchall()
    ]
    db.execute(
        "CREATE TEMP TABLE phone_places AS SELECT node, coalesce(p.home, f.home) AS home FROM phone_firsts p "
        "LEFT JOIN (SELECT unnest($1::VARCHAR[]) AS key, unnest($2::VARCHAR[]) AS home) f USING (key)",
        [unsure, [phone_region(key) or "" for key in unsure]],
    )


# --- keys that join nobody -----------------------------------------------------------------------------


def _drop_shared_phones(db: duckdb.DuckDBPyConnection, population: Population) -> int:
    """Numbers that more than three e-mail identities and more than three last names share."""
    phone, email = RULES.index("phone"), RULES.index("email")
    db.execute(
        "CREATE OR REPLACE TEMP TABLE crowded AS SELECT c.key FROM claims c "  # noqa: S608
        f"SEMI JOIN (SELECT key FROM claims WHERE rule = {phone} GROUP BY key HAVING count(*) > {SHARED_BY}) "
        f"USING (key) JOIN claims e ON e.node = c.node AND e.rule = {email} WHERE c.rule = {phone} "
        f"GROUP BY c.key HAVING count(DISTINCT e.key) > {SHARED_BY}"
    )
    return _drop_named(db, population)


def _drop_crowds(db: duckdb.DuckDBPyConnection, population: Population, crowd: int) -> int:
    """E-mail addresses on more than `crowd` records under more than three last names: a shared mailbox."""
    db.execute(
        "CREATE OR REPLACE TEMP TABLE crowded AS SELECT key FROM claims WHERE rule = "  # noqa: S608
        f"{RULES.index('email')} "
        f"GROUP BY key HAVING count(*) > {crowd}"
    )
    return _drop_named(db, population)


def _drop_named(db: duckdb.DuckDBPyConnection, population: Population) -> int:
    """Of the `crowded` keys drop those whose carriers have more than three last names."""
    names = []
    for number, source in enumerate(population.sources):
        if column := source.last_name or source.full_name:
            last = f"r.{name(column)}"
            last = f"list_last(string_split(strip({last}), ' '))" if source.full_name else last
            names.append(
                f"SELECT DISTINCT c.key, {last} AS last FROM claims c SEMI JOIN crowded "  # noqa: S608
                "USING (key) "
                f"JOIN records_{number} r ON r.{name(NODE)} = c.node"
            )
    if not names:
        return 0
    found = db.execute(" UNION ".join(names)).df()
    found = found.assign(last=found["last"].map(name_key))
    counts = found[found["last"] != ""].groupby("key")["last"].nunique()
    crowds = counts.index[counts > SHARED_BY].astype("uint64")
    if len(crowds):
        db.register("crowds", pd.DataFrame({"key": crowds}))
        db.execute("CREATE TEMP TABLE kept AS SELECT * FROM claims ANTI JOIN crowds USING (key)")
        db.execute("DROP TABLE claims")
        db.execute("ALTER TABLE kept RENAME TO claims")
        db.unregister("crowds")
    return len(crowds)


# --- people --------------------------------------------------------------------------------------------


def _components(db: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Table `persons` (node, person); returns how many records are about somebody, and about how many."""
    db.execute(
        "CREATE TEMP TABLE heads AS SELECT key, "  # noqa: S608
        f"coalesce(min(node) FILTER (rule = {RULES.index('id')}), min(node)) AS head "
        "FROM claims GROUP BY key HAVING count(*) > 1"
    )
    db.execute(
        "CREATE TEMP TABLE edges AS SELECT c.node, h.head, c.rule FROM claims c JOIN heads h USING (key) "
        "WHERE c.node <> h.head"
    )
    db.execute("DROP TABLE heads")
    db.execute("DROP TABLE claims")
    stars = db.execute("SELECT node, head FROM edges").fetchnumpy()
    about = _about_somebody(db)
    left, right = (np.asarray(stars[column], dtype=np.int64) for column in ("node", "head"))
    roots = components(len(about), left, right)
    present = np.zeros(len(about), dtype=bool)
    present[roots[about]] = True
    numbers = np.cumsum(present, dtype=np.int64) - 1
    person = np.where(about, numbers[roots], NOBODY).astype(np.int32)
    frame = pd.DataFrame({"node": np.arange(len(about), dtype=np.uint32), "person": person})
    db.register("person_frame", frame)
    db.execute("CREATE TEMP TABLE persons AS SELECT * FROM person_frame")
    db.unregister("person_frame")
    return int(about.sum()), int(present.sum())


def _about_somebody(db: duckdb.DuckDBPyConnection) -> npt.NDArray[np.bool_]:
    """For each node: about somebody by itself, by its e-mail address, or by the record it belongs to."""
    direct = db.execute("SELECT node, about FROM nodes").fetchnumpy()
    about = np.zeros(len(direct["node"]), dtype=bool)
    about[direct["node"]] = direct["about"]
    about[db.execute("SELECT DISTINCT node FROM gained").fetchnumpy()["node"]] = True
    return about


def _residences(db: duckdb.DuckDBPyConnection, population: Population) -> None:
    """Table `homes` (person, residence): the best reading, by the order that `residence.py` states."""
    places = [n for n, s in enumerate(population.sources) if s.country or s.phones]
    order = "CASE object " + "".join(
        f"WHEN {n} THEN {s.residence_order} " for n, s in enumerate(population.sources)
    )
    # One number says what comes first; ids are compared only where two records are equally good.
    db.execute(
        "CREATE TEMP TABLE reads AS SELECT p.person, n.id, "  # noqa: S608
        "CASE WHEN region = 'US' AND state <> '' THEN 'US-' || state WHEN region <> '' THEN region "
        "ELSE f.home END AS code, "
        "CASE WHEN region = 'US' AND state = '' THEN 2 WHEN region <> '' THEN 1 ELSE 3 END * 16 "
        f"+ {order} END AS rank, coalesce(-changed, {2**62}) AS age "
        "FROM nodes n JOIN persons p USING (node) LEFT JOIN phone_places f USING (node) "
        f"WHERE p.person >= 0 AND object IN ({', '.join(map(str, places)) or 'NULL'}) "
        "AND (region <> '' OR coalesce(f.home, '') <> '')"
    )
    db.execute(
        "CREATE TEMP TABLE homes AS SELECT person, any_value(code) AS residence FROM reads GROUP BY person "
        "HAVING count(*) = 1 UNION ALL SELECT person, arg_min(code, ROW(rank, age, id)) FROM reads "
        "SEMI JOIN (SELECT person FROM reads GROUP BY person HAVING count(*) > 1) USING (person) "
        "GROUP BY person"
    )


def _map_sql(population: Population) -> str:
    objects = "CASE object " + "".join(
        f"WHEN {n} THEN {text(s.object)} " for n, s in enumerate(population.sources)
    )
    return (
        f"SELECT left(n.id, 15) AS id, {objects} END AS object, p.person, "  # noqa: S608
        f"CASE WHEN p.person < 0 THEN '' ELSE coalesce(h.residence, '{UNKNOWN}') END AS residence, n.kinds "
        "FROM nodes n JOIN persons p USING (node) LEFT JOIN homes h ON h.person = p.person"
    )


def _write(db: duckdb.DuckDBPyConnection, lake: Lake, population: Population, made_from: str) -> None:
    target = records_file(lake)
    partial = part_of(target)
    meta = meta_sql({"format": FORMAT, "fingerprint": made_from})
    db.execute(
        f"COPY ({_map_sql(population)}) "
        f"TO {text(partial)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, {meta})"
    )
    put_in_place(partial, target)


def _write_joins(db: duckdb.DuckDBPyConnection, lake: Lake, population: Population) -> None:
    target = lake.people / "joins.parquet"
    partial = part_of(target)
    rules = "CASE rule " + "".join(
        f"WHEN {n} THEN {text(rule)} " for n, rule in enumerate(rule_names(population))
    )
    db.execute(
        f"COPY (SELECT a.id AS record, b.id AS joined_to, {rules} END AS rule FROM edges e "  # noqa: S608
        "JOIN nodes a ON a.node = e.node JOIN nodes b ON b.node = e.head) "
        f"TO {text(partial)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
    )
    put_in_place(partial, target)
