"""The answer written by hand in Polars, from the exported files and from the lake's own Parquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from tasks.scope.attribution import is_public as public
from tests.bench.answer import MASKS, answer
from tests.bench.by_hand import (
    FIRST,
    LANDS,
    LAST,
    NARROW,
    STATES,
    USERS,
    WINDOW_DAYS,
    _pandas_finish,
    number_people,
    source_of,
    spread,
    table_of,
)  # fmt: skip
from tests.bench.generate import COLUMNS, TYPES


def polars_files(folder: Path) -> str:
    parts = []
    for kind in TYPES:
        schema = dict.fromkeys(COLUMNS[kind], pl.String)
        scan = pl.scan_csv(folder / "logs" / f"{kind}-*.csv", schema=schema, empty_string_is_null=False)
        parts.append(_narrow(kind, scan))
    events = pl.concat(parts).collect(engine="streaming")
    holders = events.filter((pl.col("principal") != "") & (pl.col("session") != "")).group_by("session").agg(
        pl.col("principal").min().alias("p"), pl.col("ip").min().alias("i"), pl.col("agent").min().alias("a")
    )  # fmt: skip
    query = pl.col("type") == "UniqueQuery"
    cube = events.lazy().join(holders.lazy(), on="session", how="left").select(
        pl.col("stamp").str.slice(0, 10).alias("hour"),
        *(pl.when(query).then(pl.col(f).fill_null("")).otherwise(pl.col(c)).alias(c)
          for c, f in (("principal", "p"), ("ip", "i"), ("agent", "a"))),
        "entity", "rows", "bytes", query.cast(pl.Int64).alias("queries"), pl.lit(1, pl.Int64).alias("events"),
    )  # fmt: skip
    return _answer(events.lazy(), cube, _people(folder))


def polars_lake(folder: Path) -> str:
    lake = folder / "lake"
    parts = [
        _narrow(
            kind, pl.scan_parquet([lake / "events" / kind / f"{day}.parquet" for day in sorted(WINDOW_DAYS)])
        )
        for kind in TYPES
    ]
    cube = pl.scan_parquet(lake / "cube" / "*.parquet").with_columns(pl.col("hour").dt.strftime("%Y%m%d%H"))
    people = pl.scan_parquet(lake / "people" / "records.parquet").select("id", "person", "residence", "kinds")
    return _answer(pl.concat(parts), cube, people)


def _narrow(kind: str, scan: pl.LazyFrame) -> pl.LazyFrame:
    """Literals beside at least one column: a select of literals alone gives one row."""
    found = []
    for wanted in NARROW:
        source = source_of(kind, wanted)
        value = pl.col(source) if source else pl.lit("")
        if wanted in ("rows", "bytes"):
            value = value.cast(pl.Int64, strict=False).fill_null(0)
        found.append((value.str.slice(0, 15) if wanted == "principal" else value).alias(wanted))
    return scan.select(*found, pl.lit(kind).alias("type"))


def _answer(events: pl.LazyFrame, cube: pl.LazyFrame, people: pl.LazyFrame) -> str:
    inside = events.filter(pl.col("stamp").is_between(pl.lit(FIRST), pl.lit(LAST))).collect(
        engine="streaming"
    )

    def sure(known: dict[str, set[str]]) -> pl.Expr:
        found = pl.col("principal").is_in(USERS)
        for column, values in known.items():
            found |= pl.col(column).is_in(list(values) or [None])
        return found

    def match(known: dict[str, set[str]]) -> dict[str, set[str]]:
        rows = inside.filter(sure(known))
        return {column: set(rows[column].unique().to_list()) for column in known}

    keys = spread(match)
    marked = inside.with_columns(sure(keys).alias("certain"))
    pairs = marked.filter("certain").select("ip", "agent").unique().filter(pl.col("agent") != "")
    pairs = pairs.filter(pl.Series([public(ip) for ip in pairs["ip"]], dtype=pl.Boolean))
    weak = marked.filter(~pl.col("certain")).join(pairs, on=["ip", "agent"], how="semi")
    found = pl.concat([marked.filter("certain"), weak])
    sums = found.group_by("type", "principal", "certain").agg(
        pl.len().cast(pl.Int64).alias("events"), pl.col("rows").sum(), pl.col("bytes").sum()
    )
    ids = found.filter(pl.col("records").str.len_bytes() > 2).select(
        "certain", pl.col("records").str.extract_all(r'"\w{15}').alias("id")
    ).explode("id").with_columns(pl.col("id").str.slice(1))  # fmt: skip
    affected = ids.group_by("id").agg(pl.col("certain").max())
    known = people.join(affected.lazy(), on="id", how="inner").collect(engine="streaming")
    who = affected.join(known.drop("certain"), on="id", how="left").with_columns(
        pl.col("person").fill_null(-1), pl.col("residence").fill_null(""), pl.col("kinds").fill_null(0)
    )
    return answer(_pandas(sums), _pandas(who), _features(cube), table_of(_pandas(who)))


def _pandas(frame: pl.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({column: frame[column].to_list() for column in frame.columns})


def _features(cube: pl.LazyFrame) -> pd.DataFrame:
    seen = cube.filter((pl.col("principal") != "") & (pl.col("hour") <= LAST[:10])).with_columns(
        (pl.col("hour") >= FIRST[:10]).alias("inside")
    )
    hourly = seen.group_by("principal", "hour", "inside").agg(
        *(pl.col(c).sum() for c in ("events", "rows", "bytes", "queries"))
    )
    fresh = [
        seen.filter(pl.col(c) != "").group_by("principal", c).agg(pl.col("inside").all()).filter("inside")
        .group_by("principal").agg(pl.len())
        for c in ("ip", "agent", "entity")
    ]  # fmt: skip
    tables = [_pandas(one) for one in pl.collect_all([hourly, *fresh], engine="streaming")]
    names = ("ip", "agent", "entity")
    return _pandas_finish(
        tables[0], {c: t.set_index("principal")["len"] for c, t in zip(names, tables[1:], strict=True)}
    )


def _people(folder: Path) -> pl.LazyFrame:
    def read(name: str) -> pl.LazyFrame:
        return pl.scan_csv(
            folder / "records" / f"{name}-*.csv", infer_schema=False, empty_string_is_null=False
        )

    def kinds(name: str) -> pl.Expr:
        parts = [pl.when(pl.col(c) != "").then(m).otherwise(0) for c, m in MASKS[name].items()]
        total = parts[0]
        for part in parts[1:]:
            total = total | part
        return total.cast(pl.Int64).alias("kinds")

    def coded(column: str, codes: dict[str, str], name: str) -> pl.Expr:
        return pl.col(column).replace_strict(codes, default="", return_dtype=pl.String).alias(name)

    contact = read("Contact").select(
        pl.col("Id").alias("id"), pl.col("Email").alias("mail"),
        pl.col("MobilePhone").str.replace_all(r"[^0-9]", "").alias("d"), pl.lit("").alias("lookup"),
        coded("MailingCountry", LANDS, "land"), coded("MailingState", STATES, "state"),
        pl.col("SystemModstamp").alias("changed"), pl.lit(0).alias("place"), kinds("Contact"),
        pl.lit(True).alias("about"),
    )  # fmt: skip
    about = (pl.col("SuppliedName") != "") | (pl.col("SuppliedEmail") != "") | (pl.col("ContactId") != "")
    case = read("Case").select(
        pl.col("Id").alias("id"), pl.col("SuppliedEmail").alias("mail"), pl.lit("").alias("d"),
        pl.col("ContactId").alias("lookup"), coded("Country__c", LANDS, "land"), pl.lit("").alias("state"),
        pl.lit("").alias("changed"), pl.lit(3).alias("place"), kinds("Case"), about.alias("about"),
    )  # fmt: skip
    nodes = pl.concat([contact, case]).collect(engine="streaming").with_row_index("node")
    mail = pl.col("mail").str.strip_chars().str.to_lowercase()
    own = mail.str.split("@").list.first().str.split("+").list.first()
    d = pl.col("d")
    phone = (
        pl.when(d.is_in(["", "0000000000"])).then(None).when(d.str.starts_with("01512"))
        .then(pl.lit("49") + d.str.slice(1)).when(d.str.len_bytes() == 10).then(pl.lit("1") + d).otherwise(d)
    )  # fmt: skip
    keys = nodes.select(
        "node", "id", "lookup",
        pl.when(mail.str.contains("@", literal=True) & ~own.is_in(["", "noreply"]))
        .then(own + "@" + mail.str.split("@").list.last()).alias("email"),
        phone.alias("phone"),
    )  # fmt: skip
    edges = [
        keys.select("node", pl.col("node").min().over(key).alias("head")).filter(
            keys[key].is_not_null() & (pl.col("node") != pl.col("head"))
        )
        for key in ("email", "phone")
    ]
    edges.append(
        keys.filter(pl.col("lookup") != "").select("node", id="lookup").join(
            keys.select("id", head="node"), on="id"
        ).select("node", "head")
    )  # fmt: skip
    star = pl.concat(edges)
    person = number_people(len(nodes), star["node"].to_numpy(), star["head"].to_numpy())
    nodes = nodes.with_columns(pl.Series("person", person.astype(np.int64)))
    us = pl.col("land") == "US"
    homes = nodes.filter(pl.col("land") != "").select(
        "person", "place", "changed", "id",
        pl.when(us & (pl.col("state") != "")).then(pl.lit("US-") + pl.col("state")).otherwise("land")
        .alias("residence"),
        pl.when(us & (pl.col("state") == "")).then(2).otherwise(1).alias("rank"),
    ).sort("person", "rank", "place", "changed", "id", descending=[False, False, False, True, False]).unique(
        "person", keep="first", maintain_order=True
    )  # fmt: skip
    placed = homes.lazy().select("person", "residence")
    return nodes.lazy().filter("about").join(placed, on="person", how="left").select(
        pl.col("id").str.slice(0, 15), "person", pl.col("residence").fill_null("unknown"), "kinds"
    )  # fmt: skip
