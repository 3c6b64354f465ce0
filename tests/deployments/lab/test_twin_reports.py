"""Reports of the twin: run over the API, exported as the user interface does, and what each leaves behind."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest

from tests.deployments.lab.test_twin_events import events
from tests.deployments.lab.twin import Client, Twin, error_of, start, stop

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

    made = insider.get(f"/analytics/reports/{report_id}").json()

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


def test_who_may_not_run_or_export_reports_gets_none(org: Twin) -> None:
    responder, insider = org.client(), org.attacker()
    assert error_of(responder.get("/analytics/reports")) == (403, "FORBIDDEN")
    report_id = report(insider)
    assert responder.http.get(f"{org.url}/{report_id}?export=1", timeout=30).status_code == 403
    assert org.http().get(f"{org.url}/{report_id}?export=1", timeout=30).status_code == 401
    assert insider.get("/analytics/reports/00O000000000000AAA").status_code == 404
    assert insider.get(f"/analytics/reports/{report_id}/describe").json()["reportMetadata"]["id"] == report_id
