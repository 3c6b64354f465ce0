"""Bulk queries as pages of text."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.errors import Refused, Unreachable
from blocks.salesforce.bulk import bulk_query
from blocks.salesforce.org import SalesforceOrg
from tests.blocks.salesforce.unruly import Answer, Unruly

JOBS = "/services/data/v67.0/jobs/query"
RESULTS = f"{JOBS}/750x/results"


def job(server: Unruly, *states: str) -> None:
    server.will(JOBS, Answer(body={"id": "750x", "state": "UploadComplete"}))
    server.will(f"{JOBS}/750x", *[Answer(body={"id": "750x", "state": state}) for state in states])


def test_pages_arrive_as_text_in_spite_of_trouble(server: Unruly, org: SalesforceOrg) -> None:
    job(server, "InProgress", "JobComplete")
    server.will(
        RESULTS,
        Answer(body='"Id","Zip"\n"1","007"\n', headers={"Sforce-Locator": "MjAw"}),
        Answer(reset=True),
        Answer(body='"Id","Zip"\n"2","NA"\n"3",""\n', headers={"Sforce-Locator": "null"}),
    )
    pages = list(bulk_query(org, "SELECT Id, Zip FROM Contact", page_size=2))
    assert [page.to_dict("list") for page in pages] == [
        {"Id": ["1"], "Zip": ["007"]},
        {"Id": ["2", "3"], "Zip": ["NA", ""]},
    ]
    assert [one.query for one in server.calls(RESULTS)] == [
        "maxRecords=2",
        "maxRecords=2&locator=MjAw",
        "maxRecords=2&locator=MjAw",
    ]
    assert not [one for one in server.seen if one.method == "DELETE"]


def test_a_lost_reply_to_the_start_is_repeated(server: Unruly, org: SalesforceOrg) -> None:
    server.will(JOBS, Answer(reset=True))
    job(server, "JobComplete")
    server.will(RESULTS, Answer(body='"Id"\n'))
    assert list(bulk_query(org, "SELECT Id FROM Case", all_rows=True)) == []
    bodies = [one.body for one in server.calls(JOBS)]
    assert len(bodies) == 2 and '"operation": "queryAll"' in bodies[0]


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
def test_a_job_that_ends_badly_is_an_error(server: Unruly, org: SalesforceOrg, state: str) -> None:
    job(server, state)
    with pytest.raises(Refused, match=f"ended as {state}"):
        list(bulk_query(org, "SELECT Id FROM Case"))


def test_a_job_that_never_ends_is_given_up(server: Unruly, org: SalesforceOrg) -> None:
    waits: list[float] = []
    job(server, *["InProgress"] * 50)

    def sleep(seconds: float) -> None:
        waits.append(seconds)

    with pytest.raises(Unreachable, match="took over 0 s"):
        list(bulk_query(org, "SELECT Id FROM Case", timeout_s=0.05, sleep=sleep))


def test_no_rows_is_no_page(server: Unruly, org: SalesforceOrg) -> None:
    body: Any
    for body in ("", '"Id","Name"\n'):
        job(server, "JobComplete")
        server.will(RESULTS, Answer(body=body, headers={"Sforce-Locator": "null"}))
        assert list(bulk_query(org, "SELECT Id FROM Case")) == []
