"""The receiver as a process against the lab: a click in its Slack answers a question, SIGTERM ends it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from blocks.plan import load_plan
from blocks.systems import Systems
from deployments.lab.lab import Lab
from tasks.notify.acting import Case
from tasks.notify.answers import all_answers
from tasks.notify.asking import ask_people
from tasks.notify.channel import Channel
from tasks.notify.run import current_status
from tests.tasks.notify.world import AWARE, World

COMMAND = "import typer; from deployments.cli.slack import slack_receiver; typer.run(slack_receiver)"
QUESTION = "*Question*: `incident.risk_level`"


def test_a_click_in_the_lab_is_received_and_done(lab: Lab, incident_home: Path) -> None:
    systems = Systems.from_lab(lab.json_path)
    world = replace(World.new(incident_home, "INC-clicked"), plan=load_plan(systems.plan.file))
    world.scope({"DE": 12})
    world.clocks(AWARE)
    channel = Channel(systems.slack, world.plan, world.folder)
    assert channel.update_status(current_status(world.incident, world.folder, "notify", AWARE))
    assert ask_people(Case(world.incident, world.plan, world.folder, world.ledger), channel) == []
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "--lab", str(lab.json_path), "--port", "0"],
        env={**os.environ, "LEAK_RESPONSE_HOME": str(incident_home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+/slack/actions", process.stdout.readline())
        assert found is not None
        posted = lab.slack.channel("inc-inc-clicked") or lab.slack.channel("inc-clicked")
        message = next(one for one in posted["messages"] if QUESTION in one["text"])
        click = {"url": found.group(), "channel": posted["id"], "ts": message["ts"], "user": "lukas.brandt"}
        assert lab.slack.control("click", {**click, "action_id": "answer:0"})["status"] == 200
        deadline = time.monotonic() + 30
        while not all_answers(world.folder):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.1)
        (answer,) = all_answers(world.folder)
        assert (answer.fact, answer.by) == ("incident.risk_level", "privacy")
    finally:
        process.terminate()
    assert process.wait(20) == 0
