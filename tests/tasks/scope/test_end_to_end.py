"""A small real attack; what scoping finds is compared with what the twin served, record by record."""

from __future__ import annotations

import hashlib
import json

import pandas as pd
import pytest

from tasks.scope.exposure import affected_subjects, exposures, runs
from tests.tasks.scope.attack import Scoped, Thief, Twin, colleague, scoped, start


@pytest.fixture(scope="module")
def attack(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Scoped:
    """Pages, bulk exports whose jobs are deleted, single reads, counts; and a colleague who did nothing."""
    since = start()
    thief = Thief(twin)
    for path in ("sobjects", "sobjects/Case/describe", "limits"):
        assert thief.call("GET", path).ok
    for name in ("Account", "Contact", "User", "Case"):
        thief.query(f"SELECT COUNT() FROM {name}")
    thief.query("SELECT MailingCountry, COUNT(Id) n FROM Contact GROUP BY MailingCountry")
    assert len(thief.query("SELECT Id, Name, Email FROM Contact WHERE CreatedDate < TOMORROW")) == 2500
    assert thief.export("SELECT Id, Subject, Description, SuppliedEmail, ContactId FROM Case")
    assert thief.export("SELECT Id, Account.Name, LastName FROM Contact WHERE AccountId != null")
    leads = thief.query("SELECT Id, Email FROM Lead LIMIT 5000")
    orders = thief.query(
        "SELECT Id, (SELECT Id, Quantity FROM OrderItems) FROM Order WHERE TotalAmount > 100"
    )
    assert leads
    assert orders
    for record in thief.query("SELECT Id FROM Loyalty_Member__c ORDER BY Id LIMIT 3"):
        assert thief.call("GET", f"sobjects/Loyalty_Member__c/{record['Id']}").ok
    assert thief.call("GET", "sobjects/Contact/003000000000000AAA").status_code == 404
    assert thief.call("GET", "query", params={"q": "SELECT Nonsense FROM Contact"}).status_code == 400
    assert colleague(twin).query("SELECT Id, Name FROM Product2")
    return scoped(twin, tmp_path_factory.mktemp("home"), since)


def test_every_record_that_was_served_is_found_and_no_other(attack: Scoped) -> None:
    served, found = attack.served(), attack.found()
    assert len(served) > 5000
    assert (len(served - found), len(found - served)) == (0, 0)
    assert attack.summary.records.upper == len(served)


def test_every_field_that_was_served_is_named(attack: Scoped) -> None:
    named: dict[tuple[str, str], set[str]] = {}
    for row in exposures(attack.folder)[["object", "record_id", "fields"]].itertuples(index=False):
        named.setdefault((row.object, row.record_id), set()).update(row.fields.lower().split(","))
    for line in attack.truth:
        served = {field.lower() for field in line["fields"]}
        assert served - {"id"} <= named[line["object"], line["record_id"]], line["object"]


def test_every_person_is_found_with_their_residence_and_no_other(attack: Scoped, twin: Twin) -> None:
    persons = {(p["object"], p["record_id"]): (p["person"], p["residence"]) for p in twin.lines("persons")}
    truth = {persons[record] for record in attack.served() if record in persons}
    subjects = affected_subjects(attack.folder)
    pairs = {(row.subject, persons[row.object, row.record_id][0]) for row in subjects.itertuples(index=False)}
    assert len(pairs) == len(truth) == subjects["subject"].nunique() == attack.summary.subjects.upper
    wanted = pd.Series([residence for _, residence in truth]).value_counts().to_dict()
    assert {code: bounds.upper for code, bounds in attack.summary.by_residence.items()} == wanted


def test_what_is_certain_is_true_and_the_bounds_hold(attack: Scoped) -> None:
    assert attack.found(certain=True) <= attack.served()
    summary = attack.summary
    assert summary.records.lower <= len(attack.served()) <= summary.records.upper
    # Nothing was changed, cut off or limited: all of it is certain but how much of a job was downloaded.
    table = runs(attack.folder)
    assert set(table.loc[~table["certain"], "source"]) == {"bulk job"}
    assert "were fetched in 1 calls: no log tells how many" in " ".join(table["note"])
    # The duties presume that what was fetched was fetched whole: that is everybody, as it was.
    assert summary.presumed == {code: bounds.upper for code, bounds in summary.by_residence.items()}
    assert any(one.source == "bulk results" for one in summary.coverage)
    by_rest = {(line["object"], line["record_id"]) for line in attack.truth} & attack.found(certain=True)
    assert {name for name, _ in attack.served() - by_rest} == {"Account", "Case"}


def test_observed_and_rerun_rows_are_told_for_every_run(attack: Scoped) -> None:
    table = runs(attack.folder)
    bulk = table[table["source"] == "bulk job"]
    assert len(bulk) == 2
    assert (bulk["difference"] == 0).all()
    assert (table.loc[table["object"] == "Contact", "note"] == "aggregate only").sum() == 2


def test_the_kinds_of_data_are_named(attack: Scoped) -> None:
    assert {"contact", "name", "order_history"} <= set(attack.summary.by_category)
    assert attack.summary.by_category["contact"].upper <= attack.summary.subjects.upper


def test_only_those_count_whose_own_text_shows_it(attack: Scoped, twin: Twin) -> None:
    persons = {p["record_id"]: p["person"] for p in twin.lines("persons") if p["object"] == "Case"}
    cases = list(twin.org.query("SELECT Id, Description FROM Case", what="test", all_rows=True))
    told = [case for case in cases if "and the password" in (case["Description"] or "")]
    wanted = {persons[case["Id"]] for case in told if case["Id"] in persons}
    assert 0 < len(wanted) < len({persons[case["Id"]] for case in cases if case["Id"] in persons}) / 4
    assert attack.summary.by_category["credentials"].upper == len(wanted)
    assert attack.summary.by_category["pan"].upper < attack.summary.by_category["contact"].upper


def test_coverage_says_what_was_there_and_what_was_not(attack: Scoped) -> None:
    by_source = {line.source: line for line in attack.summary.coverage}
    for kind in ("RestApi", "BulkApi2", "UniqueQuery", "ApiTotalUsage", "Login"):
        line = by_source[f"EventLogFile {kind}"]
        assert line.present
        assert line.events
        assert "not yet complete" not in line.statement
    assert not by_source["EventLogFile Report"].present
    assert "No AWS key" in by_source["CloudTrail"].statement
    assert "No Vault token" in by_source["Vault audit log"].statement
    for name in ("ApiEvent", "ReportEvent", "RestApiEventLog"):
        assert (by_source[name].present, by_source[name].licensed) == (False, False)
    assert "running them again" in by_source["ApiEvent"].effect
    assert by_source["LoginHistory"].events > 0
    assert by_source["SetupAuditTrail"].present
    assert by_source["bulk job list"].present
    assert "not licensed" in by_source["BulkApiResultEventStore"].statement
    assert by_source["the suspects' other calls"].statement.startswith("3 calls that show no record")


def test_the_originals_are_kept_with_their_hashes(attack: Scoped) -> None:
    logs = attack.folder.path / "logs"
    manifest = json.loads((logs / "manifest.json").read_text(encoding="utf-8"))
    assert manifest
    for entry in manifest.values():
        assert hashlib.sha256((logs / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]


def test_no_personal_data_in_what_is_shown(attack: Scoped) -> None:
    shown = attack.folder.scope.read_text(encoding="utf-8") + repr(attack.ledger.notes)
    for name in ("exposures", "subjects", "runs", "joins", "subject_keys"):
        shown += pd.read_parquet(attack.folder.path / "exposure" / f"{name}.parquet").to_csv()
    assert "@" not in shown.replace("@lab.example", "")
    assert attack.ledger.notes[0]["records"] == {
        "lower": attack.summary.records.lower,
        "upper": attack.summary.records.upper,
    }
