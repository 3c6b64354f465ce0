"""Event log objects: the whole answer before any file is written, and each event once when the files come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tasks.scope.event_log_objects import merged, normalised
from tasks.scope.exposure import runs
from tests.tasks.scope.attack import Scoped, Thief, Twin, scoped, start, start_twin


@pytest.fixture(scope="module")
def slow_logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """An org whose log files come ten minutes late, with event log objects."""
    process, made = start_twin(tmp_path_factory.mktemp("slow"), contacts=300, log_delay_s=600)
    made.lab("licences", json={"licences": ["event-log-objects"]})
    yield made
    assert process.stdin
    process.stdin.close()
    process.wait(20)


def counts(done: Scoped) -> dict[str, int]:
    return {one.source: one.events for one in done.summary.coverage}


def test_objects_give_the_answer_at_once_and_files_do_not_count_again(
    slow_logs: Twin, tmp_path: Path
) -> None:
    since = start()
    thief = Thief(slow_logs)
    thief.query("SELECT Id, Email FROM Contact WHERE LastName < 'K' ORDER BY Id")
    assert thief.export("SELECT Id, Email FROM Lead")
    lead = thief.query("SELECT Id FROM Lead ORDER BY Id LIMIT 1")[0]["Id"]
    assert thief.call("GET", f"sobjects/Lead/{lead}").ok
    assert thief.call("GET", "limits").ok
    before = scoped(slow_logs, tmp_path / "home", since, wait_s=0)
    assert not counts(before)["EventLogFile RestApi"]
    assert counts(before)["RestApiEventLog"] > 3
    assert before.served() <= before.found()
    assert {r for r in before.found() if r[0] == "Contact"} == {
        r for r in before.served() if r[0] == "Contact"
    }
    ran, found = runs(before.folder), before.found()
    assert slow_logs.lab("flush", json={}).json()["files"]
    after = scoped(slow_logs, tmp_path / "home", since, wait_s=0)
    assert counts(after)["EventLogFile RestApi"]
    assert after.found() == found
    assert after.summary.records == before.summary.records
    again = runs(after.folder)
    assert len(again) == len(ran)
    assert again["observed"].tolist() == ran["observed"].tolist()
    other = "the suspects' other calls"
    assert counts(after)[other] == counts(before)[other]


def test_an_event_of_both_is_taken_from_the_file_and_others_are_added() -> None:
    file = pd.DataFrame(
        {
            "EVENT_TYPE": ["RestApi", "RestApi"],
            "TIMESTAMP_DERIVED": ["2026-11-23T10:00:00.001Z", "2026-11-23T10:00:00.002Z"],
            "REQUEST_ID": ["a", "a"],  # a request id that the caller chose need not be unique
            "SESSION_KEY": ["s", "s"],
            "URI": ["/one", "/two"],
        }
    )
    rows = pd.DataFrame(
        {
            "Timestamp": ["2026-11-23T10:00:00.002+0000", "2026-11-23T10:00:00.003+0000"],
            "RequestIdentifier": ["a", "a"],
            "SessionKey": ["s", "s"],
            "Uri": ["/two", "/three"],
        }
    )
    both = merged({"RestApi": file}, {"RestApi": normalised("RestApi", rows)})["RestApi"]
    assert both["URI"].tolist() == ["/one", "/two", "/three"]
    alone = merged({}, {"RestApi": normalised("RestApi", rows)})["RestApi"]
    assert alone["URI"].tolist() == ["/two", "/three"]


def test_the_object_that_never_names_its_entity_leaves_it_open() -> None:
    rows = pd.DataFrame({"JobIdentifier": ["750"], "ObjectType": ["BulkApi2"], "ProcessedRecordCount": ["7"]})
    named = normalised("BulkApi2", rows)
    told = named[["JOB_ID", "ENTITY_TYPE", "RECORDS_PROCESSED"]]
    assert told.to_dict("records") == [{"JOB_ID": "750", "ENTITY_TYPE": "", "RECORDS_PROCESSED": "7"}]
