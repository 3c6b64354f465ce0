"""The watch: stopped for days, across a clock change, cut off in the middle; each threshold is said once."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from blocks.slack import SlackWorkspace
from deployments.lab.slack.server import Slack
from tasks.notify.channel import Channel
from tasks.notify.history import history, standings
from tasks.notify.outlet import FolderOutlet
from tasks.notify.sent import Sent, confirm_sent
from tasks.notify.watch import Watched, daily_key, look, reached, watch_file
from tasks.notify.watching import take, watch_incident, watched_incidents
from tests.tasks.notify.world import World

HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")
# The clocks in Berlin go back on 25 October 2026: these 72 hours end at 08:00 there, not at 09:00.
FRIDAY = datetime(2026, 10, 23, 9, 0, tzinfo=BERLIN).astimezone(UTC)
RULE = "EU-GDPR-33-1"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.new(tmp_path)
    world = replace(world, incident=replace(world.incident, aware_at=FRIDAY, declared_at=FRIDAY))
    world.folder.write(world.folder.incident, world.incident)
    world.scope({"DE": 12})
    world.clocks(FRIDAY, {"incident.risk_level": "high"})
    return world


@pytest.fixture
def slack(lab_slack: Slack, monkeypatch: pytest.MonkeyPatch) -> SlackWorkspace:
    monkeypatch.setenv("LAB_TEST_SLACK_TOKEN", lab_slack.token)
    return SlackWorkspace(base_url=lab_slack.base_url, token=["env:LAB_TEST_SLACK_TOKEN"], timeout_s=5)


def watch(world: World, slack: SlackWorkspace, at: datetime, kind: type[Channel] = Channel) -> list[str]:
    outlet = kind(slack, world.plan, world.folder)
    return watch_incident(world.incident, world.plan, world.folder, world.ledger, outlet, at)


def said(slack: Slack, rule: str = RULE) -> list[str]:
    """Every threshold of one duty that the channel was told, in order."""
    found = []
    for message in slack.channel("inc-1")["messages"]:
        for line in message["text"].splitlines():
            if f"`{rule}`" in line and line.startswith("- ") and "due 20" in line:
                found += re.findall(r"half|quarter|tenth|overdue(?= \(|\*)", line.split("`")[0])
    return found


def test_each_threshold_once_while_it_runs(world: World, lab_slack: Slack, slack: SlackWorkspace) -> None:
    for hours in range(0, 80, 4):
        watch(world, slack, FRIDAY + hours * HOUR)
    assert said(lab_slack) == ["half", "quarter", "tenth", "overdue"]


def test_stopped_for_days_across_the_clock_change(
    world: World, lab_slack: Slack, slack: SlackWorkspace
) -> None:
    watch(world, slack, FRIDAY + HOUR)
    assert said(lab_slack) == []
    tuesday = datetime(2026, 10, 27, 10, 0, tzinfo=BERLIN)
    for _ in range(3):  # and restarted again and again
        watch(world, slack, tuesday)
    assert said(lab_slack) == ["half", "quarter", "tenth", "overdue"]
    line = next(t for m in lab_slack.channel("inc-1")["messages"] for t in m["text"].splitlines()
                if f"`{RULE}`" in t and "*overdue*" in t)  # fmt: skip
    assert "half (2026-10-24 19:00 UTC)" in line  # 36 hours later, 21:00 in summer time
    assert "due 2026-10-26 07:00 UTC, overdue by 26 h" in line  # 08:00 in winter time


def test_started_only_when_a_quarter_is_left(world: World, lab_slack: Slack, slack: SlackWorkspace) -> None:
    watch(world, slack, FRIDAY + 60 * HOUR)
    assert said(lab_slack) == ["half", "quarter"]
    watch(world, slack, FRIDAY + 73 * HOUR)
    assert said(lab_slack) == ["half", "quarter", "tenth", "overdue"]


class CutOff(Exception):
    """Stands for SIGKILL."""


class DiesAfterPosting(Channel):
    def post(self, *arguments: Any, **more: Any) -> bool:
        super().post(*arguments, **more)
        raise CutOff


class DiesBeforePosting(Channel):
    def post(self, *arguments: Any, **more: Any) -> bool:
        raise CutOff


@pytest.mark.parametrize("dies", [DiesAfterPosting, DiesBeforePosting])
def test_killed_between_posting_and_remembering(
    world: World, lab_slack: Slack, slack: SlackWorkspace, dies: type[Channel]
) -> None:
    with pytest.raises(CutOff):
        watch(world, slack, FRIDAY + 40 * HOUR, dies)
    watch(world, slack, FRIDAY + 41 * HOUR)
    assert said(lab_slack) == ["half"]


def test_slack_down_for_two_days_then_everything_once_and_in_order(
    world: World, lab_slack: Slack, slack: SlackWorkspace
) -> None:
    watch(world, slack, FRIDAY)
    lab_slack.control("faults", {"kind": "unavailable"})
    for hours in (40, 55, 66):
        assert watch(world, slack, FRIDAY + hours * HOUR)
    lab_slack.control("faults", method="DELETE")
    watch(world, slack, FRIDAY + 73 * HOUR)
    assert said(lab_slack) == ["half", "quarter", "tenth", "overdue"]


def test_a_due_time_that_moves_is_counted_anew(world: World, lab_slack: Slack, slack: SlackWorkspace) -> None:
    watch(world, slack, FRIDAY + 40 * HOUR)
    earlier = FRIDAY - 20 * HOUR
    world.clocks(FRIDAY + 41 * HOUR, {"incident.clocks.awareness": earlier.isoformat()})
    watch(world, slack, FRIDAY + 41 * HOUR)
    assert said(lab_slack) == ["half", "half", "quarter"]


def test_what_is_sent_or_withdrawn_is_left_alone(world: World) -> None:
    known = standings(history(world.folder))
    late = FRIDAY + 80 * HOUR
    assert [mark.threshold for mark in reached(known[RULE], (0.5, 0.25, 0.1), late)][-1] == "overdue"
    confirm_sent(
        world.folder,
        world.ledger,
        Sent(RULE, FRIDAY + HOUR, "form", "1", "privacy", FRIDAY + HOUR, unapproved="by phone"),
    )
    known = standings(history(world.folder))
    assert list(reached(known[RULE], (0.5, 0.25, 0.1), late)) == []


def test_nobody_reacts_the_next_person_is_told(world: World, lab_slack: Slack, slack: SlackWorkspace) -> None:
    half = FRIDAY + 36 * HOUR
    minutes = timedelta(minutes=1)
    for after in (0, 10, 29, 31, 45, 62, 90, 95, 125, 500):
        watch(world, slack, half + after * minutes)
    told = [m["text"] for m in lab_slack.channel("inc-1")["messages"]
            if "Nobody took the reminder to privacy" in m["text"] and RULE in m["text"]]  # fmt: skip
    assert [text.split()[0] for text in told] == ["<@U0LEGAL001>", "<@U0CMDR0001>"]
    assert all("@lab.example" not in text for text in told)


def test_who_takes_it_is_not_overruled(world: World, lab_slack: Slack, slack: SlackWorkspace) -> None:
    half = FRIDAY + 36 * HOUR
    watch(world, slack, half)
    state = world.folder.read(watch_file(world.folder), Watched)
    assert state is not None
    for one in state.reminders:
        take(world.folder, world.ledger, one.key, "privacy")
        take(world.folder, world.ledger, one.key, "legal")
    watch(world, slack, half + 5 * HOUR)
    texts = [m["text"] for m in lab_slack.channel("inc-1")["messages"]]
    new = [one for one in texts if "Nobody took" in one and RULE in one]
    assert new == [] and set(world.notes("reminder taken")) == {one.key for one in state.reminders}


def test_a_vendor_that_does_not_answer_is_chased_each_day(world: World) -> None:
    outlet = FolderOutlet(world.folder)
    rule = "VENDOR-CHATWISE-ANSWER"
    for hours in (73, 75, 97, 200):
        at = FRIDAY + hours * HOUR
        watch_incident(world.incident, world.plan, world.folder, world.ledger, outlet, at)
    text = outlet.path.read_text(encoding="utf-8")
    lines = [line for line in text.replace("\\n", "\n").splitlines() if rule in line and "chase" in line]
    assert [re.findall(r"chase \d+", line) for line in lines] == [["chase 1"], ["chase 2"], ["chase 6"]]


def test_one_summary_a_day_at_nine_where_the_organisation_is(world: World) -> None:
    assert daily_key(world.plan, datetime(2026, 10, 24, 6, 59, tzinfo=UTC)) is None
    assert daily_key(world.plan, datetime(2026, 10, 24, 7, 0, tzinfo=UTC)) == "daily-2026-10-24"
    assert daily_key(world.plan, datetime(2026, 10, 25, 7, 0, tzinfo=UTC)) is None  # winter time: 08:00
    assert daily_key(world.plan, datetime(2026, 10, 25, 8, 0, tzinfo=UTC)) == "daily-2026-10-25"


def test_only_incidents_with_open_duties_are_watched(world: World, tmp_path: Path) -> None:
    World.new(tmp_path, "INC-2")
    assert list(watched_incidents(tmp_path)) == ["INC-1"]


def test_a_second_look_at_the_same_time_says_nothing_more(world: World) -> None:
    known = standings(history(world.folder))
    at = FRIDAY + 80 * HOUR
    once = look(Watched(), known, world.incident, world.plan, at)
    assert once.reminders and look(once, known, world.incident, world.plan, at) == once
