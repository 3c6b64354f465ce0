"""What a scenario is, and how its attack runs as a process of its own.

The attack writes what only it knows (ids that it made or met) into the lab's folder; whoever rehearses reads
it there once the attack says that the data has left.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from deployments.lab.scenarios.attacker import AttackLog, Credential, Persistence

FACTS = "scenario.json"
KNOWN_AT_THE_ALARM: Mapping[str, Any] = {
    "incident.malicious": True,
    "incident.risk_level": "high",
    "incident.br_significantly_affects": True,
    "incident.card_data_suspected": False,
}
Lab = Mapping[str, Any]  # what lab.json holds


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scripted attack. The functions take what lab.json holds, after the data has left."""

    name: str
    module: str  # run as `python -m MODULE --lab LAB_JSON --log FILE`
    leaked: str  # what leaked, in a sentence for the commander
    suspects: Callable[[Lab], list[str]]  # what the alarm names, as KIND=IDENTIFIER
    credentials: Callable[[Lab], list[str]]  # the attacker's, as the ground truth names them; `*` at the end
    secrets: Callable[[Lab], list[str]] = lambda lab: []  # that must stand nowhere in the run history
    answers: Mapping[str, Any] = field(default_factory=dict)  # what a commander knows when the alarm comes


class Attack(Protocol):
    """A running attack."""

    def exfiltrate(self) -> None:
        """Steal what is there to steal."""

    def persistence(self) -> Persistence:
        """The loops that go on trying every credential."""

    def everything(self) -> Iterable[Credential]:
        """All that was ever stolen, for the last sweep."""


def remember(lab: Lab, **facts: Any) -> None:
    """Keep what only the attack knows, for `recall`. Readable by the owner only: it may hold secrets."""
    path = Path(lab["dir"]) / FACTS
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(facts, out)


def recall(lab: Lab, name: str) -> list[str]:
    """A list that the attack has kept; empty when no attack has run in this lab."""
    path = Path(lab["dir"]) / FACTS
    facts = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return [str(one) for one in facts.get(name, ())]


def play(make: Callable[[Lab, AttackLog], Attack], arguments: Sequence[str] | None = None) -> None:
    """Run an attack: steal, say `exfiltrated`, try everything until standard input closes, then once more."""
    parser = argparse.ArgumentParser(description="A scripted attack on the lab.")
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    given = parser.parse_args(arguments)
    log = AttackLog(given.log)
    attack = make(json.loads(given.lab.read_text(encoding="utf-8")), log)
    attack.exfiltrate()
    persistence = attack.persistence()
    persistence.start()
    print("exfiltrated", flush=True)
    sys.stdin.read()
    still_working = persistence.stop_and_sweep(list(attack.everything()))
    log.close()
    print(f"still working: {still_working}", flush=True)
