"""What every access kind can do: observe, close, prove, reopen.

A kind knows one way in and nothing of order, retries, the ledger or Prefect. All four verbs may be called
again at any time, also after a crash half-way: closing what is closed changes nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from blocks.errors import Refused
from tasks.contain.world import World
from tasks.incident import Access, Proof, ProofMethod, System


@dataclass(frozen=True, slots=True)
class Reopened:
    """What undo achieved. `restored` False: there is nothing to put back, and `detail` says who does what."""

    restored: bool
    detail: str


class AccessKind(ABC):
    """One way a principal gets in. Built once per run over the `World` the kinds share."""

    system: ClassVar[System]
    name: ClassVar[str]
    action: ClassVar[str]  # what closing does, for the change set: "freeze the login"
    reversible: ClassVar[bool] = True  # False: reopening needs a person (log in again, issue a new secret)
    manual: ClassVar[bool] = False  # True: no API can close it; `instructions` says what a person does
    credential: ClassVar[bool] = False  # True: what is closed is a secret that leaked; undo asks twice
    replaces: ClassVar[bool] = False  # True: closing writes a new secret where the plan keeps the old one
    after: ClassVar[tuple[str, ...]] = ()  # kinds of the same system worth waiting a moment for

    def __init__(self, world: World) -> None:
        self.world = world

    @abstractmethod
    def observe(self) -> list[Access]:
        """The accesses of this kind that are open to the suspects now, each with its before-state."""

    @abstractmethod
    def close(self, access: Access) -> None:
        """Shut it. Returns when the system has accepted; whether it is shut is `prove`'s question."""

    @abstractmethod
    def prove(self, access: Access) -> Proof:
        """Try the old credential, or ask the system again."""

    @abstractmethod
    def reopen(self, access: Access) -> Reopened:
        """Put back `access.before`. Does nothing when it is already open."""

    def who(self, access: Access) -> frozenset[str]:
        """Every name by which a guard may know whom closing hits."""
        return frozenset({access.principal, access.ref})

    def instructions(self, access: Access) -> str:
        """For manual kinds: what a person does, where, and who."""
        raise NotImplementedError(f"{self.name} is closed by API")

    def access(self, principal: str, ref: str, /, **before: object) -> Access:
        """An access of this kind."""
        return Access(self.system, self.name, principal, ref, before)

    def recount(self, passed: bool, detail: str) -> Proof:
        """The system was asked again."""
        return Proof(ProofMethod.RECOUNT, passed, detail, self._now())

    def attempt(self, passed: bool, detail: str) -> Proof:
        """The old credential was tried."""
        return Proof(ProofMethod.ATTEMPT, passed, detail, self._now())

    def _now(self) -> datetime:
        return self.world.now()


class ManualKind(AccessKind):
    """An access that no API can close: it stays open until it is proven shut or a named person confirms."""

    manual = True
    due_hours: ClassVar[float] = 1.0  # after the declaration; shown to the owner, and called out when past

    def close(self, access: Access) -> None:
        raise Refused(f"{access.key} has no API.", self.instructions(access))

    def prove(self, access: Access) -> Proof:
        """What can be tried or asked decides; where nothing can, a person's confirmation does."""
        if checked := self.check(access):
            return checked
        confirmed = self.world.confirmations.get(access.key)
        return confirmed.proof if confirmed else self.recount(False, "Nobody has confirmed this step yet.")

    def check(self, access: Access) -> Proof | None:
        """Try or ask whether it is shut; None when neither can be done."""
        return None

    def due(self) -> datetime:
        """When this step must be done."""
        return self.world.incident.declared_at + timedelta(hours=self.due_hours)

    def reopen(self, access: Access) -> Reopened:
        return Reopened(False, f"It was done by hand and is reversed by hand. Done was: {self.action}.")
