"""Let every kind of call fail in every way, and require that all is closed and proven, or said to be not.

`python -m tests.chaos.faults [--worlds N]` takes each kind of call of a containment run and each fault its
system can have: once, and for as long as the run lasts. A run survives when everything is closed and proven;
it reports when an access is FAILED with a reason a person can use, and then a run after the fault has
passed must end as a quiet run does. Prints `faults N, survived N, reported N` and ends with 1 when a fault
was neither, when an access was called closed that is not, or when a failed access delayed another.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from blocks.systems import Systems
from tasks.contain.pace import Pace
from tasks.incident import AccessStatus, Containment, IncidentFolder
from tasks.notify.channel import Channel
from tasks.notify.run import current_status
from tests.chaos.calls import TIMEOUT_S, CallKind, kinds_of_calls, mend
from tests.chaos.crash import DONE, GRANTS, differences, judge, world_for
from tests.chaos.runs import Run, run
from tests.chaos.shards import Shard, side_by_side, summed_up
from tests.chaos.world import ChaosWorld

PACE = Pace(tries=2, first_wait_s=0.2, longest_wait_s=0.5)
RETRY_S = 2.0
UNHELPFUL = ("This is a defect", "Unexpected")
# What may hold up another access: reading a key whose first place does not answer, and a loaded machine.
MARGIN_S = 4.0
WAY_IN = {
    "oauth-grants": "refresh token",
    "vault-token": "vault token",
    "vault-leases": "database login",
    "access-key": "aws key",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One fault of one kind of call, passing or lasting."""

    call: CallKind
    fault: str
    lasting: bool

    def __str__(self) -> str:
        return f"{self.call.system} {self.call.name}: {self.fault}{' for good' if self.lasting else ''}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one case ended: `survived`, `reported`, `not met` or `broken` with what is wrong."""

    word: str
    problems: tuple[str, ...] = ()


class Bench:
    """A world and what a quiet run in it comes to."""

    def __init__(self, world: ChaosWorld, folder: Path) -> None:
        self.world = world
        self._ledger = folder / "faults.jsonl"
        self._folder = folder
        world.reset()
        mend(world)
        quiet = self._contain()
        if problems := judge(quiet, self._ledger):
            raise RuntimeError("; ".join(problems))
        self.state = world.state()
        self.seconds = max(one.seconds for one in quiet.found or [])
        self.calls = kinds_of_calls(quiet.moments, world)

    def cases(self) -> list[Case]:
        """All of them."""
        return [
            Case(call, fault, lasting)
            for call in self.calls
            for fault in call.faults
            for lasting in (False, True)
        ]

    def try_case(self, case: Case) -> Verdict:
        """One run with the fault, and what it came to."""
        world = self.world
        mend(world)
        world.reset()
        for left in self._folder.glob("faults.jsonl*"):
            left.unlink()
        case.call.break_it(world, case.fault, case.lasting)
        done = self._contain()
        if not case.call.hits(world):
            return Verdict("not met")
        mend(world)
        failed = [one for one in done.found or [] if one.status not in DONE]
        problems = [*self._lies(done), *self._unhelpful(failed), *self._delays(case, done, failed)]
        if not failed:
            problems += judge(done, self._ledger) + differences(self.state, world.state())
        elif case.lasting:
            problems += [f"afterwards: {problem}" for problem in self._recovers()]
        if problems:
            return Verdict("broken", tuple(problems))
        return Verdict("reported" if failed else "survived")

    def _recovers(self) -> list[str]:
        return judge(self._contain(), self._ledger) + differences(self.state, self.world.state())

    def _lies(self, done: Run) -> list[str]:
        """Accesses called closed while a stolen credential still works by them."""
        ways = " ".join(self.world.ways_in())
        found = {one.access.kind for one in done.by_status(AccessStatus.CLOSED)}
        found -= {one.access.kind for one in done.found or [] if one.status not in DONE}
        return [
            f"{kind} is called closed, but: {way}"
            for kind, way in WAY_IN.items()
            if kind in found and way in ways
        ]

    def _unhelpful(self, failed: Iterable[Containment]) -> list[str]:
        return [
            f"{one.access.key} failed without a useful reason: {one.detail!r}"
            for one in failed
            if one.status is AccessStatus.FAILED
            and (not one.detail or any(word in one.detail for word in UNHELPFUL))
        ]

    def _delays(self, case: Case, done: Run, failed: Iterable[Containment]) -> list[str]:
        """What a fault held up though it needs nothing of what failed: another system's accesses, and the
        same system's when the call is one that closes a thing."""
        slow = []
        for one in done.by_status(AccessStatus.CLOSED):
            apart = one.access.system != case.call.system or (case.lasting and case.call.changes)
            if apart and one.seconds > self.seconds + MARGIN_S:
                slow.append(
                    f"{one.access.key} took {one.seconds} s; a whole quiet run takes {self.seconds} s"
                )
        return slow if list(failed) or not case.lasting else []

    def _contain(self) -> Run:
        world = self.world
        port = world.postgres_proxy.port
        return run(
            self._systems,
            world.incident(),
            lambda: world.jar(port),
            self._ledger,
            pace=PACE,
            beside=self._tell_slack,
        )

    def _systems(self) -> Systems:
        waits = {"timeout_s": TIMEOUT_S}
        return self.world.systems(
            vault={**waits, "addr": f"http://127.0.0.1:{self.world.vault_proxy.port}"},
            aws=waits,
            salesforce={**waits, "retry_s": RETRY_S},
        )

    def _tell_slack(self, systems: Systems) -> None:
        """What the flow tells Slack while containment runs."""
        incident = self.world.incident()
        folder = IncidentFolder.of(incident.id, self._folder)
        assert systems.slack
        channel = Channel(systems.slack, systems.plan, folder)
        channel.update_status(current_status(incident, folder, "contain", datetime.now(UTC)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.faults", description=__doc__)
    parser.add_argument("--worlds", type=int, default=3, help="labs side by side")
    parser.add_argument("--shard", type=Shard.parse, help="I/N: the I-th of N shares, in one lab")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    arguments = parser.parse_args()
    if arguments.shard:
        one_world(arguments.shard, arguments.only)
        return 0
    started = time.monotonic()
    lines = side_by_side("tests.chaos.faults", arguments.worlds, ["--only", arguments.only])
    words = summed_up(lines, frozenset({"broken", "not met"}))
    tried = words["survived"] + words["reported"] + words["broken"]
    if words["not met"]:
        print(f"{words['not met']} faults met no call")
    print(
        f"faults {tried}, survived {words['survived']}, reported {words['reported']}"
        f" ({time.monotonic() - started:.0f} s)"
    )
    return 0 if tried and not words["broken"] else 1


def one_world(shard: Shard, only: str) -> None:
    """Try a share of the cases; a line for each."""
    with tempfile.TemporaryDirectory() as name, world_for(Path(name), GRANTS) as world:
        bench = Bench(world, Path(name))
        # In an order of chance, the same each time: a run cut short has tried something of everything.
        for case in sorted(bench.cases(), key=lambda case: zlib.crc32(str(case).encode())):
            if only not in str(case) or not shard.takes(str(case)):
                continue
            started = time.monotonic()
            verdict = bench.try_case(case)
            print(f"{verdict.word}\t{case}\t{time.monotonic() - started:.1f} s", flush=True)
            for problem in verdict.problems:
                print(f"  {problem}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
