"""One rehearsal: attack, trigger, respond, compare with the truth, judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from deployments.cli.attacker_process import Attacker, Attempts, read_attempts
from deployments.cli.request import Request, lab_plan
from deployments.cli.result import (
    accesses,
    compared_scope,
    containment,
    duties,
    evidence,
    integrations,
    ledger_entries,
    manual_steps,
    seconds,
)
from deployments.cli.run_flow import Outcome, run_response
from deployments.lab.lab import Lab
from deployments.lab.scenarios.scenario import Scenario
from deployments.prefect_server import PrefectServer
from tasks.incident import Mode, Suspect, Window, to_json


@dataclass
class Rehearsal:
    scenario: Scenario
    seed: int
    lab: Lab
    attacker: Attacker
    server: PrefectServer
    lab_seconds: float
    say: Callable[[str], None]

    def run(self) -> dict[str, Any]:
        """The scorecard as data, in the shape that machines rely on."""
        began = datetime.now(UTC)
        self.attacker.wait_until_exfiltrated()
        triggered = datetime.now(UTC)
        self.say("The alarm is raised; the attacker keeps trying every credential")
        outcome = run_response(self._request(began, triggered), None, self.say)
        self.say("Letting the attacker try everything once more ...")
        self.attacker.stop()
        attempts = read_attempts(self.attacker.log, triggered, contained_at(outcome))
        return self._score(outcome, attempts)

    def _request(self, began: datetime, triggered: datetime) -> Request:
        suspects = tuple(Suspect.parse(text) for text in self.scenario.suspects(self.lab.info))
        return Request(
            what_happened=f"Rehearsal: {self.scenario.leaked}",
            suspects=suspects,
            window=Window(began - timedelta(minutes=5)),
            aware_at=triggered,
            mode=Mode.CONTAIN,
            incident_id=None,
            commander=None,
            plan=lab_plan(self.lab.json_path),
            answers=self.scenario.answers,
        )

    def _score(self, outcome: Outcome, attempts: Attempts) -> dict[str, Any]:
        folder = outcome.folder
        contained = containment(folder)
        listed = accesses(contained)
        found = compared_scope(outcome.folder, self.lab.info, self.scenario.credentials(self.lab.info))
        proof = evidence(folder)
        self.say("Searching the run history for canaries ...")
        canaries = self._canaries()
        result = {
            "scenario": self.scenario.name,
            "seed": self.seed,
            "incident_id": outcome.incident.id,
            "passed": False,
            "message": outcome.message,
            "attacker": asdict(attempts),
            "accesses": listed,
            "manual_steps": manual_steps(contained),
            "integrations": integrations(folder),
            "scope": found,
            "duties": duties(folder),
            "evidence": proof,
            "canaries_in_run_history": canaries,
            "seconds": {
                "lab": round(self.lab_seconds, 2),
                **seconds(folder, outcome.started_at, outcome.ended_at),
            },
            "report": str(folder.report),
        }
        plain: dict[str, Any] = to_json(result)
        plain["passed"] = outcome.completed and not reasons(plain)
        return plain

    def _canaries(self) -> int:
        """How often a secret or a customer's data stands anywhere in the run history."""
        from tasks.evidence.canaries import search_history

        return search_history(list(self._needles()))

    def _needles(self) -> Iterator[str]:
        slack = self.lab.info["slack"]
        yield from (slack["token"], slack["signing_secret"])
        yield from self.scenario.secrets(self.lab.info)
        yield from customers(lab_plan(self.lab.json_path))

    def show(self, result: dict[str, Any]) -> None:
        """The scorecard for a person."""
        from rich.console import Console

        from tasks.report.scorecard import scorecard

        console = Console()
        console.print(scorecard(result, reasons=reasons(result)))
        console.print(f"Report: {result['report']}")


def customers(plan: str) -> Iterator[str]:
    """E-mail addresses and phone numbers of customers: personal data that must stand nowhere."""
    from blocks.systems import Systems

    soql = "SELECT Email, Phone FROM Contact WHERE Email != null AND Phone != null LIMIT 40"
    for row in Systems.load(plan).salesforce.query(soql):
        yield from (str(row["Email"]), str(row["Phone"]))


def reasons(result: dict[str, Any]) -> list[str]:
    """Why a rehearsal did not pass; none when it did."""
    found = []
    if result["attacker"]["successes_after_contained"]:
        found.append("The attacker still got in after containment.")
    if not result["accesses"]:
        found.append("No access was found to close.")
    still_open = [one["kind"] for one in result["accesses"] if not one["closed"]]
    if still_open:
        found.append(f"Not closed and proven: {', '.join(still_open)}.")
    for what in ("records", "subjects"):
        score = result["scope"][what]
        if score["missed"] or score["extra"]:
            found.append(f"Scope of {what}: {score['missed']} missed, {score['extra']} extra.")
    if not result["evidence"]["verified"]:
        found.append(f"The evidence does not verify: {'; '.join(result['evidence']['problems'])}")
    if result["canaries_in_run_history"]:
        found.append("Secrets or personal data stand in the run history.")
    return found


def contained_at(outcome: Outcome) -> datetime | None:
    """When the last access was proven closed; None when containment never got there."""
    times = [
        datetime.fromisoformat(entry["at"])
        for entry in ledger_entries(outcome.folder)
        if entry["phase"] == "contain" and entry["kind"] == "RESULT"
    ]
    contained = containment(outcome.folder)
    proven = bool(contained) and all(one["closed"] for one in accesses(contained))
    return max(times) if times and proven else None
