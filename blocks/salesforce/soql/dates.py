"""What SOQL's date literals mean at a given moment: half-open ranges of days and of instants.

Source: SOQL and SOSL Reference, "Date Formats and Date Literals" (v65). A day starts at midnight in the
user's time zone, so a range of instants is made from local days, never by adding hours: a day may have 23
or 25.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from blocks.salesforce.soql.ast import DateLiteral

SUNDAY = 6  # as datetime.weekday(); the usual first day of the week in Salesforce

_UNITS = {
    "DAYS": "DAY",
    "WEEKS": "WEEK",
    "MONTHS": "MONTH",
    "QUARTERS": "QUARTER",
    "YEARS": "YEAR",
    "FISCAL_QUARTERS": "FISCAL_QUARTER",
    "FISCAL_YEARS": "FISCAL_YEAR",
}
_NAMED_DAYS = {"YESTERDAY": -1, "TODAY": 0, "TOMORROW": 1}


@dataclass(frozen=True, slots=True)
class Calendar:
    """How the user's week and the organisation's fiscal year are cut.

    `week_start` counts as datetime.weekday() does (0 Monday, 6 Sunday). Fiscal years follow the Gregorian
    months from `fiscal_year_start_month`; custom fiscal years cannot be told from a literal.
    """

    week_start: int = SUNDAY
    fiscal_year_start_month: int = 1


@dataclass(frozen=True, slots=True)
class DaySpan:
    """Local days from `start` to before `end`; `until_now` cuts the last day at the moment asked."""

    start: date
    end: date
    until_now: bool = False


def date_range(
    literal: DateLiteral,
    now: datetime,
    tz: str,
    week_start: int = SUNDAY,
    fiscal_year_start_month: int = 1,
) -> tuple[datetime, datetime]:
    """The instants that the literal means at `now` (aware), as UTC `start <= t < end`.

    `tz` is an IANA name. `LAST_N_DAYS` and `LAST_90_DAYS` end with the current second, all others with a day.
    """
    span = day_span(literal, now, tz, week_start, fiscal_year_start_month)
    if span.until_now:
        end = now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        return _midnight(span.start, tz), end
    return _midnight(span.start, tz), _midnight(span.end, tz)


def day_span(
    literal: DateLiteral,
    now: datetime,
    tz: str,
    week_start: int = SUNDAY,
    fiscal_year_start_month: int = 1,
) -> DaySpan:
    """The local days that the literal means at `now`, for fields that hold a date without a time."""
    today = now.astimezone(ZoneInfo(tz)).date()
    calendar = Calendar(week_start, fiscal_year_start_month)
    name = literal.name
    if name in _NAMED_DAYS:
        return _units(today, "DAY", _NAMED_DAYS[name], 1, calendar)
    if name == "LAST_90_DAYS":
        return _last_days(today, 90)
    if name == "NEXT_90_DAYS":
        return _units(today, "DAY", 1, 90, calendar)
    if literal.n is None:
        which, _, unit = name.partition("_")
        return _units(today, unit, {"LAST": -1, "THIS": 0, "NEXT": 1}[which], 1, calendar)
    if name == "LAST_N_DAYS":
        return _last_days(today, literal.n)
    if name.startswith("LAST_N_"):
        return _units(today, _UNITS[name.removeprefix("LAST_N_")], -literal.n, literal.n, calendar)
    if name.startswith("NEXT_N_"):
        return _units(today, _UNITS[name.removeprefix("NEXT_N_")], 1, literal.n, calendar)
    unit = _UNITS[name.removeprefix("N_").removesuffix("_AGO")]
    return _units(today, unit, -literal.n, 1, calendar)


def _last_days(today: date, n: int) -> DaySpan:
    return DaySpan(_day(today.toordinal() - n), _day(today.toordinal() + 1), until_now=True)


def _units(today: date, unit: str, first: int, count: int, calendar: Calendar) -> DaySpan:
    """`count` whole units, the first one `first` units away from the one that holds `today`."""
    if unit in ("DAY", "WEEK"):
        size = 1 if unit == "DAY" else 7
        lead = 0 if unit == "DAY" else (today.weekday() - calendar.week_start) % 7
        start = today.toordinal() - lead + first * size
        return DaySpan(_day(start), _day(start + count * size))
    size = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit.removeprefix("FISCAL_")]
    shift = calendar.fiscal_year_start_month - 1 if unit.startswith("FISCAL_") else 0
    month = today.year * 12 + today.month - 1 - shift
    start = month - month % size + shift + first * size
    return DaySpan(_first_of(start), _first_of(start + count * size))


def _day(ordinal: int) -> date:
    """The day, or the first or last one that exists when a count reaches past the calendar."""
    return date.fromordinal(max(date.min.toordinal(), min(ordinal, date.max.toordinal())))


def _first_of(month: int) -> date:
    """The first of the month that is `month` months after January of the year 0, within the calendar."""
    year, index = divmod(month, 12)
    if year < date.min.year:
        return date.min
    return date.max if year > date.max.year else date(year, index + 1, 1)


def _midnight(day: date, tz: str) -> datetime:
    """The instant at which a local day starts. Where clocks skip midnight, the day starts with the jump."""
    local = datetime.combine(day, time(), ZoneInfo(tz))
    try:
        return local.astimezone(UTC)
    except OverflowError:
        return local.replace(tzinfo=UTC)
