"""Which records are about the same person: connected components over the whole population.

Records are joined when they carry the same key: a normalised e-mail address, a phone number in E.164, an
Individual, or the id of the record they belong to. Over the whole population, since two exposed records
may be linked only through one that was not. Keys that many different people share join nobody. The rule
that joined two records is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.scope.countries import country_code
from tasks.scope.keys import email_key, name_key, phone_key
from tasks.scope.population import Source
from tasks.scope.residence import residences

SHARED_BY = 3  # a phone number with more e-mail identities and more last names than this is nobody's
CROWD = 50  # an e-mail address on more records than this, under many last names, is nobody's own


@dataclass(frozen=True, slots=True)
class People:
    """`records`: object, record_id, person (a number), one line for each record about a person.

    `residence`: code by person. `joins`: record_id, to_record_id, rule. `keys`: person, rule, key for e-mail
    and phone (personal data: memory only).
    """

    records: pd.DataFrame
    residence: pd.Series[str]
    joins: pd.DataFrame
    keys: pd.DataFrame


def resolve(
    population: Mapping[str, pd.DataFrame], sources: Iterable[Source], *, crowd: int = CROWD
) -> People:
    """Resolve records to people. `population` holds the fields that `sources` name, all as text.

    `lake_people.build_people` does the same over files too large for memory; a test holds them together.
    """
    sources = [source for source in sources if source.object in population]
    nodes = _nodes(population, sources)
    claims = _claims(nodes, population, sources, crowd)
    left, right, rules = _edges(claims)
    roots = components(len(nodes), left, right)
    about = nodes["about"].to_numpy()
    person_of = np.where(about, roots, -1)
    codes, persons = pd.factorize(person_of[about], sort=True)
    nodes = nodes.assign(person=-1)
    nodes.loc[about, "person"] = codes
    ids = nodes["record_id"].to_numpy()
    joins = pd.DataFrame({"record_id": ids[left], "to_record_id": ids[right], "rule": rules})
    keyed = claims[claims["rule"].isin(["email", "phone"])]
    keys = pd.DataFrame(
        {"person": nodes["person"].to_numpy()[keyed["node"]], "rule": keyed["rule"], "key": keyed["key"]}
    )
    home = residences(nodes, population, sources, claims, len(persons))
    records = nodes.loc[about, ["object", "record_id", "person"]].reset_index(drop=True)
    return People(records, home, joins, keys.drop_duplicates(ignore_index=True))


def components(size: int, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The smallest node of each node's component: hooking roots and halving paths, all vectorised."""
    parent = np.arange(size, dtype=np.int64)
    while True:
        a, b = parent[left], parent[right]
        apart = a != b
        if not apart.any():
            return parent
        left, right = left[apart], right[apart]
        np.minimum.at(parent, np.maximum(a[apart], b[apart]), np.minimum(a[apart], b[apart]))
        while True:
            above = parent[parent]
            if np.array_equal(above, parent):
                break
            parent = above


# --- nodes and claims ------------------------------------------------------------------------------


def _nodes(population: Mapping[str, pd.DataFrame], sources: list[Source]) -> pd.DataFrame:
    """One node for each record, and whether it is about anybody at all."""
    frames = []
    for source in sources:
        rows = population[source.object]
        about = pd.Series(source.always, index=rows.index)
        for name in (*source.lookups, *source.emails, *source.phones, source.full_name):
            if name and source.object != "EmailMessage":
                about |= rows[name].str.strip() != ""
        last = rows[source.last_name] if source.last_name else pd.Series("", index=rows.index)
        if source.full_name:
            last = rows[source.full_name].str.strip().str.split(" ").str[-1]
        frames.append(
            pd.DataFrame(
                {
                    "object": source.object,
                    "record_id": rows["Id"],
                    "row": rows.index,
                    "about": about,
                    "last_name": last.map(name_key),
                    "region": _regions(rows, source.country),
                }
            )
        )
    return pd.concat(frames, ignore_index=True) if frames else _empty_nodes()


def _empty_nodes() -> pd.DataFrame:
    names = ("object", "record_id", "last_name", "region")
    frame = pd.DataFrame({name: pd.Series(dtype="str") for name in names})
    return frame.assign(row=pd.Series(dtype="int64"), about=pd.Series(dtype="bool"))


def _regions(rows: pd.DataFrame, names: tuple[str, ...]) -> pd.Series[str]:
    """The country code a record's own address gives; empty when none."""
    region = pd.Series("", index=rows.index, dtype="str")
    for name in names:
        codes = rows[name].map(lambda text: country_code(text) or "")
        region = region.where(region != "", codes)
    return region


def _claims(
    nodes: pd.DataFrame, population: Mapping[str, pd.DataFrame], sources: list[Source], crowd: int
) -> pd.DataFrame:
    """Which key each node carries: node, rule, key, and `rank` among the node's own of that rule."""
    parts = [pd.DataFrame({"node": nodes.index, "rule": "id", "key": nodes["record_id"], "rank": 0})]
    for source in sources:
        rows = population[source.object]
        mine = nodes.index[nodes["object"] == source.object]
        region = nodes.loc[mine, "region"]
        for rank, name in enumerate(source.emails):
            parts.append(_claim(mine, "email", rows[name].map(lambda text: email_key(text) or ""), rank))
        for rank, name in enumerate(source.phones):
            pairs = zip(rows[name].to_numpy(dtype=object), region.to_numpy(dtype=object), strict=True)
            keys = pd.Series([phone_key(text, place or None) or "" if text else "" for text, place in pairs])
            parts.append(_claim(mine, "phone", keys, rank))
        for name in source.lookups:
            parts.append(_claim(mine, f"lookup {source.object}.{name}", rows[name], 0))
        if source.parent:
            parts.append(_claim(mine, f"parent {source.object}.{source.parent}", rows[source.parent], 0))
    claims = pd.concat([parts[0], *(part for part in parts[1:] if len(part))], ignore_index=True)
    claims = _follow_parents(claims, nodes, sources)
    return _without_crowds(_without_shared_phones(claims, nodes), nodes, crowd)


def _claim(nodes: pd.Index[int], rule: str, keys: pd.Series[str], rank: int) -> pd.DataFrame:
    frame = pd.DataFrame({"node": nodes, "rule": rule, "key": keys.to_numpy(), "rank": rank})
    return frame[frame["key"] != ""]


def _follow_parents(claims: pd.DataFrame, nodes: pd.DataFrame, sources: list[Source]) -> pd.DataFrame:
    """A record that belongs to a case or order is about whoever that is about; of nobody's case it is
    nobody's.

    Sets `about` in `nodes` for records that get it from their parent or their own e-mail.
    """
    allowed = {f"parent {s.object}.{s.parent}": frozenset(s.parent_of) for s in sources if s.parent}
    known = nodes.loc[nodes["about"], ["record_id", "object"]].drop_duplicates("record_id")
    kind = known.set_index("record_id")["object"]
    is_parent = claims["rule"].isin(allowed)
    fits = pd.Series(False, index=claims.index)
    for rule, objects in allowed.items():
        mine = claims["rule"] == rule
        fits |= mine & claims["key"].where(mine, "").map(kind).isin(objects)
    claims = claims[~is_parent | fits].reset_index(drop=True)
    gained = claims.loc[claims["rule"].isin(allowed) | (claims["rule"] == "email"), "node"]
    nodes.loc[gained.unique(), "about"] = True
    return claims


def _without_shared_phones(claims: pd.DataFrame, nodes: pd.DataFrame) -> pd.DataFrame:
    """Drop numbers that more than three e-mail identities and more than three last names share."""
    phones = claims[claims["rule"] == "phone"]
    emails = claims.loc[claims["rule"] == "email", ["node", "key"]]
    carriers = phones[["node", "key"]].rename(columns={"key": "phone"})
    identities = carriers.merge(emails, on="node").groupby("phone")["key"].nunique()
    names = carriers.assign(name=nodes["last_name"].to_numpy()[carriers["node"]])
    last_names = names[names["name"] != ""].groupby("phone")["name"].nunique()
    counts = pd.concat([identities, last_names], axis=1, keys=["emails", "names"]).fillna(0)
    shared = counts.index[(counts["emails"] > SHARED_BY) & (counts["names"] > SHARED_BY)]
    return claims[~((claims["rule"] == "phone") & claims["key"].isin(shared))].reset_index(drop=True)


def _without_crowds(claims: pd.DataFrame, nodes: pd.DataFrame, crowd: int) -> pd.DataFrame:
    """Drop e-mail addresses on more than `crowd` records under more than three last names: no one's own."""
    emails = claims[claims["rule"] == "email"]
    counts = emails["key"].value_counts()
    crowded = emails[emails["key"].isin(counts.index[counts > crowd])]
    names = crowded.assign(name=nodes["last_name"].to_numpy()[crowded["node"]])
    different = names[names["name"] != ""].groupby("key")["name"].nunique()
    shared = different.index[different > SHARED_BY]
    return claims[~((claims["rule"] == "email") & claims["key"].isin(shared))].reset_index(drop=True)


def _edges(
    claims: pd.DataFrame,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.object_]]:
    """Star edges: every carrier of a key is linked to the first one, by the carrier's own rule."""
    space = claims["rule"].where(claims["rule"].isin(["email", "phone"]), "id")
    first = claims.groupby([space, claims["key"]], sort=False)["node"].transform("first")
    linked = claims["node"] != first
    return (
        claims.loc[linked, "node"].to_numpy(dtype=np.int64),
        first[linked].to_numpy(dtype=np.int64),
        claims.loc[linked, "rule"].to_numpy(dtype=object),
    )
