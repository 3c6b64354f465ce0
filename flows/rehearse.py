"""Rehearse: the response against a live scripted attack in the embedded lab, each quarter and on demand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.workspace import now
from tasks.incident import home


@flow(name="rehearse")
def rehearse(scenario: str = "stolen-connected-app", seed: int = 1, contacts: int = 10_000) -> State[str]:
    """Start a lab, attack it, respond and score; fails unless the attacker is out and all is proven.

    Args:
        scenario: The scripted attack.
        seed: Makes the same organisation every time.
        contacts: How many contacts the lab's org holds.
    """
    folder = home() / "rehearsals"
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / f"{now():%Y%m%d-%H%M%S}-{scenario}-{seed}.json"
    # A process of its own: the lab's servers must end with the rehearsal, whatever happens to this one.
    command = [sys.executable, "-m", "deployments.cli.main", "rehearse", "--scenario", scenario]
    command += ["--seed", str(seed), "--contacts", str(contacts), "--json", str(result)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not result.exists():
        lines = done.stderr.strip().splitlines() or ["no message"]
        return Failed(message=f"The rehearsal did not run: {lines[-1]}")
    return score(result, scenario)


def score(result: Path, scenario: str) -> State[str]:
    """Show the scorecard as an artifact and pass or fail by it."""
    outcome = json.loads(result.read_text(encoding="utf-8"))
    get_run_logger().info("scorecard in %s", result.name)
    create_markdown_artifact(
        f"```json\n{json.dumps(outcome, indent=2)}\n```", key=f"rehearsal-{scenario}", description="Scorecard"
    )
    if outcome["passed"]:
        return Completed(message=f"{scenario}: passed in {outcome['seconds']['total']:.0f} s")
    return Failed(message=f"{scenario}: the response did not pass; see the scorecard")
