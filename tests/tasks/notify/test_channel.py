"""The incident channel against the stand-in workspace: opened once, updated in place, no message twice."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.plan import Plan, parse_plan
from blocks.slack import SlackWorkspace
from deployments.lab.slack.server import Slack
from tasks.incident import (
    Access,
    AccessStatus,
    Bounds,
    Containment,
    Duty,
    DutyStatus,
    Incident,
    IncidentFolder,
    Proof,
    ProofMethod,
    ScopeSummary,
    Suspect,
    SuspectKind,
    System,
    Window,
)
from tasks.notify.channel import Channel
from tasks.notify.messages import Status, plain, status_blocks

AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
PLAN = """
version: 1
organisation: {name: Lab Retail, role: controller, time_zone: Europe/Berlin}
roles:
  incident_commander: {name: Ines Moreau, email: ines.moreau@lab.example}
  legal: {name: Amara Okafor, email: amara.okafor@lab.example}
  privacy: {name: Lukas Brandt, email: lukas.brandt@lab.example}
  salesforce_admin: {name: Priya Nair, email: priya.nair@lab.example}
  integration_engineer: {name: Left Long-Ago, email: left.long-ago@lab.example}
  comms: {name: Claire Dubois, email: claire.dubois@lab.example}
"""


@pytest.fixture
def plan() -> Plan:
    return parse_plan(PLAN)


@pytest.fixture
def workspace(lab_slack: Slack, monkeypatch: pytest.MonkeyPatch) -> SlackWorkspace:
    monkeypatch.setenv("LAB_TEST_SLACK_TOKEN", lab_slack.token)
    return SlackWorkspace(base_url=lab_slack.base_url, token=["env:LAB_TEST_SLACK_TOKEN"], timeout_s=5)


@pytest.fixture
def folder(tmp_path: Path) -> IncidentFolder:
    return IncidentFolder.of("INC-1", tmp_path)


@pytest.fixture
def incident() -> Incident:
    suspects = (
        Suspect(SuspectKind.CONNECTED_APP, "Support Chat"),
        Suspect(SuspectKind.AWS_ACCESS_KEY, "AKIAIOSFODNN7EXAMPLE", "Case 500x"),
    )
    return Incident("INC-1", "Tokens leaked", suspects, Window(AT - timedelta(days=1)), AT, AT, "lab")


def status(incident: Incident, phase: str = "contain", **known: Any) -> Status:
    blank: dict[str, Any] = {"containment": None, "scope": None, "duties": None, "failed_steps": ()}
    return Status(incident=incident, phase=phase, at=AT, **{**blank, **known})


def messages(slack: Slack) -> list[dict[str, Any]]:
    return list(slack.channel("inc-1")["messages"])


def test_one_pinned_status_is_updated_in_place(
    lab_slack: Slack, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder, incident: Incident
) -> None:
    channel = Channel(workspace, plan, folder)
    assert channel.open(incident) and channel.update_status(status(incident, "contain"))
    again = Channel(workspace, plan, folder)  # as after a crash: only the folder is left
    assert again.open(incident) and again.update_status(status(incident, "scope"))
    found = lab_slack.channel("inc-1")
    assert len(found["messages"]) == 1 and "*scope*" in found["messages"][0]["text"]
    assert found["pins"] == [found["messages"][0]["ts"]]


def test_the_roles_are_invited_and_who_left_is_named(
    lab_slack: Slack, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder, incident: Incident
) -> None:
    channel = Channel(workspace, plan, folder)
    channel.open(incident)
    assert {"U0CMDR0001", "U0LEGAL001", "U0PRIV0001", "U0COMMS001"} <= set(
        lab_slack.channel("inc-1")["members"]
    )
    assert channel.problems == ["Slack could not invite the integration_engineer: users_not_found"]


def test_messages_wait_while_slack_is_down_and_go_out_in_order_once(
    lab_slack: Slack, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder, incident: Incident
) -> None:
    channel = Channel(workspace, plan, folder)
    channel.open(incident)
    lab_slack.control("faults", {"kind": "unavailable"})
    assert not channel.post("one", "first") and not channel.post("two", "second")
    lab_slack.control("faults", method="DELETE")
    later = Channel(workspace, plan, folder)
    assert later.post("three", "third") and later.post("three", "third")
    assert [message["text"] for message in messages(lab_slack)] == ["first", "second", "third"]


def test_a_slack_that_does_not_answer_is_waited_for_once(
    lab_slack: Slack, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder, incident: Incident
) -> None:
    Channel(workspace, plan, folder).open(incident)
    lab_slack.control("faults", {"kind": "timeout", "delay_s": 2, "match": {"method": "chat.postMessage"}})
    channel, started = Channel(workspace, plan, folder), time.monotonic()
    assert not any(channel.post(f"key-{n}", f"text {n}") for n in range(20))
    assert time.monotonic() - started < 8 and len(channel.problems) == 1
    lab_slack.control("faults", method="DELETE")
    assert Channel(workspace, plan, folder).flush()
    assert [message["text"] for message in messages(lab_slack)] == [f"text {n}" for n in range(20)]


def test_a_reply_lost_on_the_way_does_not_post_twice(
    lab_slack: Slack, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder, incident: Incident
) -> None:
    channel = Channel(workspace, plan, folder)
    channel.open(incident)
    lab_slack.control("faults", {"kind": "reset-after", "match": {"method": "chat.postMessage"}})
    assert not channel.post("one", "first")
    lab_slack.control("faults", method="DELETE")
    assert Channel(workspace, plan, folder).post("two", "second")
    texts = [message["text"] for message in messages(lab_slack)]
    assert texts.count("second") == 1
    assert channel.state.posted == () and "one" in Channel(workspace, plan, folder).state.posted
    assert texts.count("first") == 1


def test_a_reply_lost_in_a_thread_does_not_post_twice(
    lab_slack: Slack, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder, incident: Incident
) -> None:
    channel = Channel(workspace, plan, folder)
    channel.open(incident)
    channel.post("zero", "start", thread="contain")
    lab_slack.control("faults", {"kind": "reset-after", "match": {"method": "chat.postMessage"}})
    assert not channel.post("one", "first", thread="contain")
    assert not channel.update_status(status(incident))
    lab_slack.control("faults", method="DELETE")
    again = Channel(workspace, plan, folder)
    assert again.flush() and again.update_status(status(incident))
    texts = [message["text"] for message in messages(lab_slack)]
    assert texts.count("first") == 1 and len(texts) == 3


def test_an_archived_channel_is_replaced_and_a_renamed_one_kept(
    lab_slack: Slack, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder, incident: Incident
) -> None:
    channel = Channel(workspace, plan, folder)
    channel.update_status(status(incident))
    channel.post("one", "first", thread="contain")
    workspace.get_client().conversations_archive(channel=channel.state.channel or "")
    assert not channel.post("two", "second", thread="contain")
    assert channel.update_status(status(incident)) and channel.flush()
    found = lab_slack.channel("inc-1-2")
    assert "second" in [message["text"] for message in found["messages"]] and len(found["pins"]) == 1
    assert {"U0CMDR0001", "U0LEGAL001"} <= set(found["members"])
    assert "first" not in [message["text"] for message in found["messages"]]


def test_a_deleted_status_is_posted_anew(
    lab_slack: Slack, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder, incident: Incident
) -> None:
    channel = Channel(workspace, plan, folder)
    channel.update_status(status(incident))
    client, state = workspace.get_client(), channel.state
    client.chat_delete(channel=state.channel or "", ts=state.status_ts or "")
    assert channel.update_status(status(incident))
    assert len(messages(lab_slack)) == 1 and len(lab_slack.channel("inc-1")["pins"]) == 1


def test_a_message_slack_never_takes_blocks_no_other(
    lab_slack: Slack, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder, incident: Incident
) -> None:
    channel = Channel(workspace, plan, folder)
    channel.open(incident)
    channel.post("long", "x" * 40_001)
    assert channel.post("two", "second") and "long cannot be posted" in " ".join(channel.problems)
    assert [message["text"] for message in messages(lab_slack)] == ["second"]


def test_several_at_once_lose_and_repeat_nothing(
    lab_slack: Slack, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder, incident: Incident
) -> None:
    Channel(workspace, plan, folder).open(incident)

    def say(number: int) -> None:
        Channel(workspace, plan, folder).post(f"key-{number % 5}", f"text {number % 5}")

    threads = [threading.Thread(target=say, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(message["text"] for message in messages(lab_slack)) == [f"text {n}" for n in range(5)]


def test_the_role_is_mentioned_and_the_deputy_of_one_who_left(
    lab_slack: Slack, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder, incident: Incident
) -> None:
    channel = Channel(workspace, plan, folder)
    channel.open(incident)
    channel.post("one", "look", to=("privacy", "integration_engineer"))
    assert messages(lab_slack)[-1]["text"] == "<@U0PRIV0001> integration_engineer look"


def test_a_rate_limit_is_waited_out(
    lab_slack: Slack, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder, incident: Incident
) -> None:
    channel = Channel(workspace, plan, folder)
    channel.open(incident)
    lab_slack.control("faults", {"kind": "throttled", "times": 1, "match": {"method": "chat.postMessage"}})
    assert channel.post("one", "first")
    assert [message["text"] for message in messages(lab_slack)] == ["first"]


def test_the_thread_of_a_phase_is_kept(
    lab_slack: Slack, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder, incident: Incident
) -> None:
    channel = Channel(workspace, plan, folder)
    channel.open(incident)
    channel.post("contain-1", "started", thread="contain")
    Channel(workspace, plan, folder).post("contain-2", "done", thread="contain")
    first, second = messages(lab_slack)
    assert second["thread_ts"] == first["ts"]


def test_what_is_said_holds_counts_and_no_secret(incident: Incident) -> None:
    access = Access(System.AWS, "access-key", "AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE")
    proof = Proof(ProofMethod.ATTEMPT, True, "refused", AT)
    text = plain(
        status_blocks(
            status(
                incident,
                containment=[
                    Containment(access, AccessStatus.CLOSED, proof, 1.0),
                    Containment(access, AccessStatus.FAILED, None, 1.0),
                ],
                scope=ScopeSummary(
                    Bounds(10, 12), Bounds(7, 7), {"Contact": 10}, {"DE": Bounds(7, 7)}, {}, (), 3, 0, AT
                ),
                duties=[
                    Duty(
                        "EU-GDPR-33-1",
                        DutyStatus.DUE,
                        "CNIL",
                        AT,
                        AT + timedelta(hours=72),
                        False,
                        "",
                        "high",
                        "",
                    ),
                    Duty(
                        "X",
                        DutyStatus.UNDETERMINED,
                        "Y",
                        AT,
                        None,
                        False,
                        "",
                        "",
                        "",
                        ("incident.malicious",),
                    ),
                ],
            )
        )
    )
    assert "1 of 2 accesses closed and proven" in text
    assert "10 to 12 records of 7 people" in text
    assert "`EU-GDPR-33-1` by 2026-11-27 09:30 UTC (3 days left)" in text
    assert "incident.malicious" in text
    assert "AKIAIOSFODNN7EXAMPLE" not in text and "AKIA...MPLE" in text
