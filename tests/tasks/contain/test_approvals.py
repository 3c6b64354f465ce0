"""Approvals: bound to exactly what was shown, by name, with the plan's default when nobody answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blocks.errors import BadInput
from blocks.plan import Approval
from tasks.contain.approvals import Approvals, Decision
from tasks.contain.changes import Change, ChangeSet, Verdict
from tasks.evidence.ledger import FileLedger
from tasks.incident import Access, IncidentFolder, System

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
RULE = Approval(default="reject", timeout_minutes=15)


@pytest.fixture
def folder(tmp_path: Path) -> IncidentFolder:
    return IncidentFolder.of("inc-test-1", tmp_path)


@pytest.fixture
def approvals(folder: IncidentFolder, ledger: FileLedger) -> Approvals:
    return Approvals(folder, ledger)


def changes(*refs: str, verdict: Verdict = Verdict.ASK) -> ChangeSet:
    made = (Access(System.AWS, "access-key", "a-user", ref, {"status": "Active"}) for ref in refs)
    return ChangeSet("inc-test-1", tuple(Change(one, verdict, "deactivate", True) for one in made))


def test_an_approval_names_who_gave_it_and_outlives_the_process(
    approvals: Approvals, folder: IncidentFolder, ledger: FileLedger
) -> None:
    asked = approvals.ask(changes("one", "two"), RULE, NOW)
    assert approvals.decide(asked, NOW) is Decision.PENDING

    approvals.answer(asked.hash[:10], "Ines Moreau", approved=True, now=NOW)

    later = Approvals(folder, ledger)  # as another process would read it
    assert later.decide(asked, NOW + timedelta(hours=9)) is Decision.APPROVED
    assert later.agreed(changes("two", "one")) == {"aws/access-key/one", "aws/access-key/two"}
    (note,) = [e for e in ledger.entries() if e["action"] == "approval answered"]
    assert note["details"]["approver"] == "Ines Moreau"
    assert note["details"]["change_set_hash"] == asked.hash


def test_it_covers_nothing_else_and_the_difference_is_shown_when_it_is_asked_again(
    approvals: Approvals,
) -> None:
    asked = approvals.ask(changes("one", "two"), RULE, NOW)
    approvals.answer(asked.hash, "Ines Moreau", approved=True, now=NOW)

    world_now = changes("one", "three")
    assert approvals.agreed(world_now) == frozenset()
    again = approvals.ask(world_now, RULE, NOW + timedelta(minutes=1))

    assert [line[:1] for line in again.difference] == ["-", "+"]
    assert approvals.decide(again, NOW + timedelta(minutes=2)) is Decision.PENDING


def test_asking_again_moves_no_deadline(approvals: Approvals, ledger: FileLedger) -> None:
    first = approvals.ask(changes("one"), RULE, NOW)
    again = approvals.ask(changes("one"), RULE, NOW + timedelta(minutes=14))
    assert again.deadline == first.deadline == NOW + timedelta(minutes=15)
    assert sum(e["action"] == "asked for approval" for e in ledger.entries()) == 1


@pytest.mark.parametrize(
    ("default", "decision"),
    [("proceed", Decision.APPROVED), ("reject", Decision.REJECTED), ("wait", Decision.PENDING)],
)
def test_when_nobody_answers_the_plans_default_decides(
    default: str, decision: Decision, approvals: Approvals, ledger: FileLedger
) -> None:
    rule = Approval(default=default, timeout_minutes=15)
    asked = approvals.ask(changes("one"), rule, NOW)
    assert approvals.decide(asked, NOW + timedelta(minutes=14, seconds=59)) is Decision.PENDING
    assert approvals.decide(asked, NOW + timedelta(minutes=15)) is decision
    told = [e["details"]["approver"] for e in ledger.entries() if e["action"] == "approval answered"]
    assert told == ([] if default == "wait" else ["nobody in time: the plan's default"])


def test_bad_answers_are_refused_with_what_to_do(approvals: Approvals) -> None:
    asked = approvals.ask(changes("one"), RULE, NOW)
    for typed, by in (("deadbeefcafe", "Ines Moreau"), (asked.hash[:4], "Ines Moreau"), (asked.hash, "")):
        with pytest.raises(BadInput):
            approvals.answer(typed, by, approved=True, now=NOW)
    assert approvals.answer_to(asked.hash) is None
    approvals.answer(asked.hash, "Ines Moreau", approved=False, now=NOW)
    with pytest.raises(BadInput, match="rejected already by Ines Moreau"):
        approvals.answer(asked.hash, "Amara Okafor", approved=True, now=NOW)
    assert approvals.answer(asked.hash, "Amara Okafor", approved=False, now=NOW).by == "Ines Moreau"


def test_a_plan_that_was_shown_can_be_approved_and_manual_steps_do_not_make_it_stale(
    approvals: Approvals,
) -> None:
    shown = changes("one", verdict=Verdict.CLOSE)
    by_hand = changes("block it", verdict=Verdict.MANUAL)
    with_manual = ChangeSet(shown.incident, shown.changes + by_hand.changes)
    approvals.show(with_manual, NOW)
    approvals.answer(with_manual.hash, "Ines Moreau", approved=True, now=NOW)
    assert approvals.agreed(shown) == {"aws/access-key/one"}
