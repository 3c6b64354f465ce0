"""The REST API as its clients use it: query and paging, describe, records, collections, composite, errors."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceResourceNotFound

from tests.deployments.lab.twin import API, Client, Twin, error_of, twin

__all__ = ["twin"]


@pytest.fixture(scope="module")
def admin(twin: Twin) -> Client:
    return twin.client("Admin Console")


def test_query_pages(twin: Twin, admin: Client) -> None:
    first = admin.query("SELECT Id FROM Contact", **{"Sforce-Query-Options": "batchSize=200"}).json()
    assert (len(first["records"]), first["done"], first["totalSize"]) == (200, False, 300)
    again = admin.call("GET", first["nextRecordsUrl"]).json()
    assert again["done"] is True
    assert len(again["records"]) == 100
    assert admin.call("GET", first["nextRecordsUrl"]).json() == again  # a retry gets the same page
    assert error_of(admin.get("/query/0r8nonsense-200")) == (400, "INVALID_QUERY_LOCATOR")
    other = twin.client()
    assert error_of(other.call("GET", first["nextRecordsUrl"])) == (400, "INVALID_QUERY_LOCATOR")
    everything = twin.simple_salesforce().query_all("SELECT Id FROM Contact")
    assert len({r["Id"] for r in everything["records"]}) == 300


def test_count_columns_and_explain(admin: Client) -> None:
    assert admin.query("SELECT COUNT() FROM Contact").json() == {
        "totalSize": 300,
        "done": True,
        "records": [],
    }
    told = admin.get("/query", q="SELECT Id, Account.Name FROM Contact", columns="true").json()
    assert told["entityName"] == "Contact"
    assert told["idSelected"] is True
    assert [c["columnName"] for c in told["columnMetadata"]] == ["Id", "Account"]
    assert [c["columnName"] for c in told["columnMetadata"][1]["joinColumns"]] == ["Name"]
    plans = admin.get("/query", explain="SELECT Id FROM Contact").json()["plans"]
    assert plans[0]["sobjectType"] == "Contact"


def test_bad_queries(admin: Client) -> None:
    assert error_of(admin.query("SELECT FROM")) == (400, "MALFORMED_QUERY")
    assert error_of(admin.query("SELECT Id FROM Nothing")) == (400, "INVALID_TYPE")
    assert error_of(admin.query("SELECT Nope FROM Contact")) == (400, "INVALID_FIELD")
    assert error_of(admin.get("/query")) == (400, "MALFORMED_QUERY")


def test_describe_tells_what_clients_read(admin: Client) -> None:
    listed = admin.get("/sobjects/").json()
    assert listed["maxBatchSize"] == 200
    names = {s["name"] for s in listed["sobjects"]}
    assert {"Account", "Contact", "Case", "User", "OauthToken", "Loyalty_Member__c"} <= names
    told = admin.get("/sobjects/Contact/describe/").json()
    fields = {f["name"]: f for f in told["fields"]}
    assert len(fields["Email"]) >= 50
    assert fields["AccountId"]["referenceTo"] == ["Account"]
    assert fields["AccountId"]["relationshipName"] == "Account"
    assert fields["Email"]["type"] == "email"
    contacts = admin.get("/sobjects/Account/describe").json()["childRelationships"]
    assert ("Contact", "Contacts") in {(c["childSObject"], c["relationshipName"]) for c in contacts}
    secret = {f["name"] for f in admin.get("/sobjects/ConnectedApplication/describe").json()["fields"]}
    assert "ConsumerSecret" not in secret
    assert error_of(admin.get("/sobjects/Nothing/describe")) == (404, "NOT_FOUND")


def test_a_record_s_life(twin: Twin) -> None:
    client = twin.simple_salesforce("Admin Console")
    made = client.Contact.create({"LastName": "Ångström", "email": "x@example.com"})
    assert made == {"id": made["id"], "success": True, "errors": []}
    read = client.Contact.get(made["id"])
    assert (read["LastName"], read["Email"], read["attributes"]["type"]) == (
        "Ångström",
        "x@example.com",
        "Contact",
    )
    assert client.Contact.update(made["id"], {"Phone": "1"}) == 204
    assert client.Contact.get(made["id"][:15])["Phone"] == "1"
    assert client.Contact.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound) as gone:
        client.Contact.get(made["id"])
    assert gone.value.content[0]["errorCode"] == "ENTITY_IS_DELETED"
    soql = f"SELECT Id FROM Contact WHERE Id = '{made['id']}'"
    assert client.query(soql)["totalSize"] == 0
    assert client.query_all(soql, include_deleted=True)["totalSize"] == 1


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"Email": "x@example.com"}, "REQUIRED_FIELD_MISSING"),
        ({"LastName": "A", "Nope": 1}, "INVALID_FIELD"),
        ({"LastName": "A", "Email": "no mail"}, "INVALID_EMAIL_ADDRESS"),
        ({"LastName": "A" * 81}, "STRING_TOO_LONG"),
        ({"LastName": "A", "AccountId": "x"}, "MALFORMED_ID"),
        ({"LastName": "A", "CreatedDate": "2020-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"LastName": "A", "Birthdate": "yesterday"}, "JSON_PARSER_ERROR"),
    ],
)
def test_bad_records(twin: Twin, record: dict[str, Any], code: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as refused:
        twin.simple_salesforce("Admin Console").Contact.create(record)
    assert refused.value.content[0]["errorCode"] == code


def test_bodies_that_are_no_json_and_bodies_that_are_zipped(admin: Client) -> None:
    bad = admin.call("POST", "/sobjects/Contact", data=b"{", headers={"Content-Type": "application/json"})
    assert error_of(bad) == (400, "JSON_PARSER_ERROR")
    zipped = admin.call(
        "POST",
        "/sobjects/Contact",
        data=gzip.compress(json.dumps({"LastName": "Zip"}).encode()),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )
    assert zipped.status_code == 201
    large = admin.get("/sobjects", **{})
    assert large.headers["Content-Encoding"] == "gzip"


def test_upsert_by_external_id(admin: Client, twin: Twin) -> None:
    found = next(
        (o["name"], f["name"])
        for o in admin.get("/sobjects").json()["sobjects"]
        if o["custom"] and o["createable"]
        for f in admin.get(f"/sobjects/{o['name']}/describe").json()["fields"]
        if f["externalId"]
    )
    name, field = found
    required = {
        f["name"]: "1"
        for f in admin.get(f"/sobjects/{name}/describe").json()["fields"]
        if not f["nillable"] and f["createable"] and f["type"] == "string" and f["name"] != field
    }
    first = admin.call("PATCH", f"/sobjects/{name}/{field}/NEW-1", json=required)
    assert first.status_code == 201, first.text
    second = admin.call("PATCH", f"/sobjects/{name}/{field}/NEW-1", json=required)
    assert (second.status_code, second.json()["created"]) == (200, False)
    assert second.json()["id"] == first.json()["id"]
    assert admin.get(f"/sobjects/{name}/{field}/NEW-1").json()["Id"] == first.json()["id"]


def test_collections(admin: Client) -> None:
    typed = {"attributes": {"type": "Account"}}
    made = admin.call(
        "POST",
        "/composite/sobjects",
        json={"allOrNone": False, "records": [{**typed, "Name": "One"}, {**typed}, {**typed, "Name": "Two"}]},
    ).json()
    assert [r["success"] for r in made] == [True, False, True]
    assert made[1]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    ids = [r["id"] for r in made if r["success"]]
    read = admin.call(
        "POST", "/composite/sobjects/Account", json={"ids": [*ids, "001000000000000AAA"], "fields": ["Name"]}
    )
    assert [r and r["Name"] for r in read.json()] == ["One", "Two", None]
    before = admin.count("SELECT COUNT() FROM Account")
    undone = admin.call(
        "POST",
        "/composite/sobjects",
        json={"allOrNone": True, "records": [{**typed, "Name": "Three"}, {**typed}]},
    ).json()
    assert undone[0]["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert admin.count("SELECT COUNT() FROM Account") == before
    changed = admin.call(
        "PATCH", "/composite/sobjects", json={"records": [{**typed, "id": one, "Phone": "5"} for one in ids]}
    ).json()
    assert all(r["success"] for r in changed)
    gone = admin.call(
        "DELETE", "/composite/sobjects", params={"ids": ",".join(ids), "allOrNone": "true"}
    ).json()
    assert [r["id"] for r in gone] == ids
    many = [{**typed, "Name": "x"}] * 201
    assert error_of(admin.call("POST", "/composite/sobjects", json={"records": many})) == (
        400,
        "EXCEEDED_MAX_SIZE_REQUEST",
    )


def test_composite_refers_to_earlier_results(admin: Client) -> None:
    parts = [
        {"method": "POST", "url": f"{API}/sobjects/Account", "referenceId": "a", "body": {"Name": "Ref"}},
        {
            "method": "POST",
            "url": f"{API}/sobjects/Contact",
            "referenceId": "c",
            "body": {"LastName": "Ref", "AccountId": "@{a.id}"},
        },
        {"method": "GET", "url": f"{API}/sobjects/Contact/@{{c.id}}?fields=AccountId", "referenceId": "g"},
        {"method": "GET", "url": f"{API}/query?q=SELECT+Nope+FROM+Contact", "referenceId": "bad"},
    ]
    answers = admin.call("POST", "/composite", json={"compositeRequest": parts}).json()["compositeResponse"]
    assert [a["httpStatusCode"] for a in answers] == [201, 201, 200, 400]
    assert answers[2]["body"]["AccountId"] == answers[0]["body"]["id"]
    undone = admin.call(
        "POST", "/composite", json={"allOrNone": True, "compositeRequest": [parts[0], parts[3]]}
    ).json()["compositeResponse"]
    assert undone[0]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert undone[1]["body"][0]["errorCode"] == "INVALID_FIELD"


def test_batch_and_tree(admin: Client) -> None:
    told = admin.call(
        "POST",
        "/composite/batch",
        json={
            "haltOnError": True,
            "batchRequests": [
                {"method": "GET", "url": "v67.0/limits"},
                {"method": "GET", "url": "v67.0/nothing"},
                {"method": "GET", "url": "v67.0/limits"},
            ],
        },
    ).json()
    assert told["hasErrors"] is True
    assert [r["statusCode"] for r in told["results"]] == [200, 404, 412]
    tree = {
        "records": [
            {
                "attributes": {"type": "Account", "referenceId": "a"},
                "Name": "Tree",
                "Contacts": {
                    "records": [{"attributes": {"type": "Contact", "referenceId": "c"}, "LastName": "Leaf"}]
                },
            }
        ]
    }
    planted = admin.call("POST", "/composite/tree/Account", json=tree)
    assert planted.status_code == 201, planted.text
    ids = {r["referenceId"]: r["id"] for r in planted.json()["results"]}
    assert admin.records(f"SELECT AccountId FROM Contact WHERE Id = '{ids['c']}'")[0]["AccountId"] == ids["a"]


def test_search(admin: Client) -> None:
    email = admin.records("SELECT Email FROM Contact WHERE Email != null LIMIT 1")[0]["Email"]
    local = email.partition("@")[0].replace("-", "\\-")
    found = admin.get("/search", q=f"FIND {{{local}}} IN ALL FIELDS RETURNING Contact(Id, Email)").json()[
        "searchRecords"
    ]
    assert email in {r["Email"] for r in found}
    assert error_of(admin.get("/search", q="SELECT Id")) == (400, "MALFORMED_SEARCH")


def test_updated_and_deleted(admin: Client) -> None:
    made = admin.call("POST", "/sobjects/Lead", json={"LastName": "New", "Company": "C"}).json()["id"]
    span = {"start": "2026-01-01T00:00:00+00:00", "end": "2099-01-01T00:00:00+00:00"}
    assert made in admin.get("/sobjects/Lead/updated", **span).json()["ids"]
    admin.call("DELETE", f"/sobjects/Lead/{made}")
    gone = admin.get("/sobjects/Lead/deleted", **span).json()["deletedRecords"]
    assert made in {r["id"] for r in gone}


def test_no_session_no_path_no_method(twin: Twin, admin: Client) -> None:
    nobody = Client(twin, "00D000000000000!nothing")
    assert error_of(nobody.get("/limits")) == (401, "INVALID_SESSION_ID")
    assert error_of(admin.get("/nothing")) == (404, "NOT_FOUND")
    assert error_of(admin.call("GET", "/services/data/v99.0/limits")) == (404, "NOT_FOUND")
    assert error_of(admin.call("DELETE", "/limits")) == (405, "METHOD_NOT_ALLOWED")
    assert admin.get("/limits/").headers["Sforce-Limit-Info"].startswith("api-usage=")


def test_tooling(admin: Client) -> None:
    told = admin.get(
        "/tooling/query",
        q="SELECT QualifiedApiName, SecurityClassification, ComplianceGroup FROM FieldDefinition"
        " WHERE EntityDefinition.QualifiedApiName = 'Contact'",
    ).json()
    groups = {r["QualifiedApiName"]: r["ComplianceGroup"] for r in told["records"]}
    assert "PII" in groups["MobilePhone"]
    assert admin.get("/tooling/executeAnonymous", anonymousBody="Integer i;").json()["compiled"] is False
    assert {s["name"] for s in admin.get("/tooling/sobjects").json()["sobjects"]} >= {"ApexClass"}


def test_limits_and_record_counts(admin: Client) -> None:
    told = admin.get("/limits").json()
    assert told["DailyApiRequests"]["Remaining"] < told["DailyApiRequests"]["Max"]
    assert "DailyBulkApiBatches" in told
    counted = admin.get("/limits/recordCount", sObjects="Contact,Account").json()["sObjects"]
    assert {c["name"] for c in counted} == {"Contact", "Account"}
