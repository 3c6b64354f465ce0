"""Event logs and ground truth: what a call leaves behind, in which columns, and how late."""

from __future__ import annotations

import csv
import io
import time
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.deployments.lab.twin import API, Client, Twin, twin, wait_for

__all__ = ["twin"]
UNIQUE_QUERY = [
    "EVENT_TYPE",
    "TIMESTAMP",
    "ORGANIZATION_ID",
    "QUERY_IDENTIFIER",
    "QUERY_TYPE",
    "SQL_ID",
    "SESSION_KEY",
    "LOGIN_KEY",
    "TIMESTAMP_DERIVED",
]


def logs(client: Client, event_type: str, interval: str = "Hourly") -> list[dict[str, Any]]:
    return client.records(
        "SELECT Id, EventType, Interval, Sequence, LogDate, CreatedDate, LogFile, LogFileLength,"
        f" LogFileFieldNames FROM EventLogFile WHERE EventType = '{event_type}' AND Interval = '{interval}'"
        " ORDER BY LogDate, Sequence"
    )


def events(client: Client, event_type: str, interval: str = "Hourly") -> list[dict[str, str]]:
    found = []
    for log in logs(client, event_type, interval):
        body = client.call("GET", log["LogFile"]).content
        assert len(body) == log["LogFileLength"]
        rows = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
        assert log["LogFileFieldNames"].split(",") == list(rows[0])
        found += rows
    return found


def test_a_rest_query_leaves_its_text_and_who_asked(twin: Twin) -> None:
    thief, responder = twin.attacker(), twin.client()
    thief.http.headers.update(
        {"User-Agent": "Fetcher/1.0", "X-SFDC-REQUEST-ID": "req-42", "X-Lab-Client-IP": "44.215.108.109"}
    )
    soql = "SELECT Id, Email FROM Contact WHERE LastName != 'He said \"no\"' LIMIT 3"
    assert thief.query(soql).status_code == 200
    twin.control("flush", {})
    (asked,) = [row for row in events(responder, "UniqueQuery") if row["QUERY_IDENTIFIER"] == soql]
    assert list(asked) == UNIQUE_QUERY
    assert asked["QUERY_TYPE"] == "soql"
    (called,) = [row for row in events(responder, "RestApi") if row["REQUEST_ID"] == "req-42"]
    assert called["SESSION_KEY"] == asked["SESSION_KEY"]
    assert called["LOGIN_KEY"] == asked["LOGIN_KEY"]
    assert called["URI"] == f"{API}/query"
    assert (called["METHOD"], called["STATUS_CODE"], called["ENTITY_NAME"]) == ("GET", "200", "Contact")
    assert (called["ROWS_PROCESSED"], called["NUMBER_FIELDS"]) == ("3", "2")
    assert (called["CLIENT_IP"], called["USER_AGENT"]) == ("44.215.108.109", "Fetcher/1.0")
    (usage,) = [row for row in events(responder, "ApiTotalUsage") if row["REQUEST_ID"] == "req-42"]
    assert usage["CONNECTED_APP_NAME"] == "Support Chat"
    assert called["CONNECTED_APP_ID"] == twin.org["apps"]["Support Chat"]["id"][:15]
    assert len(called["USER_ID"]) == 15
    assert called["USER_ID_DERIVED"].startswith(called["USER_ID"])
    logins = [row for row in events(responder, "Login") if row["LOGIN_KEY"] == called["LOGIN_KEY"]]
    assert [row["LOGIN_STATUS"] for row in logins] == ["LOGIN_NO_ERROR"]
    stamp = datetime.strptime(called["TIMESTAMP"] + "+0000", "%Y%m%d%H%M%S.%f%z")
    assert (
        called["TIMESTAMP_DERIVED"] == stamp.strftime("%Y-%m-%dT%H:%M:%S.") + called["TIMESTAMP"][-3:] + "Z"
    )


def test_a_bulk_query_leaves_its_text_too(twin: Twin) -> None:
    thief, responder = twin.attacker(), twin.client()
    soql = "SELECT Id, Company FROM Lead WHERE Company != 'zzz'"
    job_id = thief.bulk_query(soql)
    twin.control("flush", {})
    (asked,) = [row for row in events(responder, "UniqueQuery") if row["QUERY_IDENTIFIER"] == soql]
    jobs = [row for row in events(responder, "BulkApi2") if row["JOB_ID"] == job_id[:15]]
    assert {row["SESSION_KEY"] for row in jobs} == {asked["SESSION_KEY"]}
    assert jobs[-1]["JOB_STATUS"] == "JobComplete"
    assert int(jobs[-1]["RECORDS_PROCESSED"]) == responder.count("SELECT COUNT() FROM Lead")


def test_composite_is_logged_as_one_call_while_truth_knows_each_record(twin: Twin) -> None:
    responder, thief = twin.client(), twin.client("Admin Console")
    own_id = thief.call("GET", "/services/oauth2/userinfo").json()["user_id"]
    one = responder.records("SELECT Id FROM Contact LIMIT 1")[0]["Id"]
    start = time.time()
    thief.call(
        "POST",
        "/composite",
        json={
            "compositeRequest": [
                {"method": "GET", "url": f"{API}/sobjects/Contact/{one}?fields=Email", "referenceId": "r"}
            ]
        },
        headers={"X-SFDC-REQUEST-ID": "composite-1"},
    )
    twin.control("flush", {})
    found = [row for row in events(responder, "RestApi") if row["REQUEST_ID"] == "composite-1"]
    assert [row["URI"] for row in found] == [f"{API}/composite"]
    since = datetime.fromtimestamp(start - 1, timezone(timedelta(hours=5))).isoformat()  # any zone will do
    served = twin.lines("truth", credential=f"oauth:Admin Console:{own_id}", since=since)
    assert [(t["object"], t["record_id"], t["fields"]) for t in served] == [("Contact", one, ["Email"])]


def test_files_appear_after_the_delay_and_number_on(twin: Twin) -> None:
    responder = twin.client()
    before = len(logs(responder, "ApiTotalUsage"))
    responder.get("/limits")
    began = time.monotonic()
    wait_for(lambda: len(logs(responder, "ApiTotalUsage")) > before)
    assert time.monotonic() - began < 6
    found = logs(responder, "ApiTotalUsage")
    by_hour: dict[str, list[int]] = {}
    for log in found:
        by_hour.setdefault(log["LogDate"], []).append(log["Sequence"])
    for sequences in by_hour.values():
        assert sequences == list(range(1, len(sequences) + 1))
    assert all(log["CreatedDate"] >= log["LogDate"] for log in found)


def test_who_may_not_read_event_logs_and_who_may_not_delete_them(twin: Twin) -> None:
    erp, responder = twin.client("ERP Sync"), twin.client()
    assert erp.query("SELECT Id FROM EventLogFile").status_code == 400
    one = logs(responder, "Login")[0]["Id"]
    assert erp.get(f"/sobjects/EventLogFile/{one}/LogFile").status_code == 404
    assert responder.call("DELETE", f"/sobjects/EventLogFile/{one}").status_code == 400


def test_a_day_that_is_over_gets_a_daily_file_with_all_of_it(twin: Twin) -> None:
    responder = twin.client()
    responder.get("/limits")
    twin.control("flush", {})
    today = responder.records("SELECT LogDate FROM EventLogFile ORDER BY LogDate DESC LIMIT 1")[0]["LogDate"][
        :10
    ]
    tomorrow = datetime.fromisoformat(today + "T00:00:30+00:00") + timedelta(days=1)
    twin.control("clock", {"now": tomorrow.isoformat()})
    fresh = twin.client()  # the old session's time is over
    twin.control("flush", {})
    daily = events(fresh, "RestApi", "Daily")
    of_day = [row for row in events(fresh, "RestApi") if row["TIMESTAMP"].startswith(today.replace("-", ""))]
    assert sorted(map(str, daily)) == sorted(map(str, of_day))
    assert {log["Sequence"] for log in logs(fresh, "RestApi", "Daily")} == {0}
