"""The duties as an iCalendar file (RFC 5545), one event and one alarm for each due time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from tasks.incident import Duty, DutyStatus


def to_ics(duties: Iterable[Duty], made_at: datetime) -> str:
    """Events for what is due or may be due and has a time; an alarm a day before."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//salesforce-leak-response//duties//EN",
        "CALSCALE:GREGORIAN",
    ]
    for duty in duties:
        if duty.due_at is None or duty.status is DutyStatus.NOT_DUE:
            continue
        question = "" if duty.status is DutyStatus.DUE else " (undetermined)"
        lines += [
            "BEGIN:VEVENT",
            f"UID:{duty.rule.lower()}@leak-response",
            f"DTSTAMP:{_stamp(made_at)}",
            f"DTSTART:{_stamp(duty.due_at)}",
            f"SUMMARY:{_text(f'{duty.rule}{question}: notify {duty.recipient}')}",
            f"DESCRIPTION:{_text(f'{duty.citation}. {duty.why}')}",
            "BEGIN:VALARM",
            "ACTION:DISPLAY",
            f"DESCRIPTION:{_text(duty.rule)}",
            "TRIGGER:-P1D",
            "END:VALARM",
            "END:VEVENT",
        ]
    lines.append("END:VCALENDAR")
    return "".join(_fold(line) + "\r\n" for line in lines)


def _stamp(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _text(value: str) -> str:
    for plain, escaped in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
        value = value.replace(plain, escaped)
    return value


def _fold(line: str) -> str:
    """Lines of at most 75 octets, continued with a space, never split inside a character."""
    parts: list[str] = []
    current = ""
    for character in line:
        if len((current + character).encode()) > (75 if not parts else 74):
            parts.append(current)
            current = ""
        current += character
    return "\r\n ".join([*parts, current])
