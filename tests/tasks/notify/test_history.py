"""Facts change, duties change: every change is kept, none disappears, and sent means confirmed."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput
from tasks.incident import DutyStatus
from tasks.notify.answers import all_answers, answer
from tasks.notify.history import Happened, history, history_file, standings
from tasks.notify.sent import Sent, all_sent, confirm_sent
from tests.tasks.notify.world import AWARE, World

HOUR = timedelta(hours=1)
HIGH = {"incident.risk_level": "high"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.new(tmp_path)
    world.scope({"DE": 12, "US-CA": 900})
    return world


def happened(world: World, rule: str) -> list[Happened]:
    return [change.what for change in history(world.folder) if change.rule == rule]


def confirmed(rule: str, at: datetime, **more: Any) -> Sent:
    given = {"channel": "online form", "reference": "2026-1", "unapproved": "sent by phone first"} | more
    return Sent(rule, at, by="privacy", recorded_at=given.pop("recorded_at", at), **given)


def test_a_duty_goes_from_open_to_due_to_withdrawn_and_its_reasons_stay(world: World) -> None:
    world.clocks(AWARE)
    world.clocks(AWARE + HOUR, HIGH)
    world.clocks(AWARE + 2 * HOUR)
    world.clocks(AWARE + 3 * HOUR, {"incident.risk_level": "unlikely"})
    assert happened(world, "EU-GDPR-33-1") == [Happened.APPEARED, Happened.BECAME_DUE, Happened.WITHDRAWN]
    last = [change for change in history(world.folder) if change.rule == "EU-GDPR-33-1"][-1]
    assert "incident.risk_level" in last.why and last.at == AWARE + 3 * HOUR
    assert "EU-GDPR-33-1" in world.notes("duty withdrawn")
    world.clocks(AWARE + 4 * HOUR, HIGH)
    assert happened(world, "EU-GDPR-33-1")[-1] is Happened.RETURNED


def test_a_due_time_that_moves_keeps_the_old_one(world: World) -> None:
    world.clocks(AWARE, HIGH)
    earlier = AWARE - 5 * HOUR
    world.clocks(AWARE + HOUR, {"incident.clocks.awareness": earlier.isoformat()})
    moved = [c for c in history(world.folder) if c.rule == "EU-GDPR-33-1"][-1]
    assert moved.what is Happened.DUE_MOVED
    assert (moved.before, moved.due_at) == (AWARE + 72 * HOUR, earlier + 72 * HOUR)


def test_running_again_or_after_a_crash_adds_nothing(world: World) -> None:
    world.clocks(AWARE, HIGH)
    before = history_file(world.folder).read_bytes()
    world.folder.duties.unlink()  # as if the crash came before the duties were written
    world.clocks(AWARE + HOUR)
    assert history_file(world.folder).read_bytes() == before and world.folder.duties.exists()


def test_a_duty_that_leaves_the_plan_is_withdrawn_not_lost(world: World) -> None:
    world.clocks(AWARE)
    without = world.with_plan(replace(world.plan, vendors=()))
    without.clocks(AWARE + HOUR)
    change = [c for c in history(world.folder) if c.rule == "VENDOR-CHATWISE-NOTICE"][-1]
    assert change.what is Happened.WITHDRAWN and "no longer" in change.why


def test_answers_keep_who_and_when_and_a_double_click_is_one(world: World) -> None:
    first = answer(world.folder, world.ledger, "incident.malicious", True, "privacy", AWARE)
    again = answer(world.folder, world.ledger, "incident.malicious", True, "privacy", AWARE + HOUR)
    assert again == first and len(all_answers(world.folder)) == 1
    answer(world.folder, world.ledger, "incident.malicious", None, "legal", AWARE + HOUR)
    assert [(one.value, one.by) for one in all_answers(world.folder)] == [(True, "privacy"), (None, "legal")]
    assert world.clocks(AWARE)["EU-NIS2-23-4-A"].status in DutyStatus


def test_a_resumed_flow_does_not_overrule_what_was_said_since(world: World) -> None:
    world.clocks(AWARE, HIGH)
    answer(world.folder, world.ledger, "incident.risk_level", "unlikely", "privacy", AWARE + HOUR)
    assert world.clocks(AWARE + 2 * HOUR, HIGH)["EU-GDPR-33-1"].status is DutyStatus.NOT_DUE
    assert [one.by for one in all_answers(world.folder)] == ["Ines Moreau", "privacy"]


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("incident.malicios", True),
        ("incident.malicious", "perhaps"),
        ("incident.clocks.awareness", "2026-11-23T08:00:00"),
        ("incident.affected.ZZ", 3),
        ("vendor.nobody.concerned", True),
        ("vendor.chatwise.concerned", "yes"),
    ],
)
def test_an_answer_that_is_none_is_refused_and_not_kept(world: World, fact: str, value: Any) -> None:
    with pytest.raises(BadInput):
        answer(world.folder, world.ledger, fact, value, "privacy", AWARE, world.plan)
    assert all_answers(world.folder) == []


def test_one_count_answered_does_not_make_the_others_zero(world: World) -> None:
    world.clocks(AWARE, HIGH | {"incident.affected.FR": 7})
    assert world.clocks(AWARE)["EU-GDPR-33-1"].status is DutyStatus.DUE
    world.folder.scope.unlink()
    assert world.clocks(AWARE)["EU-GDPR-33-1"].status is DutyStatus.UNDETERMINED


def test_many_answers_at_once_are_all_kept(world: World) -> None:
    def say(number: int) -> None:
        answer(world.folder, world.ledger, f"incident.affected.FR-{number}", number, "privacy", AWARE)

    threads = [threading.Thread(target=say, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(all_answers(world.folder)) == 12


def test_sent_is_recorded_once_and_starts_the_clocks_that_wait(world: World) -> None:
    world.scope({"US-CA": 900}, ("name", "ssn"))
    answers = {"incident.role": "controller", "incident.encryption": "none"}
    before = world.clocks(AWARE, answers)["US-CA-REG"]
    at = AWARE + 30 * HOUR
    sent = confirmed("US-CA-IND", at)
    assert confirm_sent(world.folder, world.ledger, sent) == sent
    assert confirm_sent(world.folder, world.ledger, replace(sent, recorded_at=at + HOUR)) == sent
    assert len(all_sent(world.folder)) == 1 and happened(world, "US-CA-IND")[-1] is Happened.SENT
    after = world.clocks(at + HOUR)["US-CA-REG"]
    assert after.clock_start == at and before.clock_start != at and after.missing == ()
    assert happened(world, "US-CA-REG")[-1] is Happened.DUE_MOVED
    assert not standings(history(world.folder))["US-CA-IND"].open


def test_late_needs_its_reason_and_says_so_for_ever(world: World) -> None:
    world.clocks(AWARE, HIGH)
    late = confirmed("EU-GDPR-33-1", AWARE + 73 * HOUR)
    with pytest.raises(BadInput, match="sent late"):
        confirm_sent(world.folder, world.ledger, late)
    confirm_sent(world.folder, world.ledger, replace(late, late_reason="the form was down"))
    last = [c for c in history(world.folder) if c.rule == "EU-GDPR-33-1"][-1]
    assert last.what is Happened.CONFIRMED_LATE and last.why == "the form was down"


def test_a_confirmation_needs_an_approval_or_the_reason_for_none(world: World) -> None:
    world.clocks(AWARE, HIGH)
    sent = confirmed("EU-GDPR-33-1", AWARE + HOUR, unapproved=None, draft_hash="ab" * 32)
    with pytest.raises(BadInput, match="No approval covers"):
        confirm_sent(world.folder, world.ledger, sent, {"EU-GDPR-33-1": "cd" * 32})
    assert confirm_sent(world.folder, world.ledger, sent, {"EU-GDPR-33-1": "ab" * 32}) == sent


def test_a_second_notice_amends_the_first_or_is_refused(world: World) -> None:
    world.clocks(AWARE, HIGH)
    confirm_sent(world.folder, world.ledger, confirmed("EU-GDPR-33-1", AWARE + HOUR))
    second = confirmed("EU-GDPR-33-1", AWARE + 90 * HOUR, reference="2026-2")
    with pytest.raises(BadInput, match="sent already"):
        confirm_sent(world.folder, world.ledger, second)
    with pytest.raises(BadInput, match="has the reference"):
        confirm_sent(world.folder, world.ledger, replace(second, amends="2025-9"))
    confirm_sent(world.folder, world.ledger, replace(second, amends="2026-1"))
    assert happened(world, "EU-GDPR-33-1")[-2:] == [Happened.SENT, Happened.AMENDED]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"reference": " "}, "missing"),
        ({"recorded_at": AWARE}, "still to come"),
        ({"recipient": "The moon"}, "no recipient"),
    ],
)
def test_a_confirmation_that_cannot_be_is_refused(world: World, change: dict[str, Any], wanted: str) -> None:
    world.clocks(AWARE, HIGH)
    with pytest.raises(BadInput, match=wanted):
        confirm_sent(world.folder, world.ledger, confirmed("EU-GDPR-33-1", AWARE + HOUR, **change))
    with pytest.raises(BadInput, match="never owed"):
        confirm_sent(world.folder, world.ledger, confirmed("BR-LGPD-48-ANPD", AWARE + HOUR))


def test_a_crash_between_confirmation_and_history_is_repaired(world: World) -> None:
    world.clocks(AWARE, HIGH)
    sent = confirmed("EU-GDPR-33-1", AWARE + HOUR)
    kept = history_file(world.folder).read_bytes()
    confirm_sent(world.folder, world.ledger, sent)
    history_file(world.folder).write_bytes(kept)
    confirm_sent(world.folder, world.ledger, sent)
    assert happened(world, "EU-GDPR-33-1")[-1] is Happened.SENT and len(all_sent(world.folder)) == 1


def test_vendors_by_their_contracts_both_ways(world: World) -> None:
    found = world.clocks(AWARE)
    assert found["VENDOR-CHATWISE-NOTICE"].due_at == AWARE + 24 * HOUR
    assert found["VENDOR-CHATWISE-ANSWER"].due_at == AWARE + 48 * HOUR
    assert found["VENDOR-HANSE-VERSICHERUNG-NOTICE"].due_at == AWARE + 72 * HOUR
    assert found["VENDOR-OTHER-MIDDLEWARE-NOTICE"].status is DutyStatus.NOT_DUE
    customer = found["VENDOR-MARKTPLATZ-PARTNER-NOTICE"]
    assert customer.status is DutyStatus.UNDETERMINED and customer.due_at == AWARE + 24 * HOUR
    assert customer.missing == ("vendor.marktplatz-partner.concerned",)
    found = world.clocks(AWARE, {"vendor.marktplatz-partner.concerned": True})
    assert found["VENDOR-MARKTPLATZ-PARTNER-NOTICE"].status is DutyStatus.DUE


def test_the_law_is_that_of_the_day_we_became_aware(world: World) -> None:
    """India's 72 hours are in force from 13 May 2027: looking later must not bring them in."""
    world.scope({"IN": 5})
    late = world.clocks(AWARE.replace(year=2027, month=6))
    assert late["IN-DPDP-R7-BOARD-72H"].status is DutyStatus.NOT_DUE
