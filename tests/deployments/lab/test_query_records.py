"""Record queries over a small org: rows, JSON and disclosures worked out by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.lab.salesforce.query import QueryError
from tests.deployments.lab.query_world import Reader, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("org"))
    yield made
    made.store.close()


ACCOUNTS = (
    ("Name = 'ACME'", ["acme"]),
    ("Name = 'ZÜRICH 100%'", ["zurich"]),
    ("Name != 'acme'", ["umbrella", "zurich"]),
    ("Name > 'b'", ["umbrella", "zurich"]),
    ("Name LIKE 'UMB%'", ["umbrella"]),
    ("Name LIKE 'z_rich%'", ["zurich"]),
    ("Name LIKE 'ZÜ%'", ["zurich"]),
    ("Name LIKE '%\\%'", ["zurich"]),
    ("Name LIKE '%\\_%'", []),
    ("Industry = 'Retail'", ["umbrella", "zurich"]),
    ("Name IN ('acme', 'UMBRELLA')", ["umbrella", "acme"]),
    ("Name IN ('zürich 100%')", ["zurich"]),
    ("Name NOT IN ('acme')", ["umbrella", "zurich"]),
    ("NumberOfEmployees = null", ["zurich"]),
    ("NumberOfEmployees != null", ["umbrella", "acme"]),
    ("NumberOfEmployees != 3", ["umbrella", "zurich"]),
    ("NumberOfEmployees NOT IN (3)", ["umbrella", "zurich"]),
    ("NumberOfEmployees NOT IN (3, null)", ["umbrella"]),
    ("NumberOfEmployees IN (3, null)", ["acme", "zurich"]),
    ("NumberOfEmployees > 2 AND NumberOfEmployees < 5", ["acme"]),
    ("NumberOfEmployees > 99999999999999999999999", []),
    ("AnnualRevenue >= 100.5", ["umbrella", "acme"]),
    ("NOT NumberOfEmployees > 5", ["acme", "zurich"]),
    ("NOT (NumberOfEmployees > 5 OR Name = 'acme')", ["zurich"]),
    ("(NOT Name LIKE 'a%') AND (Industry = 'services' OR BillingCity = 'KÖLN')", ["umbrella"]),
    ("BillingCity = ''", ["acme", "zurich"]),
    ("Parent.Name = 'umbrella'", ["acme"]),
    ("Parent.Name != 'umbrella'", ["umbrella", "zurich"]),
    ("Parent.Name = null", ["umbrella", "zurich"]),
    ("Parent.Owner.Name = 'Ada Adams'", ["acme"]),
    ("Parent.IsDeleted = false", ["umbrella", "acme", "zurich"]),
    ("Owner.Name LIKE '%queue'", ["acme"]),
    ("Owner.Type = 'User'", ["umbrella", "zurich"]),
    ("Owner.IsActive = true", ["umbrella"]),
    ("Owner.Profile.Name = 'System Administrator'", ["umbrella"]),
    # In Berlin the 24th begins at 23:00 UTC.
    ("CreatedDate = TODAY", ["acme"]),
    ("CreatedDate = YESTERDAY", ["umbrella"]),
    ("CreatedDate < TODAY", ["umbrella", "zurich"]),
    ("CreatedDate <= TODAY", ["umbrella", "acme", "zurich"]),
    ("CreatedDate != TODAY", ["umbrella", "zurich"]),
    ("CreatedDate = LAST_N_DAYS:1", ["umbrella", "acme"]),
    ("CreatedDate = THIS_YEAR", ["umbrella", "acme", "zurich"]),
    ("CreatedDate IN (TODAY, YESTERDAY)", ["umbrella", "acme"]),
    ("CreatedDate >= 2026-11-24T00:00:00+01:00", ["acme"]),
    ("CALENDAR_YEAR(CreatedDate) = 2025", ["zurich"]),
    ("CALENDAR_YEAR(convertTimezone(CreatedDate)) = 2025", []),
    ("DAY_ONLY(CreatedDate) = 2026-11-23", ["umbrella", "acme"]),
    ("DAY_ONLY(convertTimezone(CreatedDate)) = 2026-11-24", ["acme"]),
    ("HOUR_IN_DAY(CreatedDate) = 22", ["umbrella"]),
    ("Id IN (SELECT AccountId FROM Contact)", ["umbrella", "acme"]),
    ("Id NOT IN (SELECT AccountId FROM Contact)", ["zurich"]),
    ("Id IN (SELECT AccountId FROM Contact WHERE Email != null AND LastName = 'roe')", ["umbrella"]),
    ("ParentId NOT IN (SELECT Id FROM Account WHERE Name = 'Umbrella')", ["umbrella", "zurich"]),
    ("Account.Name = 'acme' AND a.Industry = 'SERVICES'", ["acme"]),
)  # fmt: skip


@pytest.mark.parametrize(("condition", "names"), ACCOUNTS)
def test_where(world: World, condition: str, names: list[str]) -> None:
    assert world.found(f"SELECT Id FROM Account a WHERE {condition} ORDER BY Id") == names


CONTACTS = (
    ("Birthdate = TODAY", []),
    ("Birthdate < 1985-01-01", ["jane"]),
    ("Birthdate != 1980-02-29", ["john", "asa", "lone"]),
    ("CALENDAR_MONTH(Birthdate) = 11", ["john"]),
    ("HasOptedOutOfEmail = TRUE", ["jane"]),
    ("HasOptedOutOfEmail != true", ["john", "asa", "lone"]),
    ("LastName = 'O\\'HARA'", ["john"]),
    ("LastName LIKE 'å%'", ["asa"]),
    ("LastName LIKE 'a\\_b'", ["lone"]),
    ("LastName LIKE 'a_b'", ["lone"]),
    ("Account.Parent.Name = 'Umbrella'", ["asa"]),
    ("Account.Name = null", ["lone"]),
    ("Email LIKE '%@EXAMPLE.ORG' AND AccountId != null", ["jane", "john"]),
    ("AccountId = null", ["lone"]),
)


@pytest.mark.parametrize(("condition", "names"), CONTACTS)
def test_where_on_people(world: World, condition: str, names: list[str]) -> None:
    assert world.found(f"SELECT Id FROM Contact WHERE {condition} ORDER BY Id") == names


def test_ids_are_found_in_either_form(world: World) -> None:
    long = world.ids["jane"]
    for written in (long, long[:15], long.lower()[:15] + long[15:], long[:15] + long[15:].lower()):
        assert world.found(f"SELECT Id FROM Contact WHERE Id = '{written}'") == ["jane"], written
    assert world.found(f"SELECT Id FROM Contact WHERE AccountId IN ('{world.ids['acme'][:15]}')") == ["asa"]


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("Name", ["acme", "umbrella", "zurich"]),
        ("Name DESC", ["zurich", "umbrella", "acme"]),
        ("NumberOfEmployees", ["zurich", "acme", "umbrella"]),
        ("NumberOfEmployees DESC", ["zurich", "umbrella", "acme"]),
        ("NumberOfEmployees ASC NULLS LAST", ["acme", "umbrella", "zurich"]),
        ("NumberOfEmployees DESC NULLS LAST", ["umbrella", "acme", "zurich"]),
        ("Industry DESC, Name DESC", ["acme", "zurich", "umbrella"]),
        ("Parent.Name NULLS LAST, Name", ["acme", "umbrella", "zurich"]),
        ("Owner.Name", ["umbrella", "zurich", "acme"]),
        ("Name LIMIT 1", ["acme"]),
        ("Name LIMIT 1 OFFSET 1", ["umbrella"]),
        ("Name OFFSET 2", ["zurich"]),
        ("Name LIMIT 0", []),
    ],
)
def test_order_and_limit(world: World, order: str, names: list[str]) -> None:
    assert world.found(f"SELECT Id FROM Account ORDER BY {order}") == names


def test_deleted_records_are_seen_by_query_all_alone(world: World) -> None:
    assert "gone" not in world.found("SELECT Id FROM Account")
    assert "gone" in world.found("SELECT Id FROM Account", all_rows=True)
    assert world.found("SELECT Id FROM Account WHERE IsDeleted = true", all_rows=True) == ["gone"]


def test_json_is_shaped_as_rest_shapes_it(world: World) -> None:
    text = (
        "select id, account.name, ACCOUNT.owner.name, Account.AnnualRevenue, hasoptedoutofemail, "
        "(select subject, isclosed from cases order by subject) from contact where lastname in ('roe','A_B') "
        "order by lastname desc"
    )
    jane, lone = [row.record for row in world.ask(text, api_version="66.0").rows]
    base = "/services/data/v66.0/sobjects"
    assert jane == {
        "attributes": {"type": "Contact", "url": f"{base}/Contact/{world.ids['jane']}"},
        "Id": world.ids["jane"],
        "Account": {
            "attributes": {"type": "Account", "url": f"{base}/Account/{world.ids['umbrella']}"},
            "Name": "Umbrella",
            "Owner": {
                "attributes": {"type": "User", "url": f"{base}/User/{world.ids['ada']}"},
                "Name": "Ada Adams",
            },
            "AnnualRevenue": 5000000.0,
        },
        "HasOptedOutOfEmail": True,
        "Cases": {
            "totalSize": 2,
            "done": True,
            "records": [
                {
                    "attributes": {"type": "Case", "url": f"{base}/Case/{world.ids['case1']}"},
                    "Subject": "Lost parcel",
                    "IsClosed": False,
                },
                {
                    "attributes": {"type": "Case", "url": f"{base}/Case/{world.ids['case2']}"},
                    "Subject": "Refund",
                    "IsClosed": True,
                },
            ],
        },
    }
    assert lone["Account"] is None and lone["Cases"] is None
    assert list(jane) == ["attributes", "Id", "Account", "HasOptedOutOfEmail", "Cases"]


def test_what_is_served_names_every_record_reached(world: World) -> None:
    text = (
        "SELECT Id, LastName, Account.Name, Account.Owner.Email, "
        "(SELECT Subject FROM Cases ORDER BY Subject) "
        "FROM Contact WHERE Email LIKE 'j%' ORDER BY Email"
    )
    assert world.served(text) == [
        ("Contact", "jane", "Id,LastName"),
        ("Account", "umbrella", "Name"),
        ("User", "ada", "Email"),
        ("Case", "case1", "Subject"),
        ("Case", "case2", "Subject"),
        ("Contact", "john", "Id,LastName"),
        ("Account", "umbrella", "Name"),
        ("User", "ada", "Email"),
        ("Case", "case3", "Subject"),
    ]


def test_filters_orders_and_semi_joins_serve_nothing(world: World) -> None:
    text = (
        "SELECT Name FROM Account WHERE Owner.Email != null AND Id IN (SELECT AccountId FROM Contact) "
        "ORDER BY Parent.Name"
    )
    assert world.served(text) == [("Account", "umbrella", "Name")]


def test_polymorphic_parents_serve_the_record_they_are(world: World) -> None:
    text = "SELECT Subject, Owner.Name, Owner.Type, What.Name, Who.Email FROM Task ORDER BY Subject"
    assert world.records(text) == [
        {
            "Subject": "Call",
            "Owner": {"Name": "Support Queue", "Type": "Group"},
            "What": {"Name": "Umbrella"},
            "Who": {"Email": "Jane.Roe@example.org"},
        },
        {"Subject": "Idle", "Owner": {"Name": "Ada Adams", "Type": "User"}, "What": None, "Who": None},
        {
            "Subject": "Mail",
            "Owner": {"Name": "Ada Adams", "Type": "User"},
            "What": {"Name": world.store.get("Case", world.ids["case1"])["CaseNumber"]},  # type: ignore[index]
            "Who": None,
        },
    ]
    assert world.served(text) == [
        ("Task", "call", "Subject"),
        ("Group", "queue", "Name"),
        ("Account", "umbrella", "Name"),
        ("Contact", "jane", "Email"),
        ("Task", "idle", "Subject"),
        ("User", "ada", "Name"),
        ("Task", "mail", "Subject"),
        ("User", "ada", "Name"),
        ("Case", "case1", "CaseNumber"),
    ]


def test_typeof_takes_the_fields_of_each_type(world: World) -> None:
    text = "SELECT TYPEOF What WHEN Account THEN BillingCity, Id ELSE Name END FROM Task ORDER BY Subject"
    case_number = world.store.get("Case", world.ids["case1"])["CaseNumber"]  # type: ignore[index]
    assert world.records(text) == [
        {"What": {"BillingCity": "Köln", "Id": world.ids["umbrella"]}},
        {"What": None},
        {"What": {"Name": case_number}},
    ]
    assert world.served(text) == [
        ("Account", "umbrella", "BillingCity,Id"),
        ("Case", "case1", "CaseNumber"),
    ]
    without = "SELECT Id, TYPEOF What WHEN Account THEN BillingCity END FROM Task WHERE Subject = 'Mail'"
    assert world.records(without)[0]["What"] is None


def test_fields_expand_to_what_the_viewer_may_read(world: World) -> None:
    everything = world.records("SELECT FIELDS(ALL) FROM Contact WHERE LastName = 'Roe' LIMIT 1")[0]
    assert everything["Email"] == "Jane.Roe@example.org"
    assert everything["MailingAddress"] is None
    narrow = Reader(fields={"Contact": frozenset({"Id", "LastName", "Loyalty_Id__c"})})
    few = "SELECT FIELDS(ALL) FROM Contact WHERE LastName = 'Roe' LIMIT 1"
    assert list(world.records(few, narrow)[0]) == ["Id", "LastName", "Loyalty_Id__c"]
    assert world.served(few, narrow) == [("Contact", "jane", "Id,LastName,Loyalty_Id__c")]
    assert list(world.records(few.replace("ALL", "CUSTOM"), narrow)[0]) == ["Loyalty_Id__c"]
    assert list(world.records(few.replace("ALL", "STANDARD"), narrow)[0]) == ["Id", "LastName"]


def test_compound_addresses(world: World) -> None:
    address = world.records("SELECT BillingAddress FROM Account WHERE Name = 'Umbrella'")[0]["BillingAddress"]
    assert address["city"] == "Köln" and address["country"] == "Germany" and address["street"] is None
    assert world.served("SELECT BillingAddress FROM Account WHERE Name = 'acme'") == [
        ("Account", "acme", "BillingAddress")
    ]


def test_encrypted_fields_are_masked_and_not_served_to_those_who_may_not_decrypt(world: World) -> None:
    text = "SELECT Token__c, Last4__c FROM Payment_Token__c"
    assert world.records(text)[0]["Token__c"] == "tok_secret"
    assert world.served(text) == [("Payment_Token__c", "token", "Token__c,Last4__c")]
    plain = Reader(permissions=frozenset())
    assert world.records(text, plain)[0]["Token__c"] == "*" * 16
    assert world.served(text, plain) == [("Payment_Token__c", "token", "Last4__c")]


def test_functions_in_select_disclose_their_field(world: World) -> None:
    text = "SELECT toLabel(Status) s, FORMAT(CreatedDate) FROM Case WHERE Subject = 'Hello'"
    assert world.records(text) == [{"s": "New", "CreatedDate": "11/24/2026, 9:30 AM"}]
    assert world.served(text) == [("Case", "case3", "Status,CreatedDate")]
    money = "SELECT FORMAT(AnnualRevenue) r FROM Account WHERE Name = 'Umbrella'"
    assert world.records(money) == [{"r": "5,000,000"}]


def test_child_queries_have_their_own_conditions_order_and_limit(world: World) -> None:
    text = (
        "SELECT Name, (SELECT LastName, Account.Name FROM Account.Contacts c WHERE c.Email != null "
        "ORDER BY LastName DESC LIMIT 1) FROM Account WHERE Name = 'Umbrella'"
    )
    contacts = world.records(text)[0]["Contacts"]
    assert contacts["records"] == [{"LastName": "Roe", "Account": {"Name": "Umbrella"}}]


def test_each_parent_has_its_own_limit_and_offset(world: World) -> None:
    text = (
        "SELECT Id, (SELECT Id FROM Cases ORDER BY Subject LIMIT 1{}) FROM Contact "
        "WHERE Email LIKE 'j%' ORDER BY Id"
    )
    names = {record_id: name for name, record_id in world.ids.items()}

    def cases(offset: str) -> list[list[str]]:
        rows = world.records(text.format(offset))
        return [[names[c["Id"]] for c in (row["Cases"] or {"records": []})["records"]] for row in rows]

    assert cases("") == [["case1"], ["case3"]]
    assert cases(" OFFSET 1") == [["case2"], []]


def test_children_of_more_parents_than_are_looked_up_at_once(tmp_path: Path) -> None:
    many = World(tmp_path)
    accounts = many.store.insert("Account", [{"Name": f"A0-{n:03d}"} for n in range(450)])
    contacts = [{"LastName": f"{n:03d}-{k}", "AccountId": a} for n, a in enumerate(accounts) for k in (2, 1)]
    many.store.insert("Contact", contacts)
    text = "SELECT Name, (SELECT LastName FROM Contacts ORDER BY LastName) FROM Account WHERE Name LIKE 'A0%'"
    rows = many.records(text)
    assert len(rows) == 450
    for row in rows:
        number = row["Name"][3:]
        assert [c["LastName"] for c in row["Contacts"]["records"]] == [f"{number}-1", f"{number}-2"]
    many.store.close()


def test_the_fiscal_year_is_the_organisations(tmp_path: Path) -> None:
    other = World(tmp_path)
    other.store.insert("Organization", [{"Name": "Lab", "FiscalYearStartMonth": 11}])
    assert other.found("SELECT Id FROM Account WHERE CreatedDate < THIS_FISCAL_QUARTER") == ["zurich"]
    assert other.records("SELECT FISCAL_YEAR(CreatedDate) y FROM Case GROUP BY FISCAL_YEAR(CreatedDate)") == [
        {"y": 2027}
    ]
    other.store.close()


def test_children_of_children(world: World) -> None:
    text = (
        "SELECT (SELECT FirstName, (SELECT Subject FROM Cases ORDER BY Subject) FROM Contacts "
        "ORDER BY FirstName) FROM Account WHERE Name = 'Umbrella'"
    )
    jane, john = world.records(text)[0]["Contacts"]["records"]
    assert [c["Subject"] for c in jane["Cases"]["records"]] == ["Lost parcel", "Refund"]
    assert [c["Subject"] for c in john["Cases"]["records"]] == ["Hello"]


def test_the_older_from_notation(world: World) -> None:
    text = (
        "SELECT c.FirstName, a.Name FROM Contact c, c.Account a "
        "WHERE a.Name = 'Umbrella' ORDER BY c.FirstName"
    )
    assert world.records(text)[0] == {"FirstName": "Jane", "Account": {"Name": "Umbrella"}}


def test_scope_mine(world: World) -> None:
    ben = Reader(user_id=world.ids["ben"])
    assert world.found("SELECT Id FROM Account USING SCOPE mine", ben) == ["zurich"]


def test_rows_stream_and_can_be_read_again(world: World) -> None:
    result = world.ask("SELECT Id FROM Contact ORDER BY Id")
    first = next(iter(result.rows))
    assert len(list(result.rows)) == result.total == 4
    assert first.record["Id"] == world.ids["jane"]


def test_columns_metadata_for_the_command_line(world: World) -> None:
    text = "SELECT Id, Account.Owner.Name, (SELECT Subject FROM Cases) FROM Contact"
    described = world.ask(text).columns
    assert [c["columnName"] for c in described] == ["Id", "Account", "Cases"]
    account, cases = described[1:]
    assert account["joinColumns"][0]["columnName"] == "Owner"
    assert account["joinColumns"][0]["joinColumns"][0]["columnName"] == "Name"
    assert account["aggregate"] is False
    assert cases["aggregate"] is True and cases["joinColumns"][0]["columnName"] == "Subject"
    keys = {
        "columnName", "displayName", "aggregate", "apexType", "booleanType", "custom", "foreignKeyName",
        "insertable", "joinColumns", "numberType", "textType", "updatable",
    }  # fmt: skip
    assert all(set(column) == keys for column in described)


def test_the_same_relationship_cannot_be_selected_twice_over(world: World) -> None:
    with pytest.raises(QueryError, match="duplicate"):
        world.ask("SELECT What.Name, TYPEOF What WHEN Account THEN Phone END FROM Task")


def test_a_query_of_an_empty_object(world: World, tmp_path: Path) -> None:
    result = world.ask("SELECT Id FROM Lead")
    assert result.total == 0 and list(result.rows) == []
