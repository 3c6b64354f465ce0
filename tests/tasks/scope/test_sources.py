"""Which log files are read when hourly, daily and replaced ones lie side by side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd

from tasks.incident import Window
from tasks.scope.sources import LogFile, Markers, chosen, coverage_of

DAY = datetime(2026, 11, 23, tzinfo=UTC)


def file(
    name: str, interval: str, hour: int = 0, sequence: int = 0, after_h: float = 5, kind: str = "RestApi"
) -> LogFile:
    date = DAY + timedelta(hours=hour)
    return LogFile(name, kind, interval, date, DAY + timedelta(hours=hour + after_h), sequence, 10)


def names(*files: LogFile) -> set[str]:
    return {f.id for f in chosen(files)}


def test_all_sequences_of_an_hour_are_read() -> None:
    assert names(file("a", "Hourly", 3, 1), file("b", "Hourly", 3, 2), file("c", "Hourly", 4, 1)) == {
        "a",
        "b",
        "c",
    }


def test_a_newer_file_of_the_same_slot_replaces_the_older() -> None:
    assert names(file("old", "Hourly", 3, 1, 4), file("new", "Hourly", 3, 1, 6)) == {"new"}
    assert names(file("old", "Daily", after_h=30), file("new", "Daily", after_h=40)) == {"new"}


def test_a_daily_file_replaces_its_hours_but_not_what_came_after_it() -> None:
    daily = file("day", "Daily", after_h=30)
    hour, late = file("hour", "Hourly", 3, 1), file("late", "Hourly", 23, 2, after_h=10)
    other_day = LogFile(
        "next", "RestApi", "Hourly", DAY + timedelta(days=1), DAY + timedelta(days=1, hours=5), 1, 10
    )
    other_type = file("other", "Hourly", 3, 1, kind="Login")
    assert names(daily, hour, late, other_day, other_type) == {"day", "late", "next", "other"}


def test_markers_land_type_by_type() -> None:
    markers = Markers({"RestApi": ("REQUEST_ID", "m1"), "UniqueQuery": ("QUERY_IDENTIFIER", "m2")})
    rest = pd.DataFrame({"REQUEST_ID": ["x", "m1"]})
    assert markers.landed({"RestApi": rest}) == {"RestApi"}
    both = {"RestApi": rest, "UniqueQuery": pd.DataFrame({"QUERY_IDENTIFIER": ["SELECT m2 (it's)"]})}
    assert markers.landed(both) == {"RestApi", "UniqueQuery"}
    assert markers.landed({"RestApi": pd.DataFrame({"URI": ["m1"]})}) == frozenset()


def test_coverage_names_the_absent_the_late_and_the_unread() -> None:
    events = {
        "RestApi": pd.DataFrame({"TIMESTAMP_DERIVED": ["2026-11-23T10:00:00Z", "2026-11-23T12:30:00Z"]})
    }
    lines = coverage_of(events, Window(DAY, DAY + timedelta(hours=20)), frozenset({"RestApi"}), DAY)
    by_source = {line.source: line for line in lines}
    rest = by_source["EventLogFile RestApi"]
    assert rest.present
    assert rest.events == 2
    assert "not yet complete up to 2026-11-23 20:00" in rest.statement
    assert "no query text is known" in by_source["EventLogFile UniqueQuery"].statement
    assert "no query text is known" in by_source["EventLogFile UniqueQuery"].effect
    assert "run again" in rest.effect
    assert rest.lag_s == 6 * 3600
