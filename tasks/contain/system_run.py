"""Containment of one system: its kinds side by side, pass after pass until all are quiet."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from tasks.contain.closing import Closer
from tasks.contain.guards import Guards
from tasks.contain.kinds import AccessKind
from tasks.contain.pace import Pace, is_final, shown
from tasks.contain.registry import kinds_of
from tasks.contain.world import World
from tasks.incident import Access, AccessStatus, Containment, Ledger, System

Progress = Callable[[Containment], None]


class SystemRun:
    """One system in one run. `run` may be called once."""

    def __init__(
        self,
        world: World,
        system: System,
        ledger: Ledger,
        guards: Guards,
        pace: Pace,
        on_progress: Progress | None = None,
        replacing: bool | None = None,
    ) -> None:
        self.world = world
        self.system = system
        self._pace = pace
        self._on_progress = on_progress
        chosen = (kind for kind in kinds_of(system) if replacing is None or kind.replaces is replacing)
        self._kinds = [kind(world) for kind in chosen]
        self._closer = Closer(world, ledger, guards, pace, random.Random(f"{world.incident.id}/{system}"))  # noqa: S311
        self._outcomes: dict[str, Containment] = {}
        self._lock = threading.Lock()

    def outcomes(self) -> list[Containment]:
        """What became of each access so far, in the order in which they were met."""
        with self._lock:
            return list(self._outcomes.values())

    def run(self) -> list[Containment]:
        """Go through all kinds until a whole pass finds nothing to do; then prove what was done before."""
        self._closer.settle_reopens(self.system)
        for _ in range(self._pace.passes):
            if not self._pass():
                break
        self._prove_earlier()
        return self.outcomes()

    def _pass(self) -> bool:
        """All kinds once, each until it is quiet; whether anything was done."""
        done = {kind.name: threading.Event() for kind in self._kinds}
        changed = threading.Event()

        def go(kind: AccessKind) -> None:
            try:
                for name in (one for one in kind.after if one in done):
                    done[name].wait(self._pace.after_s)
                if self._settle(kind):
                    changed.set()
            finally:
                done[kind.name].set()

        with ThreadPoolExecutor(
            max(1, len(self._kinds)), thread_name_prefix=f"contain-{self.system}"
        ) as pool:
            list(pool.map(go, self._kinds))
        return changed.is_set()

    def _settle(self, kind: AccessKind) -> bool:
        """One kind until it sees nothing open that could still be closed; whether anything was done."""
        changed = False
        for round_ in range(self._pace.rounds):
            todo = [access for access in self._observe(kind) if self._is_due(kind, access)]
            if not todo:
                return changed
            changed = True
            if round_:
                time.sleep(min(0.05 * round_, 1.0))
            with ThreadPoolExecutor(min(self._pace.workers, len(todo))) as pool:
                list(pool.map(lambda access: self._keep(self._closer.close(kind, access)), todo))
        for access in todo:
            why = "It is open again each time it has been closed: something keeps reopening it."
            self._keep(self._closer.failed(access, why))
        return changed

    def _observe(self, kind: AccessKind) -> list[Access]:
        """What of this kind is open; a kind that cannot look is itself a failure, and the others go on."""
        if not self.world.suspects(self.system):
            return []
        unseen = unobserved(self.system, kind.name, self.world.suspects(self.system), "")
        for tries in range(1, self._pace.tries + 1):
            try:
                found = kind.observe()
            except Exception as error:
                detail = shown(error)
                if is_final(error) or tries == self._pace.tries:
                    self._keep(unobserved(self.system, kind.name, self.world.suspects(self.system), detail))
                    return []
                time.sleep(self._closer.wait(tries))
            else:
                with self._lock:
                    self._outcomes.pop(unseen.access.key, None)
                return sorted(found)
        return []

    def _is_due(self, kind: AccessKind, access: Access) -> bool:
        with self._lock:
            outcome = self._outcomes.get(access.key)
        if outcome is None:
            return True
        # A manual step shows no way in that could open again: it is met once.
        return not kind.manual and outcome.status in (AccessStatus.CLOSED, AccessStatus.OPEN)

    def _prove_earlier(self) -> None:
        """Accesses of earlier runs that nobody saw open now: prove that they still are shut."""
        kinds = {kind.name: kind for kind in self._kinds}
        with self._lock:
            met = set(self._outcomes)
        earlier = [
            past.access
            for key, past in self.world.history.items()
            if past.access.system is self.system and key not in met and past.access.kind in kinds
        ]
        with ThreadPoolExecutor(self._pace.workers) as pool:
            list(pool.map(lambda a: self._keep(self._closer.prove_earlier(kinds[a.kind], a)), earlier))

    def _keep(self, containment: Containment) -> None:
        with self._lock:
            self._outcomes[containment.access.key] = containment
        if self._on_progress is not None:
            with suppress(Exception):  # whoever watches must not be able to stop the cutting
                self._on_progress(containment)


def unobserved(system: System, kind: str, suspects: Iterable[str], detail: str) -> Containment:
    """The failure of a kind that could not even look: unknown is never zero."""
    access = Access(system, kind, ", ".join(suspects), "could-not-be-observed")
    return Containment(access, AccessStatus.FAILED, None, 0.0, detail)
