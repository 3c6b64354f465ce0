"""The change set: exactly what containment would do now, with a hash that an approval can be bound to.

The hash covers what would be closed and how, not counts that move by themselves (sessions, grants): those
are shown, but would make every approval stale within seconds.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from tasks.contain.history import size_of
from tasks.incident import Access, System


class Verdict(StrEnum):
    """What containment would do with an access that stands open."""

    CLOSE = "close"
    MANUAL = "manual"  # a person must do it
    REFUSE = "refuse"  # a guard forbids it
    ASK = "ask"  # over the plan's limit: needs an approval


@dataclass(frozen=True, slots=True)
class Change:
    """One access and what would become of it."""

    access: Access
    verdict: Verdict
    action: str
    reversible: bool
    why: str = ""  # instructions, or the guard's reason

    def identity(self) -> tuple[str, str, str, str]:
        """What the hash covers."""
        return (self.access.key, self.access.principal, self.verdict, self.action)

    def line(self) -> str:
        """For a person."""
        undo = "" if self.verdict is not Verdict.CLOSE or self.reversible else " (no way back)"
        size = f", {n} now" if (n := size_of(self.access)) != 1 else ""
        why = f" - {self.why}" if self.why else ""
        return (
            f"{self.verdict:<7}{self.access.system}: {self.action}: {self.access.principal}{size}{undo}{why}"
        )


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Everything that would be done, in order, and what could not be looked at."""

    incident: str
    changes: tuple[Change, ...]
    unseen: tuple[str, ...] = ()  # kinds that could not be observed, each with its reason

    @property
    def hash(self) -> str:
        """SHA-256 over the changes, in an order of its own: equal worlds give equal hashes.

        Manual steps are left out: whoever does one must not make an approval stale.
        """
        ours = sorted(c.identity() for c in self.changes if c.verdict is not Verdict.MANUAL)
        content = {"incident": self.incident, "changes": ours}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def closing(self) -> frozenset[str]:
        """Keys of the accesses that an approval of this change set lets be closed."""
        closed = (Verdict.CLOSE, Verdict.ASK)
        return frozenset(change.access.key for change in self.changes if change.verdict in closed)

    @property
    def asking(self) -> ChangeSet:
        """The part that waits for an approval."""
        return ChangeSet(self.incident, tuple(one for one in self.changes if one.verdict is Verdict.ASK))

    @property
    def readers(self) -> tuple[str, ...]:
        """Leaked accesses of Vault that would stay open: they can read whatever is written there anew."""
        stays = (Verdict.REFUSE, Verdict.ASK)
        return tuple(
            change.access.key
            for change in self.changes
            if change.access.system is System.VAULT and change.verdict in stays
        )

    def lines(self) -> list[str]:
        """The change set for a person, ending with its hash."""
        unseen = [f"unseen {reason}" for reason in self.unseen]
        warned = [
            f"WARNING {key} stays open: it can read every new secret that is written to Vault meanwhile"
            for key in self.readers
        ]
        return [*(change.line() for change in self.changes), *unseen, *warned, f"change set {self.hash}"]

    def difference(self, other: ChangeSet) -> list[str]:
        """What `other` has more (+) and less (-) than this one."""
        mine = {c.identity(): c for c in self.changes}
        theirs = {c.identity(): c for c in other.changes}
        gone = [f"- {c.line()}" for key, c in mine.items() if key not in theirs]
        return gone + [f"+ {c.line()}" for key, c in theirs.items() if key not in mine]
