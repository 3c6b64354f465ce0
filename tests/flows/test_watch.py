"""The watch flow against a Prefect server: what is open is looked at; one that cannot be keeps none back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blocks.plan import load_plan
from deployments.lab.lab import Lab
from deployments.prefect_server import PrefectServer
from tests.tasks.notify.world import World

pytestmark = pytest.mark.slow  # days of a server

SCRIPT = """
import sys
from blocks.systems import Systems, register_all
from flows.watch import watch
register_all()
Systems.from_lab(sys.argv[1]).save("lab")
for _ in range(2):
    state = watch(return_state=True)
    print(state.type.value, state.message)
"""


def test_open_incidents_are_looked_at_and_said_once(lab: Lab, home: Path, prefect_api: PrefectServer) -> None:
    aware = datetime.now(UTC) - timedelta(hours=40)
    for incident_id in ("INC-watched", "INC-broken"):
        world = World.new(home, incident_id)
        plan = load_plan(json.loads(lab.json_path.read_text(encoding="utf-8"))["plan"])
        incident = replace(world.incident, aware_at=aware, declared_at=aware)
        if incident_id == "INC-broken":
            incident = replace(incident, plan="nobody-saved-this")
        world = replace(world, incident=incident, plan=plan)
        world.folder.write(world.folder.incident, incident)
        world.scope({"DE": 12})
        world.clocks(aware, {"incident.risk_level": "high"})
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(lab.json_path)],
        env={**os.environ, **prefect_api.env, "LEAK_RESPONSE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["FAILED 2 incidents, not looked at: INC-broken"] * 2, done.stdout
    texts = [message["text"] for message in lab.slack.channel("inc-watched")["messages"]]
    lines = [line for text in texts for line in text.splitlines() if "`EU-GDPR-33-1`" in line]
    said = [line for line in lines if line.startswith("- *half*")]
    assert len(said) == 1 and "left: " in said[0]
