"""Where logs do not say which records left, the truth lies between the bounds, and the reason is named."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.incident import IncidentFolder, Suspect, SuspectKind, Window
from tasks.scope.attribution import Marks, Own, attribute
from tasks.scope.calls import rest_calls
from tasks.scope.exposure import runs
from tasks.scope.matching import match
from tasks.scope.queries import understand
from tasks.scope.reader import OrgReader
from tasks.scope.rerun import rerun
from tasks.scope.sources import LogStore, chosen, listed
from tests.tasks.scope.attack import Scoped, Thief, Twin, scoped, start


def between(done: Scoped) -> None:
    served = len(done.served())
    assert done.summary.records.lower <= served <= done.summary.records.upper
    assert done.served() <= done.found()
    assert done.found(certain=True) <= done.served()


def reasons(done: Scoped) -> str:
    return " | ".join(note for note in runs(done.folder)["note"] if note)


def test_limit_without_an_order_may_mean_any_record(twin: Twin, tmp_path: Path) -> None:
    since = start()
    assert len(Thief(twin).query("SELECT Id, Email FROM Contact LIMIT 200")) == 200
    done = scoped(twin, tmp_path, since)
    between(done)
    assert (done.summary.records.lower, done.summary.records.upper) == (200, 2500)
    assert done.summary.subjects.lower > 0
    assert "LIMIT 200 without an order" in reasons(done)


def test_limit_under_an_order_that_ends_in_the_id_is_exact(twin: Twin, tmp_path: Path) -> None:
    since = start()
    Thief(twin).query("SELECT Id, Email FROM Contact ORDER BY CreatedDate DESC, Id LIMIT 150 OFFSET 20")
    done = scoped(twin, tmp_path, since)
    between(done)
    assert done.found() == done.served()
    assert done.summary.records.lower == 150


def test_limit_under_an_order_that_changes_without_trace_is_not(twin: Twin, tmp_path: Path) -> None:
    since = start()
    Thief(twin).query("SELECT Id, Email FROM User ORDER BY LastLoginDate DESC NULLS LAST LIMIT 20")
    done = scoped(twin, tmp_path, since)
    between(done)
    assert done.summary.records.lower == 20
    assert done.summary.records.upper > 2000


def test_paging_that_stopped_half_way_is_a_lower_bound(twin: Twin, tmp_path: Path) -> None:
    since = start()
    assert len(Thief(twin).query("SELECT Id, LastName FROM Contact", pages=1)) == 2000
    done = scoped(twin, tmp_path, since)
    between(done)
    assert (done.summary.records.lower, done.summary.records.upper) == (2000, 2500)
    assert "2000 of 2500 rows were observed" in reasons(done)


def test_records_changed_deleted_and_made_since_are_judged_by_when(twin: Twin, tmp_path: Path) -> None:
    thief = Thief(twin)
    lost = thief.query("SELECT Id FROM Lead WHERE Status = 'Working - Contacted' ORDER BY Id LIMIT 3")
    gone = thief.query("SELECT Id FROM Task ORDER BY Id LIMIT 2")
    twin.lab("plant", json={"object": "Task", "id": gone[0]["Id"], "set": {"IsDeleted": True}})
    since = start()
    thief.query("SELECT Id, Email FROM Lead WHERE Status = 'Working - Contacted'")
    thief.query("SELECT Id, Subject FROM Task")
    start()
    for record in lost:  # matched then, does not match now
        twin.lab(
            "plant", json={"object": "Lead", "id": record["Id"], "set": {"Status": "Closed - Converted"}}
        )
    twin.lab("plant", json={"object": "Task", "id": gone[1]["Id"], "set": {"IsDeleted": True}})
    made = twin.lab("insert", json={"object": "Task", "record": {"Subject": "later"}}).json()["ids"][0]
    done = scoped(twin, tmp_path, since)
    between(done)
    assert ("Task", made) not in done.found()
    assert ("Task", gone[0]["Id"]) not in done.found()
    assert ("Task", gone[1]["Id"]) in done.found(certain=True)
    # So many rows were observed that all that changed since must have been among them.
    assert {("Lead", record["Id"]) for record in lost} <= done.found(certain=True)
    assert done.found() == done.served()


def test_deleted_records_count_where_query_all_was_used(twin: Twin, tmp_path: Path) -> None:
    thief = Thief(twin)
    record = thief.query("SELECT Id FROM CaseComment ORDER BY Id DESC LIMIT 1")[0]["Id"]
    twin.lab("plant", json={"object": "CaseComment", "id": record, "set": {"IsDeleted": True}})
    since = start()
    thief.query("SELECT Id, CommentBody FROM CaseComment", verb="queryAll")
    done = scoped(twin, tmp_path, since)
    between(done)
    assert ("CaseComment", record) in done.found(certain=True)
    assert done.found() == done.served()


def test_date_literals_mean_the_moment_they_were_asked(twin: Twin, tmp_path: Path) -> None:
    since = start()
    thief = Thief(twin)
    thief.query("SELECT Id, Name FROM Contact WHERE CreatedDate = LAST_N_DAYS:200")
    thief.query("SELECT Id FROM Order WHERE EffectiveDate = THIS_YEAR")
    cases = "(SELECT Id FROM Cases WHERE CreatedDate < TODAY)"
    thief.query(f"SELECT Id, {cases} FROM Contact WHERE Birthdate < 1980-01-01")
    done = scoped(twin, tmp_path, since)
    between(done)
    assert done.found() == done.served()


def test_parents_of_several_kinds_are_told_apart(twin: Twin, tmp_path: Path) -> None:
    since = start()
    thief = Thief(twin)
    assert thief.query("SELECT Id, Who.Name, Owner.Name, Account.Owner.Name FROM Task")
    assert thief.query("SELECT TYPEOF Who WHEN Contact THEN Email WHEN Lead THEN Company END FROM Task")
    done = scoped(twin, tmp_path, since)
    between(done)
    assert done.found() == done.served()
    assert {"Contact", "Lead", "User"} <= {name for name, _ in done.found()}


def test_single_reads_by_id_key_and_relationship(twin: Twin, tmp_path: Path) -> None:
    since = start()
    thief = Thief(twin)
    member = thief.query("SELECT Member_Number__c FROM Loyalty_Member__c ORDER BY Id LIMIT 1")[0]
    key = f"sobjects/Loyalty_Member__c/Member_Number__c/{member['Member_Number__c']}"
    assert thief.call("GET", key).ok
    record = thief.query("SELECT Id FROM Contact ORDER BY Id LIMIT 1")[0]["Id"]
    assert thief.call("GET", f"sobjects/Contact/{record[:15]}", params={"fields": "Email"}).ok
    done = scoped(twin, tmp_path, since)
    between(done)
    assert done.found() == done.served()


def test_what_a_composite_call_read_is_counted_though_no_log_names_it(twin: Twin, tmp_path: Path) -> None:
    since = start()
    thief = Thief(twin)
    record = thief.query("SELECT Id FROM Contact ORDER BY Id DESC LIMIT 1")[0]["Id"]
    body = {
        "compositeRequest": [
            {"method": "GET", "url": f"/services/data/v67.0/sobjects/Contact/{record}", "referenceId": "a"},
            {
                "method": "GET",
                "url": "/services/data/v67.0/query?q=SELECT+Id,Name+FROM+Product2",
                "referenceId": "b",
            },
        ]
    }
    assert thief.call("POST", "composite", json=body).ok
    assert thief.call("GET", "search", params={"q": "FIND {Smith} RETURNING Lead(Id, Email)"}).ok
    done = scoped(twin, tmp_path, since)
    assert done.summary.records.lower <= len(done.served()) <= done.summary.records.upper
    assert done.found(certain=True) <= done.served()
    named = " ".join(line.statement for line in done.summary.coverage)
    assert "search" in named
    assert "composite" in named


def test_a_user_is_followed_through_every_app_and_nobody_else_is(twin: Twin, tmp_path: Path) -> None:
    since = start()
    name = twin.told["integration_username"]
    Thief(twin).query("SELECT Id, Name FROM Account ORDER BY Id LIMIT 5")
    done = scoped(twin, tmp_path, since, (Suspect(SuspectKind.SALESFORCE_USER, name),))
    assert done.found() == done.served()
    assert len(done.found()) == 5


def test_suspects_outside_salesforce_leave_no_trace_there(twin: Twin, tmp_path: Path) -> None:
    since = start()
    Thief(twin).query("SELECT Id FROM Account LIMIT 5")
    done = scoped(twin, tmp_path, since, (Suspect(SuspectKind.AWS_USER, "someone"),))
    assert done.summary.records.upper == 0
    assert done.found() == set()


def test_running_again_as_logs_arrive_only_adds(twin: Twin, tmp_path: Path) -> None:
    since = start()
    thief = Thief(twin)
    thief.query("SELECT Id, Name FROM Product2 ORDER BY Id LIMIT 4")
    first = scoped(twin, tmp_path, since)
    logs = {p.name: p.stat().st_mtime_ns for p in (first.folder.path / "logs").glob("*.csv")}
    thief.query("SELECT Id, Name FROM Product2 ORDER BY Id LIMIT 8")
    again = scoped(twin, tmp_path, since)
    assert first.found() < again.found() or len(again.found()) == 8
    assert again.found() == again.served()
    after = {p.name: p.stat().st_mtime_ns for p in (again.folder.path / "logs").glob("*.csv")}
    assert logs.items() <= after.items()  # the originals were neither fetched again nor changed


@pytest.mark.parametrize(
    "text", ["SELECT Id, Email FROM Contact WHERE (Name LIKE 'a%'", "gibberish FROM Contact"]
)
def test_a_query_nobody_can_read_means_the_whole_object(twin: Twin, text: str) -> None:
    asked = understand(text, OrgReader(twin.org).shape)
    assert asked.object == "Contact"
    assert "MailingCity" in asked.returned[0].fields
    assert asked.widened


def test_a_bulk_job_whose_results_nobody_fetched_is_only_possible(twin: Twin, tmp_path: Path) -> None:
    since = start()
    thief = Thief(twin)
    body = {"operation": "query", "query": "SELECT Id, LastName FROM Lead"}
    job = thief.call("POST", "jobs/query", json=body).json()["id"]
    while thief.call("GET", f"jobs/query/{job}").json()["state"] != "JobComplete":
        time.sleep(0.05)
    done = scoped(twin, tmp_path, since)
    assert done.served() == set()
    assert done.summary.records.lower == 0
    assert done.summary.records.upper > 100
    assert "were not seen to be fetched" in reasons(done)


def test_without_the_query_log_the_whole_object_may_have_left(twin: Twin, tmp_path: Path) -> None:
    """A source that is missing widens the bounds; it never lowers them."""
    since = start()
    Thief(twin).query("SELECT Id, Email FROM Lead WHERE Status = 'Working - Contacted'")
    reader = OrgReader(twin.org)
    folder = IncidentFolder.of("no-query-log", tmp_path)
    whole = scoped(twin, tmp_path, since)
    store = LogStore(folder.sub("logs"))
    files = [
        f for f in chosen(listed(reader, Window(since), datetime.now(UTC))) if f.event_type != "UniqueQuery"
    ]
    store.fetch(reader, files)
    events, _ = store.read(files)
    own = Own("lkr-", twin.org.whoami().user_id)
    marks = Marks(app_names=frozenset({"Support Chat"}))
    attribution = attribute(events, marks, Window(since), now=datetime.now(UTC), own=own)
    calls = match(attribution, rest_calls(attribution), reader.shape)
    (ask,) = calls.asks
    assert ask.asked.widened == "the query text is not in the logs"
    found = rerun(reader, ask.asked, [ask], {}, ask.at)
    assert {record for name, record in whole.served() if name == "Lead"} < set(found.records["record_id"])
    assert not found.records["certain"].any()
