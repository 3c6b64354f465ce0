"""Bulk results: CSV as the Bulk API writes it, the same rows as REST, and exactly what it discloses."""

import csv
import io
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from deployments.lab.salesforce import ids
from deployments.lab.salesforce.query import execute, read_soql
from deployments.lab.salesforce.query_csv import Export, to_csv
from deployments.lab.salesforce.schema import SCHEMA
from tests.deployments.lab.query_world import NOW, Reader, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("org"))
    yield made
    made.store.close()


def export(world: World, text: str, viewer: Reader | None = None, **how: Any) -> Export:
    return to_csv(world.store, SCHEMA, read_soql(text), viewer or Reader(), now=NOW, tz="UTC", **how)


def whole(made: Export) -> str:
    return made.header + "".join(batch.text for batch in made.batches)


def test_text_is_quoted_null_is_nothing_instants_end_in_z(world: World) -> None:
    text = (
        "select id, subject, description, account.name, isclosed, createddate, account.annualrevenue, "
        "owner.isactive from case order by subject desc"
    )
    i = world.ids
    assert whole(export(world, text)) == (
        '"Id","Subject","Description","Account.Name","IsClosed","CreatedDate","Account.AnnualRevenue",'
        '"Owner.IsActive"\n'
        f'"{i["case2"]}","Refund","","Umbrella","true","2026-11-24T09:30:00.000Z","5000000.0","true"\n'
        f'"{i["case1"]}","Lost parcel","It, ""never""\ncame","Umbrella","false","2026-11-24T09:30:00.000Z",'
        '"5000000.0",""\n'
        f'"{i["case3"]}","Hello","","","false","2026-11-24T09:30:00.000Z","","true"\n'
    )


def test_delimiter_line_ending_and_query_all(world: World) -> None:
    text = "SELECT Name FROM Account ORDER BY Name LIMIT 2"
    made = export(world, text, delimiter=";", line_ending="\r\n", all_rows=True)
    assert whole(made) == '"Name"\r\n"acme"\r\n"Gone"\r\n'
    assert made.total == 2 and made.entity == "Account" and made.columns == ("Name",)


def test_an_empty_answer_is_a_header(world: World) -> None:
    assert whole(export(world, "SELECT Id, Name FROM Lead")) == '"Id","Name"\n'


@pytest.mark.parametrize(
    "text",
    [
        "SELECT Id, LastName, Email, Account.Name, Account.Owner.Name, Owner.Email FROM Contact ORDER BY Id",
        "SELECT Subject, Who.Name, What.Name, Owner.Type FROM Task ORDER BY Subject",
        "SELECT Id FROM Contact WHERE Email LIKE 'j%' ORDER BY Id",
        "SELECT FIELDS(STANDARD) FROM Account ORDER BY Id",
        "SELECT Token__c, Contact__r.Email FROM Payment_Token__c",
    ],
)
@pytest.mark.parametrize("may_decrypt", [True, False])
def test_the_same_values_and_disclosures_as_rest(world: World, text: str, may_decrypt: bool) -> None:
    viewer = Reader() if may_decrypt else Reader(permissions=frozenset())
    made = export(world, text, viewer, batch_rows=2)
    batches = list(made.batches)
    rows = list(csv.DictReader(io.StringIO(made.header + "".join(b.text for b in batches))))
    rest = list(execute(world.store, SCHEMA, read_soql(text), viewer, now=NOW, tz="UTC").rows)
    assert made.total == len(rows) == len(rest) == sum(batch.rows for batch in batches)
    for line, row in zip(rows, rest, strict=True):
        for column, written in line.items():
            assert written == as_csv(row.record, column.split(".")), column
    told = {(s.object, one, f) for b in batches for s in b.served for one in s.ids for f in s.fields}
    address = {("Account", world.ids[n], f"{p}Address") for n in world.ids for p in ("Billing", "Shipping")}
    assert told == {(o, i, f) for row in rest for o, i, fields in row.served for f in fields} - address


def as_csv(record: Any, path: list[str]) -> str:
    for name in path:
        record = record.get(name) if record else None
    if record is None:
        return ""
    if isinstance(record, bool):
        return str(record).lower()
    return str(record).replace("+0000", "Z")


def test_a_large_export_streams(tmp_path_factory: pytest.TempPathFactory) -> None:
    world = World(tmp_path_factory.mktemp("large"))
    count, account = 60_000, world.ids["acme"]
    columns = ("Id", "LastName", "Email", "AccountId", "IsDeleted")
    with world.store.bulk():
        rows = ((i, "Roe", f"{i}@example.org", account, 0) for i in ids.make_ids("003", 1000, count))
        world.store.load("Contact", columns, rows)
    made = export(world, "SELECT Id, LastName, Email, Account.Name FROM Contact WHERE LastName = 'Roe'")
    tracemalloc.start()
    seen = size = 0
    for batch in made.batches:
        assert batch.rows <= 10_000
        assert next(s.ids for s in batch.served if s.object == "Account")[-1] == account
        seen, size = seen + batch.rows, size + len(batch.text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == made.total == count + 1
    assert peak < size * 2 and peak < 20_000_000
    world.store.close()
