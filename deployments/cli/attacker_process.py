"""The scripted attack as a process beside the response, and what its log says afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path

from blocks.errors import BadInput, LeakResponseError
from deployments.lab.process import clean_env
from deployments.lab.scenarios.scenario import Scenario

SCENARIOS = {
    name: f"deployments.lab.scenarios.{name.replace('-', '_')}"
    for name in ("stolen-connected-app", "leaked-ci-key", "insider-export")
}
EXFILTRATION_TIMEOUT_S = 600


class AttackFailed(LeakResponseError):
    """The scripted attack itself did not run as planned, so the rehearsal proves nothing."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """What the attacker got and did not get after the response was triggered."""

    requests_after_trigger: int
    last_success_at: datetime | None
    seconds_of_access_after_trigger: float
    successes_after_contained: int


def scenario_named(name: str) -> Scenario:
    """A scripted attack by its name; BadInput lists the scenarios."""
    if name not in SCENARIOS:
        raise BadInput(f"Unknown scenario {name!r}.", f"Scenarios: {', '.join(sorted(SCENARIOS))}.")
    scenario: Scenario = import_module(SCENARIOS[name]).SCENARIO
    return scenario


class Attacker:
    """A running attack. It tries without pause until `stop`, and ends with us if we crash."""

    def __init__(self, module: str, lab_json: Path, log: Path) -> None:
        self.log = log
        self._errors = log.with_suffix(".err")
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, "--lab", str(lab_json), "--log", str(log)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=clean_env(),
                text=True,
            )

    def wait_until_exfiltrated(self) -> None:
        """Return when the data has left and the attacker has begun to try everything again and again."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if line != "exfiltrated":
            self._process.kill()
            self._process.wait()
            tail = self._errors.read_text(errors="replace").strip().splitlines()[-1:]
            raise AttackFailed(
                f"The scripted attack stopped early: {line or ''.join(tail)}.", f"See {self._errors}."
            )

    def stop(self) -> None:
        """Let it try every credential once more, then end."""
        if self._process.poll() is None:
            self._process.communicate(timeout=EXFILTRATION_TIMEOUT_S)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def read_attempts(log: Path, triggered_at: datetime, contained_at: datetime | None) -> Attempts:
    """Count the attempts. Without a moment of containment every later success counts against it."""
    requests_after, after_contained = 0, 0
    last_success: datetime | None = None
    for line in log.read_text(encoding="utf-8").splitlines():
        attempt = json.loads(line)
        at = datetime.fromisoformat(attempt["at"])
        requests_after += at >= triggered_at
        if attempt["ok"]:
            last_success = at
            after_contained += at >= (contained_at or triggered_at)
    seconds = max(0.0, (last_success - triggered_at).total_seconds()) if last_success else 0.0
    return Attempts(requests_after, last_success, round(seconds, 3), after_contained)
