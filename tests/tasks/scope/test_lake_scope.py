"""Scoping an org with what was brought into the lake before: the same answer, and nothing fetched twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from blocks.errors import BadInput
from tasks.incident import Incident, IncidentFolder, ScopeSummary, Suspect, SuspectKind, Window
from tasks.scope.exposure import exposures
from tasks.scope.lake import Lake
from tasks.scope.lake_closed import closed_in
from tasks.scope.lake_org import FRESH, bring_logs, bring_people, current_population
from tasks.scope.population import candidates, sources
from tasks.scope.reader import OrgReader
from tasks.scope.run import scope
from tasks.scope.sources import chosen, listed
from tests.tasks.scope.attack import Notes, Thief, Twin, colleague, start, start_twin, systems_of

SAME = [
    "object", "record_id", "fields", "query", "at", "credential", "certain", "changed", "reason", "residence",
    "categories",
]  # fmt: skip


@dataclass(frozen=True)
class Night:
    """An attack that began before the lake was filled and went on after it."""

    lake: Lake
    window: Window
    newcomer: str  # a contact made after the lake was filled
    mover: str  # one that moved house after it


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    process, made = start_twin(tmp_path_factory.mktemp("twin"), contacts=300)
    yield made
    assert process.stdin
    process.stdin.close()
    process.wait(20)


@pytest.fixture(scope="module")
def night(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Night:
    since = start()
    thief = Thief(twin)
    assert thief.query("SELECT Id, Name, Email FROM Contact WHERE Email LIKE '%a%'")
    assert thief.export("SELECT Id, Subject, ContactId FROM Case")
    assert colleague(twin).query("SELECT Id, Name FROM Contact LIMIT 9")
    twin.lab("flush", json={})
    lake, reader = Lake(tmp_path_factory.mktemp("lake")), OrgReader(twin.org)
    assert bring_logs(reader, lake, now=datetime.now(UTC)).rows > 0
    assert bring_people(reader, lake, now=datetime.now(UTC)).people > 0
    mover = thief.query("SELECT Id FROM Contact ORDER BY Id LIMIT 1")[0]["Id"]
    twin.lab("plant", json={"object": "Contact", "id": mover, "set": {"MailingCountry": "France"}})
    made = {"LastName": "Late", "Email": "late@example.org", "MailingCountry": "Spain"}
    newcomer = twin.lab("insert", json={"object": "Contact", "record": made}).json()["ids"][0]
    # The same session and app go on, and a second login of the same machine is known by the first one's.
    assert thief.query(f"SELECT Id, Email FROM Contact WHERE Id IN ('{mover}', '{newcomer}')")
    assert thief.query("SELECT Id, Email FROM Lead LIMIT 20")
    return Night(lake, Window(since, datetime.now(UTC)), newcomer, mover)


def run(twin: Twin, night: Night, home: Path, lake: Lake | None) -> tuple[ScopeSummary, IncidentFolder]:
    now = datetime.now(UTC)
    suspects = (Suspect(SuspectKind.CONNECTED_APP, "Support Chat"),)
    incident = Incident("test-1", "an app's tokens leaked", suspects, night.window, now, now, "lab")
    folder = IncidentFolder.of(incident.id, home)
    return scope(incident, systems_of(twin), folder, Notes(), now=now, wait_s=30, lake=lake), folder


def test_with_the_lake_and_without_it_the_same_left(twin: Twin, night: Night, tmp_path: Path) -> None:
    without, plain = run(twin, night, tmp_path / "without", None)
    having, filled = run(twin, night, tmp_path / "with", night.lake)
    one, other = (exposures(folder)[SAME].sort_values(SAME, ignore_index=True) for folder in (plain, filled))
    pd.testing.assert_frame_equal(one, other)
    assert {night.newcomer, night.mover} <= set(one["record_id"])
    assert set(one.loc[one["record_id"] == night.mover, "residence"]) == {"FR"}
    for name in ("records", "subjects", "by_residence", "by_category", "records_by_object", "queries"):
        assert getattr(without, name) == getattr(having, name), name
    files = {line.source: line for line in without.coverage if line.source.startswith("EventLogFile")}
    for line in having.coverage:
        if line.source in files:
            assert line.present == files[line.source].present
            assert line.events >= files[line.source].events
            assert line.gaps == files[line.source].gaps
    said = [line.statement for line in having.coverage if line.source == "people"]
    assert len(said) == 1
    assert "that changed since were read on top" in said[0]


def test_what_the_lake_holds_is_not_downloaded_but_kept_as_evidence(
    twin: Twin, night: Night, tmp_path: Path
) -> None:
    before = datetime.now(UTC)
    listed_now = chosen(listed(OrgReader(twin.org), night.window, before))
    closed = closed_in(night.lake, listed_now)
    assert {unit.type for unit, _ in closed.units} >= {"RestApi", "UniqueQuery", "BulkApi2"}
    assert closed.files < {file.id for file in listed_now}
    run(twin, night, tmp_path / "with", night.lake)
    asked = [
        line["path"]
        for line in twin.lines(f"requests?since={before:%Y-%m-%dT%H:%M:%S.000Z}")
        if line["path"].endswith("/LogFile")
    ]
    held = {path.stem for path in (night.lake.path / "originals").rglob("*.csv")}
    assert held
    assert not [path for path in asked if any(name.endswith(path.split("/")[-2]) for name in held)]
    kept = {path.stem for path in (tmp_path / "with").rglob("*.csv")}
    assert held & kept


def test_a_population_read_too_long_ago_is_read_anew(twin: Twin, night: Night) -> None:
    reader = OrgReader(twin.org)
    found = sources(candidates(reader))
    assert current_population(reader, night.lake, found, datetime.now(UTC)) is not None
    later = datetime.now(UTC) + FRESH + timedelta(minutes=5)
    assert current_population(reader, night.lake, found, later) is None


def test_bringing_again_downloads_only_what_is_new(twin: Twin, night: Night) -> None:
    twin.lab("flush", json={})
    again = bring_logs(OrgReader(twin.org), night.lake, now=datetime.now(UTC))
    assert again.files
    twice = bring_logs(OrgReader(twin.org), night.lake, now=datetime.now(UTC))
    assert twice.files <= again.files


def test_a_lake_of_another_org_is_neither_read_nor_filled(twin: Twin, night: Night, tmp_path: Path) -> None:
    mine = night.lake.path / "org.txt"
    kept = mine.read_text(encoding="utf-8")
    mine.write_text("00D000000000000AAA https://shop.my.salesforce.com", encoding="utf-8")
    try:
        reader = OrgReader(twin.org)
        with pytest.raises(BadInput, match="another org"):
            bring_logs(reader, night.lake, now=datetime.now(UTC))
        with pytest.raises(BadInput, match="another org"):
            bring_people(reader, night.lake, now=datetime.now(UTC))
        summary, _ = run(twin, night, tmp_path, night.lake)
        assert not any(one.source == "people" for one in summary.coverage)
    finally:
        mine.write_text(kept, encoding="utf-8")
