"""Licensed event objects of the twin: there with a licence alone, and with ids of what was read."""

from __future__ import annotations

import json

from tests.deployments.lab.twin import Client, Twin, twin

__all__ = ["twin"]
STORES = {"ApiEvent", "ReportEvent", "ListViewEvent", "BulkApiResultEventStore"}
LOGS = {"RestApiEventLog", "BulkApi2EventLog", "UniqueQueryEventLog", "LoginEventLog"}


def names(client: Client) -> set[str]:
    return {found["name"] for found in client.get("/sobjects").json()["sobjects"]}


def test_stores_are_there_with_a_licence_and_the_right_alone(twin: Twin) -> None:
    responder = twin.client()
    assert not (STORES | LOGS) & names(responder)
    assert responder.query("SELECT EventDate FROM ApiEvent").json()[0]["errorCode"] == "INVALID_TYPE"
    twin.control("licences", {"licences": ["realtime"]})
    assert names(responder) >= STORES
    assert not LOGS & names(responder)
    twin.control("licences", {"licences": ["realtime", "event-log-objects"]})
    assert names(responder) >= STORES | LOGS
    assert not (STORES | LOGS) & names(twin.attacker())  # without the permission to view them


def test_a_store_answers_ranges_of_time_newest_first_and_nothing_else(twin: Twin) -> None:
    twin.control("licences", {"licences": ["realtime"]})
    client = twin.client()
    since = "EventDate > 2020-01-01T00:00:00Z"
    good = f"SELECT EventDate, Query FROM ApiEvent WHERE {since} ORDER BY EventDate DESC LIMIT 5"
    assert client.query(good).status_code == 200
    for tail in (
        "WHERE Username = 'x'",
        "WHERE EventDate = 2020-01-01T00:00:00Z",
        f"WHERE {since} ORDER BY EventDate",
        f"WHERE {since} ORDER BY EventIdentifier DESC",
    ):
        assert client.query(f"SELECT Query FROM ApiEvent {tail}").status_code == 400, tail
    assert client.query(f"SELECT COUNT() FROM ApiEvent WHERE {since}").status_code == 400


def test_pages_and_bulk_rows_leave_their_ids(twin: Twin) -> None:
    twin.control("licences", {"licences": ["realtime"], "ids_per_event": 2000})
    thief, responder = twin.attacker(), twin.client()
    soql = "SELECT Id, LastName FROM Contact WHERE LastName != 'a'"
    page = thief.query(soql, **{"Sforce-Query-Options": "batchSize=200"}).json()
    ids = [record["Id"] for record in page["records"]]
    twin.control("licences", {"ids_per_event": 50})
    job = thief.bulk_query("SELECT Id, Subject FROM Case LIMIT 120")
    assert thief.get(f"/jobs/query/{job}/results").ok
    rows = responder.records(
        "SELECT Query, Operation, Records, RowsProcessed, RowsReturned, ApiType, SessionKey, LoginKey,"
        " ConnectedAppId FROM ApiEvent ORDER BY EventDate DESC LIMIT 50"
    )
    (first,) = [row for row in rows if row["Query"] == soql]
    assert (first["Operation"], first["RowsReturned"], first["ApiType"]) == ("Query", len(ids), "REST")
    assert json.loads(first["Records"])["recordIds"] == ids
    assert first["ConnectedAppId"]
    parts = [row for row in rows if row["ApiType"] == "Bulk"]
    assert sorted(row["RowsReturned"] for row in parts) == [20, 50, 50]
    assert len({i for row in parts for i in json.loads(row["Records"])["recordIds"]}) == 120
    assert not any(row["ConnectedAppId"] for row in parts)  # its token was active already
    (fetched,) = responder.records("SELECT Query, UserId, SessionKey FROM BulkApiResultEventStore LIMIT 5")
    assert fetched["SessionKey"] == first["SessionKey"]
    assert fetched["Query"] == "SELECT Id, Subject FROM Case LIMIT 120"


def test_log_objects_hold_the_events_before_any_file_does(twin: Twin) -> None:
    twin.control("licences", {"licences": ["event-log-objects"]})
    thief, responder = twin.attacker(), twin.client()
    soql = "SELECT Id FROM Contact WHERE LastName = 'at once' LIMIT 1"
    thief.http.headers["X-SFDC-REQUEST-ID"] = "req-at-once"
    assert thief.query(soql).status_code == 200
    (asked,) = responder.records(
        "SELECT QueryIdentifier, RequestIdentifier, SessionKey FROM UniqueQueryEventLog"
        " WHERE RequestIdentifier = 'req-at-once'"
    )
    assert asked["QueryIdentifier"] == soql
    (called,) = responder.records(
        "SELECT Uri, SessionKey, RowsProcessed FROM RestApiEventLog WHERE RequestIdentifier = 'req-at-once'"
    )
    assert called["SessionKey"] == asked["SessionKey"]


def test_reports_and_list_views_leave_ids_and_columns(twin: Twin) -> None:
    twin.control("licences", {"licences": ["realtime"]})
    admin, responder = twin.client(), twin.client()
    (report, *_) = admin.get("/analytics/reports").json()
    told = admin.get(f"/analytics/reports/{report['id']}", includeDetails="true").json()
    shown = len(told["factMap"]["T!T"]["rows"])
    rows = responder.records(
        "SELECT ReportId, Records, ColumnHeaders, Sequence, RowsProcessed FROM ReportEvent LIMIT 20"
    )
    rows = [row for row in rows if row["ReportId"] == report["id"]]
    cells = [line["datacells"] for row in rows for line in json.loads(row["Records"])["rows"]]
    assert len({ids[0] for ids in cells}) == shown
    assert shown
    assert sorted(row["Sequence"] for row in rows) == list(range(1, len(rows) + 1))
    view = admin.get("/sobjects/Contact/listviews").json()["listviews"][0]
    listed = admin.get(f"/sobjects/Contact/listviews/{view['id']}/results", limit="7").json()
    (seen,) = responder.records("SELECT ListViewId, Records, ColumnHeaders FROM ListViewEvent LIMIT 5")
    assert seen["ListViewId"] == view["id"]
    assert len(json.loads(seen["Records"])["rows"]) == listed["size"] == 7
