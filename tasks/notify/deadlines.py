"""When a period that starts at an instant ends: hours, calendar days, business days, months.

Hours are added in UTC, so a clock change does not move them. Days leave out the day of the trigger and end at
23:59:59 in the jurisdiction's zone. No roll-forward at weekends: the safe direction. Months end on the same
day of the month, or its last day (Regulation 1182/71 art. 3(2)(c)).
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

from tasks.notify.rules import Span

END_OF_DAY = time(23, 59, 59)

# Which days a business-day count leaves out: holidays' country and subdivision by calendar name.
_HOLIDAYS = {"US-FEDERAL-SEC": ("US", None), "BR": ("BR", None), "US-STATE": ("US", "*"), None: ("US", None)}


def due_instant(
    start: datetime,
    span: Span,
    zone: ZoneInfo,
    calendar_name: str | None = None,
    subdivision: str | None = None,
) -> datetime:
    """The last instant in UTC at which the duty is still met in time."""
    if span.unit == "hours":
        return start.astimezone(UTC) + timedelta(hours=span.value)
    first = start.astimezone(zone).date()
    if span.unit == "calendar_days":
        last = first + timedelta(days=span.value)
    elif span.unit == "business_days":
        last = _after_business_days(first, span.value, calendar_name, subdivision)
    else:
        last = _months_later(first, span.value)
    return datetime.combine(last, END_OF_DAY, zone).astimezone(UTC)


def end_of_year(instant: datetime, zone: ZoneInfo) -> datetime:
    """The last second of the calendar year in which an instant falls."""
    year = instant.astimezone(zone).year
    return datetime.combine(date(year, 12, 31), END_OF_DAY, zone).astimezone(UTC)


def _after_business_days(first: date, days: int, calendar_name: str | None, subdivision: str | None) -> date:
    country, region = _HOLIDAYS.get(calendar_name, ("US", None))
    off = _calendar(country, subdivision if region == "*" else None)
    day = first
    while days:
        day += timedelta(days=1)
        if day.weekday() < 5 and day not in off:
            days -= 1
    return day


@lru_cache
def _calendar(country: str, subdivision: str | None) -> holidays.HolidayBase:
    return holidays.country_holidays(country, subdiv=subdivision)


def _months_later(first: date, months: int) -> date:
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    return date(year, month + 1, min(first.day, calendar.monthrange(year, month + 1)[1]))
