"""What replacing one integration's credentials needs, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from blocks.systems import Systems
from tasks.incident import Incident, Ledger, Phase, recorded
from tasks.remediate.places import Held, Place, Works

# Written for every credential issued or kept: containment run again leaves these alone.
ISSUE = "issue"
WRITE = "write secret"
RETIRE = "destroy leaked versions"
RECHECKED = "unknown, re-checked"


class Outcome(StrEnum):
    """What became of one credential."""

    REPLACED = "replaced"  # issued by this incident, now or in an earlier run
    KEPT = "kept"  # somebody had already put a new one there
    WAITING = "waiting"  # the old one is not cut yet: replacing it now would hand out the new one
    PERSON = "person"  # a person must do it; `detail` says what
    FAILED = "failed"  # run remediate again


@dataclass(frozen=True, slots=True)
class Credential:
    """One principal's credential. `ref` is the new one's id, never its secret."""

    kind: str
    principal: str
    outcome: Outcome
    detail: str
    ref: str | None = None
    places: tuple[str, ...] = ()  # that hold the new one
    new_works: bool = False  # it was read back from every place and used
    old_refused: bool = False  # the old one was tried, or reads as switched off
    exposed_to: tuple[str, ...] = ()  # leaked accesses, still open, that could read it: replace it once more


@dataclass(frozen=True, slots=True)
class Job:
    """One integration's replacement in one incident."""

    incident: Incident
    systems: Systems
    ledger: Ledger
    places: tuple[Place, ...]

    def held(self) -> Iterator[tuple[Place, Held]]:
        """What each place holds now; a place without anything is left out."""
        for one in self.places:
            if (held := one.read()) is not None:
                yield one, held

    def write(self, place: Place, old: Held, changes: Mapping[str, str], ref: str, works: Works) -> None:
        """Write a new credential into a place, once per incident and credential."""
        tag = f"leak-response/{self.incident.id}/{ref}"
        with recorded(self.ledger, Phase.REMEDIATE, WRITE, place.name, ref=ref) as more:
            more["version"] = place.write(old, {**old.fields, **changes}, tag, works).version

    def retire(self, leaked: frozenset[str]) -> None:
        """Destroy the versions that hold leaked values, wherever that can be done."""
        for one in self.places:
            if versions := one.leaked(leaked):
                with recorded(self.ledger, Phase.REMEDIATE, RETIRE, one.name, count=len(versions)):
                    one.retire(versions)

    def retire_of(self, place: Place, holds: Callable[[Held], bool]) -> None:
        """Destroy the earlier versions of one place of which `holds` says that they hold what leaked."""
        if versions := [int(one.version) for one in place.earlier() if holds(one)]:
            with recorded(self.ledger, Phase.REMEDIATE, RETIRE, place.name, count=len(versions)):
                place.retire(versions)

    def issued(self, principal: str) -> frozenset[str]:
        """References of what this incident has issued or kept for a principal."""
        attempts = {
            e["id"]
            for e in self.ledger.entries()
            if e["kind"] == "ATTEMPT" and e["action"] == ISSUE and e["details"].get("principal") == principal
        }
        return frozenset(
            e["details"]["ref"]
            for e in self.ledger.entries()
            if e["kind"] == "RESULT" and e["id"] in attempts and e["details"].get("ref")
        )

    def cut_off(self, principal: str) -> list[Mapping[str, Any]]:
        """Issues that a crash cut off: what they issued is unknown, their `refs` is what was there before."""
        return [
            e
            for e in self.ledger.open_attempts()
            if e["action"] == ISSUE and e["details"].get("principal") == principal
        ]

    def settle(self, principal: str) -> None:
        """Write that what a crash cut off came to nothing that is left."""
        for entry in self.cut_off(principal):
            self.ledger.result(entry["id"], RECHECKED)

    def keep(self, target: str, principal: str, ref: str) -> None:
        """Record a credential as this incident's own: settles what a crash cut off, or writes it anew."""
        for entry in self.cut_off(principal):
            self.ledger.result(entry["id"], RECHECKED, ref=ref)
        if ref not in self.issued(principal):
            attempt = self.ledger.attempt(Phase.REMEDIATE, ISSUE, target, principal=principal)
            self.ledger.result(attempt, "ok", ref=ref, detail="It was there already and is kept.")


Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The one place where replacement reads the time."""
    return datetime.now(UTC)
