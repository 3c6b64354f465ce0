"""A report's filters and columns told as SOQL, and what is left out because SOQL does not say it."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.salesforce.soql import render
from tasks.scope.report_filters import condition
from tasks.scope.report_query import asked_by_report
from tasks.scope.rerun import Zone
from tasks.scope.shape import FieldShape, OrgShape

BERLIN = Zone("Europe/Berlin")


def fields(*names: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "type": kind} for name, kind in names]


DESCRIBED: dict[str, Any] = {
    "contact": {
        "name": "Contact",
        "fields": [
            *fields(("Id", "id"), ("FirstName", "string"), ("Email", "email"), ("CreatedDate", "datetime")),
            *fields(("OwnerId", "id"), ("Birthdate", "date"), ("Points__c", "double")),
            {"name": "AccountId", "type": "reference", "relationshipName": "Account",
             "referenceTo": ["Account"]},
        ],
    },
    "account": {
        "name": "Account",
        "fields": fields(("Id", "id"), ("Name", "string")),
        "childRelationships": [
            {"relationshipName": "Contacts", "childSObject": "Contact", "field": "AccountId"}
        ],
    },
}  # fmt: skip


def shape() -> OrgShape:
    return OrgShape(lambda name: DESCRIBED.get(name.casefold()), lambda: ["Contact", "Account"])


def soql(metadata: dict[str, Any], most: int | None = None) -> tuple[str, str]:
    """The one query that a report amounts to, and what is assumed beyond it."""
    base = {"reportType": {"type": "ContactList"}, "detailColumns": ["EMAIL"], "scope": "organization"}
    (asked,) = asked_by_report("00O1", base | metadata, shape(), user="005U", zone=BERLIN, most=most)
    assert asked.query is not None
    return render(asked.query), asked.widened


@pytest.mark.parametrize(
    ("kind", "operator", "value", "wanted"),
    [
        ("string", "equals", "Gold", "F = 'Gold'"),
        ("string", "equals", 'Gold,"a, b",', "(F = 'Gold' OR F = 'a, b' OR F = null)"),
        ("string", "equals", "", "F = null"),
        ("string", "notEqual", "x,y", "F != 'x' AND F != 'y'"),
        ("string", "contains", "50%_o'x", r"F LIKE '%50\%\_o\'x%'"),
        ("string", "notContain", "a", "(((NOT F LIKE '%a%')) OR F = null)"),
        ("string", "startsWith", "a,b", "(F LIKE 'a%' OR F LIKE 'b%')"),
        ("string", "lessThan", "b", None),
        ("multipicklist", "includes", "a,b", "F INCLUDES ('a', 'b')"),
        ("boolean", "equals", "True", "F = true"),
        ("boolean", "notEqual", "0", "F != false"),
        ("boolean", "equals", "maybe", None),
        ("double", "greaterOrEqual", "10.5", "F >= 10.5"),
        ("double", "equals", "1,2", "(F = 1 OR F = 2)"),
        ("double", "greaterThan", "EUR 5", None),
        ("date", "lessOrEqual", "2026-03-29", "F <= 2026-03-29"),
        ("date", "greaterThan", "LAST 30 DAYS", None),
        ("date", "greaterThan", "last_n_days:30", "F > LAST_N_DAYS:30"),
        ("datetime", "equals", "THIS MONTH", "F = THIS_MONTH"),
        ("datetime", "equals", "2026-03-29", "F >= 2026-03-28T23:00:00Z AND F < 2026-03-29T22:00:00Z"),
        ("datetime", "equals", "3/29/2026", None),
        ("location", "within", "5", None),
    ],
)
def test_a_filter_as_a_condition(kind: str, operator: str, value: str, wanted: str | None) -> None:
    assert condition("F", FieldShape("F", kind), operator, value, BERLIN) == wanted


def test_columns_by_the_names_that_reports_use() -> None:
    columns = ["Contact.Email", "FIRST_NAME", "ACCOUNT.NAME", "CREATED_DATEONLY", "Points__c"]
    text, widened = soql({"detailColumns": columns})
    assert text == "SELECT Id, Email, FirstName, Account.Name, CreatedDate, Points__c FROM Contact"
    assert widened == ""


def test_an_unknown_column_means_every_field_of_the_same_rows() -> None:
    metadata = {"reportFilters": [{"column": "EMAIL", "operator": "notEqual", "value": ""}]}
    text, widened = soql(metadata | {"detailColumns": ["EMAIL", "CONTACT1_X"]})
    assert text.endswith("WHERE Email != null")
    assert "CONTACT1_X are not known" in widened


def test_logic_scope_and_range() -> None:
    filters = [{"column": "EMAIL", "operator": "equals", "value": one} for one in "abc"]
    metadata = {
        "reportFilters": filters,
        "reportBooleanFilter": "1 AND (2 OR NOT 3)",
        "scope": "user",
        "standardDateFilter": {
            "column": "CREATED_DATE",
            "durationValue": "CUSTOM",
            "startDate": "2026-01-01",
            "endDate": None,
        },
        "topRows": {"rowLimit": 10},
    }
    text, widened = soql(metadata, most=2000)
    assert "Email = 'a' AND (Email = 'b' OR (NOT Email = 'c'))" in text.replace("((", "(").replace("))", ")")
    assert "CreatedDate >= 2025-12-31T23:00:00Z" in text
    assert "OwnerId = '005U'" in text
    assert text.endswith("LIMIT 10")
    assert widened == ""


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({"reportFilters": [{"column": "AGE", "operator": "equals", "value": "3"}]}, "filter on AGE"),
        (
            {"reportFilters": [{"column": "EMAIL", "operator": "equals", "value": "FIRST_NAME",
                                "filterType": "fieldToField"}]},
            "filter on EMAIL",
        ),
        (
            {"reportFilters": [{"column": "EMAIL", "operator": "equals", "value": "a"}],
             "reportBooleanFilter": "1 AND 2"},
            "filter logic cannot be read",
        ),
        ({"crossFilters": [{"includesObject": True}]}, "cross filters"),
        ({"scope": "team"}, "depends on who asks"),
        ({"standardDateFilter": {"column": "CREATED_DATE", "durationValue": "WHENEVER"}}, "date range"),
    ],
)  # fmt: skip
def test_what_soql_does_not_say_is_left_out_and_said(metadata: dict[str, Any], why: str) -> None:
    text, widened = soql(metadata)
    assert text == "SELECT Id, Email FROM Contact"
    assert why in widened


@pytest.mark.parametrize(
    ("metadata", "objects"),
    [
        ({"reportType": {"type": "Mine__c"}, "detailColumns": ["Account$Name", "Account.Contacts$Email"]},
         ["Account", "Contact"]),
        ({"reportType": {"type": "AccountContactRole"}, "detailColumns": ["X"]}, ["Account"]),  # by hint
        ({"reportType": {"type": "ContactList"}, "reportFormat": "MULTI_BLOCK"}, ["Contact"]),
        ({"reportType": {"type": "Mine__c"}, "detailColumns": ["Account$Name"]}, ["Account"]),
    ],
)  # fmt: skip
def test_a_type_that_joins_or_is_unknown_means_whole_objects(
    metadata: dict[str, Any], objects: list[str]
) -> None:
    made = asked_by_report(
        "00O1", metadata, shape(), user="", zone=BERLIN, most=None, hints=("Account", "Nowhere")
    )
    assert [asked.object for asked in made] == objects
