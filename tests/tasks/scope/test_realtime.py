"""Real-time event stores of a twin that has the licence: the ids they carry decide, and hours sooner."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from tasks.incident import Coverage, Incident, IncidentFolder, Suspect, SuspectKind, Window
from tasks.scope.exposure import affected_records, exposures, runs
from tasks.scope.offline import Folders, scope_files
from tasks.scope.reader import OrgReader
from tests.tasks.scope.attack import Notes, Scoped, Thief, Twin, colleague, scoped, start, start_twin
from tests.tasks.scope.exports import as_csv, records_of, write


@pytest.fixture(scope="module")
def licensed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """A twin of its own: other tests count on an org without the licence."""
    process, made = start_twin(tmp_path_factory.mktemp("licensed"), contacts=1200)
    made.lab("licences", json={"licences": ["realtime"]})
    yield made
    assert process.stdin
    process.stdin.close()
    process.wait(20)


def line(done: Scoped, source: str) -> Coverage:
    (found,) = [one for one in done.summary.coverage if one.source == source]
    return found


def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_paging_that_stopped_is_told_to_the_record(licensed: Twin, tmp_path: Path) -> None:
    """Two pages of six without any order: no count tells which rows these were, the events do."""
    licensed.lab("licences", json={"licences": ["realtime"], "ids_per_event": 2000})
    since = start()
    thief = Thief(licensed)
    thief.http.headers["Sforce-Query-Options"] = "batchSize=200"
    assert len(thief.query("SELECT Id, Email, Account.Name FROM Contact", pages=2)) == 400
    assert colleague(licensed).query("SELECT Id, Name FROM Product2 LIMIT 3")
    done = scoped(licensed, home(tmp_path), since)
    contacts = {record for record in done.served() if record[0] == "Contact"}
    assert len(contacts) == 400
    assert done.found(certain=True) == done.found() == done.served()
    assert done.summary.records.lower == done.summary.records.upper == len(done.served())
    api = line(done, "ApiEvent")
    assert (api.present, api.licensed, api.lag_s) == (True, True, 300)
    table = runs(done.folder)
    assert table.loc[table["object"] == "Contact", "observed"].tolist() == [400]
    assert table.loc[table["object"] == "Contact", "rerun"].tolist() == [1200]  # both are kept


def test_what_a_store_told_once_stays_known_when_it_is_gone(licensed: Twin, tmp_path: Path) -> None:
    """A store forgets after six months, and its licence may end; the incident's folder does not."""
    since = start()
    Thief(licensed).query("SELECT Id, Email FROM Lead LIMIT 7")
    before = scoped(licensed, home(tmp_path), since)
    found = before.found(certain=True)
    assert len(found) == 7
    try:
        licensed.lab("licences", json={"licences": []})
        after = scoped(licensed, home(tmp_path), since)
    finally:
        licensed.lab("licences", json={"licences": ["realtime"]})
    assert not line(after, "ApiEvent").present
    assert after.found() == after.found(certain=True) == found
    kept = list((after.folder.path / "logs" / "stores").iterdir())
    assert kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept)


def test_ids_that_are_cut_off_are_certain_and_the_rerun_is_the_upper_bound(
    licensed: Twin, tmp_path: Path
) -> None:
    licensed.lab("licences", json={"ids_per_event": 30})
    since = start()
    thief = Thief(licensed)
    assert len(thief.query("SELECT Id, Email FROM Lead LIMIT 100")) == 100
    licensed.lab("licences", json={"ids_per_event": 2000})
    done = scoped(licensed, home(tmp_path), since)
    assert len(done.found(certain=True)) == 30
    assert done.found(certain=True) <= done.served() <= done.found()
    assert done.summary.records.lower == 100  # so many rows were returned, whichever


def test_what_changed_since_is_still_named(licensed: Twin, tmp_path: Path) -> None:
    since = start()
    thief = Thief(licensed)
    taken = thief.query("SELECT Id, Email FROM Contact WHERE Email != null ORDER BY Id LIMIT 5")
    for record in taken[:2]:
        licensed.lab("plant", json={"object": "Contact", "id": record["Id"], "set": {"Email": None}})
    done = scoped(licensed, home(tmp_path), since)
    assert done.found() == done.found(certain=True) == done.served()
    changed = exposures(done.folder)
    assert changed["changed"].sum() == 2


def test_bulk_rows_left_only_if_they_were_downloaded(licensed: Twin, tmp_path: Path) -> None:
    since = start()
    thief = Thief(licensed)
    job = thief.call(
        "POST", "jobs/query", json={"operation": "query", "query": "SELECT Id, Email FROM Lead"}
    ).json()["id"]
    while thief.call("GET", f"jobs/query/{job}").json()["state"] != "JobComplete":
        time.sleep(0.05)
    assert thief.export("SELECT Id, LastName FROM Contact WHERE LastName < 'M'")
    done = scoped(licensed, home(tmp_path), since)
    assert {name for name, _ in done.served()} == {"Contact"}
    assert not {record for record in done.found(certain=True) if record[0] == "Lead"}
    assert done.served() <= done.found()
    contacts = {record for record in done.found() if record[0] == "Contact"}
    assert contacts == done.served()  # the events name the job's rows: no other counts
    notes = " ".join(runs(done.folder)["note"])
    assert "not downloaded, as far as BulkApiResultEventStore tells" in notes
    store = line(done, "BulkApiResultEventStore")
    assert store.events >= 1


def test_reports_and_list_views_are_told_by_ids_and_columns(licensed: Twin, tmp_path: Path) -> None:
    since = start()
    thief = Thief(licensed)
    view = thief.call("GET", "sobjects/Contact/listviews").json()["listviews"][0]["id"]
    for offset in ("7", "300"):  # two readings within seconds, neither of which stands for the other
        shown = thief.call(
            "GET", f"sobjects/Contact/listviews/{view}/results", params={"limit": "40", "offset": offset}
        )
        assert shown.json()["size"] == 40
    done = scoped(licensed, home(tmp_path), since)
    contacts = {record for record in done.served() if record[0] == "Contact"}
    assert len(contacts) == 80
    assert {record for record in done.found() if record[0] == "Contact"} == contacts
    assert contacts <= done.found(certain=True)
    named = {f for fields in exposures(done.folder)["fields"] for f in fields.lower().split(",")}
    assert "email" in named


@pytest.mark.slow
def test_stores_tell_what_no_log_file_holds_yet(licensed: Twin, tmp_path: Path) -> None:
    """An org whose log files come hours late: the stores alone give the whole answer, and the files that come
    later change nothing of it but the lines of evidence."""
    folder = tmp_path / "late"
    folder.mkdir()
    process, twin = start_twin(folder, contacts=300, log_delay_s=600)
    try:
        twin.lab("licences", json={"licences": ["realtime"]})
        since = start()
        thief = Thief(twin)
        thief.query("SELECT Id, Email FROM Contact WHERE LastName < 'K'")
        before = scoped(twin, home(tmp_path), since, wait_s=0)
        assert not line(before, "EventLogFile RestApi").present
        assert before.found(certain=True) == before.served()
        assert before.summary.records.upper == len(before.served())
        found = before.found()  # the next scoping writes the same files
        assert twin.lab("flush", json={}).json()["files"]
        after = scoped(twin, home(tmp_path), since, wait_s=0)
        assert line(after, "EventLogFile RestApi").present
        assert after.found() == found
        assert after.summary.records == before.summary.records
        changed = line(after, "what changed since")
        assert "no change" in changed.statement
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait(20)


def test_exported_events_are_read_offline(licensed: Twin, tmp_path: Path) -> None:
    """A team that has but an export of ApiEvent, and of the records."""
    since = start()
    thief = Thief(licensed)
    thief.http.headers["Sforce-Query-Options"] = "batchSize=200"
    thief.query("SELECT Id, Email FROM Contact", pages=1)
    assert colleague(licensed).query("SELECT Id, Name FROM Product2 LIMIT 3")
    fields = (
        "EventDate EventIdentifier UserId Username SessionKey LoginKey SourceIp Query Operation "
        "RowsProcessed RowsReturned Records ApiType Application UserAgent"
    ).split()
    soql = f"SELECT {', '.join(fields)} FROM ApiEvent WHERE EventDate >= {since:%Y-%m-%dT%H:%M:%S.000Z}"
    rows = pd.DataFrame(list(OrgReader(licensed.org).query(soql)))[fields]
    write(tmp_path / "logs" / "export of events.csv", as_csv(rows.fillna("")))
    write(tmp_path / "records" / "Contact.csv", as_csv(records_of(licensed, "Contact")))
    now = datetime.now(UTC)
    suspect = Suspect(SuspectKind.CONNECTED_APP, "Support Chat")
    incident = Incident("offline-1", "a token leaked", (suspect,), Window(since, now), now, now, "lab")
    folder = IncidentFolder.of(incident.id, tmp_path / "out")
    summary = scope_files(
        incident, Folders(tmp_path / "logs", tmp_path / "records"), folder, Notes(), now=now
    )
    served = {(line["object"], line["record_id"]) for line in licensed.truth(since)}
    found = affected_records(folder, certain=True)
    assert set(found.itertuples(index=False, name=None)) == served
    assert summary.records.upper == len(served) == 200
    (told,) = [one for one in summary.coverage if one.source == "ApiEvent"]
    assert told.present
