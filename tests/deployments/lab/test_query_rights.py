"""What a viewer may not see does not exist for it: errors in Salesforce's own codes and words."""

from collections.abc import Iterator

import pytest

from deployments.lab.salesforce.query import QueryError, read_soql
from deployments.lab.salesforce.query_csv import to_csv
from deployments.lab.salesforce.schema import SCHEMA
from tests.deployments.lab.query_world import NOW, Reader, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("org"))
    ada, ben = made.ids["ada"], made.ids["ben"]
    tokens = [{"AppName": "Support Chat", "UserId": ada if n % 3 else ben} for n in range(2600)]
    made.store.insert("OauthToken", tokens)
    made.store.insert("AuthSession", [{"UsersId": ada}, {"UsersId": ben}, {"UsersId": ben}])
    yield made
    made.store.close()


def refusal(world: World, text: str, viewer: Reader | None = None, **how: bool) -> tuple[str, str]:
    with pytest.raises(QueryError) as refused:
        world.ask(text, viewer, **how)
    return refused.value.error_code, refused.value.message


COLUMN = (
    "\nSELECT Id, Foo FROM Account\n           ^\nERROR at Row:1:Column:12\n"
    "No such column 'Foo' on entity 'Account'. If you are attempting to use a custom field, be sure to "
    "append the '__c' after the custom field name. Please reference your WSDL or the describe call for the "
    "appropriate names."
)
TYPE = (
    "\nSELECT Id FROM Foo\n               ^\nERROR at Row:1:Column:16\n"
    "sObject type 'Foo' is not supported. If you are attempting to use a custom object, be sure to append "
    "the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate "
    "names."
)


def test_the_org_words_its_errors_as_salesforce_does(world: World) -> None:
    assert refusal(world, "SELECT Id, Foo FROM Account") == ("INVALID_FIELD", COLUMN)
    assert refusal(world, "SELECT Id FROM Foo") == ("INVALID_TYPE", TYPE)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("SELECT Nope.Name FROM Contact", "INVALID_FIELD", "understand relationship 'Nope' in field path"),
        ("SELECT Account.Nope FROM Contact", "INVALID_FIELD", "No such column 'Nope' on entity 'Account'"),
        ("SELECT Owner.Department FROM Case", "INVALID_FIELD", "column 'Department' on entity 'Name'"),
        ("SELECT Owner.Manager.Name FROM Case", "INVALID_FIELD", "relationship 'Manager'"),
        ("SELECT Id, (SELECT Id FROM Nopes) FROM Account", "INVALID_TYPE",
         "Didn't understand relationship 'Nopes' in FROM part of query call"),
        ("SELECT Id FROM Account WHERE Nope = 1", "INVALID_FIELD", "No such column 'Nope'"),
        ("SELECT Id FROM Account ORDER BY Nope", "INVALID_FIELD", "No such column 'Nope'"),
        ("SELECT Id FROM Case WHERE Description = 'x'", "INVALID_FIELD",
         "field 'Description' can not be filtered in a query call"),
        ("SELECT Id FROM Case ORDER BY Description", "MALFORMED_QUERY", "can not be sorted"),
        ("SELECT Id FROM Case WHERE CreatedDate > '2026-01-01'", "INVALID_FIELD",
         "value of filter criterion for field 'CreatedDate' must be of type dateTime and should not be"),
        ("SELECT Id FROM Case WHERE CreatedDate > 2026-01-01", "INVALID_FIELD", "must be of type dateTime"),
        ("SELECT Id FROM Contact WHERE Birthdate > 2026-01-01T00:00:00Z", "INVALID_FIELD", "type date and"),
        ("SELECT Id FROM Case WHERE Subject = 5", "INVALID_FIELD", "should be enclosed in quotes"),
        ("SELECT Id FROM Case WHERE Subject = TODAY", "INVALID_FIELD", "should be enclosed in quotes"),
        ("SELECT Id FROM Case WHERE IsClosed = 'true'", "INVALID_FIELD", "must be of type boolean"),
        ("SELECT Id FROM Account WHERE NumberOfEmployees = '5'", "INVALID_FIELD", "must be of type int"),
        ("SELECT Id FROM Case WHERE Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: abc"),
        ("SELECT Id FROM Case WHERE Id LIKE '500%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on"),
        ("SELECT Id FROM Case WHERE IsClosed > true", "INVALID_QUERY_FILTER_OPERATOR", "boolean"),
        ("SELECT Id FROM AuthSession WHERE SourceIp LIKE '10.%'", "INVALID_QUERY_FILTER_OPERATOR", "string"),
        ("SELECT Id FROM Case WHERE Status INCLUDES ('New')", "INVALID_QUERY_FILTER_OPERATOR", "picklist"),
        ("SELECT Id FROM Account WHERE Name IN (SELECT Name FROM Contact)", "MALFORMED_QUERY", "ID or"),
        ("SELECT TYPEOF Account WHEN Account THEN Id END FROM Contact", "MALFORMED_QUERY", "polymorphic"),
        ("SELECT Id FROM Contact WITH DATA CATEGORY Geo__c AT usa__c", "MALFORMED_QUERY", "DATA CATEGORY"),
        ("SELECT Id FROM Contact WHERE Id IN :ids", "MALFORMED_QUERY", "Bind variables"),
        ("SELECT Id FROM Contact ALL ROWS", "MALFORMED_QUERY", "ALL ROWS"),
        ("SELECT Id FROM Contact OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset"),
        ("SELECT COUNT(Id) FROM SetupAuditTrail", "MALFORMED_QUERY", "aggregate operator COUNT"),
        ("SELECT FIELDS(ALL) FROM Contact", "MALFORMED_QUERY", "LIMIT of at most 200"),
        ("SELECT QualifiedApiName FROM FieldDefinition", "MALFORMED_QUERY", "a filter on a reified column"),
    ],
)  # fmt: skip
def test_refused(world: World, text: str, code: str, message: str) -> None:
    answered = refusal(world, text)
    assert answered[0] == code and message in answered[1]


def test_a_syntax_error_points_at_its_place() -> None:
    with pytest.raises(QueryError) as refused:
        read_soql("SELECT Id\nFROM Account WHERE")
    assert refused.value.error_code == "MALFORMED_QUERY"
    assert "ERROR at Row:2:Column:19\nunexpected token: '<EOF>'" in refused.value.message
    with pytest.raises(QueryError, match=r"unexpected token: '\*'"):
        read_soql("SELECT * FROM Account")


def test_an_unreadable_object_is_as_if_it_were_not_there(world: World) -> None:
    narrow = Reader(objects=frozenset({"Contact"}))
    assert refusal(world, "SELECT Id FROM Account", narrow)[0] == "INVALID_TYPE"
    assert "relationship 'Account'" in refusal(world, "SELECT Account.Name FROM Contact", narrow)[1]
    assert refusal(world, "SELECT Id FROM Contact WHERE Account.Name = 'x'", narrow)[0] == "INVALID_FIELD"
    children = "SELECT Id, (SELECT Id FROM Cases) FROM Contact"
    assert refusal(world, children, narrow)[0] == "INVALID_TYPE"
    semi = "SELECT Id FROM Contact WHERE AccountId IN (SELECT Id FROM Account)"
    assert refusal(world, semi, narrow)[0] == "INVALID_TYPE"
    owner = world.records(
        "SELECT Owner.Name FROM Contact LIMIT 1", Reader(objects=frozenset({"Contact", "User"}))
    )
    assert owner == [{"Owner": {"Name": "Ada Adams"}}]


def test_an_unreadable_field_cannot_be_selected_filtered_sorted_grouped_or_reached(world: World) -> None:
    narrow = Reader(fields={"Contact": frozenset({"LastName"}), "Account": frozenset({"Name"})})
    assert len(world.records("SELECT Id, LastName FROM Contact", narrow)) == 4
    for text in (
        "SELECT Email FROM Contact",
        "SELECT Id FROM Contact WHERE Email != null",
        "SELECT Id FROM Contact ORDER BY Email",
        "SELECT COUNT(Email) FROM Contact",
        "SELECT Email FROM Contact GROUP BY Email",
        "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact)",
    ):
        assert "No such column" in refusal(world, text, narrow)[1], text
    assert "relationship 'Account'" in refusal(world, "SELECT Account.Name FROM Contact", narrow)[1]


def test_hidden_fields_do_not_exist_for_anybody(world: World) -> None:
    hidden = [(o.name, f.name) for o in SCHEMA.objects.values() for f in o.fields if f.hidden]
    assert hidden
    for object_name, field_name in hidden:
        how = {"tooling": SCHEMA.objects[object_name].tooling}
        text = f"SELECT {field_name} FROM {object_name}"
        assert "No such column" in refusal(world, text, **how)[1]
        wild = world.ask(f"SELECT FIELDS(ALL) FROM {object_name} LIMIT 1", **how).columns
        assert field_name not in [column["columnName"] for column in wild]


def test_tokens_show_one_s_own_without_the_permission_and_stop_at_2500(world: World) -> None:
    text = "SELECT Id, AppName, UserId FROM OauthToken"
    ben = Reader(user_id=world.ids["ben"], permissions=frozenset())
    assert world.ask(text, ben).total == 867
    assert {row["UserId"] for row in world.records(text, ben)} == {world.ids["ben"]}
    admin = Reader(permissions=frozenset({"PermissionsCustomizeApplication"}))
    result = world.ask(text, admin)
    assert (result.total, result.page_size) == (2500, 500)
    rows = list(result.rows)
    assert len(rows) == 2500 and all(row.record["Id"] is None for row in rows)
    assert all(len(row.served) == 1 and row.served[0][1] for row in rows)
    assert world.ask("SELECT COUNT() FROM OauthToken", admin).total == 2600
    assert world.ask(text + " LIMIT 2500 OFFSET 2500", admin).total == 100


def test_sessions_show_one_s_own_without_the_permission(world: World) -> None:
    ada = Reader(user_id=world.ids["ada"], permissions=frozenset())
    assert world.ask("SELECT Id FROM AuthSession", ada).total == 1
    assert world.ask("SELECT Id FROM AuthSession").total == 3


def test_tooling_objects_live_in_the_tooling_api(world: World) -> None:
    assert refusal(world, "SELECT Id FROM RealTimeEventSettings")[0] == "INVALID_TYPE"
    assert world.ask("SELECT Id, Metadata FROM RealTimeEventSettings", tooling=True).total == 0
    assert refusal(world, "SELECT Id FROM Account", tooling=True)[0] == "INVALID_TYPE"


def test_definitions_answer_when_filtered(world: World) -> None:
    text = (
        "SELECT QualifiedApiName, SecurityClassification, ComplianceGroup FROM FieldDefinition "
        "WHERE EntityDefinition.QualifiedApiName = 'contact' AND QualifiedApiName = 'Email'"
    )
    assert world.records(text)[0]["SecurityClassification"] == "Confidential"
    assert (
        world.ask("SELECT QualifiedApiName FROM FieldDefinition WHERE EntityDefinitionId = 'Contact'").total
        > 20
    )


def test_bulk_refuses_with_the_same_codes(world: World) -> None:
    def export(text: str) -> str:
        with pytest.raises(QueryError) as refused:
            to_csv(world.store, SCHEMA, read_soql(text), Reader(), now=NOW, tz="UTC")
        return refused.value.error_code

    assert export("SELECT Foo FROM Account") == "INVALID_FIELD"
    assert export("SELECT Id FROM Foo") == "INVALID_TYPE"
    assert export("SELECT COUNT(Id) FROM Account") == "FEATURENOTENABLED"
    assert export("SELECT BillingAddress FROM Account") == "FEATURENOTENABLED"
    assert export("SELECT Id, (SELECT Id FROM Contacts) FROM Account") == "FEATURENOTENABLED"
