"""SIGKILL in the middle of containment, then the same incident again: finished, and nothing done twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blocks.systems import Systems
from deployments.lab.twin import Twin
from tasks.evidence.ledger import FileLedger
from tasks.incident import Incident, to_json

from .conftest import APP, GRANTS, Thief

Make = Callable[..., Incident]
BLOCKS = ("salesforce", "vault", "aws", "slack")


def start(file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.tasks.contain.run_once", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    for _ in range(6000):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    raise AssertionError("the moment to kill never came")


def revoked(twin: Twin) -> int:
    return sum("/oauth2/revoke" in line for line in twin.control("requests", method="GET").splitlines())


def lines(ledger: FileLedger, kind: str) -> list[dict[str, Any]]:
    return [dict(entry) for entry in ledger.entries() if entry["kind"] == kind]


@pytest.mark.parametrize("moment", ["after the first attempt", "amid the grants"])
def test_killed_and_started_again(
    moment: str,
    systems: Systems,
    twin: Twin,
    thief: Thief,
    ledger: FileLedger,
    incident: Make,
    tmp_path: Path,
) -> None:
    given = tmp_path / "given.json"
    given.write_text(
        json.dumps(
            {
                **{
                    name: getattr(systems, name).model_dump(mode="json")
                    for name in ("salesforce", "vault", "aws")
                },
                "slack": systems.slack.model_dump(mode="json"),
                "plan": systems.plan.file,
                "incident": to_json(incident(f"connected-app={APP}")),
                "ledger": str(ledger.path),
            }
        )
    )
    twin.control("latency", {"ms": 15})
    first = start(given)
    moments: dict[str, Callable[[], bool]] = {
        "after the first attempt": lambda: len(lines(ledger, "ATTEMPT")) >= 1,
        "amid the grants": lambda: revoked(twin) > GRANTS // 4,
    }
    wait_for(moments[moment], first)
    first.kill()
    first.communicate()
    assert ledger.open_attempts(), "the crash cut nothing off"
    before = len(lines(ledger, "ATTEMPT"))
    twin.control("latency", {"ms": 0})

    second = start(given)
    output, errors = second.communicate(timeout=120)

    assert second.returncode == 0, errors
    found = json.loads(output)
    assert {c["status"] for c in found} == {"closed", "manual"}, found
    assert ledger.open_attempts() == []
    assert any(r["details"]["outcome"] == "unknown, re-checked" for r in lines(ledger, "RESULT"))
    done = Counter(r["target"] for r in lines(ledger, "RESULT") if r["details"]["outcome"] == "ok")
    assert not [target for target, times in done.items() if times > 1]
    assert thief.mint() is None
    assert len(lines(ledger, "ATTEMPT")) >= before


def test_undo_after_a_crash_restores_what_was_before_the_first_run(
    systems: Systems, twin: Twin, ledger: FileLedger, incident: Make
) -> None:
    """The second run sees a user who is frozen already; undo must not take that for the state to restore."""
    from tasks.contain.engine import contain
    from tasks.contain.history import details_of
    from tasks.contain.registry import kind_named
    from tasks.contain.undo import reopen
    from tasks.contain.world import World
    from tasks.incident import Phase, System

    suspect = incident("salesforce-user=support-chat@lab.example")
    kind = kind_named(System.SALESFORCE, "login")(World(suspect, systems))
    access = kind.observe()[0]
    ledger.attempt(Phase.CONTAIN, "close", access.key, **details_of(access))
    kind.close(access)  # and here the process died: no RESULT

    found = {c.access.kind: c for c in contain(suspect, systems, ledger)}
    undone = {u.access.kind: u for u in reopen(suspect, systems, ledger)}

    assert found["login"].status == "closed"
    assert (
        sum(e["target"] == access.key for e in lines(ledger, "ATTEMPT")) == 2
    )  # the cut-off close, the undo
    assert undone["login"].restored
    assert kind.observe() == [access]
