"""Let every kind of call fail in every way, and require that all is closed and proven, or said to be not.

`python -m tests.chaos.faults` takes each kind of call of a containment run and each fault its
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
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from blocks.systems import Systems
from tasks.contain.pace import Pace
from tasks.incident import AccessStatus, Containment, IncidentFolder
from tasks.notify.channel import Channel
from tasks.notify.run import current_status
from tests.chaos.calls import LATE_S, TIMEOUT_S, CallKind, kinds_of_calls, mend
from tests.chaos.campaign import NOT_MET, arguments_for, run_campaign, try_share
from tests.chaos.crash import CHANCES, DONE, GRANTS, differences, judge, world_for
from tests.chaos.runs import Run, RunFailed, run
from tests.chaos.world import ChaosWorld

PACE = Pace(tries=2, first_wait_s=0.2, longest_wait_s=0.5)
RETRY_S = 2.0
SECOND_LOOKS = 2
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
    """How one case ended: `survived`, `reported` with what was, `not met`, or `broken` with what is wrong."""

    word: str
    problems: tuple[str, ...] = ()


class Bench:
    """A world and what a quiet run in it comes to. `timeout_s` is that of every client."""

    def __init__(self, world: ChaosWorld, folder: Path, timeout_s: float = TIMEOUT_S) -> None:
        self.world = world
        self._ledger = folder / "faults.jsonl"
        self._folder = folder
        self._timeout_s = timeout_s
        quiet = self._quiet()
        if problems := judge(quiet, self._ledger):
            raise RuntimeError("; ".join(problems))
        self.state = world.state()
        self.seconds = longest(quiet)
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
        """What the fault came to. One that seems to have held up others is looked at again, beside a quiet
        run of the same minute: a loaded machine is slow, too."""
        verdict, slow = self.try_once(case)
        for _ in range(SECOND_LOOKS):
            if not slow:
                return verdict
            self.seconds = max(self.seconds, longest(self._quiet()))
            verdict, slow = self.try_once(case)
        return Verdict("broken", tuple(slow)) if slow and verdict.word != "broken" else verdict

    def try_once(self, case: Case) -> tuple[Verdict, list[str]]:
        """One run with the fault: what it came to, and what it held up."""
        world = self.world
        self._start_over()
        case.call.break_it(world, case.fault, lasting=case.lasting, late_s=self._timeout_s + LATE_S)
        done = self._contain()
        if not case.call.hits(world):
            return Verdict(NOT_MET), []
        mend(world)
        failed = [one for one in done.found or [] if one.status not in DONE]
        slow = self._delays(case, done, failed)
        state = world.state()
        problems = [*self._lies(done, state["ways in"]), *self._unhelpful(failed)]
        if not failed:
            problems += judge(done, self._ledger) + differences(self.state, state)
        elif case.lasting:
            problems += [f"afterwards: {problem}" for problem in self._recovers()]
        if problems:
            return Verdict("broken", tuple(problems)), slow
        told = tuple(f"{one.access.key}: {one.detail}" for one in failed)
        return Verdict("reported" if failed else "survived", told), slow

    def _quiet(self) -> Run:
        """A run without a fault."""
        self._start_over()
        return self._contain()

    def _start_over(self) -> None:
        mend(self.world)
        self.world.reset()
        for left in self._folder.glob("faults.jsonl*"):
            left.unlink()

    def _recovers(self) -> list[str]:
        return judge(self._contain(), self._ledger) + differences(self.state, self.world.state())

    def _lies(self, done: Run, ways_in: list[str]) -> list[str]:
        """Accesses called closed while a stolen credential still works by them."""
        ways = " ".join(ways_in)
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
        waits = {"timeout_s": self._timeout_s}
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


def longest(run: Run) -> float:
    """Seconds until the last access of a run was closed."""
    return max(one.seconds for one in run.found or [])


def main() -> int:
    given = arguments_for("tests.chaos.faults", __doc__).parse_args()
    if given.lab:
        one_lab(given)
        return 0
    started = time.monotonic()
    words = run_campaign("tests.chaos.faults", given, frozenset({"broken", NOT_MET})).words()
    tried = words["survived"] + words["reported"] + words["broken"]
    if words[NOT_MET]:
        print(f"{words[NOT_MET]} faults met no call")
    print(f"{(time.monotonic() - started) / 60:.1f} min, {given.worlds} labs side by side")
    print(f"faults {tried}, survived {words['survived']}, reported {words['reported']}", flush=True)
    return 0 if tried and not words["broken"] else 1


def one_lab(given: argparse.Namespace) -> None:
    """Try a share of the cases."""
    with tempfile.TemporaryDirectory() as name, world_for(Path(name), GRANTS) as world:
        bench = Bench(world, Path(name))
        cases = {str(case): case for case in bench.cases()}

        def one(case: str) -> tuple[str, tuple[str, ...]]:
            for _ in range(CHANCES):
                try:
                    verdict = bench.try_case(cases[case])
                except RunFailed as error:
                    return "broken", (str(error),)
                if verdict.word != NOT_MET:
                    break
            return verdict.word, verdict.problems

        try_share(cases, given, one)


if __name__ == "__main__":
    sys.exit(main())
