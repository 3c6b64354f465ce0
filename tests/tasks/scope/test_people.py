"""Who is who, on small tables: every rule that joins two records, and every trap that must not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.scope.keys import email_key, phone_key
from tasks.scope.people import People, components, resolve
from tasks.scope.population import Source, sources
from tasks.scope.shape import FieldShape, ObjectShape


def shape(name: str, *fields: str | tuple[str, str, tuple[str, ...]]) -> ObjectShape:
    made = [FieldShape("Id", "id"), FieldShape("SystemModstamp", "datetime")]
    for field in fields:
        if isinstance(field, str):
            kind = "email" if "Email" in field or field == "FromAddress" else "string"
            kind = "phone" if field.endswith(("Phone", "Mobile__c")) and name != "Case" else kind
            made.append(FieldShape(field, kind))
        else:
            custom = field[0].endswith("__c")
            made.append(FieldShape(field[0], field[1], reference_to=field[2], custom=custom))
    return ObjectShape(name, tuple(made), {})


def to(name: str, *objects: str) -> tuple[str, str, tuple[str, ...]]:
    return (name, "reference", objects)


SHAPES = [
    shape(
        "Contact", "FirstName", "LastName", "Email", "MobilePhone", "Phone", "HomePhone", "MailingCountry",
        "MailingState", to("IndividualId", "Individual"), to("ReportsToId", "Contact"), to("OwnerId", "User"),
    ),
    shape("Lead", "FirstName", "LastName", "Email", "Phone", "Country", "State",
          to("IndividualId", "Individual")),
    shape("Individual", "FirstName", "LastName"),
    shape("Case", "SuppliedName", "SuppliedEmail", "SuppliedPhone", to("ContactId", "Contact"),
          "Web_Country__c"),
    shape("CaseComment", "CommentBody", to("ParentId", "Case")),
    shape("EmailMessage", "FromAddress", to("ParentId", "Case"), to("RelatedToId", "Account", "Order")),
    shape("Order", to("BillToContactId", "Contact"), to("ShipToContactId", "Contact"), "Notify_Email__c"),
    shape("OrderItem", to("OrderId", "Order")),
    shape("Account", "Name", "Phone"),
    shape("Member__c", "First_Name__c", "Last_Name__c", "Email__c", "Mobile__c", "Country__c",
          to("Who__c", "Contact")),
    shape("Voucher__c", "Code__c", to("Contact__c", "Contact")),
]  # fmt: skip
SOURCES = sources(SHAPES)


def people(**rows: list[dict[str, str]]) -> People:
    population = {}
    for source in SOURCES:
        frame = pd.DataFrame(rows.get(source.object, []))
        columns = {name: frame.get(name, "") for name in source.fields}
        population[source.object] = pd.DataFrame(columns, index=frame.index).fillna("").astype("str")
    return resolve(population, SOURCES)


def same(found: People, *ids: str) -> bool:
    """Whether these records are about one person."""
    person = found.records.set_index("record_id")["person"]
    return person.loc[list(ids)].nunique() == 1


def about(found: People) -> set[str]:
    return set(found.records["record_id"])


# --- which objects, by which fields ----------------------------------------------------------------


def source(name: str) -> Source:
    return next(s for s in SOURCES if s.object == name)


def test_objects_about_people_are_found_from_their_fields() -> None:
    assert {s.object for s in SOURCES} == {s.name for s in SHAPES} - {"Account"}
    assert source("Contact").lookups == ("IndividualId",)  # not the manager, not the owner
    assert source("Contact").phones == ("MobilePhone", "Phone")  # not the home's
    assert source("Member__c").always
    assert source("Member__c").lookups == ("Who__c",)
    assert source("Order").lookups == ("BillToContactId",)  # not the second person
    assert source("Order").emails == ()
    assert source("OrderItem").parent == "OrderId"
    assert source("EmailMessage").parent == "ParentId"


# --- what joins ----------------------------------------------------------------------------------


def test_email_without_case_space_and_tag() -> None:
    found = people(
        Contact=[{"Id": "c1", "Email": " Ann.Lee+Shop@Example.com "}],
        Lead=[{"Id": "l1", "Email": "ann.lee@example.com"}],
        Member__c=[{"Id": "m1", "Email__c": "ANN.LEE@EXAMPLE.COM"}],
        Case=[{"Id": "k1", "SuppliedEmail": "ann.lee+2@example.com"}],
    )
    assert same(found, "c1", "l1", "m1", "k1")
    assert set(found.joins["rule"]) == {"email"}


def test_phone_in_national_and_international_form_by_the_records_country() -> None:
    found = people(
        Contact=[
            {"Id": "c1", "MobilePhone": "+49 1512 3456789"},
            {"Id": "c2", "Phone": "01512 3456789", "MailingCountry": "Deutschland"},
            {"Id": "c3", "Phone": "01512 3456789", "MailingCountry": "Spain"},
            {"Id": "c4", "Phone": "01512 3456789"},
        ]
    )
    assert same(found, "c1", "c2")
    assert not same(found, "c1", "c3")
    assert not same(found, "c1", "c4")


def test_individual_lookup_and_parent() -> None:
    found = people(
        Contact=[{"Id": "c1", "IndividualId": "i1"}],
        Lead=[{"Id": "l1", "IndividualId": "i1"}],
        Individual=[{"Id": "i1"}],
        Case=[{"Id": "k1", "ContactId": "c1"}],
        CaseComment=[{"Id": "x1", "ParentId": "k1"}],
        EmailMessage=[{"Id": "e1", "ParentId": "k1"}],
        Order=[{"Id": "o1", "BillToContactId": "c1", "ShipToContactId": "c2"}],
        OrderItem=[{"Id": "p1", "OrderId": "o1"}],
        Voucher__c=[{"Id": "v1", "Contact__c": "c1"}],
    )
    assert same(found, "c1", "l1", "i1", "k1", "x1", "e1", "o1", "p1", "v1")
    rules = set(found.joins["rule"])
    assert {"lookup Contact.IndividualId", "lookup Case.ContactId", "parent OrderItem.OrderId"} <= rules


def test_two_records_are_linked_through_a_third_that_shares_one_key_with_each() -> None:
    found = people(
        Contact=[{"Id": "c1", "Email": "a@example.com"}],
        Lead=[{"Id": "l1", "Email": "b@example.com"}],
        Member__c=[
            {"Id": "m1", "Email__c": "a@example.com", "Mobile__c": "+14155552671"},
        ],
        Case=[{"Id": "k1", "SuppliedEmail": "b@example.com", "SuppliedPhone": "+1 (415) 555-2671"}],
    )
    assert same(found, "c1", "m1", "k1", "l1")


def test_records_of_a_contact_that_is_gone_stay_together() -> None:
    found = people(
        Case=[{"Id": "k1", "ContactId": "gone"}, {"Id": "k2", "ContactId": "gone"}],
        Voucher__c=[{"Id": "v1", "Contact__c": "gone"}],
    )
    assert same(found, "k1", "k2", "v1")


# --- what must not join ----------------------------------------------------------------------------


@pytest.mark.parametrize("local", ["info", "office", "noreply", "no-reply", "sales", "SUPPORT", "support+eu"])
def test_role_addresses_join_nobody(local: str) -> None:
    found = people(
        Contact=[
            {"Id": "c1", "Email": f"{local}@example.com"},
            {"Id": "c2", "Email": f"{local}@example.com"},
        ],
    )
    assert not same(found, "c1", "c2")


@pytest.mark.parametrize("number", ["0000000000", "+1 111 111 1111", "1234567890", "999999999", "n/a", "123"])
def test_placeholder_numbers_join_nobody(number: str) -> None:
    row = {"Phone": number, "MailingCountry": "US"}
    assert not same(people(Contact=[{"Id": "c1", **row}, {"Id": "c2", **row}]), "c1", "c2")


def household(people_count: int, *, family: bool) -> People:
    return people(
        Contact=[
            {
                "Id": f"c{n}",
                "LastName": "Müller" if family and n else f"Name{n}",
                "Email": f"person{n}@example.com",
                "Phone": "+44 20 7946 0958",
            }
            for n in range(people_count)
        ]
    )


def test_a_number_of_many_people_joins_nobody_but_a_familys_does() -> None:
    assert household(4, family=False).records["person"].nunique() == 4
    assert household(3, family=False).records["person"].nunique() == 1
    assert household(6, family=True).records["person"].nunique() == 1  # two last names only


def test_home_and_account_phones_and_names_join_nobody() -> None:
    found = people(
        Contact=[
            {"Id": "c1", "LastName": "Lee", "FirstName": "Ann", "HomePhone": "+14155552671"},
            {"Id": "c2", "LastName": "Lee", "FirstName": "Ann", "HomePhone": "+14155552671"},
        ]
    )
    assert not same(found, "c1", "c2")


def test_a_case_of_nobody_stays_nobodys_and_joins_no_mails() -> None:
    found = people(
        Case=[{"Id": "till"}, {"Id": "named", "SuppliedName": "Ann Lee"}],
        CaseComment=[{"Id": "x1", "ParentId": "till"}, {"Id": "x2", "ParentId": "named"}],
        EmailMessage=[
            {"Id": "e1", "ParentId": "till", "FromAddress": "a@example.com"},
            {"Id": "e2", "ParentId": "till", "FromAddress": "b@example.com"},
            {"Id": "e3", "FromAddress": "noreply@example.com"},
        ],
        Order=[{"Id": "o1"}],
        OrderItem=[{"Id": "p1", "OrderId": "o1"}],
    )
    assert about(found) == {"named", "x2", "e1", "e2"}
    assert not same(found, "e1", "e2")


# --- residence -------------------------------------------------------------------------------------


def home(found: People, record_id: str) -> str:
    person = found.records.set_index("record_id").loc[record_id, "person"]
    return str(found.residence[person])


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"MailingCountry": "U.S.A.", "MailingState": "california"}, "US-CA"),
        ({"MailingCountry": "US", "MailingState": "NY"}, "US-NY"),
        ({"MailingCountry": "US", "MailingState": "Bavaria"}, "US"),
        ({"MailingCountry": "Allemagne"}, "DE"),
        ({"MailingCountry": "Canada", "MailingState": "CA"}, "CA"),
        ({"MailingCountry": "Georgia"}, "GE"),
        ({"MailingState": "Georgia", "Phone": "+44 20 7946 0958"}, "GB"),
        ({"MailingCountry": "Atlantis", "MobilePhone": "+4915123456789", "Phone": "+442079460958"}, "DE"),
        ({"MailingState": "TX"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_residence_of_one_record(row: dict[str, str], code: str) -> None:
    assert home(people(Contact=[{"Id": "c1", **row}]), "c1") == code


def test_the_best_reading_of_all_records_counts_also_of_those_that_did_not_leave() -> None:
    email = "a@example.com"
    found = people(
        Contact=[
            {"Id": "c1", "Email": email, "MailingCountry": "US", "SystemModstamp": "2026-01-01T00:00:00Z"}
        ],
        Lead=[{"Id": "l1", "Email": email, "Country": "US", "State": "Texas"}],
        Case=[{"Id": "k1", "SuppliedEmail": email, "Web_Country__c": "France"}],
    )
    assert home(found, "k1") == "US-TX"  # a state beats none, a lead beats a case


def test_among_equals_the_latest_contact_counts() -> None:
    rows = [
        {"Id": "c1", "MailingCountry": "France", "SystemModstamp": "2026-01-01T00:00:00.000+0000"},
        {"Id": "c2", "MailingCountry": "Spain", "SystemModstamp": "2026-03-01T00:00:00.000+0000"},
        {"Id": "c3", "MailingCountry": "Italy", "SystemModstamp": "2026-02-01T00:00:00.000+0000"},
    ]
    found = people(Contact=[{**row, "Email": "a@example.com"} for row in rows])
    assert home(found, "c1") == "ES"


# --- the machinery -------------------------------------------------------------------------------


def test_components_agree_with_plain_union_find() -> None:
    rng = np.random.default_rng(7)
    for size, edges in ((1, 0), (50, 20), (2000, 1500), (2000, 4000)):
        left, right = rng.integers(0, size, edges), rng.integers(0, size, edges)
        parent = list(range(size))

        def root(node: int, parent: list[int] = parent) -> int:
            while parent[node] != node:
                node = parent[node]
            return node

        for a, b in zip(left.tolist(), right.tolist(), strict=True):
            low, high = sorted((root(a), root(b)))
            parent[high] = low
        assert components(size, left, right).tolist() == [root(node) for node in range(size)]


def test_a_long_chain_is_one_component() -> None:
    order = np.random.default_rng(3).permutation(20_000)
    assert len(set(components(20_000, order[:-1], order[1:]).tolist())) == 1


def test_nobody_at_all_is_an_answer() -> None:
    found = people()
    assert found.records.empty
    assert found.residence.empty


def test_keys() -> None:
    assert email_key("not an address") is None
    assert email_key("a@b.example") == "a@b.example"
    assert phone_key("+1 415 555 2671 ext. 9", None) == "+14155552671"
    assert phone_key("(415) 555-2671", None) is None
