"""Closing one access for good: guards, ATTEMPT, close, prove, RESULT, and again with growing waits."""

from __future__ import annotations

import random
import time
from typing import Any

from tasks.contain.guards import Guards
from tasks.contain.history import CLOSE, REOPEN, details_of
from tasks.contain.kinds import AccessKind
from tasks.contain.pace import Pace, is_final, shown
from tasks.contain.world import World
from tasks.incident import Access, AccessStatus, Containment, Ledger, Phase, Proof, System

RECHECKED = "unknown, re-checked"


class Closer:
    """Closes accesses of one run. Thread-safe; `close` is not called for one access by two threads."""

    def __init__(self, world: World, ledger: Ledger, guards: Guards, pace: Pace, rng: random.Random) -> None:
        self._world = world
        self._ledger = ledger
        self._guards = guards
        self._pace = pace
        self._rng = rng
        self._started = time.monotonic()

    def close(self, kind: AccessKind, access: Access) -> Containment:
        """What became of it. Never raises for what a system answers: that is a FAILED containment."""
        detail = ""
        for tries in range(1, self._pace.tries + 1):
            try:
                if stopped := self._stopped(kind, access):
                    return stopped
                access = self._world.remember(access, self._world.now())
                if proof := self._settle_attempts(kind, access):
                    return self._closed(access, proof)
                proof = self._once(kind, access, tries)
                if proof.passed:
                    return self._closed(access, proof)
                detail = proof.detail
            except Exception as error:
                detail = shown(error)
                if is_final(error):
                    break
            if tries < self._pace.tries:
                time.sleep(self.wait(tries))
        return self.failed(access, detail)

    def prove_earlier(self, kind: AccessKind, access: Access) -> Containment:
        """Prove again what an earlier run closed; close it if it turns out to be open. Writes no ATTEMPT
        unless it closes."""
        past = self._world.history[access.key]
        try:
            proof = self._settle_attempts(kind, access) if past.open_attempts else kind.prove(access)
            if proof is not None and proof.passed:
                seconds = past.seconds or (self._world.now() - past.first_attempt).total_seconds()
                return Containment(access, AccessStatus.CLOSED, proof, seconds, "Closed by an earlier run.")
        except Exception as error:
            if not kind.manual and is_final(error):
                return self.failed(access, shown(error))
        return self.close(kind, access)

    def settle_reopens(self, system: System) -> None:
        """Undo steps that a crash cut off: whether they took effect is what observing shows now."""
        for entry in self._ledger.open_attempts():
            if entry["action"] == REOPEN and entry["target"].startswith(f"{system}/"):
                self._ledger.result(entry["id"], RECHECKED)

    def failed(self, access: Access, detail: str) -> Containment:
        """The access stays open as far as anybody knows."""
        return Containment(access, AccessStatus.FAILED, None, self._seconds(), detail)

    def wait(self, failures: int) -> float:
        """Seconds to wait after the `failures`-th failure."""
        return self._pace.wait(failures, self._rng)

    def _stopped(self, kind: AccessKind, access: Access) -> Containment | None:
        """What keeps containment from closing it: a person's job, a guard, or the limit."""
        if kind.manual:
            status, why = AccessStatus.MANUAL, kind.instructions(access)
        elif refused := self._guards.refusal(access, kind.who(access)):
            status, why = AccessStatus.REFUSED, refused
        elif asked := self._guards.must_ask(access):
            status, why = AccessStatus.ASKED, asked
        else:
            return None
        if status is AccessStatus.MANUAL or access.key in self._world.confirmations:
            return self._by_hand(kind, access, status, why)
        return Containment(access, status, None, 0.0, why)

    def _by_hand(self, kind: AccessKind, access: Access, status: AccessStatus, why: str) -> Containment:
        """What a person closed, or has yet to close."""
        proof = kind.prove(access)
        if proof.passed:
            return Containment(access, AccessStatus.CLOSED, proof, self._seconds(), "Closed by hand.")
        confirmed = self._world.confirmations.get(access.key)
        detail = f"Confirmed, but not so: {proof.detail} {why}" if confirmed else why
        return Containment(access, status, proof, 0.0, detail)

    def _once(self, kind: AccessKind, access: Access, tries: int) -> Proof:
        attempt = self._ledger.attempt(Phase.CONTAIN, CLOSE, access.key, **details_of(access))
        try:
            kind.close(access)
            proof = kind.prove(access)
        except Exception as error:
            self._ledger.result(attempt, "failed", error=type(error).__name__, tries=tries)
            raise
        self._ledger.result(
            attempt,
            "ok" if proof.passed else "failed",
            tries=tries,
            seconds=self._seconds(),
            **_details(proof),
        )
        return proof

    def _settle_attempts(self, kind: AccessKind, access: Access) -> Proof | None:
        """Attempts whose result a crash swallowed: ask the world and write what it says. The proof, if the
        access turns out to be shut."""
        past = self._world.history[access.key]
        if not past.open_attempts:
            return None
        proof = kind.prove(access)
        for attempt in past.open_attempts:
            seconds = (self._world.now() - past.first_attempt).total_seconds()
            self._ledger.result(attempt, RECHECKED, seconds=seconds, **_details(proof))
        self._world.settled(access)
        return proof if proof.passed else None

    def _closed(self, access: Access, proof: Proof) -> Containment:
        seconds = self._seconds()
        self._world.proven(access, seconds)
        return Containment(access, AccessStatus.CLOSED, proof, seconds)

    def _seconds(self) -> float:
        return round(time.monotonic() - self._started, 3)


def _details(proof: Proof) -> dict[str, Any]:
    return {"method": proof.method, "passed": proof.passed, "proof": proof.detail}
