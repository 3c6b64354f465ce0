"""Reports of the twin: run over the API, exported as the user interface does, and what each leaves behind."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest

from tests.deployments.lab.test_twin_events import events
from tests.deployments.lab.twin import Client, Twin, error_of, start, stop

APP_KEYS = (("id", "key"), ("secret", "secret"))
CONTACTS = 2300  # more than one synchronous run can show


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    running = start(tmp_path_factory.mktemp("twin"), contacts=CONTACTS)
    yield running
    stop(running)


def report(client: Client, name: str = "All Customers") -> str:
    listed = client.get("/analytics/reports").json()
    return str(next(one["id"] for one in listed if one["name"] == name))


def served(org: Twin, since: str) -> set[str]:
    return {line["record_id"] for line in org.lines("truth", since=since) if line["object"] == "Contact"}


def now(org: Twin) -> str:
    return str(org.control("health").json()["now"])


def test_a_run_shows_two_thousand_rows_and_says_that_there_are_more(org: Twin) -> None:
    insider, since = org.attacker(), now(org)
    insider.http.headers["X-SFDC-REQUEST-ID"] = "report-run"
    report_id = report(insider)

    made = insider.get(f"/analytics/reports/{report_id}", includeDetails="true").json()

    everybody = insider.count("SELECT COUNT() FROM Contact")
    assert everybody > 2000
    rows = made["factMap"]["T!T"]["rows"]
    assert len(rows) == 2000
    assert made["allData"] is False
    assert made["factMap"]["T!T"]["aggregates"][0]["value"] == everybody
    assert made["reportMetadata"]["detailColumns"][2] == "Contact.Email"
    first = insider.records("SELECT FirstName, LastName, Email FROM Contact ORDER BY Id LIMIT 1")[0]
    assert [c["value"] for c in rows[0]["dataCells"][:3]] == [
        first["FirstName"],
        first["LastName"],
        first["Email"],
    ]
    assert len(served(org, since)) == 2000
    org.control("flush", {})
    (logged,) = [row for row in events(org.client(), "Report") if row["REQUEST_ID"] == "report-run"]
    assert (logged["REPORT_ID_DERIVED"], logged["ENTITY_NAME"]) == (report_id, "Contact")
    assert logged["ROW_COUNT"] == str(everybody)
    queries = [row for row in events(org.client(), "UniqueQuery") if row["QUERY_TYPE"] == "report"]
    assert report_id in {row["QUERY_IDENTIFIER"] for row in queries}
    assert logged["SESSION_KEY"] in {row["SESSION_KEY"] for row in queries}


def test_an_export_holds_every_row_and_is_logged_as_one(org: Twin) -> None:
    insider, since = org.attacker(), now(org)
    report_id = report(insider)
    insider.http.headers["X-SFDC-REQUEST-ID"] = "report-export"

    reply = insider.http.get(
        f"{org.url}/{report_id[:15]}", params={"export": "1", "enc": "UTF-8", "xf": "csv"}, timeout=30
    )

    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(reply.content.decode())))
    everybody = insider.count("SELECT COUNT() FROM Contact")
    assert len(rows) == everybody
    assert len({row["Email"] for row in rows}) > everybody / 2
    assert len(served(org, since)) == everybody
    org.control("flush", {})
    (export,) = [r for r in events(org.client(), "ReportExport") if r["REQUEST_ID"] == "report-export"]
    assert export["REPORT_DESCRIPTION"] == "All Customers"
    (run,) = [r for r in events(org.client(), "Report") if r["REQUEST_ID"] == "report-export"]
    assert run["ORIGIN"] == "ReportExported"
    assert run["USER_ID"] == export["USER_ID"]


def test_without_details_asked_for_only_the_count_is_shown(org: Twin) -> None:
    insider, since = org.attacker(), now(org)
    made = insider.get(f"/analytics/reports/{report(insider)}").json()
    assert made["hasDetailRows"] is False
    assert made["factMap"]["T!T"]["rows"] == []
    assert served(org, since) == set()


@pytest.mark.parametrize(
    ("name", "soql"),
    [
        ("Gold Members", "SELECT COUNT() FROM Loyalty_Member__c WHERE Tier__c IN ('Gold', 'Platinum')"),
        ("Open Cases by Owner", "SELECT COUNT() FROM Case WHERE IsClosed = false"),
        (
            "Returns and Refunds",
            "SELECT COUNT() FROM Case WHERE (Type = 'Return' OR Subject LIKE '%refund%') AND Status != 'New'",
        ),
    ],
)
def test_a_report_shows_what_its_filter_lets_through(org: Twin, name: str, soql: str) -> None:
    insider = org.attacker()
    report_id = report(insider, name)
    made = insider.get(f"/analytics/reports/{report_id}").json()
    assert 0 < insider.count(soql) == made["factMap"]["T!T"]["aggregates"][0]["value"]
    assert insider.get(f"/analytics/reports/{report_id}/describe").json()["reportMetadata"]["reportFilters"]


def test_who_may_not_run_or_export_reports_gets_none(org: Twin) -> None:
    responder, insider = org.client(), org.attacker()
    report_id = report(insider)
    assert responder.get(f"/analytics/reports/{report_id}/describe").status_code == 200
    assert responder.http.get(f"{org.url}/{report_id}?export=1", timeout=30).status_code == 403
    assert org.http().get(f"{org.url}/{report_id}?export=1", timeout=30).status_code == 401
    keys = {f"client_{name}": org.org["erp"][f"consumer_{key}"] for name, key in APP_KEYS}
    token = org.token_call(grant_type="client_credentials", **keys).json()["access_token"]
    assert error_of(Client(org, token).get("/analytics/reports")) == (403, "FORBIDDEN")
    assert insider.get("/analytics/reports/00O000000000000AAA").status_code == 404
    assert insider.get(f"/analytics/reports/{report_id}/describe").json()["reportMetadata"]["id"] == report_id


def test_a_private_report_is_its_owners_alone(org: Twin) -> None:
    insider = org.attacker()
    report_id = report(insider, "Store Staff")
    org.control("plant", {"object": "Report", "id": report_id, "set": {"FolderName": "Private Reports"}})
    assert insider.get(f"/analytics/reports/{report_id}/describe").status_code == 404


def test_a_list_view_shows_the_page_that_was_asked_for(org: Twin) -> None:
    insider, since = org.attacker(), now(org)
    views = insider.get("/sobjects/Contact/listviews").json()["listviews"]
    view = next(one for one in views if one["label"] == "All Contacts")
    path = f"/sobjects/Contact/listviews/{view['id']}"
    insider.http.headers["X-SFDC-REQUEST-ID"] = "view-run"

    first = insider.get(f"{path}/results", limit="2000").json()
    rest = insider.get(f"{path}/results", limit="2000", offset="2000").json()

    everybody = insider.count("SELECT COUNT() FROM Contact")
    assert (first["size"], rest["size"]) == (2000, everybody - 2000)
    assert [c["fieldNameOrPath"] for c in first["columns"]][:2] == ["Name", "Account.Name"]
    assert len(served(org, since)) == everybody
    assert insider.get(f"{path}/results").json()["size"] == 25
    assert insider.get(f"{path}/results", limit="2001").status_code == 400
    told = insider.get(f"{path}/describe").json()
    assert "USING SCOPE everything ORDER BY Name ASC NULLS FIRST, Id ASC" in told["query"]
    org.control("flush", {})
    logged = [row for row in events(org.client(), "RestApi") if row["REQUEST_ID"] == "view-run"]
    assert {row["ROWS_PROCESSED"] for row in logged if row["URI"].endswith("/results")} >= {"2000", "25"}
    filters = [row for row in events(org.client(), "UniqueQuery") if row["QUERY_TYPE"] == "filter"]
    assert {row["QUERY_IDENTIFIER"] for row in filters} == {view["id"]}
