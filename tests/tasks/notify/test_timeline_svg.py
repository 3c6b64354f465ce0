"""The picture of deadlines: well-formed, one mark for each duty, in order, and honest about what is open."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

from tasks.incident import Duty, DutyStatus
from tasks.notify.history import history, standings
from tasks.notify.present import present
from tasks.notify.sent import Sent, confirm_sent
from tasks.notify.timeline_svg import MAX_ROWS, timeline_svg
from tests.tasks.notify.world import AWARE, World

HOUR = timedelta(hours=1)
SVG = "{http://www.w3.org/2000/svg}"


def duty(rule: str, hours: float, status: DutyStatus = DutyStatus.DUE, to: str = "ICO & <co>") -> Duty:
    return Duty(rule, status, to, AWARE, AWARE + hours * HOUR, False, "", "high", "")


def tips(picture: str) -> list[str]:
    root = ElementTree.fromstring(picture)
    return [title.text or "" for group in root.iter(f"{SVG}g") for title in group.iter(f"{SVG}title")]


def ends(picture: str) -> list[float]:
    return [float(one.get("cx") or 0) for one in ElementTree.fromstring(picture).iter(f"{SVG}circle")]


def test_each_duty_with_a_time_once_soonest_first() -> None:
    duties = [
        duty("B", 72),
        duty("A", 4),
        duty("C", 24, DutyStatus.UNDETERMINED),
        duty("D", 9, DutyStatus.NOT_DUE),
    ]
    picture = timeline_svg([*duties, replace(duties[0], rule="E", due_at=None)], {}, AWARE, AWARE + 5 * HOUR)
    assert [tip.split(":")[0] for tip in tips(picture)] == ["A", "C", "B"]
    assert [tip.split(": ")[1].split(",")[0] for tip in tips(picture)] == ["overdue", "undetermined", "due"]
    assert ends(picture) == sorted(ends(picture)) and "ICO &amp; &lt;co&gt;" in picture


def test_many_duties_are_counted_not_dropped_in_silence() -> None:
    picture = timeline_svg([duty(f"R{n}", n + 1) for n in range(MAX_ROWS + 7)], {}, AWARE, AWARE)
    assert len(tips(picture)) == MAX_ROWS and "and 7 more" in picture


def test_no_duty_is_a_picture_too() -> None:
    assert "0 duties" in timeline_svg([], {}, AWARE, AWARE)


def test_the_incident_has_its_picture_and_its_calendar(tmp_path: Path) -> None:
    world = World.new(tmp_path)
    world.scope({"DE": 3})
    world.clocks(AWARE, {"incident.risk_level": "high"})
    at = AWARE + HOUR
    confirm_sent(
        world.folder,
        world.ledger,
        Sent("EU-GDPR-33-1", at, "form", "1", "privacy", at, unapproved="by phone"),
    )
    present(world.incident, world.plan, world.folder, world.ledger, at)
    picture = (world.folder.path / "notify" / "timeline.svg").read_text(encoding="utf-8")
    assert [tip for tip in tips(picture) if tip.startswith("EU-GDPR-33-1: sent")]
    assert standings(history(world.folder))["EU-GDPR-33-1"].sent_at == at
    assert "BEGIN:VCALENDAR" in (world.folder.path / "notify" / "duties.ics").read_text(encoding="utf-8")
