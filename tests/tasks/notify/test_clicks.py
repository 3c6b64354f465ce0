"""Clicks from Slack to their effect, through the real receiver; no personal data, no secret in a message."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from blocks.slack import SlackWorkspace
from deployments.lab.slack.server import Slack
from deployments.slack_receiver import PATH, Receiver, Server
from tasks.incident import Bounds, Coverage, Duty, DutyStatus, ScopeSummary, Suspect, SuspectKind
from tasks.notify.acting import Case, LeftStep, StepDone, steps_done_file, steps_file
from tasks.notify.answers import all_answers
from tasks.notify.asking import ask_people
from tasks.notify.channel import Channel
from tasks.notify.drafts.store import all_approvals, fill, is_approved, latest_drafts
from tasks.notify.history import history, standings
from tasks.notify.present import present
from tasks.notify.run import current_status
from tasks.notify.watch import Watched, watch_file
from tasks.notify.watching import watch_incident
from tests.tasks.notify.world import AWARE, World

HOUR = timedelta(hours=1)
PRIVACY, LEGAL, COMMS, STRANGER = "lukas.brandt", "amara.okafor", "claire.dubois", "hana.sato"
ENGINEER = "tomas.silva"
RISK = "*Question*: `incident.risk_level`"


@dataclass
class Desk:
    """A workspace, a receiver on a socket, and an incident."""

    slack: Slack
    workspace: SlackWorkspace
    world: World
    url: str
    inbox: Path
    channel: Channel

    def messages(self) -> list[dict[str, Any]]:
        return list(self.slack.channel("inc-1")["messages"])

    def message(self, part: str) -> dict[str, Any]:
        return next(one for one in self.messages() if part in one["text"])

    def click(self, part: str, label: str, user: str, **more: Any) -> dict[str, Any]:
        message = self.message(part)
        elements = [e for block in message["blocks"] for e in block.get("elements", []) if "action_id" in e]
        action = next(e["action_id"] for e in elements if e["text"]["text"] == label)
        asked = {"url": self.url, "channel": self.slack.channel("inc-1")["id"], "ts": message["ts"]}
        answer: dict[str, Any] = self.slack.control(
            "click", {**asked, "action_id": action, "user": user, **more}
        )
        return answer

    def wait(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 15
        while not holds():
            assert time.monotonic() < deadline, "nothing came of the click"
            time.sleep(0.05)

    def settled(self) -> None:
        self.wait(lambda: not list(self.inbox.glob("*.json")))


@pytest.fixture
def desk(lab_slack: Slack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("LAB_TEST_SLACK_TOKEN", lab_slack.token)
    monkeypatch.setenv("LAB_TEST_SLACK_SECRET", lab_slack.signing_secret)
    workspace = SlackWorkspace(
        base_url=lab_slack.base_url,
        token=["env:LAB_TEST_SLACK_TOKEN"],
        signing_secret=["env:LAB_TEST_SLACK_SECRET"],
        timeout_s=5,
    )
    world = World.new(tmp_path)
    world.scope({"DE": 12})
    world.clocks(AWARE)
    case = Case(world.incident, world.plan, world.folder, world.ledger)
    world.folder.write(
        steps_file(world.folder),
        [LeftStep("manual", "salesforce/user/0051", "integration_engineer", "Freeze the user by hand.")],
    )
    channel = Channel(workspace, world.plan, world.folder)
    channel.update_status(current_status(world.incident, world.folder, "notify", AWARE))
    assert ask_people(case, channel) == channel.problems == []
    receiver = Receiver(workspace, lambda _: case, tmp_path / "inbox")
    server = Server(("127.0.0.1", 0), receiver)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    receiver.start()
    url = f"http://127.0.0.1:{server.server_address[1]}{PATH}"
    yield Desk(lab_slack, workspace, world, url, tmp_path / "inbox", channel)
    server.shutdown()
    server.server_close()
    receiver.stop()


def status_of(world: World, rule: str) -> DutyStatus:
    duties = world.folder.read(world.folder.duties, list[Duty]) or []
    return next(duty.status for duty in duties if duty.rule == rule)


def test_an_answer_by_button_moves_the_duties_and_closes_the_question(desk: Desk) -> None:
    assert status_of(desk.world, "EU-GDPR-33-1") is DutyStatus.UNDETERMINED
    assert desk.click(RISK, "high", PRIVACY)["status"] == 200
    desk.wait(lambda: status_of(desk.world, "EU-GDPR-33-1") is DutyStatus.DUE)
    desk.wait(lambda: "Answered: high, by Lukas Brandt (privacy)" in desk.message(RISK)["text"])
    assert not [b for b in desk.message(RISK)["blocks"] if b["type"] == "actions"]
    answers = all_answers(desk.world.folder)
    assert [(one.fact, one.value, one.by) for one in answers] == [("incident.risk_level", "high", "privacy")]


def test_a_double_click_is_one_answer(desk: Desk) -> None:
    threads = [threading.Thread(target=desk.click, args=(RISK, "high", PRIVACY)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    desk.settled()
    desk.wait(lambda: len(all_answers(desk.world.folder)) == 1)
    assert desk.world.notes("answered") == ["incident.risk_level"]


@pytest.mark.parametrize("wrong", [{"tampered": True}, {"age_s": 600}])
def test_a_callback_that_slack_did_not_sign_now_does_nothing(desk: Desk, wrong: dict[str, Any]) -> None:
    assert desk.click(RISK, "high", PRIVACY, **wrong)["status"] == 401
    assert list(desk.inbox.iterdir()) == [] and all_answers(desk.world.folder) == []


def test_who_has_no_role_in_the_plan_decides_nothing(desk: Desk) -> None:
    assert desk.click(RISK, "high", STRANGER)["status"] == 200
    desk.settled()
    assert all_answers(desk.world.folder) == []
    assert "chat.postEphemeral" in [one["method"] for one in desk.slack.control("requests", method="GET")]


def test_a_manual_step_is_confirmed_by_its_owner_alone(desk: Desk) -> None:
    path = steps_done_file(desk.world.folder)
    desk.click("*Manual step*", "I have done this", COMMS)
    desk.settled()
    assert not path.exists()
    desk.click("*Manual step*", "I have done this", ENGINEER)
    desk.wait(path.exists)
    desk.wait(lambda: "Confirmed by integration_engineer" in desk.message("*Manual step*")["text"])
    done = desk.world.folder.read(path, list[StepDone])
    assert done is not None and [one.by for one in done] == ["integration_engineer"]


def drafts_posted(desk: Desk) -> None:
    world = desk.world
    world.clocks(AWARE, {"incident.risk_level": "high"})
    for name in ("measures_taken_or_proposed", "mitigation_measures_where_appropriate"):
        fill(world.folder, world.ledger, name, "All ways in are shut.", "privacy", AWARE)
    present(world.incident, world.plan, world.folder, world.ledger, AWARE + HOUR)
    ask_people(Case(world.incident, world.plan, world.folder, world.ledger), desk.channel)


def test_a_draft_is_approved_by_its_role_and_only_as_it_was_shown(desk: Desk) -> None:
    drafts_posted(desk)
    what, world = "`EU-GDPR-33-1` version", desk.world
    desk.click(what, "Approve", COMMS)
    desk.settled()
    assert all_approvals(world.folder) == []
    desk.click(what, "Approve", LEGAL)
    desk.wait(lambda: is_approved(world.folder, latest_drafts(world.folder)["EU-GDPR-33-1"]))
    desk.wait(lambda: "Approved by Amara Okafor" in desk.message(what)["text"])


def test_an_old_button_does_not_approve_a_new_text(desk: Desk) -> None:
    drafts_posted(desk)
    desk.world.scope({"DE": 99})
    present(desk.world.incident, desk.world.plan, desk.world.folder, desk.world.ledger, AWARE + HOUR)
    desk.click("`EU-GDPR-33-1` version", "Approve", PRIVACY)
    desk.settled()
    assert all_approvals(desk.world.folder) == []


def test_a_reminder_is_taken(desk: Desk) -> None:
    world = desk.world
    watch_incident(world.incident, world.plan, world.folder, world.ledger, desk.channel, AWARE + 15 * HOUR)
    desk.click("*Deadlines of INC-1*\n- half", "I take care of it", LEGAL)

    def taken() -> bool:
        state = world.folder.read(watch_file(world.folder), Watched) or Watched()
        return any(one.taken_by == "legal" for one in state.reminders)

    desk.wait(taken)


def test_a_click_that_came_while_slack_was_down_is_done_later(desk: Desk) -> None:
    desk.slack.control("faults", {"kind": "unavailable", "match": {"method": "users.info"}})
    assert desk.click(RISK, "high", PRIVACY)["status"] == 200
    time.sleep(0.5)
    assert list(desk.inbox.glob("*.json")) and all_answers(desk.world.folder) == []
    desk.slack.control("faults", method="DELETE")
    desk.wait(lambda: len(all_answers(desk.world.folder)) == 1)


def test_a_receiver_that_was_killed_does_what_it_had_accepted(desk: Desk, tmp_path: Path) -> None:
    case = Case(desk.world.incident, desk.world.plan, desk.world.folder, desk.world.ledger)
    other = tmp_path / "other"
    asleep = Receiver(desk.workspace, lambda _: case, other)  # never started: as if killed after accepting
    server = Server(("127.0.0.1", 0), asleep)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    desk.url = f"http://127.0.0.1:{server.server_address[1]}{PATH}"
    assert desk.click(RISK, "high", PRIVACY)["status"] == 200
    server.shutdown()
    server.server_close()
    assert all_answers(desk.world.folder) == []
    again = Receiver(desk.workspace, lambda _: case, other)
    again.start()
    desk.wait(lambda: len(all_answers(desk.world.folder)) == 1)
    again.stop()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", PATH, b"payload=%7B%7D", 401),
        ("POST", "/elsewhere", b"", 404),
        ("GET", "/health", None, 200),
        ("GET", PATH, None, 404),
        ("POST", PATH, b"x" * 1_000_001, 413),
    ],
)
def test_what_is_no_callback_is_refused(
    desk: Desk, method: str, path: str, body: bytes | None, status: int
) -> None:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(method, desk.url.removesuffix(PATH) + path, data=body, timeout=5)
    assert answer.status_code == status


CANARIES = {
    "person": "zelda.quimby@canary.example",
    "phone": "+49 170 5550987",
    "token": "5Aep861CanaryTokenThatMustNotLeak0123456789abcdef",
    "key": "AKIACANARY0EXAMPLE77",
    "secret": "wJalrXUtnFEMIcanarySECRETkeyK7MDENGbPxRfiCY",
}


def test_no_personal_data_and_no_secret_in_any_message(desk: Desk) -> None:
    """Canaries wherever an incident may hold them; then everything that Slack received is searched."""
    world = desk.world
    coverage = Coverage("logs", False, None, None, 0, f"Case of {CANARIES['person']} {CANARIES['phone']}")
    people = {"DE": Bounds(1, 9), "unknown": Bounds(0, 3)}
    world.folder.write(
        world.folder.scope,
        ScopeSummary(
            Bounds(1, 12), Bounds(1, 12), {"Contact": 12}, people, {"name": Bounds(1, 12)}, (coverage,), 3, 1,
            AWARE, (Suspect(SuspectKind.AWS_ACCESS_KEY, CANARIES["key"], f"Case: {CANARIES['person']}"),),
        ),
    )  # fmt: skip
    suspect = Suspect(SuspectKind.AWS_ACCESS_KEY, CANARIES["key"], f"Case of {CANARIES['person']}")
    incident = replace(world.incident, suspects=(*world.incident.suspects, suspect))
    world.folder.write(world.folder.incident, incident)
    found = [*world.clocks(AWARE, {"incident.risk_level": "high"}).values()]
    world.folder.write(
        world.folder.duties, [replace(duty, why=f"{duty.why} {CANARIES['person']}") for duty in found]
    )
    for field in ("measures", "measures_taken_or_proposed", "mitigation_measures_where_appropriate"):
        fill(
            world.folder, world.ledger, field, f"{CANARIES['secret']} {CANARIES['person']}", "privacy", AWARE
        )
    world.folder.write(
        steps_file(world.folder),
        [LeftStep("manual", f"aws/access-key/{CANARIES['key']}", "integration_engineer", CANARIES["token"])],
    )
    case = Case(incident, world.plan, world.folder, world.ledger)
    present(incident, world.plan, world.folder, world.ledger, AWARE + HOUR)
    desk.channel.open(incident)
    ask_people(case, desk.channel)
    for hours in (20, 40, 60, 100):
        watch_incident(incident, world.plan, world.folder, world.ledger, desk.channel, AWARE + hours * HOUR)
    desk.click("`EU-GDPR-33-1` version", "Approve", PRIVACY)
    desk.settled()
    assert desk.channel.problems == [] and len(desk.messages()) > 10
    everything = json.dumps(desk.slack.state(), ensure_ascii=False)
    assert "Deadlines of INC-1" in everything and standings(history(world.folder))
    channel = json.dumps(desk.slack.channel("inc-1"), ensure_ascii=False)
    for name, canary in CANARIES.items():
        assert canary not in everything, name
    assert "@" not in channel.replace("<@U", "") and CANARIES["person"].split("@")[0] not in everything
