"""Aggregates, groups, ROLLUP and CUBE over a small org, counted by hand. None of them serves a record."""

from collections.abc import Iterator
from typing import Any

import pytest

from deployments.lab.salesforce.query import QueryError
from tests.deployments.lab.query_world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("org"))
    yield made
    made.store.close()


ANSWERS: tuple[tuple[str, list[dict[str, Any]]], ...] = (
    ("SELECT COUNT(Id) FROM Contact", [{"expr0": 4}]),
    ("SELECT COUNT(Email), COUNT(Id) n, COUNT_DISTINCT(AccountId) FROM Contact",
     [{"expr0": 3, "n": 4, "expr1": 2}]),
    ("SELECT SUM(AnnualRevenue) s, AVG(NumberOfEmployees) a, MIN(Name) lo, MAX(CreatedDate) hi FROM Account",
     [{"s": 5000100.5, "a": 6.5, "lo": "acme", "hi": "2026-11-23T23:00:00.000+0000"}]),
    ("SELECT SUM(AnnualRevenue) s, COUNT(Id) n FROM Account WHERE Name = 'nobody'", [{"s": None, "n": 0}]),
    ("SELECT Status, COUNT(Id) FROM Case GROUP BY Status ORDER BY Status",
     [{"Status": "Closed", "expr0": 1}, {"Status": "New", "expr0": 2}]),
    ("SELECT Status st, COUNT(Id) n FROM Case GROUP BY Status HAVING COUNT(Id) > 1", [{"st": "New", "n": 2}]),
    ("SELECT Status FROM Case GROUP BY Status HAVING Status LIKE 'c%'", [{"Status": "Closed"}]),
    ("SELECT Account.Name, COUNT(Id) n FROM Contact GROUP BY Account.Name "
     "ORDER BY COUNT(Id) DESC, Account.Name",
     [{"Name": "Umbrella", "n": 2}, {"Name": None, "n": 1}, {"Name": "acme", "n": 1}]),
    ("SELECT Owner.Name, COUNT(Id) n FROM Case GROUP BY Owner.Name ORDER BY Owner.Name",
     [{"Name": "Ada Adams", "n": 2}, {"Name": "Support Queue", "n": 1}]),
    ("SELECT CALENDAR_YEAR(CreatedDate), COUNT(Id) FROM Account GROUP BY CALENDAR_YEAR(CreatedDate) "
     "ORDER BY CALENDAR_YEAR(CreatedDate)", [{"expr0": 2025, "expr1": 1}, {"expr0": 2026, "expr1": 2}]),
    ("SELECT DAY_ONLY(convertTimezone(CreatedDate)) d FROM Account GROUP BY "
     "DAY_ONLY(convertTimezone(CreatedDate)) ORDER BY DAY_ONLY(convertTimezone(CreatedDate)) DESC LIMIT 2",
     [{"d": "2026-11-24"}, {"d": "2026-11-23"}]),
    ("SELECT Status, Origin, COUNT(Id) n, GROUPING(Status) gs, GROUPING(Origin) go FROM Case "
     "GROUP BY ROLLUP(Status, Origin) ORDER BY Status NULLS LAST, Origin NULLS LAST",
     [{"Status": "Closed", "Origin": "Phone", "n": 1, "gs": 0, "go": 0},
      {"Status": "Closed", "Origin": None, "n": 1, "gs": 0, "go": 1},
      {"Status": "New", "Origin": "Web", "n": 2, "gs": 0, "go": 0},
      {"Status": "New", "Origin": None, "n": 2, "gs": 0, "go": 1},
      {"Status": None, "Origin": None, "n": 3, "gs": 1, "go": 1}]),
    ("SELECT Status, Origin, COUNT(Id) n FROM Case GROUP BY CUBE(Status, Origin) HAVING COUNT(Id) > 1 "
     "ORDER BY COUNT(Id) DESC, Status, Origin",
     [{"Status": None, "Origin": None, "n": 3},
      {"Status": None, "Origin": "Web", "n": 2},
      {"Status": "New", "Origin": None, "n": 2},
      {"Status": "New", "Origin": "Web", "n": 2}]),
    ("SELECT IsClosed, COUNT(Id) n FROM Case GROUP BY IsClosed ORDER BY IsClosed",
     [{"IsClosed": False, "n": 2}, {"IsClosed": True, "n": 1}]),
    ("SELECT FORMAT(MAX(AnnualRevenue)) m FROM Account", [{"m": "5,000,000"}]),
    ("SELECT Name FROM Account GROUP BY Name ORDER BY Name LIMIT 1 OFFSET 1", [{"Name": "Umbrella"}]),
)  # fmt: skip


@pytest.mark.parametrize(("text", "rows"), ANSWERS)
def test_aggregate(world: World, text: str, rows: list[dict[str, Any]]) -> None:
    assert world.records(text) == rows
    assert world.served(text) == []


@pytest.mark.parametrize(
    ("text", "total"),
    [
        ("SELECT COUNT() FROM Contact", 4),
        ("select count() from Contact WHERE Account.Name = 'umbrella'", 2),
        ("SELECT COUNT() FROM Contact LIMIT 3", 3),
        ("SELECT COUNT() FROM Account", 3),
    ],
)
def test_count_has_a_size_and_no_rows(world: World, text: str, total: int) -> None:
    result = world.ask(text)
    assert result.total == total and list(result.rows) == [] and result.aggregate
    assert world.ask("SELECT COUNT() FROM Account", all_rows=True).total == 4


def test_rows_are_marked_as_aggregates(world: World) -> None:
    row = next(iter(world.ask("SELECT COUNT(Id) FROM Case").rows))
    assert row.record["attributes"] == {"type": "AggregateResult"}


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY", "must be grouped or aggregated: Name"),
        ("SELECT Name FROM Account GROUP BY Industry", "MALFORMED_QUERY", "grouped or aggregated: Name"),
        ("SELECT COUNT(Id) FROM Case GROUP BY Status ORDER BY Origin", "MALFORMED_QUERY", "grouped"),
        ("SELECT COUNT(Id) FROM Case GROUP BY Status HAVING Origin = 'x'", "MALFORMED_QUERY", "grouped"),
        ("SELECT SUM(Name) FROM Account", "MALFORMED_QUERY", "does not support aggregate operator SUM"),
        ("SELECT MAX(IsClosed) FROM Case", "MALFORMED_QUERY", "does not support aggregate operator MAX"),
        ("SELECT COUNT(Id) FROM Case GROUP BY Description", "MALFORMED_QUERY", "can not be grouped"),
        ("SELECT Account.Name, Owner.Name FROM Contact GROUP BY Account.Name, Owner.Name", "MALFORMED_QUERY",
         "duplicate alias"),
        ("SELECT GROUPING(Status), COUNT(Id) FROM Case GROUP BY Status", "MALFORMED_QUERY", "GROUPING"),
        ("SELECT CALENDAR_YEAR(CreatedDate) FROM Case", "MALFORMED_QUERY", "GROUP BY"),
        ("SELECT CALENDAR_YEAR(Status), COUNT(Id) FROM Case GROUP BY CALENDAR_YEAR(Status)", "INVALID_FIELD",
         "does not support"),
        ("SELECT COUNT(Nope) FROM Case", "INVALID_FIELD", "No such column 'Nope' on entity 'Case'"),
        ("SELECT NOW(Id), COUNT(Id) FROM Case", "MALFORMED_QUERY", "unexpected function"),
    ],
)  # fmt: skip
def test_refused(world: World, text: str, code: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as refused:
        world.ask(text)
    assert refused.value.error_code == code


def test_more_than_a_page_of_groups_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    world = World(tmp_path_factory.mktemp("many"))
    world.store.insert("Lead", [{"LastName": f"L{n}", "Company": "c"} for n in range(2001)])
    text = "SELECT LastName, COUNT(Id) FROM Lead GROUP BY LastName"
    with pytest.raises(QueryError, match="does not support queryMore") as refused:
        list(world.ask(text).rows)
    assert refused.value.error_code == "EXCEEDED_ID_LIMIT"
    assert world.ask(text + " LIMIT 2000").total == 2000
    world.store.close()


def test_columns_of_aggregates(world: World) -> None:
    described = world.ask("SELECT Status s, COUNT(Id) FROM Case GROUP BY Status").columns
    assert [(c["columnName"], c["aggregate"]) for c in described] == [("s", False), ("expr0", True)]
