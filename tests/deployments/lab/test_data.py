"""The lab's data: reproducible, consistent, and resolvable into exactly the people it says it is about."""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import phonenumbers
import pytest
from stdnum import iban, luhn

from deployments.lab.errors import LabError
from deployments.lab.salesforce.data import DataSummary, generate
from deployments.lab.salesforce.data.people import ROLE_LOCAL_PARTS
from deployments.lab.salesforce.data.places import PLACES, STATES
from deployments.lab.salesforce.data.staff import NAMED, SUPPORT_CHAT
from deployments.lab.salesforce.schema import SCHEMA
from deployments.lab.salesforce.store import Store
from tests.deployments.lab.resolver import Resolved, resolve

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def made(path: Path, seed: int, contacts: int) -> tuple[Store, DataSummary]:
    store = Store(path)
    return store, generate(store, seed=seed, contacts=contacts, now=NOW)


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, DataSummary]]:
    store, summary = made(tmp_path_factory.mktemp("org") / "org.db", 1, 10_000)
    yield store, summary
    store.close()


@pytest.fixture(scope="module")
def truth(org: tuple[Store, DataSummary]) -> dict[str, tuple[str, str, str]]:
    rows = org[0].read().execute("SELECT record_id, object, person_id, residence FROM _person").fetchall()
    found = {row[0]: (row[1], row[2], row[3]) for row in rows}
    assert len(found) == len(rows)  # no record belongs to two people
    return found


@pytest.fixture(scope="module")
def resolved(org: tuple[Store, DataSummary]) -> Resolved:
    return resolve(org[0])


def digest(store: Store) -> str:
    """A hash over every row of every table."""
    seen = hashlib.sha256()
    for table in (*SCHEMA.objects, "_person", "_counter"):
        for row in store.read().execute(f'SELECT * FROM "{table}"'):
            seen.update(repr(tuple(row)).encode())
    return seen.hexdigest()


def same_partition(resolved: dict[str, str], truth: dict[str, str]) -> bool:
    """Whether both group the same records in the same way, whatever they call the groups."""
    if resolved.keys() != truth.keys():
        return False
    pairs = {(resolved[record], truth[record]) for record in truth}
    return len(pairs) == len(set(resolved.values())) == len(set(truth.values()))


def test_the_same_seed_gives_the_same_rows_and_another_does_not(tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        store, _ = made(tmp_path / f"{name}.db", seed, 600)
        digests.append(digest(store))
        store.close()
    assert digests[0] == digests[1] != digests[2]


def test_the_documented_rules_give_exactly_the_true_people(
    truth: dict[str, tuple[str, str, str]], resolved: Resolved
) -> None:
    people = {record: person for record, (_, person, _) in truth.items()}
    assert resolved.objects == {record: name for record, (name, _, _) in truth.items()}
    assert same_partition(resolved.person, people)


@pytest.mark.parametrize(("seed", "contacts"), [(2, 50), (3, 400), (4, 3000)])
def test_the_rules_hold_for_other_seeds_and_sizes(tmp_path: Path, seed: int, contacts: int) -> None:
    store, _ = made(tmp_path / "org.db", seed, contacts)
    found = resolve(store)
    rows = store.read().execute("SELECT record_id, person_id, residence FROM _person").fetchall()
    assert same_partition(found.person, {row[0]: row[1] for row in rows})
    wrong = [row[0] for row in rows if found.residence[found.person[row[0]]] != row[2]]
    assert wrong == []
    store.close()


def test_the_documented_order_gives_exactly_the_true_residences(
    truth: dict[str, tuple[str, str, str]], resolved: Resolved
) -> None:
    got = {record: resolved.residence[person] for record, person in resolved.person.items()}
    assert got == {record: residence for record, (_, _, residence) in truth.items()}


def test_without_the_stop_list_strangers_would_merge(
    org: tuple[Store, DataSummary], truth: dict[str, tuple[str, str, str]], resolved: Resolved
) -> None:
    merged = resolve(org[0], stop_list=False)
    assert len(resolved.shared) >= 10
    assert len(set(merged.person.values())) < len({person for _, person, _ in truth.values()}) - 100


def test_role_addresses_and_household_phones_are_there_and_shared_by_different_people(
    org: tuple[Store, DataSummary], truth: dict[str, tuple[str, str, str]]
) -> None:
    by_role, by_home, placeholders = defaultdict(set), defaultdict(set), 0
    for row in org[0].read().execute("SELECT Id, Email, HomePhone, MobilePhone FROM Contact"):
        local = (row["Email"] or "").partition("@")[0].strip().lower()
        if local in ROLE_LOCAL_PARTS:
            by_role[row["Email"]].add(truth[row["Id"]][1])
        if row["HomePhone"]:
            by_home[re.sub(r"\D", "", row["HomePhone"])].add(truth[row["Id"]][1])
        placeholders += row["MobilePhone"] in ("0000000000", "1111111111")
    assert sum(len(people) > 1 for people in by_role.values()) >= 10
    assert sum(len(people) == 2 for people in by_home.values()) >= 100
    assert placeholders >= 10


def test_people_occur_on_several_objects_in_several_spellings(
    org: tuple[Store, DataSummary], truth: dict[str, tuple[str, str, str]]
) -> None:
    objects = defaultdict(set)
    for name, person, _ in truth.values():
        objects[person].add(name)
    spread = Counter(
        len(names & {"Contact", "Lead", "Case", "Loyalty_Member__c", "User"}) for names in objects.values()
    )
    assert spread[2] > 3000 and spread[3] > 1000 and spread[4] > 100
    emails = [row[0] for row in org[0].read().execute("SELECT Email FROM Contact WHERE Email IS NOT NULL")]
    assert sum("+" in e for e in emails) > 500
    assert sum(e != e.strip() for e in emails) > 300
    assert sum(e != e.lower() for e in emails) > 500


def test_every_state_and_at_least_forty_countries_occur(org: tuple[Store, DataSummary]) -> None:
    lives = org[1].residences
    assert {place.code for place in STATES} <= lives.keys()
    assert len({code[:2] for code in lives} - {"un"}) >= 40
    assert min(lives[place.code] for place in PLACES) >= 3
    assert 0 < lives["unknown"] < org[1].persons * 0.1


def test_every_reference_points_at_a_record_of_an_allowed_type(org: tuple[Store, DataSummary]) -> None:
    db = org[0].read()
    for sobject in SCHEMA.objects.values():
        for field in sobject.fields:
            if field.type != "reference":
                continue
            wanted = " UNION ALL ".join(f'SELECT Id FROM "{target}"' for target in field.reference_to)
            dangling = db.execute(
                f'SELECT count(*) FROM "{sobject.name}" WHERE "{field.name}" IS NOT NULL'
                f' AND "{field.name}" NOT IN ({wanted})'
            ).fetchone()[0]
            assert dangling == 0, f"{sobject.name}.{field.name}"


def test_no_required_field_is_empty_and_picklists_hold(org: tuple[Store, DataSummary]) -> None:
    db = org[0].read()
    for sobject in SCHEMA.objects.values():
        for field in sobject.fields:
            if field.stored and not field.nillable:
                missing = db.execute(
                    f'SELECT count(*) FROM "{sobject.name}" WHERE "{field.name}" IS NULL'
                ).fetchone()[0]
                assert missing == 0, f"{sobject.name}.{field.name}"
            if field.type == "picklist" and field.picklist:
                values = {
                    row[0] for row in db.execute(f'SELECT DISTINCT "{field.name}" FROM "{sobject.name}"')
                }
                assert values - {None} <= set(field.picklist), f"{sobject.name}.{field.name}"


def test_dates_lie_in_the_three_years_before_now(org: tuple[Store, DataSummary]) -> None:
    for name in ("Contact", "Case", "Order", "User"):
        row = org[0].read().execute(f'SELECT min(CreatedDate), max(SystemModstamp) FROM "{name}"').fetchone()
        assert row[0][:9] >= "2023-11-2" and row[1] < "2026-11-24T09:00:00.000+0000"


def test_phone_numbers_are_valid_in_their_country() -> None:
    for place in PLACES:
        start, digits = place.mobile[0] if place.mobile else (f"{place.area_codes[0]}555", 4)
        for tail in ("0" * digits, "1234567890"[:digits], "9" * digits, "5817263940"[:digits]):
            number = phonenumbers.parse(f"+{place.dial}{start}{tail}")
            assert phonenumbers.is_valid_number(number), (place.code, start + tail)
            assert phonenumbers.region_code_for_number(number) == place.country
            assert phonenumbers.parse(place.trunk + start + tail, place.country) == number


def test_free_text_holds_personal_data_that_checks_out_and_no_cloud_secrets(
    org: tuple[Store, DataSummary],
) -> None:
    texts = [row[0] for row in org[0].read().execute('SELECT Description FROM "Case"')]
    whole = "\n".join(texts)
    found = [re.sub(r"\D", "", card) for card in re.findall(r"\b[45][\d -]{14,18}\d\b", whole)]
    cards = [digits for digits in found if len(digits) == 16]
    assert len(cards) > 300 and all(luhn.is_valid(card) for card in cards)
    ibans = re.findall(r"IBAN ([A-Z]{2}\d{2}[A-Z0-9 ]{10,30})\.", whole)
    assert len(ibans) > 200 and all(iban.is_valid(number) for number in ibans)
    assert sum("password" in text for text in texts) > 100
    assert sum("date of birth is" in text for text in texts) > 100
    assert not re.search(r"AKIA[A-Z0-9]{16}|\b(?:s|hvs)\.[A-Za-z0-9_-]{20,}", whole)


def test_rights_and_named_users(org: tuple[Store, DataSummary]) -> None:
    db = org[0].read()
    assert {named.username for named in NAMED} <= {row[0] for row in db.execute("SELECT Username FROM User")}
    held = db.execute(
        "SELECT p.Label FROM PermissionSetAssignment a JOIN PermissionSet p ON p.Id = a.PermissionSetId"
        " JOIN User u ON u.Id = a.AssigneeId WHERE u.Username = ? AND p.IsOwnedByProfile = 0"
        " AND p.PermissionsApiEnabled = 1 AND p.PermissionsViewAllData = 1",
        [SUPPORT_CHAT],
    ).fetchall()
    assert [row[0] for row in held] == ["Support Chat Integration"]
    active = db.execute("SELECT count(*), count(DISTINCT UserType) FROM User WHERE IsActive = 1").fetchone()
    assert 2600 <= active[0] <= 2720 and active[1] == 3
    logins = db.execute("SELECT count(*), count(DISTINCT UserId) FROM UserLogin").fetchone()
    assert logins[0] == logins[1] == db.execute("SELECT count(*) FROM User").fetchone()[0]
    assert db.execute("SELECT count(*) FROM Profile WHERE UserType = 'Guest'").fetchone()[0] == 1
    assert db.execute("SELECT count(DISTINCT TimeZoneSidKey) FROM User").fetchone()[0] >= 20


def test_a_used_store_and_a_tiny_population_are_refused(tmp_path: Path) -> None:
    store, _ = made(tmp_path / "org.db", 1, 60)
    with pytest.raises(LabError, match="already has"):
        generate(store, seed=1, contacts=60, now=NOW)
    store.close()
    empty = Store(tmp_path / "empty.db")
    with pytest.raises(LabError, match="too few"):
        generate(empty, seed=1, contacts=3, now=NOW)
    empty.close()


def test_loading_is_fast(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = time.process_time()
    store, summary = made(tmp_path / "org.db", 1, 50_000)
    seconds = time.process_time() - start
    store.close()
    rows = sum(summary.rows.values())
    with capsys.disabled():
        print(f"\n50,000 contacts, {rows:,} rows: {seconds:.1f} s of CPU, {rows / seconds:,.0f} rows/s")
    assert seconds < 15  # about 5 on an idle core; a million contacts take 20 times as long
