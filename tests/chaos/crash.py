"""Kill containment at every moment it has, run it again, and require the state that a quiet run ends in.

`python -m tests.chaos.crash` tries every moment: before each call to the outside, after each that changes
something (the server has acted, nobody knows), and before, amid and after each write of the ledger. A run
that was cut short goes on where it stopped. Prints `crash points N, converged N` and ends with 1 when they
differ.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.contain.history import read_history
from tasks.evidence.chain import Link, check_line, check_pairs
from tasks.evidence.ledger import open_ledger
from tasks.incident import AccessStatus
from tests.chaos.campaign import NOT_MET, arguments_for, run_campaign, try_share
from tests.chaos.runs import Run, RunFailed, run
from tests.chaos.world import ChaosWorld

GRANTS = 6  # of the stolen app: enough that a crash comes amid them
CHANCES = 4  # for a moment that did not come
DONE = {AccessStatus.CLOSED, AccessStatus.MANUAL}


@dataclass(frozen=True, slots=True)
class Quiet:
    """What a run that nothing disturbs comes to."""

    state: dict[str, Any]
    kinds: frozenset[str]  # closed by it
    moments: tuple[str, ...]


def quiet_run(world: ChaosWorld, folder: Path) -> Quiet:
    """Contain without a crash, and once more: the second run must find nothing to do."""
    world.reset()
    ledger = folder / "quiet.jsonl"
    first = contain(world, ledger)
    problems = [*judge(first, ledger), *(f"still a way in: {way}" for way in world.ways_in())]
    attempts = Counter(entry["kind"] for entry in open_ledger(ledger).entries())["ATTEMPT"]
    again = contain(world, ledger)
    if Counter(entry["kind"] for entry in open_ledger(ledger).entries())["ATTEMPT"] != attempts:
        problems.append("the second run did something again")
    problems += judge(again, ledger)
    if problems:
        raise RuntimeError("; ".join(problems))
    kinds = frozenset(one.access.kind for one in first.by_status(AccessStatus.CLOSED))
    return Quiet(world.state(), kinds, tuple(sorted(first.moments)))


def contain(world: ChaosWorld, ledger: Path, kill_at: str = "") -> Run:
    return run(world.systems, world.incident(), world.jar, ledger, kill_at=kill_at)


def crash(world: ChaosWorld, quiet: Quiet, moment: str, ledger: Path) -> list[str] | None:
    """Kill at the moment, run again; what is wrong then. None when the moment did not come this time."""
    world.reset()
    ledger.unlink(missing_ok=True)
    ledger.with_name(ledger.name + ".torn").unlink(missing_ok=True)
    if not contain(world, ledger, moment).killed:
        return None
    problems = judge(contain(world, ledger), ledger)
    return problems + differences(quiet.state, world.state())


def judge(done: Run, ledger: Path) -> list[str]:
    """What is wrong with a finished run and its record."""
    found = {one.access.key: one for one in done.found or []}
    problems = [
        f"{one.access.key} is {one.status}: {one.detail}" for one in found.values() if one.status not in DONE
    ]
    entries = list(open_ledger(ledger).entries())
    problems += [
        f"{key} was attempted, and this run says nothing of it"
        for key in read_history(entries)
        if key not in found or found[key].status is not AccessStatus.CLOSED
    ]
    problems += check_pairs(entries) + broken_lines(ledger)
    done_by = Counter(
        e["target"] for e in entries if e["kind"] == "RESULT" and e["details"]["outcome"] == "ok"
    )
    problems += [f"{target} was closed {times} times" for target, times in done_by.items() if times > 1]
    return problems


def broken_lines(ledger: Path) -> list[str]:
    link, problems = Link(), []
    for number, raw in enumerate(ledger.read_bytes().splitlines(), 1):
        _, link, broken = check_line(number, raw, link)
        problems += [f"ledger line {one.line} {one.problem}" for one in broken]
    return problems


def differences(wanted: Any, found: Any, where: str = "") -> list[str]:
    """Where two states differ, in words."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [
            problem
            for key in sorted({*wanted, *found}, key=str)
            for problem in differences(wanted.get(key), found.get(key), f"{where}/{str(key)[:120]}")
        ]
    return [] if wanted == found else [f"{where} is {found!r}, after a quiet run {wanted!r}"]


@contextmanager
def world_for(folder: Path, grants: int = GRANTS) -> Iterator[ChaosWorld]:
    world = ChaosWorld(folder, grants=grants)
    try:
        yield world
    finally:
        world.stop()


def main() -> int:
    given = arguments_for("tests.chaos.crash", __doc__).parse_args()
    if given.lab:
        one_lab(given)
        return 0
    started = time.monotonic()
    words = run_campaign("tests.chaos.crash", given, frozenset({"diverged"})).words()
    points = words["converged"] + words["diverged"]
    if words[NOT_MET]:
        print(f"{words[NOT_MET]} moments of a quiet run did not come again in {CHANCES} runs")
    print(f"{(time.monotonic() - started) / 60:.1f} min, {given.worlds} labs side by side")
    print(f"crash points {points}, converged {words['converged']}", flush=True)
    return 0 if points and points == words["converged"] else 1


def one_lab(given: argparse.Namespace) -> None:
    """Try a share of the moments."""
    with tempfile.TemporaryDirectory() as name, world_for(Path(name), GRANTS) as world:
        folder = Path(name)
        quiet = quiet_run(world, folder)

        def one(moment: str) -> tuple[str, list[str]]:
            for _ in range(CHANCES):  # threads may go another way, so that a moment does not come
                try:
                    problems = crash(world, quiet, moment, folder / "crash.jsonl")
                except RunFailed as error:
                    problems = [str(error)]
                if problems is not None:
                    return ("diverged" if problems else "converged"), problems
            return NOT_MET, []

        try_share(quiet.moments, given, one)


if __name__ == "__main__":
    sys.exit(main())
