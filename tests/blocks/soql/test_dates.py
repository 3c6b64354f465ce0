"""Date literals against ranges worked out by hand, also where a day has no midnight, 23 hours or 25."""

from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from blocks.salesforce.soql import ast, date_range, day_span, parse
from tests.blocks.soql.generator import COUNTED, LITERALS

NOW = datetime(2026, 11, 24, 9, 30, 15, 400_000, tzinfo=UTC)  # a Tuesday


def literal(text: str) -> ast.DateLiteral:
    where = parse(f"SELECT Id FROM Case WHERE CreatedDate = {text}").where
    assert isinstance(where, ast.Comparison) and isinstance(where.value, ast.DateLiteral)
    return where.value


DAYS = (
    ("TODAY", "2026-11-24", "2026-11-25"),
    ("YESTERDAY", "2026-11-23", "2026-11-24"),
    ("TOMORROW", "2026-11-25", "2026-11-26"),
    ("THIS_WEEK", "2026-11-22", "2026-11-29"),
    ("LAST_WEEK", "2026-11-15", "2026-11-22"),
    ("NEXT_WEEK", "2026-11-29", "2026-12-06"),
    ("THIS_MONTH", "2026-11-01", "2026-12-01"),
    ("LAST_MONTH", "2026-10-01", "2026-11-01"),
    ("NEXT_MONTH", "2026-12-01", "2027-01-01"),
    ("THIS_QUARTER", "2026-10-01", "2027-01-01"),
    ("LAST_QUARTER", "2026-07-01", "2026-10-01"),
    ("NEXT_QUARTER", "2027-01-01", "2027-04-01"),
    ("THIS_YEAR", "2026-01-01", "2027-01-01"),
    ("LAST_YEAR", "2025-01-01", "2026-01-01"),
    ("NEXT_YEAR", "2027-01-01", "2028-01-01"),
    ("LAST_90_DAYS", "2026-08-26", "2026-11-25"),
    ("NEXT_90_DAYS", "2026-11-25", "2027-02-23"),
    ("LAST_N_DAYS:1", "2026-11-23", "2026-11-25"),
    ("LAST_N_DAYS:30", "2026-10-25", "2026-11-25"),
    ("NEXT_N_DAYS:3", "2026-11-25", "2026-11-28"),
    ("N_DAYS_AGO:7", "2026-11-17", "2026-11-18"),
    ("LAST_N_WEEKS:2", "2026-11-08", "2026-11-22"),
    ("NEXT_N_WEEKS:2", "2026-11-29", "2026-12-13"),
    ("N_WEEKS_AGO:2", "2026-11-08", "2026-11-15"),
    ("LAST_N_MONTHS:3", "2026-08-01", "2026-11-01"),
    ("NEXT_N_MONTHS:3", "2026-12-01", "2027-03-01"),
    ("N_MONTHS_AGO:11", "2025-12-01", "2026-01-01"),
    ("LAST_N_QUARTERS:2", "2026-04-01", "2026-10-01"),
    ("NEXT_N_QUARTERS:2", "2027-01-01", "2027-07-01"),
    ("N_QUARTERS_AGO:4", "2025-10-01", "2026-01-01"),
    ("LAST_N_YEARS:2", "2024-01-01", "2026-01-01"),
    ("NEXT_N_YEARS:2", "2027-01-01", "2029-01-01"),
    ("N_YEARS_AGO:3", "2023-01-01", "2024-01-01"),
)

# The fiscal year starts in February: November 2026 lies in the quarter of November to January.
FISCAL = (
    ("THIS_FISCAL_YEAR", "2026-02-01", "2027-02-01"),
    ("LAST_FISCAL_YEAR", "2025-02-01", "2026-02-01"),
    ("NEXT_FISCAL_YEAR", "2027-02-01", "2028-02-01"),
    ("THIS_FISCAL_QUARTER", "2026-11-01", "2027-02-01"),
    ("LAST_FISCAL_QUARTER", "2026-08-01", "2026-11-01"),
    ("NEXT_FISCAL_QUARTER", "2027-02-01", "2027-05-01"),
    ("LAST_N_FISCAL_QUARTERS:3", "2026-02-01", "2026-11-01"),
    ("NEXT_N_FISCAL_QUARTERS:1", "2027-02-01", "2027-05-01"),
    ("N_FISCAL_QUARTERS_AGO:4", "2025-11-01", "2026-02-01"),
    ("LAST_N_FISCAL_YEARS:2", "2024-02-01", "2026-02-01"),
    ("NEXT_N_FISCAL_YEARS:1", "2027-02-01", "2028-02-01"),
    ("N_FISCAL_YEARS_AGO:1", "2025-02-01", "2026-02-01"),
)


@pytest.mark.parametrize(("text", "start", "end"), DAYS)
def test_days(text: str, start: str, end: str) -> None:
    span = day_span(literal(text), NOW, "Europe/Berlin")
    assert (span.start.isoformat(), span.end.isoformat()) == (start, end)


@pytest.mark.parametrize(("text", "start", "end"), FISCAL)
def test_fiscal_days(text: str, start: str, end: str) -> None:
    span = day_span(literal(text), NOW, "UTC", fiscal_year_start_month=2)
    assert (span.start.isoformat(), span.end.isoformat()) == (start, end)


def test_a_january_belongs_to_the_fiscal_year_that_began_before_it() -> None:
    span = day_span(literal("THIS_FISCAL_YEAR"), datetime(2026, 1, 15, tzinfo=UTC), "UTC", 6, 2)
    assert (span.start, span.end) == (date(2025, 2, 1), date(2026, 2, 1))


def test_the_week_starts_where_the_user_says() -> None:
    monday = day_span(literal("THIS_WEEK"), NOW, "UTC", week_start=0)
    assert (monday.start, monday.end) == (date(2026, 11, 23), date(2026, 11, 30))
    on_a_sunday = day_span(literal("THIS_WEEK"), datetime(2026, 11, 22, 12, tzinfo=UTC), "UTC", week_start=0)
    assert on_a_sunday.start == date(2026, 11, 16)


def instants(text: str, now: datetime, tz: str) -> tuple[str, str]:
    start, end = date_range(literal(text), now, tz)
    assert start.tzinfo is UTC and end.tzinfo is UTC
    return f"{start:%Y-%m-%dT%H:%M:%S}", f"{end:%Y-%m-%dT%H:%M:%S}"


def test_the_day_is_the_users_day() -> None:
    assert instants("TODAY", NOW, "Europe/Berlin") == ("2026-11-23T23:00:00", "2026-11-24T23:00:00")
    assert instants("TODAY", NOW, "America/Los_Angeles") == ("2026-11-24T08:00:00", "2026-11-25T08:00:00")
    assert instants("TODAY", NOW, "Pacific/Kiritimati") == ("2026-11-23T10:00:00", "2026-11-24T10:00:00")
    assert instants("TODAY", NOW, "Asia/Kolkata") == ("2026-11-23T18:30:00", "2026-11-24T18:30:00")


def test_last_n_days_ends_with_the_current_second() -> None:
    assert instants("LAST_N_DAYS:1", NOW, "UTC") == ("2026-11-23T00:00:00", "2026-11-24T09:30:16")
    assert instants("LAST_90_DAYS", NOW, "UTC") == ("2026-08-26T00:00:00", "2026-11-24T09:30:16")
    assert instants("NEXT_N_DAYS:1", NOW, "UTC") == ("2026-11-25T00:00:00", "2026-11-26T00:00:00")


@pytest.mark.parametrize(
    ("tz", "day", "start", "end", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), "2026-03-28T23:00:00", "2026-03-29T22:00:00", 23),
        ("Europe/Berlin", (2026, 10, 25), "2026-10-24T22:00:00", "2026-10-25T23:00:00", 25),
        ("America/New_York", (2026, 3, 8), "2026-03-08T05:00:00", "2026-03-09T04:00:00", 23),
        ("Australia/Lord_Howe", (2026, 4, 5), "2026-04-04T13:00:00", "2026-04-05T13:30:00", 24.5),
        # Clocks jump from 00:00 to 01:00: the day has no midnight and starts with the jump.
        ("America/Sao_Paulo", (2018, 11, 4), "2018-11-04T03:00:00", "2018-11-05T02:00:00", 23),
        ("Asia/Beirut", (2022, 3, 27), "2022-03-26T22:00:00", "2022-03-27T21:00:00", 23),
        # At midnight clocks go back to 23:00: the day before is long, this one is not.
        ("America/Sao_Paulo", (2018, 2, 18), "2018-02-18T03:00:00", "2018-02-19T03:00:00", 24),
        ("America/Sao_Paulo", (2018, 2, 17), "2018-02-17T02:00:00", "2018-02-18T03:00:00", 25),
        # From 01:00 back to 00:00: midnight comes twice, the day starts at the first.
        ("America/Havana", (2026, 11, 1), "2026-11-01T04:00:00", "2026-11-02T05:00:00", 25),
        # A whole day that never was: Samoa went from the 29th to the 31st.
        ("Pacific/Apia", (2011, 12, 31), "2011-12-30T10:00:00", "2011-12-31T10:00:00", 24),
    ],
)
def test_days_on_which_clocks_change(
    tz: str, day: tuple[int, int, int], start: str, end: str, hours: float
) -> None:
    noon = datetime(*day, 12, tzinfo=ZoneInfo(tz)).astimezone(UTC)
    assert instants("TODAY", noon, tz) == (start, end)
    first, last = date_range(literal("TODAY"), noon, tz)
    assert last - first == timedelta(hours=hours)


def test_neighbouring_ranges_meet_without_gap_or_overlap() -> None:
    random = Random(4)
    zones = (
        "Europe/Berlin",
        "America/Sao_Paulo",
        "Africa/Cairo",
        "Australia/Lord_Howe",
        "UTC",
        "Asia/Tehran",
    )
    for _ in range(400):
        now = datetime(2015, 1, 1, tzinfo=UTC) + timedelta(minutes=random.randrange(10_000_000))
        tz = random.choice(zones)
        how = (now, tz, random.randrange(7), random.randrange(1, 13))
        for unit in ("WEEK", "MONTH", "QUARTER", "YEAR", "FISCAL_QUARTER", "FISCAL_YEAR"):
            last, this, following = (
                date_range(ast.DateLiteral(f"{which}_{unit}"), *how) for which in ("LAST", "THIS", "NEXT")
            )
            assert last[1] == this[0] and this[1] == following[0]
            assert this[0] <= now < this[1]
            ago = date_range(ast.DateLiteral(f"N_{unit}S_AGO", 1), *how)
            assert ago == last == date_range(ast.DateLiteral(f"LAST_N_{unit}S", 1), *how)
        yesterday, today = (date_range(ast.DateLiteral(d), *how) for d in ("YESTERDAY", "TODAY"))
        assert yesterday[1] == today[0] <= now < today[1]


def test_every_literal_has_a_range_also_at_the_end_of_the_calendar() -> None:
    for name in LITERALS:
        start, end = date_range(ast.DateLiteral(name), NOW, "Europe/Berlin")
        assert start < end, name
    for name in COUNTED:
        for n in (1, 10_000_000):
            start, end = date_range(ast.DateLiteral(name, n), NOW, "Asia/Tokyo")
            assert start <= end, (name, n)
