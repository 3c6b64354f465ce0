"""The prepared map says who is who exactly as `people.resolve` does, and its traps stay shut."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.scope.engine import Engine
from tasks.scope.lake import Lake
from tasks.scope.lake_people import Population, build_people, people_made_from, records_file
from tasks.scope.people import People, resolve
from tasks.scope.population import Source

pytestmark = pytest.mark.slow  # kills and populations

CONTACT = Source(
    "Contact", True, ("Email",), ("MobilePhone", "Phone"), last_name="LastName",
    country=("MailingCountryCode", "MailingCountry"), state=("MailingState",), lookups=("IndividualId",),
)  # fmt: skip
CASE = Source(
    "Case", False, ("SuppliedEmail",), ("SuppliedPhone",), full_name="SuppliedName", country=("Country__c",),
    lookups=("ContactId",), has_modstamp=False,
)  # fmt: skip
COMMENT = Source("CaseComment", False, parent="ParentId", parent_of=("Case",), has_modstamp=False)
MESSAGE = Source(
    "EmailMessage", False, ("FromAddress",), parent="ParentId", parent_of=("Case",), has_modstamp=False
)
SOURCES = [CONTACT, CASE, COMMENT, MESSAGE]


def population(folder: Path, **rows: list[dict[str, str]]) -> tuple[Population, dict[str, pd.DataFrame]]:
    files, frames = {}, {}
    for source in SOURCES:
        frame = pd.DataFrame(rows.get(source.object, []))
        columns = {name: frame.get(name, pd.Series("", index=frame.index)) for name in source.fields}
        frames[source.object] = pd.DataFrame(columns, index=frame.index).fillna("").astype("str")
        files[source.object] = folder / f"{source.object}.parquet"
        frames[source.object].to_parquet(files[source.object], index=False)
    return Population(files, SOURCES, {"Contact": {"Email": 1, "MobilePhone": 2}}), frames


def mapped(folder: Path, crowd: int = 50, **rows: list[dict[str, str]]) -> tuple[pd.DataFrame, People]:
    given, frames = population(folder, **rows)
    lake = Lake(folder / "lake")
    build_people(lake, given, "test", crowd=crowd)
    return pd.read_parquet(records_file(lake)), resolve(frames, SOURCES, crowd=crowd)


def same_partition(found: pd.DataFrame, expected: People) -> None:
    """The same records are about somebody, the same ones about the same, living at the same place."""
    about = found[found["person"] >= 0].set_index("id")
    truth = expected.records.assign(id=expected.records["record_id"].str[:15]).set_index("id")
    assert set(about.index) == set(truth.index)
    joined = about.join(truth, rsuffix="_truth")
    pairs = joined[["person", "person_truth"]].drop_duplicates()
    assert pairs["person"].is_unique
    assert pairs["person_truth"].is_unique
    assert joined["residence"].tolist() == joined["person_truth"].map(expected.residence).tolist()


def record_id(prefix: str, number: int) -> str:
    return f"{prefix}{number:012d}AAA"


def random_rows(seed: int, size: int) -> dict[str, list[dict[str, str]]]:
    """Few different values, so that every rule has much to join."""
    pick = random.Random(seed)
    emails = [f"p{n}@example.com" for n in range(size // 3)]
    emails += ["info@example.com", "", "junk", "@x", "ü@example.com", " P1+tag@Example.COM ", "A@b@c.com"]
    phones = [f"+49 1512 {n:07d}" for n in range(1, size // 4)] + [f"(415) 555-{n:04d}" for n in range(99)]
    phones += [
        "",
        "",
        "0000000000",
        "030 1234567",
        "0171 2345678",
        "+1 416 967 1111",
        "ext 5",
        "0044 20 7946 0018",
    ]
    names = ["Silva", "Sílva", "Müller", "Smith", "Ito", "Berg", "", "Rossi", "Kaya", "Novak"]
    lands = ["", "DE", "Germany", "Deutschland", "US", "USA", "France", "??", "Canada"]
    contacts = [
        {
            "Id": record_id("003", n), "Email": pick.choice(emails), "MobilePhone": pick.choice(phones),
            "Phone": pick.choice(phones), "LastName": pick.choice(names),
            "MailingCountryCode": pick.choice(["", "", "XX"]),
            "MailingCountry": pick.choice(lands),
            "MailingState": pick.choice(["", "CA", "New York", "Bavaria"]),
            "IndividualId": pick.choice(["", "", record_id("0PK", pick.randrange(size))]),
            "SystemModstamp": pick.choice(["", f"2026-0{pick.randint(1, 9)}-01T00:00:00.000+0000"]),
        }
        for n in range(size)
    ]  # fmt: skip
    cases = [
        {
            "Id": record_id("500", n), "SuppliedEmail": pick.choice(emails),
            "SuppliedPhone": pick.choice(phones),
            "SuppliedName": f"{pick.choice(['Ann', ' Bo', ''])} {pick.choice(names)}",
            "Country__c": pick.choice(lands),
            "ContactId": pick.choice(["", record_id("003", pick.randrange(size * 2))]),
        }
        if pick.random() < 0.8 else {"Id": record_id("500", n)}
        for n in range(size)
    ]  # fmt: skip
    comments = [
        {"Id": record_id("00a", n), "ParentId": record_id("500", pick.randrange(size * 2))}
        for n in range(size)
    ]
    messages = [
        {
            "Id": record_id("02s", n), "FromAddress": pick.choice(emails),
            "ParentId": pick.choice(["", record_id("500", pick.randrange(size * 2))]),
        }
        for n in range(size)
    ]  # fmt: skip
    return {"Contact": contacts, "Case": cases, "CaseComment": comments, "EmailMessage": messages}


@pytest.mark.parametrize(("seed", "size"), [(1, 30), (2, 120), (3, 400), (4, 900)])
def test_the_map_is_what_resolving_in_pandas_gives(tmp_path: Path, seed: int, size: int) -> None:
    rows = random_rows(seed, size)
    same_partition(*mapped(tmp_path, crowd=50, **rows))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), size=st.integers(4, 60), crowd=st.sampled_from([1, 3, 8, 50]))
def test_any_records_are_the_same_people_either_way(seed: int, size: int, crowd: int) -> None:
    """Shared mailboxes, role addresses and shared phones included, whatever the limit of a crowd."""
    with TemporaryDirectory() as folder:
        same_partition(*mapped(Path(folder), crowd=crowd, **random_rows(seed, size)))


def test_links_through_records_that_were_not_affected_are_kept(tmp_path: Path) -> None:
    """Components over the affected records alone would count two people here."""
    first = {"Id": record_id("003", 1), "Email": "a@example.com"}
    between = {"Id": record_id("003", 2), "Email": "A@Example.com", "MobilePhone": "+49 1512 0000001"}
    last = {"Id": record_id("003", 3), "MobilePhone": "0049 1512 0000001", "MailingCountry": "Germany"}
    found, _ = mapped(tmp_path, Contact=[first, between, last])
    assert found["person"].nunique() == 1
    alone, _ = mapped(tmp_path, Contact=[first, last])
    assert alone["person"].nunique() == 2


def test_an_address_shared_by_a_crowd_of_strangers_joins_nobody(tmp_path: Path) -> None:
    names = ["Silva", "Smith", "Ito", "Berg", "Rossi"]
    rows = [
        {"Id": record_id("003", n), "Email": "tickets@example.com", "LastName": names[n % 5]}
        for n in range(60)
    ]
    found, resolved = mapped(tmp_path, Contact=rows)
    assert found["person"].nunique() == resolved.records["person"].nunique() == 60
    one_person = [row | {"LastName": "Silva"} for row in rows]
    found, resolved = mapped(tmp_path, Contact=one_person)
    assert found["person"].nunique() == resolved.records["person"].nunique() == 1


def test_columns_that_differ_only_in_case_stay_apart(tmp_path: Path) -> None:
    """DuckDB compares identifiers without case; our own columns must not meet the data's."""
    given, frames = population(
        tmp_path, Contact=[{"Id": record_id("003", n), "Email": f"p{n}@x.com"} for n in range(3)]
    )
    frame = frames["Contact"].assign(NODE="x", node="y", About="z", id_2="w")
    frame.to_parquet(given.files["Contact"], index=False)
    lake = Lake(tmp_path / "lake")
    made = build_people(lake, given, "test")
    assert (made.records, made.people) == (3, 3)


def test_kinds_say_what_a_record_holds(tmp_path: Path) -> None:
    rows = [
        {"Id": record_id("003", 1), "Email": "a@example.com"},
        {"Id": record_id("003", 2), "Email": "b@example.com", "MobilePhone": "none"},
        {"Id": record_id("003", 3)},
    ]
    found, _ = mapped(tmp_path, Contact=rows)
    assert found.set_index("id")["kinds"].to_dict() == {
        r["Id"][:15]: k for r, k in zip(rows, (1, 3, 0), strict=True)
    }


def test_the_rule_that_joined_two_records_is_kept_and_no_personal_data(tmp_path: Path) -> None:
    contact = {"Id": record_id("003", 1), "Email": "a@example.com", "MobilePhone": "+49 1512 0000001"}
    case = {"Id": record_id("500", 1), "ContactId": contact["Id"]}
    mail = {"Id": record_id("500", 2), "SuppliedEmail": "a@example.com"}
    mapped(tmp_path, Contact=[contact], Case=[case, mail])
    joins = pd.read_parquet(tmp_path / "lake" / "people" / "joins.parquet")
    rules = dict(zip(joins["record"], joins["rule"], strict=True))
    assert rules == {case["Id"]: "lookup Case.ContactId", mail["Id"]: "email"}
    stored = b"".join(path.read_bytes() for path in (tmp_path / "lake").rglob("*.parquet"))
    assert b"a@example.com" not in stored
    assert b"15120000001" not in stored


def test_a_tiny_memory_limit_spills_and_gives_the_same_map(tmp_path: Path) -> None:
    rows = random_rows(5, 60)
    pick = np.random.default_rng(5)
    given, _ = population(tmp_path, **rows)
    many = pd.DataFrame(dict.fromkeys(CONTACT.fields, ""), index=range(400_000)).astype("str")
    many["Id"] = [record_id("003", n) for n in range(len(many))]
    many["Email"] = [
        f"somebody.with.a.long.address.{n}@example.com" for n in pick.integers(0, 150_000, len(many))
    ]
    many.to_parquet(given.files["Contact"], index=False)
    spilled = []
    maps = []
    for memory in ("2GB", "48MB"):
        lake = Lake(tmp_path / memory, Engine(memory=memory, threads=1, temp=tmp_path / memory / "tmp"))
        build_people(lake, given, "test", joins=False)
        maps.append(pd.read_parquet(records_file(lake)).sort_values(["object", "id"], ignore_index=True))
        spilled.append(list((tmp_path / memory / "tmp").iterdir()))
        assert people_made_from(lake) == "test"
    pd.testing.assert_frame_equal(maps[0], maps[1])
    assert spilled == [[], []], "spill files are removed afterwards"
