"""Scoping from folders that nobody prepared, against what the twin really served."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.incident import Incident, IncidentFolder, Suspect, SuspectKind, Window
from tasks.scope.exposure import affected_records
from tasks.scope.offline import Folders, scope_files
from tasks.scope.salt import salt_in
from tasks.scope.subject import Affected, answer
from tests.tasks.scope.attack import Notes, Thief, Twin, colleague, start, start_twin
from tests.tasks.scope.exports import OBJECTS, as_csv, logs_of, records_of, write

SUSPECT = Suspect(SuspectKind.CONNECTED_APP, "Support Chat")


@dataclass(frozen=True)
class Exported:
    logs: dict[str, pd.DataFrame]
    records: dict[str, pd.DataFrame]
    window: Window
    served: frozenset[tuple[str, str]]
    people: int


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    process, made = start_twin(tmp_path_factory.mktemp("twin"), contacts=400)
    yield made
    assert process.stdin
    process.stdin.close()
    process.wait(20)


@pytest.fixture(scope="module")
def exported(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    since = start()
    thief = Thief(twin)
    assert thief.query(
        "SELECT Id, Name, Email FROM Contact WHERE Email LIKE '%a%' AND MailingCountry != 'Germany'"
    )
    assert thief.export("SELECT Id, Subject, Description, Contact.Email FROM Case WHERE IsClosed = false")
    assert thief.query(
        "SELECT Id, LastName FROM Lead WHERE Status IN ('Open - Not Contacted', 'x') OR Company = null"
    )
    assert thief.query("SELECT Id, (SELECT Id FROM OrderItems) FROM Order WHERE TotalAmount > 250.5")
    assert thief.query(
        "SELECT Id FROM Contact WHERE AccountId IN (SELECT Id FROM Account WHERE Name LIKE 'A%')"
    )
    thief.query("SELECT COUNT() FROM Contact")
    contact = thief.query("SELECT Id FROM Contact ORDER BY Id DESC LIMIT 1")[0]["Id"]
    assert thief.call("GET", f"sobjects/Contact/{contact}").ok
    assert colleague(twin).query("SELECT Id, Name FROM Product2")
    window = Window(since, datetime.now(UTC))
    logs = logs_of(twin, window, tmp_path_factory.mktemp("originals"))
    records = {name: records_of(twin, name) for name in (*OBJECTS, "Loyalty_Member__c")}
    truth = twin.truth(since)
    served = frozenset((line["object"], line["record_id"]) for line in truth)
    persons = {(p["object"], p["record_id"]): p["person"] for p in twin.lines("persons")}
    return Exported(logs, records, window, served, len({persons[r] for r in served if r in persons}))


def tidy(exported: Exported, base: Path) -> Folders:
    for kind, rows in exported.logs.items():
        write(base / "logs" / f"{kind}.csv", as_csv(rows))
    for name, rows in exported.records.items():
        write(base / "records" / f"{name}.csv", as_csv(rows))
    return Folders(base / "logs", base / "records")


def untidy(exported: Exported, base: Path) -> Folders:
    """The same contents as colleagues leave them; one truncated line more, and noise."""
    logs, records = exported.logs, exported.records
    for kind, rows in logs.items():
        half = len(rows) // 2
        reverse = list(rows.columns)[::-1]
        write(
            base / "logs" / "monday" / f"{half} {kind.lower()} (1).csv.gz",
            as_csv(rows[: half + 1], columns=reverse),
        )
        write(base / "logs" / f"Daily_{kind}_full.csv", as_csv(rows, delimiter=";"), bom=True)
        write(base / "logs" / f"copy of {kind}.csv", as_csv(rows, delimiter=";"), bom=True)
    rest = logs["RestApi"]
    few = [name for name in rest.columns if name not in ("RUN_TIME", "MEDIA_TYPE", "CPU_TIME")]
    write(base / "logs" / "rest-again.csv", as_csv(rest.head(5), columns=few) + '"RestApi","2026')
    write(base / "logs" / "empty.csv", "")
    write(base / "logs" / "shopping.csv", "what,how many\nmilk,2\n")
    (base / "logs" / "broken.parquet").write_bytes(b"PAR1 and then nothing")
    for place, (name, rows) in enumerate(records.items()):
        if place % 3 == 0:
            (base / "records").mkdir(parents=True, exist_ok=True)
            rows.to_parquet(base / "records" / f"x{place}-{name}.parquet")
        elif place % 3 == 1:
            loud = rows.rename(columns=str.upper)
            write(base / "records" / f"extract {name}s 2026-11-24.csv", as_csv(loud), bom=True)
        else:
            half = len(rows) // 2
            write(base / "records" / f"{name}-1.csv.gz", as_csv(rows[: half + 2]))
            write(base / "records" / "more" / f"{name}-2.csv", as_csv(rows[half:], delimiter="\t"))
    write(base / "records" / "list.csv", "Name,Town\nAda,London\n")
    return Folders(base / "logs", base / "records")


def run(exported: Exported, folders: Folders, out: Path, zone: str = "America/Los_Angeles") -> Any:
    now = datetime.now(UTC)
    incident = Incident("offline-1", "app leaked", (SUSPECT,), exported.window, now, now, "offline")
    out.mkdir(parents=True, exist_ok=True)
    return scope_files(incident, folders, IncidentFolder(out), Notes(), now=now, zone=zone)


@pytest.mark.parametrize("make", [tidy, untidy])
def test_the_records_and_people_that_were_served_and_no_other(
    exported: Exported, tmp_path: Path, make: Any
) -> None:
    summary = run(exported, make(exported, tmp_path), tmp_path / "out")
    found = set(affected_records(IncidentFolder(tmp_path / "out")).itertuples(index=False, name=None))
    assert (len(exported.served - found), len(found - exported.served)) == (0, 0)
    assert (summary.records.upper, summary.subjects.upper) == (len(found), exported.people)
    certain = affected_records(IncidentFolder(tmp_path / "out"), certain=True)
    assert set(certain["object"]) == {name for name, _ in found} - {"Case"}
    assert summary.records.lower == len(certain) + 1  # no log tells how much of the job was downloaded
    assert summary.unparsed_queries == 0


def test_everything_that_is_wrong_with_a_file_is_named(exported: Exported, tmp_path: Path) -> None:
    summary = run(exported, untidy(exported, tmp_path), tmp_path / "out")
    said = "\n".join(line.statement for line in summary.coverage)
    for text in (
        "last line is cut off",
        "not even a header",
        "is not an event log",
        "the same as",
        "stand in more than one file",
        "Parquet data is damaged",
        "neither its name nor its ids",
        "were there twice",
    ):
        assert text in said, text


def test_a_missing_column_widens_to_the_object_and_is_named(exported: Exported, tmp_path: Path) -> None:
    folders = tidy(exported, tmp_path)
    leads = exported.records["Lead"].drop(columns=["Status"])
    write(folders.records / "Lead.csv", as_csv(leads))
    summary = run(exported, folders, tmp_path / "out")
    found = affected_records(IncidentFolder(tmp_path / "out"))
    certain = affected_records(IncidentFolder(tmp_path / "out"), certain=True)
    served = {i for name, i in exported.served if name == "Lead"}
    assert served < set(found.loc[found["object"] == "Lead", "record_id"]) == set(leads["Id"])
    assert certain[certain["object"] == "Lead"].empty
    assert summary.records.lower <= len(exported.served) <= summary.records.upper
    assert any("Lead was exported without Status" in line.statement for line in summary.coverage)


def test_a_missing_object_still_counts_by_what_the_logs_observed(exported: Exported, tmp_path: Path) -> None:
    folders = tidy(exported, tmp_path)
    (folders.records / "Lead.csv").unlink()
    summary = run(exported, folders, tmp_path / "out")
    assert summary.records.lower <= len(exported.served) <= summary.records.upper
    assert summary.records.upper == len(exported.served)
    assert any(
        "Lead" in line.statement and "cannot be described" in line.statement for line in summary.coverage
    )


def test_without_logs_nothing_is_claimed(exported: Exported, tmp_path: Path) -> None:
    folders = tidy(exported, tmp_path)
    for path in folders.logs.iterdir():
        path.unlink()
    summary = run(exported, folders, tmp_path / "out")
    assert summary.records.upper == 0
    assert not [line for line in summary.coverage if line.source.startswith("EventLogFile") and line.present]


def test_one_person_is_answered(exported: Exported, tmp_path: Path) -> None:
    run(exported, tidy(exported, tmp_path), tmp_path / "out")
    folder = IncidentFolder(tmp_path / "out")
    salt = salt_in(folder.sub("exposure"))
    contacts = exported.records["Contact"]
    served = {i for name, i in exported.served if name == "Contact"}
    there = contacts[contacts["Id"].isin(served) & contacts["Email"].str.contains("@")].iloc[0]
    name, _, domain = there["Email"].partition("@")
    told = answer(folder, "offline-1", f" {name.upper()}+news@{domain} ", salt)
    assert told.affected is Affected.YES
    assert "Contact" in {one.object for one in told.shown}
    assert "contact" in told.categories
    assert there["Email"] not in repr(told)
    assert answer(folder, "offline-1", "nobody@nowhere.example", salt).affected is Affected.NOT_FOUND


def test_the_command(exported: Exported, tmp_path: Path) -> None:
    folders = untidy(exported, tmp_path)
    called = command(
        "scope", "--logs", str(folders.logs), "--records", str(folders.records), "--suspect", str(SUSPECT),
        "--window-start", exported.window.start.isoformat(), "--out", str(tmp_path / "out"), "--json", "-",
    )  # fmt: skip
    assert called.returncode == 0, called.stderr
    told = json.loads(called.stdout)
    assert told["records"]["upper"] == len(exported.served) > told["records"]["lower"] > 0
    assert any("cut off" in line["statement"] for line in told["coverage"])
    missing = command(
        "scope", "--logs", str(tmp_path / "none"), "--records", str(folders.records),
        "--suspect", str(SUSPECT), "--window-start", exported.window.start.isoformat(),
        "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    asked = command(
        "subject", "nobody@nowhere.example", "--incident", "offline", "--folder", str(tmp_path / "out")
    )
    assert asked.returncode == 1
    assert asked.stdout.startswith("NOT FOUND")


def command(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own, as the console script runs it."""
    code = (
        "import typer, sys\n"
        "from blocks.errors import LeakResponseError\n"
        "from deployments.cli import scope, subject\n"
        "app = typer.Typer(pretty_exceptions_enable=False)\n"
        "app.command('scope')(scope.scope)\n"
        "app.command('subject')(subject.subject)\n"
        "try:\n    app()\n"
        "except LeakResponseError as error:\n    sys.stderr.write(f'{error}\\n'); sys.exit(2)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, name, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
