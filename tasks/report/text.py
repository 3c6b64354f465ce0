"""How instants, spans and counts are written for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tasks.incident import Bounds


def instant(at: datetime | None) -> str:
    """For example `24 Nov 2026, 09:30 UTC`."""
    return f"{at.astimezone(UTC):%-d %b %Y, %H:%M} UTC" if at else "not known"


def clock_time(at: datetime) -> str:
    """For example `09:30:07`, for lists whose day is said elsewhere."""
    return f"{at.astimezone(UTC):%H:%M:%S}"


def span(length: timedelta) -> str:
    """The two largest units of a span, for example `2 d 11 h`; never rounded up."""
    seconds = int(abs(length.total_seconds()))
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def time_left(due: datetime, now: datetime) -> str:
    """`2 d 11 h left` or `overdue by 3 h 10 min`."""
    left = due - now
    return f"overdue by {span(left)}" if left < timedelta(0) else f"{span(left)} left"


def seconds(value: float) -> str:
    """`6.4 s`, or a span when it is minutes and more."""
    return f"{value:.1f} s" if value < 120 else span(timedelta(seconds=value))


def bounds(value: Bounds) -> str:
    """`9,811 to 10,640`, or the one figure when both bounds agree."""
    return f"{value.lower:,}" if value.lower == value.upper else f"{value.lower:,} to {value.upper:,}"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 access`, `4 accesses`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


NAMES = {
    "aws": "AWS",
    "oauth": "OAuth",
    "api": "API",
    "id": "ID",
    "kv": "KV",
    "iam": "IAM",
    "approle": "AppRole",
}
NAMES |= {"salesforce": "Salesforce", "vault": "Vault", "s3": "S3", "ssn": "SSN", "jwt": "JWT"}


def words(slug: str) -> str:
    """A machine's word for people: `free_text` becomes `Free text`, `oauth-grants` `OAuth grants`."""
    text = " ".join(NAMES.get(word, word) for word in slug.replace("_", " ").replace("-", " ").split())
    return text[:1].upper() + text[1:]
