"""Bulk 2.0: jobs, paging, what counts as served, aborting, deleting, ingest."""

from __future__ import annotations

import csv
import io
import re

from tests.deployments.lab.twin import Twin, error_of, twin, wait_for

__all__ = ["twin"]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_query_pages_by_locator_and_agrees_with_rest(twin: Twin) -> None:
    thief = twin.attacker()
    soql = "SELECT Id, Subject, Description, Contact.Email, CreatedDate FROM Case"
    job_id = thief.bulk_query(soql)
    told = thief.get(f"/jobs/query/{job_id}").json()
    assert told["state"] == "JobComplete"
    assert told["object"] == "Case"
    assert "query" not in told  # the SOQL is not told
    pages, locator, rows = 0, "", []
    while locator != "null":
        page = thief.get(
            f"/jobs/query/{job_id}/results", maxRecords="37", **({"locator": locator} if locator else {})
        )
        assert page.headers["Content-Type"] == "text/csv"
        page.encoding = "utf-8"
        got = rows_of(page.text)
        assert int(page.headers["Sforce-NumberOfRecords"]) == len(got)
        rows += got
        locator, pages = page.headers["Sforce-Locator"], pages + 1
    assert len(rows) == told["numberRecordsProcessed"] == thief.count("SELECT COUNT() FROM Case")
    assert pages == -(-len(rows) // 37)
    rest = {r["Id"]: r for r in twin.simple_salesforce().query_all(soql)["records"]}
    assert {r["Id"] for r in rows} == set(rest)
    for row in rows:
        assert row["Description"] == (rest[row["Id"]]["Description"] or "")
        assert row["Contact.Email"] == ((rest[row["Id"]]["Contact"] or {}).get("Email") or "")
        assert row["CreatedDate"].endswith("Z")


def test_only_downloaded_rows_are_served(twin: Twin) -> None:
    reader = twin.attacker()
    own_id = reader.call("GET", "/services/oauth2/userinfo").json()["user_id"]
    credential = f"oauth:Support Chat:{own_id}"
    before = len([t for t in twin.lines("truth", credential=credential) if t["object"] == "Contact"])
    job_id = reader.bulk_query("SELECT Id, Email, Account.Name FROM Contact")
    after_job = [t for t in twin.lines("truth", credential=credential) if t["object"] == "Contact"]
    assert len(after_job) == before  # nothing has left yet
    reader.get(f"/jobs/query/{job_id}/results", maxRecords="7")
    served = [t for t in twin.lines("truth", credential=credential) if t["object"] == "Contact"][before:]
    assert len(served) == 7
    assert all(set(t) == {"at", "credential", "object", "record_id", "fields"} for t in served)
    assert {tuple(t["fields"]) for t in served} == {("Id", "Email")}
    accounts = [t for t in twin.lines("truth", credential=credential) if t["object"] == "Account"]
    assert any(t["fields"] == ["Name"] for t in accounts)


def test_what_bulk_does_not_run(twin: Twin) -> None:
    thief = twin.attacker()
    for soql in (
        "SELECT COUNT(Id) FROM Contact",
        "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
        "SELECT Id FROM Contact LIMIT 5 OFFSET 5",
        "SELECT Nonsense__c FROM Contact",
        "SELECT FROM",
    ):
        reply = thief.call("POST", "/jobs/query", json={"operation": "query", "query": soql})
        assert reply.status_code == 400, soql
        assert reply.json()[0]["errorCode"]
    wrong = thief.call("POST", "/jobs/query", json={"operation": "drop", "query": "SELECT Id FROM Contact"})
    assert error_of(wrong) == (400, "INVALIDJOB")


def test_a_running_job_is_aborted_and_gives_no_rows(twin: Twin) -> None:
    twin.control("latency", {"bulk_rows_per_s": 20})
    try:
        thief, responder = twin.attacker(), twin.client()
        made = thief.call(
            "POST", "/jobs/query", json={"operation": "query", "query": "SELECT Id, Email FROM Contact"}
        ).json()
        path = f"/jobs/query/{made['id']}"
        wait_for(lambda: thief.get(path).json()["state"] == "InProgress")
        listed = responder.get("/jobs/query", jobType="V2Query").json()["records"]
        assert [j["state"] for j in listed if j["id"] == made["id"]] == ["InProgress"]
        assert error_of(thief.call("DELETE", path)) == (400, "INVALIDJOBSTATE")
        aborted = responder.call("PATCH", path, json={"state": "Aborted"})
        assert aborted.json()["state"] == "Aborted"
        assert error_of(thief.get(f"{path}/results")) == (400, "INVALIDJOBSTATE")
        assert thief.call("DELETE", path).status_code == 204
        assert error_of(thief.get(path)) == (404, "NOT_FOUND")
    finally:
        twin.control("latency", {"bulk_rows_per_s": 0})


def test_a_deleted_job_leaves_only_its_events(twin: Twin) -> None:
    thief, responder = twin.attacker(), twin.client()
    job_id = thief.bulk_query("SELECT Id FROM Lead")
    refused = responder.get(f"/jobs/query/{job_id}/results")
    assert error_of(refused) == (403, "INSUFFICIENT_ACCESS")  # another's rows
    assert thief.call("DELETE", f"/jobs/query/{job_id}").status_code == 204
    assert job_id not in responder.get("/jobs/query").text
    twin.control("flush", {})
    found = [
        row["JOB_STATUS"]
        for log in responder.records("SELECT LogFile FROM EventLogFile WHERE EventType = 'BulkApi2'")
        for row in rows_of(responder.call("GET", log["LogFile"]).text)
        if row["JOB_ID"] == job_id[:15]
    ]
    assert found == ["Created", "UploadComplete", "InProgress", "JobComplete", "Deleted"]


def test_ingest_insert_update_and_failures(twin: Twin) -> None:
    erp = twin.client("ERP Sync")

    def run(operation: str, text: str, **more: str) -> str:
        made = erp.call(
            "POST",
            "/jobs/ingest",
            json={"object": "Account", "operation": operation, "lineEnding": "LF", **more},
        )
        assert made.status_code == 200, made.text
        job_id = str(made.json()["id"])
        put = erp.call(
            "PUT", f"/jobs/ingest/{job_id}/batches", data=text.encode(), headers={"Content-Type": "text/csv"}
        )
        assert put.status_code == 201
        closed = erp.call("PATCH", f"/jobs/ingest/{job_id}", json={"state": "UploadComplete"})
        assert closed.json()["state"] == "UploadComplete"
        wait_for(lambda: erp.get(f"/jobs/ingest/{job_id}").json()["state"] == "JobComplete")
        return job_id

    job_id = run("insert", 'Name,Phone\n"Müller, ""GmbH""",1\n,2\nPlain,3\n')
    told = erp.get(f"/jobs/ingest/{job_id}").json()
    assert (told["numberRecordsProcessed"], told["numberRecordsFailed"]) == (3, 1)
    good = rows_of(erp.get(f"/jobs/ingest/{job_id}/successfulResults").content.decode())
    assert [row["Name"] for row in good] == ['Müller, "GmbH"', "Plain"]
    assert all(row["sf__Created"] == "true" and row["sf__Id"].startswith("001") for row in good)
    (bad,) = rows_of(erp.get(f"/jobs/ingest/{job_id}/failedResults").text)
    assert bad["sf__Error"].startswith("REQUIRED_FIELD_MISSING")
    assert rows_of(erp.get(f"/jobs/ingest/{job_id}/unprocessedrecords").text) == []
    run("update", f"Id,Phone\n{good[1]['sf__Id']},#N/A\n")
    assert erp.records(f"SELECT Phone FROM Account WHERE Id = '{good[1]['sf__Id']}'")[0]["Phone"] is None


def test_bulk_one_in_xml_and_csv(twin: Twin) -> None:
    admin = twin.client("Admin Console")
    http = twin.http(
        **{"X-SFDC-Session": admin.token, "Content-Type": "application/xml", "Accept": "application/xml"}
    )
    base = f"{twin.url}/services/async/67.0/job"

    def job(operation: str) -> str:
        body = (
            '<jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload">'
            f"<operation>{operation}</operation><object>Account</object><contentType>CSV</contentType></jobInfo>"
        )
        reply = http.post(base, data=body)
        assert reply.status_code == 201, reply.text
        return f"{base}/{text_of(reply.text, 'id')}"

    where = job("insert")
    batch = http.post(
        f"{where}/batch", data="Name,Phone\nAsync <one>,1\n,2\n", headers={"Content-Type": "text/csv"}
    )
    batch_url = f"{where}/batch/{text_of(batch.text, 'id')}"
    assert text_of(http.get(batch_url).text, "state") == "Completed"
    outcomes = rows_of(http.get(f"{batch_url}/result").text)
    assert [row["Success"] for row in outcomes] == ["true", "false"]
    query = job("query")
    soql = "SELECT Id, Name FROM Account WHERE Name LIKE 'Async%'"
    asked = http.post(f"{query}/batch", data=soql, headers={"Content-Type": "text/csv"})
    query_url = f"{query}/batch/{text_of(asked.text, 'id')}"
    result = text_of(http.get(f"{query_url}/result").text, "result")
    assert [r["Name"] for r in rows_of(http.get(f"{query_url}/result/{result}").text)] == ["Async <one>"]
    expired = twin.http(**{"X-SFDC-Session": "no", "Content-Type": "application/xml"}).post(
        base, data="<jobInfo/>"
    )
    assert (expired.status_code, text_of(expired.text, "exceptionCode")) == (400, "InvalidSessionId")


def text_of(xml: str, name: str) -> str:
    found = re.search(f"<{name}>(.*?)</{name}>", xml)
    assert found, xml
    return found[1]


def test_simple_salesforce_exports(twin: Twin) -> None:
    client = twin.simple_salesforce("Admin Console")
    pages = list(client.bulk2.Account.query("SELECT Id, Name FROM Account", max_records=50))
    rows = [row for page in pages for row in rows_of(page)]
    assert len(rows) == client.query("SELECT COUNT() FROM Account")["totalSize"]
    assert len(pages) > 1
