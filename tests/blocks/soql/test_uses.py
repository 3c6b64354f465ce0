"""Which fields leave, which are only compared, and what a pinned statement says."""

from datetime import UTC, datetime

import pytest

from blocks.salesforce.soql import (
    FieldUse,
    ast,
    created_before,
    filter_fields,
    objects_filtered,
    order_fields,
    parse,
    pin,
    render,
    returned_fields,
    selecting,
    unlimited,
)


def returned(text: str) -> list[str]:
    return [shown(use) for use in returned_fields(parse(text))]


def filtered(text: str) -> list[str]:
    return [shown(use) for use in filter_fields(parse(text))]


def shown(use: FieldUse) -> str:
    path = ".".join((use.root, *use.children)) + ":" + (use.wildcard or ".".join(use.path))
    return path + (f"?{use.when}" if use.when is not None else "") + ("#" if use.aggregate else "")


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("SELECT Id, Name FROM Account", ["Account:Id", "Account:Name"]),
        ("SELECT a.Id, Account.Owner.Name FROM Account a", ["Account:Id", "Account:Owner.Name"]),
        ("SELECT c.Id, a.Name FROM Contact c, c.Account a", ["Contact:Id", "Contact:Account.Name"]),
        ("SELECT toLabel(Status) s, FORMAT(Amount) FROM Lead", ["Lead:Status", "Lead:Amount"]),
        ("SELECT COUNT() FROM Case", []),
        ("SELECT Status, MAX(CreatedDate) FROM Case GROUP BY Status", ["Case:Status#", "Case:CreatedDate#"]),
        ("SELECT FIELDS(ALL) FROM Case LIMIT 1", ["Case:ALL"]),
        (
            "SELECT Id, (SELECT Email, (SELECT Subject FROM Cases) FROM Account.Contacts) FROM Account",
            ["Account:Id", "Account.Contacts:Email", "Account.Contacts.Cases:Subject"],
        ),
        (
            "SELECT TYPEOF What WHEN Account THEN Phone ELSE Name END FROM Task",
            ["Task:What.Phone?Account", "Task:What.Name?"],
        ),
        ("SELECT Id, ID, c.Id FROM Contact c", ["Contact:Id", "Contact:ID"]),
    ],
)
def test_returned_fields(text: str, fields: list[str]) -> None:
    assert returned(text) == fields


def test_filter_fields_reach_into_children_semi_joins_and_functions() -> None:
    text = (
        "SELECT Id, (SELECT Id FROM Contacts WHERE Email LIKE 'a%') FROM Account a WHERE (NOT a.Name = 'x') "
        "AND CALENDAR_YEAR(CreatedDate) = 2026 "
        "AND Id IN (SELECT AccountId FROM Case c WHERE c.Subject != null)"
    )
    assert filtered(text) == [
        "Account:Name",
        "Account:CreatedDate",
        "Account:Id",
        "Case:AccountId",
        "Case:Subject",
        "Account.Contacts:Email",
    ]
    assert objects_filtered(parse(text)) == ("Case",)


def test_order_tells_what_chose_the_rows() -> None:
    query = parse("SELECT Id FROM User u ORDER BY u.LastLoginDate DESC NULLS LAST, Profile.Name LIMIT 20")
    assert [use.path for use in order_fields(query)] == [("LastLoginDate",), ("Profile", "Name")]


AT = datetime(2026, 3, 29, 12, tzinfo=UTC)  # in Berlin a day of 23 hours


@pytest.mark.parametrize(
    ("condition", "pinned"),
    [
        ("C = TODAY", "C >= 2026-03-28T23:00:00Z AND C < 2026-03-29T22:00:00Z"),
        ("C > TODAY", "C >= 2026-03-29T22:00:00Z"),
        ("C >= TODAY", "C >= 2026-03-28T23:00:00Z"),
        ("C < TODAY", "C < 2026-03-28T23:00:00Z"),
        ("C <= TODAY", "C < 2026-03-29T22:00:00Z"),
        ("C != TODAY", "C < 2026-03-28T23:00:00Z OR C >= 2026-03-29T22:00:00Z OR C = null"),
        ("C = LAST_N_DAYS:1", "C >= 2026-03-27T23:00:00Z AND C < 2026-03-29T12:00:01Z"),
        ("Birthdate = TODAY", "Birthdate >= 2026-03-29 AND Birthdate < 2026-03-30"),
        ("DAY_ONLY(C) = YESTERDAY", "DAY_ONLY(C) >= 2026-03-28 AND DAY_ONLY(C) < 2026-03-29"),
        (
            "NOT C = TODAY",
            "NOT (C >= 2026-03-28T23:00:00Z AND C < 2026-03-29T22:00:00Z)",
        ),
        (
            "C IN (TODAY, 2026-01-01T00:00:00Z)",
            "(C >= 2026-03-28T23:00:00Z AND C < 2026-03-29T22:00:00Z) OR C = 2026-01-01T00:00:00Z",
        ),
        ("Name = 'TODAY'", "Name = 'TODAY'"),
        ("C = 2026-01-01T00:00:00Z", "C = 2026-01-01T00:00:00Z"),
    ],
)
def test_pin_replaces_date_literals(condition: str, pinned: str) -> None:
    query = pin(
        parse(f"SELECT Id FROM Contact WHERE {condition}"),
        AT,
        "Europe/Berlin",
        is_date=lambda _object, path: path == ("Birthdate",),
    )
    assert render(query) == f"SELECT Id FROM Contact WHERE {pinned}"


def test_pin_strips_what_writes_locks_or_only_apex_says() -> None:
    text = (
        "SELECT Id, (SELECT Id FROM Contacts WHERE C = TODAY) FROM Account "
        "WHERE Id IN (SELECT AccountId FROM Case WHERE C > TODAY) WITH SECURITY_ENFORCED "
        "ORDER BY Name LIMIT 5 FOR VIEW, UPDATE UPDATE TRACKING ALL ROWS"
    )
    assert render(pin(parse(text), AT, "UTC")) == (
        "SELECT Id, (SELECT Id FROM Contacts WHERE C >= 2026-03-29T00:00:00Z AND C < 2026-03-30T00:00:00Z) "
        "FROM Account WHERE Id IN (SELECT AccountId FROM Case WHERE C >= 2026-03-30T00:00:00Z) "
        "ORDER BY Name LIMIT 5"
    )


def test_rewriting_for_a_re_run() -> None:
    query = parse("SELECT Id, Name FROM Account WHERE A = 1 OR B = 2 ORDER BY Name LIMIT 5 OFFSET 2")
    safe = selecting(unlimited(created_before(query, AT)), ("Id",), ("Owner", "Email"))
    assert render(safe) == (
        "SELECT Id, Owner.Email FROM Account WHERE (A = 1 OR B = 2) AND CreatedDate <= 2026-03-29T12:00:00Z"
    )


def test_data_categories_are_a_filter_and_stay() -> None:
    query = parse("SELECT Id FROM Knowledge__kav WITH DATA CATEGORY Geo__c AT usa__c")
    assert isinstance(pin(query, AT, "UTC").with_, tuple)
    assert pin(parse("SELECT Id FROM A WITH USER_MODE"), AT, "UTC").with_ is None
    assert isinstance(ast.Mode("USER_MODE"), ast.Mode)
