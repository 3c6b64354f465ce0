"""The twin's store: ids, audit fields, case, deletion, threads, transactions, bulk load."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.lab.salesforce import ids
from deployments.lab.salesforce.schema import PERMISSIONS, SCHEMA
from deployments.lab.salesforce.store import Store


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    made = Store(tmp_path / "org.db", clock)
    yield made
    made.close()


# --- ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("short", "long"),
    [  # published examples of real ids
        ("001D000000IqhSL", "001D000000IqhSLIAZ"),
        ("00D000000000062", "00D000000000062EAA"),
    ],
)
def test_the_checksum_is_salesforces(short: str, long: str) -> None:
    assert short + ids.checksum(short) == long == ids.to_18(short)


def test_an_id_survives_the_loss_of_case_and_a_wrong_one_is_refused() -> None:
    made = ids.make_ids("00a", 62**3 * 17, 3)
    assert [ids.to_18(i[:15].lower() + i[15:]) for i in made] == made
    assert ids.to_18("0033000000WBVHXAA4X") is None
    assert ids.to_18("003300000012345ZZZ") is None  # the checksum asks for capitals where digits are
    assert ids.to_18("hello") is None


def test_ids_are_unique_sorted_and_never_given_twice(tmp_path: Path) -> None:
    store = Store(tmp_path / "org.db")
    first = store.reserve_ids("003", 200)
    store.close()
    again = Store(tmp_path / "org.db")
    made = [*first, *again.reserve_ids("003", 200), again.new_id("003")]
    again.close()
    assert len(set(made)) == 401 and made == sorted(made)
    assert all(len(i) == 18 and i[:3] == "003" and ids.to_18(i[:15]) == i for i in made)


# --- schema --------------------------------------------------------------------------------------


def test_every_reference_and_child_relationship_is_sound() -> None:
    for sobject in SCHEMA.objects.values():
        names = [f.name.lower() for f in sobject.fields]
        assert len(names) == len(set(names)), sobject.name
        for field in sobject.fields:
            assert (field.type == "reference") == bool(field.reference_to), (sobject.name, field.name)
            assert all(SCHEMA.get(target) for target in field.reference_to)
        children = [name for name, _, _ in SCHEMA.children(sobject.name)]
        assert len(children) == len(set(children)), sobject.name
    assert len({o.key_prefix for o in SCHEMA.objects.values()}) == len(SCHEMA.objects)


def test_names_are_found_whatever_their_case_and_prefixes_are_exact() -> None:
    assert SCHEMA.get("CASECOMMENT") is SCHEMA.by_prefix("00a")
    profile, role = SCHEMA.by_prefix("00e"), SCHEMA.by_prefix("00E")
    assert profile is not None and role is not None
    assert (profile.name, role.name) == ("Profile", "UserRole")
    assert SCHEMA.get("Nothing") is None
    children = {name: child for name, child, _ in SCHEMA.children("contact")}
    assert children["Cases"] == "Case" and children["Loyalty_Members__r"] == "Loyalty_Member__c"


def test_permissions_are_the_same_on_sets_profiles_and_muting_sets() -> None:
    for name in ("PermissionSet", "Profile", "MutingPermissionSet"):
        sobject = SCHEMA.get(name)
        assert sobject is not None
        assert {f.name for f in sobject.fields if f.name.startswith("Permissions")} == set(PERMISSIONS)


def test_some_but_not_all_personal_fields_are_classified() -> None:
    personal = [
        f
        for name in ("Contact", "Lead", "Loyalty_Member__c", "Individual")
        for f in SCHEMA.objects[name].fields
        if f.type in ("email", "phone", "date") or f.name.endswith(("LastName", "Street", "Last_Name__c"))
    ]
    share = sum(f.classification is not None for f in personal) / len(personal)
    assert 0.25 < share < 0.6


def test_definitions_tell_what_the_schema_says_and_hide_what_is_hidden(store: Store) -> None:
    rows = store.read().execute(
        "SELECT QualifiedApiName, SecurityClassification, ComplianceGroup FROM FieldDefinition f"
        " WHERE EntityDefinitionId = 'Contact'"
    )
    found = {row[0]: (row[1], row[2]) for row in rows}
    assert found["Birthdate"] == ("Restricted", "PII;GDPR")
    assert found["Title"] == (None, None)
    joined = store.read().execute(
        "SELECT e.Label FROM FieldDefinition f JOIN EntityDefinition e ON e.Id = f.EntityDefinitionId"
        " WHERE f.DurableId = 'Loyalty_Member__c.Tier__c'"
    )
    assert joined.fetchone()[0] == "Loyalty Member"
    hidden = (
        "SELECT count(*) FROM FieldDefinition WHERE QualifiedApiName IN ('PasswordHash', 'ConsumerSecret')"
    )
    assert store.read().execute(hidden).fetchone()[0] == 0


# --- records -------------------------------------------------------------------------------------


def test_insert_fills_id_audit_fields_name_and_running_number(store: Store) -> None:
    contact, case = (
        store.insert("contact", [{"lastname": "Müller", "FirstName": "Anna"}])[0],
        store.insert("Case", [{"Subject": "a"}, {"Subject": "b"}]),
    )
    record = store.get("Contact", contact)
    assert record is not None
    assert record["Name"] == "Anna Müller" and record["LastName"] == "Müller"
    assert record["CreatedDate"] == record["SystemModstamp"] == "2026-11-24T09:30:00.000+0000"
    assert record["CreatedById"] == store.system_user and record["IsDeleted"] == 0
    numbers = [(store.get("Case", i) or {})["CaseNumber"] for i in case]
    assert numbers == ["00000001", "00000002"]


def test_update_touches_the_modstamp_and_the_full_name_only(store: Store, clock: Clock) -> None:
    record_id = store.insert("Contact", [{"LastName": "Sato", "FirstName": "Yui"}])[0]
    clock.now += timedelta(hours=1)
    assert store.update("Contact", record_id[:15], {"FirstName": "Mei"})
    record = store.get("Contact", record_id)
    assert record is not None
    assert record["Name"] == "Mei Sato"
    assert record["CreatedDate"] < record["SystemModstamp"] == "2026-11-24T10:30:00.000+0000"
    assert not store.update("Contact", ids.make_ids("003", 999, 1)[0], {"FirstName": "X"})


def test_an_unknown_object_or_field_is_a_key_error(store: Store) -> None:
    with pytest.raises(KeyError, match="Nope"):
        store.insert("Nope", [{}])
    with pytest.raises(KeyError, match="Shoe_Size__c"):
        store.insert("Contact", [{"LastName": "A", "Shoe_Size__c": 42}])
    assert store.read().execute("SELECT count(*) FROM Contact").fetchone()[0] == 0


def test_deleting_marks_customer_data_and_removes_setup_rows(store: Store) -> None:
    contact = store.insert("Contact", [{"LastName": "A"}])[0]
    session = store.insert("AuthSession", [{"UsersId": store.system_user}])[0]
    assert store.delete("Contact", contact) and store.delete("AuthSession", session)
    assert (store.get("Contact", contact) or {})["IsDeleted"] == 1
    assert store.get("AuthSession", session) is None
    assert not store.delete("Contact", contact) and not store.delete("AuthSession", session)


def test_text_compares_without_regard_to_case_and_ids_exactly(store: Store) -> None:
    made = store.insert("Contact", [{"LastName": "A", "Email": "Anna@Example.com"}])[0]
    found = store.read().execute("SELECT Id FROM Contact WHERE Email = 'anna@example.COM'").fetchone()
    assert found["Id"] == made
    assert store.read().execute("SELECT 1 FROM Contact WHERE Id = ?", [made.lower()]).fetchone() is None


# --- connections ---------------------------------------------------------------------------------


def test_readers_cannot_write_and_do_not_see_what_is_not_committed(store: Store) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        store.read().execute("DELETE FROM Contact")
    with store.write():
        store.insert("Contact", [{"LastName": "A"}])
        assert store.read().execute("SELECT count(*) FROM Contact").fetchone()[0] == 0
    assert store.read().execute("SELECT count(*) FROM Contact").fetchone()[0] == 1


def test_an_exception_undoes_the_whole_transaction(store: Store) -> None:
    with pytest.raises(RuntimeError), store.write():
        store.insert("Contact", [{"LastName": "A"}])
        raise RuntimeError
    assert store.read().execute("SELECT count(*) FROM Contact").fetchone()[0] == 0
    store.insert("Contact", [{"LastName": "B"}])  # the writer still works


def test_many_threads_write_and_read_at_once(store: Store) -> None:
    def work(number: int) -> int:
        for i in range(20):
            store.insert("Contact", [{"LastName": f"{number}-{i}"}])
            store.read().execute("SELECT count(*) FROM Contact").fetchone()
        return threading.get_ident()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    rows = store.read().execute("SELECT count(*), count(DISTINCT Id) FROM Contact").fetchone()
    assert tuple(rows) == (160, 160)


def test_bulk_load_has_indexes_at_the_end_and_leaves_the_journal_on(store: Store) -> None:
    with store.bulk():
        rows = [(i, "x", f"a{n}@example.com") for n, i in enumerate(store.reserve_ids("003", 500))]
        store.load("Contact", ("Id", "LastName", "Email"), rows)
    read = store.read()
    assert read.execute("SELECT count(*) FROM Contact").fetchone()[0] == 500
    plan = read.execute("EXPLAIN QUERY PLAN SELECT * FROM Contact WHERE Email = 'a7@example.com'").fetchone()
    assert "USING INDEX Contact.Email" in plan["detail"]
    assert read.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    with pytest.raises(sqlite3.IntegrityError):
        store.load("Contact", ("Id", "LastName"), [(rows[0][0], "y")])


def test_the_truth_takes_new_people_and_more_records_of_known_ones(store: Store) -> None:
    columns = ("object", "record_id", "person_id", "residence")
    store.load("_person", columns, [("User", "a", "new", "DE")])
    known = store.read().execute("SELECT person_id FROM _person").fetchone()[0]
    store.load("_person", columns, [("Case", "b", known, "DE"), ("User", "c", "other", "US-CA")])
    rows = [tuple(row) for row in store.read().execute("SELECT * FROM _person ORDER BY record_id")]
    assert [row[:2] for row in rows] == [("User", "a"), ("Case", "b"), ("User", "c")]
    assert rows[0][2] == rows[1][2] == known != rows[2][2]
    assert [row[3] for row in rows] == ["DE", "DE", "US-CA"]
