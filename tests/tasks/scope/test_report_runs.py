"""Reports and list views that were really run against a twin: what scoping finds against what was served."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.incident import Coverage
from tasks.scope.exposure import exposures, runs
from tests.tasks.scope.attack import Scoped, Thief, Twin, scoped, start
from tests.tasks.scope.report_logs import EXPORT, RUN, logs, runs_in


def report(thief: Thief, name: str) -> str:
    return str(
        next(one["id"] for one in thief.call("GET", "analytics/reports").json() if one["name"] == name)
    )


def run(thief: Thief, name: str, method: str = "GET", **params: str) -> None:
    path = f"analytics/reports/{report(thief, name)}"
    assert thief.call(method, path, params={"includeDetails": "true", **params}).ok


def export(thief: Thief, name: str) -> None:
    url = f"{thief.told['url']}/{report(thief, name)[:15]}"
    reply = thief.http.get(url, params={"export": "1", "enc": "UTF-8", "xf": "csv"}, timeout=60)
    assert reply.headers["content-type"].startswith("text/csv")


def view(thief: Thief, object_name: str, label: str) -> str:
    listed = thief.call("GET", f"sobjects/{object_name}/listviews").json()["listviews"]
    found = next(one["id"] for one in listed if one["label"] == label)
    return f"sobjects/{object_name}/listviews/{found}/results"


def told(scope: Scoped, source: str) -> Coverage:
    return next(line for line in scope.summary.coverage if line.source == source)


def notes(scope: Scoped) -> str:
    return " ".join(line.statement for line in scope.summary.coverage)


def inside(scope: Scoped) -> bool:
    bounds = scope.summary.records
    return bounds.lower <= len(scope.served()) <= bounds.upper and scope.served() <= scope.found()


@pytest.fixture(scope="module")
def exact(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Scoped:
    """Reports with filters, run and exported, and list views shorter than a page."""
    since, thief = start(), Thief(twin)
    for name in ("Open Cases by Owner", "Returns and Refunds", "Leads This Quarter", "Gold Members"):
        run(thief, name)
    export(thief, "Newsletter Opt-ins")
    run(thief, "Gold Members")
    platinum = view(thief, "Loyalty_Member__c", "Platinum Members")
    assert thief.call("GET", platinum, params={"limit": "2000"}).ok
    assert thief.call("GET", platinum.replace("/results", "/describe")).ok
    assert thief.call("GET", view(thief, "Case", "Open Cases"), params={"limit": "2000"}).ok
    return scoped(twin, tmp_path_factory.mktemp("home"), since)


def test_reports_and_list_views_are_found_row_by_row(exact: Scoped) -> None:
    served = exact.served()
    assert {name for name, _ in served} == {"Case", "Lead", "Loyalty_Member__c", "Contact"}
    assert (len(served - exact.found()), len(exact.found() - served)) == (0, 0)
    assert exact.found(certain=True) == served
    assert (exact.summary.records.lower, exact.summary.records.upper) == (len(served), len(served))


def test_every_run_is_counted_once_though_five_logs_tell_of_it(exact: Scoped) -> None:
    table = runs(exact.folder)
    assert sorted(table["source"]) == ["list view", "list view", *["report"] * 5, "report export"]
    assert (table["difference"] == 0).all()
    line = told(exact, "reports").statement
    assert line.startswith("6 runs of 5 reports, 1 of them exports")
    assert "more is assumed" not in line
    assert told(exact, "list views").statement.startswith("2 pages of 2 list views were read")
    assert "names no record" not in " ".join(one.source for one in exact.summary.coverage)


def test_every_field_that_a_report_showed_is_named(exact: Scoped) -> None:
    named: dict[tuple[str, str], set[str]] = {}
    table = exposures(exact.folder)
    for name, record, fields in zip(table["object"], table["record_id"], table["fields"], strict=True):
        named.setdefault((str(name), str(record)), set()).update(str(fields).casefold().split(","))
    for line in exact.truth:
        shown = {field.casefold() for field in line["fields"]} - {"id"}
        assert shown <= named[line["object"], line["record_id"]], line


def test_a_run_of_more_than_it_can_show_may_mean_any_of_the_rows(twin: Twin, tmp_path: Path) -> None:
    since, thief = start(), Thief(twin)
    run(thief, "All Customers")
    found = scoped(twin, tmp_path, since)
    assert len(found.served()) == 2000
    assert (found.summary.records.lower, found.summary.records.upper) == (2000, 2500)
    assert found.served() <= found.found()
    assert found.found(certain=True) == set()


def test_what_no_log_tells_means_all_it_may_have_been(twin: Twin, tmp_path: Path) -> None:
    """A run with columns or filters of its own, and one page of a long list view."""
    since, thief = start(), Thief(twin)
    run(thief, "Gold Members", "POST")
    path = view(thief, "Contact", "All Contacts")
    assert thief.call("GET", path, params={"limit": "200", "offset": "100"}).ok
    found = scoped(twin, tmp_path, since)
    assert inside(found)
    assert found.found(certain=True) == set()
    served = {name: sum(one == name for one, _ in found.served()) for name, _ in found.served()}
    counts = found.summary.records_by_object
    assert served["Contact"] == 200 < counts["Contact"] == 2500
    assert 0 < served["Loyalty_Member__c"] < counts["Loyalty_Member__c"]
    assert found.summary.records.lower >= 200 + served["Loyalty_Member__c"]
    assert "columns or filters of its own" in notes(found)


def test_a_report_or_list_view_that_is_changed_or_gone_means_its_whole_object(
    twin: Twin, tmp_path: Path
) -> None:
    since, thief = start(), Thief(twin)
    run(thief, "Gold Members")
    run(thief, "Open Cases by Owner")
    export(thief, "Leads This Quarter")
    german = view(thief, "Contact", "German Contacts")
    assert thief.call("GET", german).ok
    changed, gone = report(thief, "Gold Members"), report(thief, "Open Cases by Owner")
    private = report(thief, "Leads This Quarter")
    twin.lab("plant", json={"object": "Report", "id": changed, "set": {"Description": "changed"}})
    twin.lab("plant", json={"object": "Report", "id": gone, "set": {"IsDeleted": 1}})
    # Not ours to see: the folder tells nothing of when the report was changed.
    same = {"FolderName": "Private Reports", "LastModifiedDate": "2026-01-01T00:00:00.000+0000"}
    twin.lab("plant", json={"object": "Report", "id": private, "set": same})
    twin.lab(
        "plant", json={"object": "ListView", "id": german.split("/")[3], "set": {"Name": "German people"}}
    )

    found = scoped(twin, tmp_path, since)

    assert inside(found)
    assert found.found(certain=True) == set()
    counts = found.summary.records_by_object
    for name in ("Loyalty_Member__c", "Case", "Lead", "Contact"):
        assert counts[name] >= len(thief.query(f"SELECT Id FROM {name}"))
    text = notes(found)
    assert "it was changed after it was run" in text
    assert "it was changed after it was read" in text
    assert text.count("it cannot be described") >= 2
    assert "Of 3 reports more is assumed than was read" in text


@pytest.mark.parametrize("missing", ["", "Report", "ReportExport", "RestApi", "UniqueQuery"])
def test_a_log_that_is_missing_widens_and_loses_nothing(missing: str) -> None:
    """One export and one run, told by any of the logs that hold them."""
    told_by = runs_in({kind: rows for kind, rows in logs().items() if kind != missing})
    assert [one.seen.id for one in told_by] == [RUN[:15], EXPORT[:15]]
    # Without the request's own line nothing tells whether the run showed more than a summary.
    assert [one.certain for one in told_by] == [missing != "RestApi", True]


def test_a_summary_without_details_is_a_run_of_which_no_row_is_sure() -> None:
    found = logs()
    found["RestApi"]["ROWS_PROCESSED"] = "0"
    run, _ = runs_in(found)
    assert (run.certain, run.rows, run.most) == (False, 10, 2000)
    assert "whether the detail rows were asked for" in run.doubt
