"""From real-time events to runs of queries, without an org: pages, cut ids, old forms of events."""

from __future__ import annotations

import json

import pandas as pd

from tasks.scope.observed import executions, ids_in

AT = pd.Timestamp("2026-11-23T10:00:00Z")


def events(*rows: dict[str, str | int]) -> pd.DataFrame:
    frame = pd.DataFrame(
        [{"OPERATION": "Query", "API_TYPE": "REST", "QUERY": "SELECT Id FROM Contact", **row} for row in rows]
    )
    at = [AT + pd.Timedelta(seconds=n) for n in range(len(rows))]
    return frame.assign(at=at, session="s", user="005", app="", certain=True).astype({"ROWS_RETURNED": str})


def records(*ids: str) -> str:
    return json.dumps({"totalSize": 9, "done": True, "records": [], "recordIds": list(ids)})


def contact(n: int) -> str:
    return f"003{n:012d}AAA"


def test_pages_belong_to_the_query_before_them_and_a_new_query_starts_anew() -> None:
    ran = executions(
        events(
            {"ROWS_RETURNED": 2, "RECORDS": records(contact(1), contact(2))},
            {"ROWS_RETURNED": 1, "RECORDS": records(contact(3)), "OPERATION": "QueryMore"},
            {"ROWS_RETURNED": 1, "RECORDS": records(contact(1))},
        ),
        {},
    )
    assert [(list(run.ids), run.rows, run.whole, run.pages) for run in ran] == [
        ([contact(1), contact(2), contact(3)], 3, True, 2),
        ([contact(1)], 1, True, 1),
    ]


def test_parts_of_one_bulk_request_are_one_run() -> None:
    part: dict[str, str | int] = {"API_TYPE": "Bulk", "REQUEST_ID": "r1", "ROWS_RETURNED": 1}
    ran = executions(
        events({**part, "RECORDS": records(contact(1))}, {**part, "RECORDS": records(contact(2))},
               {**part, "REQUEST_ID": "r2", "RECORDS": records(contact(1))}),
        {},
    )  # fmt: skip
    assert [len(run.ids) for run in ran] == [2, 1]


def test_ids_that_are_fewer_than_rows_or_rows_that_are_not_told_are_not_all() -> None:
    cut, untold = executions(
        events(
            {"ROWS_RETURNED": 5, "RECORDS": records(contact(1))},
            {"ROWS_RETURNED": -1, "RECORDS": records(contact(1))},
        ),
        {},
    )
    assert not cut.whole
    assert not untold.whole


def test_children_among_the_ids_do_not_count_as_rows() -> None:
    (run,) = executions(
        events({"ROWS_RETURNED": 1, "RECORDS": records(contact(1), "500000000000001AAA")}), {}
    )
    assert not run.whole
    run.keep("Contact", lambda record_id: {"003": "Contact", "500": "Case"}[record_id[:3]])
    assert run.whole


def test_old_events_name_the_ids_in_their_records_and_damaged_ones_name_none() -> None:
    old = json.dumps({"records": [{"attributes": {"type": "Contact"}, "Id": contact(4)}]})
    assert ids_in(old) == [contact(4)]
    assert ids_in(json.dumps({"recordIds": ["003000000000004"]})) == [contact(4)]
    assert ids_in("") == ids_in("{cut off") == ids_in("[]") == []


def test_a_page_whose_first_was_before_the_window_is_a_run_of_which_not_all_is_known() -> None:
    page: dict[str, str | int] = {
        "ROWS_RETURNED": 1,
        "RECORDS": records(contact(7)),
        "OPERATION": "QueryMore",
    }
    (run,) = executions(events(page), {})
    assert list(run.ids) == [contact(7)]
    assert not run.whole
