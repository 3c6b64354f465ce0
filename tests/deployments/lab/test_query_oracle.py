"""Generated filters, run by the twin and evaluated in plain Python: both must choose the same rows.

The evaluation below is written from SOQL's rules alone and shares nothing with the twin but the parsed tree
and the date ranges, which have their own tests.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from blocks.salesforce.soql import ast, date_range, day_span, parse, render
from deployments.lab.salesforce.query import execute
from deployments.lab.salesforce.schema import SCHEMA
from deployments.lab.salesforce.store import Store
from tests.blocks.soql.generator import Generator, Vocabulary
from tests.deployments.lab.query_world import NOW, Reader

TZ = "America/New_York"
Record = dict[str, Any]
TEXTS = ("Roe", "roe", "O'Hara", "Ångström", "ångström", "a_b", "axb", "100%", "\\", "x", "ZÜRICH", "Straße")
ACCOUNT = {
    "Id": "id", "Name": "text", "Industry": "text", "AnnualRevenue": "number", "NumberOfEmployees": "number",
    "CreatedDate": "datetime", "ParentId": "id",
}  # fmt: skip
CONTACT = {
    "Id": "id", "LastName": "text", "Email": "text", "Birthdate": "date", "CreatedDate": "datetime",
    "HasOptedOutOfEmail": "boolean", "AccountId": "id", "DoNotCall": "boolean",
}  # fmt: skip
PARENTS = {"Contact": {"Account": "Account", "ReportsTo": "Contact"}, "Account": {"Parent": "Account"}}
REFERENCES = {"Account": "AccountId", "ReportsTo": "ReportsToId", "Parent": "ParentId"}


class Org:
    def __init__(self, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.store = Store(folder / "org.db", clock=lambda: NOW)
        self.records: dict[str, Record] = {}
        accounts = [self._account() for _ in range(30)]
        for _ in range(30):
            accounts.append(self._account(self.random.choice(accounts)))
        contacts: list[str] = []
        for _ in range(120):
            contacts.append(self._contact(accounts, contacts))
        numbers = (Decimal(0), Decimal(3), Decimal("2.5"), Decimal(-1), Decimal("1e30"))
        ids = tuple(self.random.sample(accounts, 5) + self.random.sample(contacts, 5))
        self.vocabulary = Vocabulary(
            {"Contact": CONTACT, "Account": ACCOUNT}, PARENTS, TEXTS, numbers, ids, NOW
        )

    def _or_null(self, value: Any, chance: float = 0.25) -> Any:
        return None if self.random.random() < chance else value

    def _instant(self) -> str:
        return (
            Generator(self.random, Vocabulary({}, around=NOW)).instant().strftime("%Y-%m-%dT%H:%M:%S.%f")[:23]
            + "+0000"
        )

    def _keep(self, name: str, values: Record) -> str:
        record_id = self.store.insert(name, [values])[0]
        self.records[record_id] = {"_type": name, "Id": record_id, **values}
        return record_id

    def _account(self, parent: str | None = None) -> str:
        return self._keep("Account", {
            "Name": self.random.choice(TEXTS),
            "Industry": self._or_null(self.random.choice(TEXTS)),
            "AnnualRevenue": self._or_null(self.random.choice((0.0, 2.5, 3.0, -1.0, 1e30))),
            "NumberOfEmployees": self._or_null(self.random.choice((0, 3, -1, 7))),
            "CreatedDate": self._instant(),
            "ParentId": parent,
        })  # fmt: skip

    def _contact(self, accounts: list[str], contacts: list[str]) -> str:
        day = Generator(self.random, Vocabulary({}, around=NOW)).day()
        return self._keep("Contact", {
            "LastName": self.random.choice(TEXTS),
            "Email": self._or_null(self.random.choice(TEXTS)),
            "Birthdate": self._or_null(day.isoformat()),
            "CreatedDate": self._instant(),
            "HasOptedOutOfEmail": self.random.randrange(2),
            "DoNotCall": self.random.randrange(2),
            "AccountId": self._or_null(self.random.choice(accounts)),
            "ReportsToId": self._or_null(self.random.choice(contacts)) if contacts else None,
        })  # fmt: skip

    def value(self, record: Record, path: ast.Path) -> Any:
        for relationship in path[:-1]:
            record = self.records.get(record.get(REFERENCES[relationship]) or "", {})
        return record.get(path[-1])


def holds(org: Org, record: Record, condition: ast.Condition) -> bool:
    match condition:
        case ast.And(items):
            return all(holds(org, record, item) for item in items)
        case ast.Or(items):
            return any(holds(org, record, item) for item in items)
        case ast.Not(item):
            return not holds(org, record, item)
        case ast.Comparison(ast.FieldRef(path), op, value):
            kind = (CONTACT | ACCOUNT)[path[-1]]
            return compares(org.value(record, path), kind, op, value)
    raise AssertionError(condition)


def compares(have: Any, kind: str, op: ast.Op, value: ast.Value) -> bool:
    if op is ast.Op.NE:
        return not compares(have, kind, ast.Op.EQ, value)
    if op is ast.Op.NOT_IN:
        return not compares(have, kind, ast.Op.IN, value)
    if op is ast.Op.IN:
        assert isinstance(value, ast.List)
        return any(compares(have, kind, ast.Op.EQ, item) for item in value.items)
    if kind == "boolean":
        assert isinstance(value, ast.Boolean)
        return bool(have) == value.value  # a boolean is never null
    if isinstance(value, ast.Null):
        return op is ast.Op.EQ and have is None
    if have is None:
        return False
    if op is ast.Op.LIKE:
        assert isinstance(value, ast.Pattern)
        return like(have.casefold(), value.value.casefold())
    left, (low, high) = comparable(have, kind), bounds(value, kind)
    match op:
        case ast.Op.EQ:
            return low == left if low == high else low <= left < high
        case ast.Op.LT:
            return left < low
        case ast.Op.LE:
            return left <= low if low == high else left < high
        case ast.Op.GT:
            return left > low if low == high else left >= high
        case ast.Op.GE:
            return left >= low
    raise AssertionError(op)


def comparable(have: Any, kind: str) -> Any:
    match kind:
        case "number":
            return Decimal(str(have))
        case "datetime":
            return datetime.strptime(have, "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(UTC)
        case "date":
            return date.fromisoformat(have)
        case "text":
            return have.casefold()
    return have


def bounds(value: ast.Value, kind: str) -> tuple[Any, Any]:
    """The value as a range; both ends alike when it is a single value."""
    match value:
        case ast.DateLiteral():
            if kind == "date":
                span = day_span(value, NOW, TZ)
                return span.start, span.end
            return date_range(value, NOW, TZ)
        case ast.Text(text):
            return (text.casefold(),) * 2 if kind == "text" else (text, text)
        case ast.Number(number):
            return number, number
        case ast.Date(day):
            return day, day
        case ast.DateTime(instant):
            return instant, instant
    raise AssertionError(value)


def like(text: str, pattern: str) -> bool:
    """LIKE by the textbook: every way a `%` can match is tried."""
    if not pattern:
        return not text
    if pattern[0] == "\\":
        return text[:1] == pattern[1] and like(text[1:], pattern[2:])
    if pattern[0] == "%":
        return any(like(text[n:], pattern[1:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and like(text[1:], pattern[1:])


def comparison_is_ascii_ordered(condition: ast.Condition | None) -> bool:
    """Whether no text is compared by < or >: how Salesforce orders letters is not documented."""
    return not any(
        isinstance(leaf, ast.Comparison)
        and isinstance(leaf.value, ast.Text)
        and leaf.op in (ast.Op.LT, ast.Op.LE, ast.Op.GT, ast.Op.GE)
        for leaf in ast.leaves(condition)
    )


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Org]:
    made = Org(tmp_path_factory.mktemp("org"), seed=11)
    yield made
    made.store.close()


@pytest.mark.parametrize("object_name", ["Contact", "Account"])
def test_the_same_rows_as_plain_python(org: Org, object_name: str) -> None:
    chosen = compared = 0
    for seed in range(1500):
        query = Generator(Random(seed), org.vocabulary).runnable(object_name)
        if not comparison_is_ascii_ordered(query.where):
            continue
        text = render(query)
        assert parse(text) == query
        result = execute(org.store, SCHEMA, query, Reader(), now=NOW, tz=TZ, text=text)
        rows = list(result.rows)
        found = [row.record["Id"] for row in rows]
        expected = [
            record_id
            for record_id, record in org.records.items()
            if record["_type"] == object_name and (query.where is None or holds(org, record, query.where))
        ]
        assert sorted(found) == sorted(expected), text
        assert result.total == len(found)
        assert_served(org, query, rows, text)
        chosen += 0 < len(found) < len(org.records)
        compared += 1
    assert compared > 800 and chosen > 400  # the filters really choose


def assert_served(org: Org, query: ast.Query, rows: list[Any], text: str) -> None:
    """Each row tells every record on the way that gives a field, with exactly those fields."""
    for row in rows:
        expected: dict[ast.Path, set[str]] = {}
        for item in query.fields:
            assert isinstance(item, ast.FieldRef)
            expected.setdefault(item.path[:-1], set()).add(item.path[-1])
        wanted = []
        for path, fields in expected.items():
            record = org.records[row.record["Id"]]
            reached = org.value(record, (*path, "Id")) if path else record["Id"]
            if reached is not None:
                wanted.append((org.records[reached]["_type"], reached, tuple(sorted(fields))))
        told = [(name, record_id, tuple(sorted(fields))) for name, record_id, fields in row.served]
        assert sorted(told) == sorted(wanted), text
