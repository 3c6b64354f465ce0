"""Gaps in the event log files are named: a part, some bytes, an hour; a quiet hour is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import requests

from tasks.incident import Coverage, Window
from tasks.scope.gaps import gaps_of
from tasks.scope.sources import LogFile, coverage_of
from tasks.scope.stated import Source, present
from tests.tasks.scope.attack import Thief, Twin, scoped, start

DAY = datetime(2026, 11, 23, tzinfo=UTC)


def file(name: str, kind: str, hour: int, sequence: int, length: int = 10) -> LogFile:
    at = DAY + timedelta(hours=hour)
    return LogFile(name, kind, "Hourly", at, at + timedelta(hours=5), sequence, length)


def events(*hours: int, **columns: str) -> pd.DataFrame:
    times = [f"2026-11-23T{hour:02d}:30:00.000Z" for hour in hours]
    return pd.DataFrame(
        {"TIMESTAMP_DERIVED": times, **{name: [value] * len(hours) for name, value in columns.items()}}
    )


def test_a_missing_part_of_an_hour_is_a_gap() -> None:
    files = [file("a", "RestApi", 3, 1), file("b", "RestApi", 3, 3), file("c", "RestApi", 5, 1)]
    gaps = gaps_of(files, {"a": 10, "b": 10, "c": 10}, {})
    assert gaps == {"RestApi": ("part 2 of 3 of 2026-11-23 03:00 UTC is missing",)}


def test_a_file_that_came_short_or_not_at_all_is_a_gap() -> None:
    gaps = gaps_of([file("a", "Login", 3, 1), file("b", "Login", 4, 1)], {"a": 7}, {})
    assert len(gaps["Login"]) == 2
    assert "has 7 of 10 bytes" in gaps["Login"][0]
    assert "could not be downloaded" in gaps["Login"][1]


def test_an_hour_is_a_gap_only_if_another_log_has_calls_in_it() -> None:
    usage = events(1, 2, 3, 4, API_FAMILY="REST")
    gaps = gaps_of([], {}, {"RestApi": events(1, 4, URI="/x"), "ApiTotalUsage": usage})
    assert [gap[:33] for gap in gaps["RestApi"]] == [
        "no event at 2026-11-23 02:00 UTC,",
        "no event at 2026-11-23 03:00 UTC,",
    ]
    quiet = {"RestApi": events(1, 4, URI="/x"), "ApiTotalUsage": events(1, 4, API_FAMILY="REST")}
    assert not gaps_of([], {}, quiet)
    rest = events(1, 2, 3, URI="/services/data/v67.0/query", STATUS_CODE="200")
    assert "UniqueQuery" in gaps_of([], {}, {"RestApi": rest, "UniqueQuery": events(1, 3)})


def test_the_line_of_a_source_says_its_gaps_its_lag_and_what_they_do() -> None:
    gaps = {"RestApi": ("part 2 of 3 of 2026-11-23 03:00 UTC is missing",)}
    window = Window(DAY, DAY + timedelta(hours=20))
    lines = coverage_of({"RestApi": events(3, 4)}, window, frozenset(), DAY + timedelta(days=1), gaps)
    (rest,) = [line for line in lines if line.source == "EventLogFile RestApi"]
    assert rest.gaps == gaps["RestApi"]
    assert "part 2 of 3" in rest.statement
    assert "in no count" in rest.effect


@pytest.mark.parametrize(("age", "said"), [(timedelta(minutes=5), True), (timedelta(hours=2), False)])
def test_a_window_that_ended_within_the_lag_is_not_complete_yet(age: timedelta, said: bool) -> None:
    source = Source("CloudTrail", "calls", "nothing is known", timedelta(minutes=15))
    line: Coverage = present(
        source, [DAY], Window(DAY, DAY + timedelta(hours=1)), DAY + timedelta(hours=1) + age
    )
    assert ("may not be complete" in line.statement) is said
    assert ("run again" in line.effect) is said


def test_a_file_that_the_org_lost_shows_in_the_statement(twin: Twin, tmp_path: Path) -> None:
    since = start()
    thief = Thief(twin)
    for name in ("Account", "Contact", "Lead"):
        thief.query(f"SELECT Id FROM {name} LIMIT 2")
        twin.lab("flush", json={})
    token = _responder(twin)
    soql = "SELECT Id, Sequence FROM EventLogFile WHERE EventType = 'RestApi' ORDER BY LogDate DESC, Sequence"
    found = requests.get(
        f"{twin.told['url']}/services/data/v67.0/query",
        params={"q": soql},
        headers={"Authorization": f"Bearer {token}"},
        verify=twin.told["ca"],
        timeout=30,
    ).json()["records"]
    lost = found[0]
    # Its number is taken by nothing else: the part is known to be missing.
    twin.lab("plant", json={"object": "EventLogFile", "id": lost["Id"], "set": {"EventType": "Lost"}})
    done = scoped(twin, tmp_path, since)
    (rest,) = [line for line in done.summary.coverage if line.source == "EventLogFile RestApi"]
    assert any(f"part {int(lost['Sequence'])} of" in gap for gap in rest.gaps), rest.gaps
    assert "in no count" in rest.effect


def _responder(twin: Twin) -> str:
    told = twin.told["responder"]
    form = {
        "grant_type": "client_credentials",
        "client_id": told["consumer_key"],
        "client_secret": told["client_secret"],
    }
    reply = requests.post(
        f"{twin.told['url']}/services/oauth2/token", data=form, verify=twin.told["ca"], timeout=30
    )
    reply.raise_for_status()
    return str(reply.json()["access_token"])
