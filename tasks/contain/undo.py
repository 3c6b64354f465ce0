"""Undo: reopen what was closed, from the recorded before-state, newest first, each with a check.

A credential that leaked, and what an attacker planted, stays closed unless it is asked for twice: putting a
stolen key back is rarely what anybody means. What cannot come back (tokens, sessions, leases) is said, not
tried. What fails is tried once more after the rest: some things come back only once others have.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from blocks.errors import BadInput
from blocks.systems import Systems
from tasks.contain.closing import RECHECKED
from tasks.contain.confirmations import read_confirmations
from tasks.contain.history import REOPEN, details_of, read_history
from tasks.contain.kinds import AccessKind
from tasks.contain.pace import shown
from tasks.contain.planted import found_planted
from tasks.contain.registry import kind_named
from tasks.contain.salesforce.persistence import PlantedPermissions
from tasks.contain.world import World
from tasks.incident import Access, Incident, Ledger, Phase

PLANTED = PlantedPermissions.name
TWICE = 2  # times that reopening what leaked must be asked for
LEAKED = "It leaked or was planted, so it stays closed. Ask for it twice to reopen it all the same."


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of one access at undo."""

    access: Access
    restored: bool
    detail: str
    failed: bool = False  # it was tried and did not come back


def reopen(
    incident: Incident,
    systems: Systems,
    ledger: Ledger,
    *,
    keys: Collection[str] | None = None,
    even_leaked: bool = False,
) -> list[Undone]:
    """Reopen what this incident closed; `keys` limits it to some accesses (`Access.key`).

    One that fails does not stop the others. `even_leaked` also reopens credentials that are known to have
    leaked. Raises BadInput for a key that this incident has not closed.
    """
    for entry in ledger.open_attempts():
        if entry["action"] == REOPEN:
            ledger.result(entry["id"], RECHECKED)
    history = read_history(ledger.entries())
    confirmed = read_confirmations(ledger.entries())
    by_hand = [one.access for key, one in confirmed.items() if key not in history]
    newest_first = sorted(history.values(), key=lambda past: past.first_attempt, reverse=True)
    closed = [past.access for past in newest_first] + by_hand
    if unknown := sorted(set(keys or ()) - {access.key for access in closed}):
        known = "; ".join(access.key for access in closed) or "nothing"
        raise BadInput(f"This incident did not close {', '.join(unknown)}.", f"It closed: {known}.")
    world = World(incident, systems, history=history, confirmations=confirmed)
    wanted = [access for access in closed if keys is None or access.key in keys]
    undo = _Undo(world, ledger, frozenset() if even_leaked else _planted(world, ledger), even_leaked)
    done = [undo.one(access) for access in wanted]
    return [undo.one(one.access) if one.failed else one for one in done]


def _planted(world: World, ledger: Ledger) -> frozenset[str]:
    """Names and references, folded, of what an attacker made or gave."""
    names = [suspect.identifier for suspect in found_planted(ledger)]
    names += [past.access.ref for past in world.history.values() if past.access.kind == PLANTED]
    return frozenset(name.casefold() for name in names)


@dataclass(frozen=True, slots=True)
class _Undo:
    """One undo run."""

    world: World
    ledger: Ledger
    planted: frozenset[str]
    even_leaked: bool

    def one(self, access: Access) -> Undone:
        """Reopen one access, unless it must stay shut or cannot come back."""
        try:
            kind = kind_named(access.system, access.kind)(self.world)
        except KeyError:
            return Undone(access, False, f"This version does not know the kind {access.kind}.", failed=True)
        if kind.manual or not kind.reversible:
            return Undone(access, False, kind.reopen(access).detail)
        if not self.even_leaked and (kind.credential or self._is_planted(kind.who(access))):
            return Undone(access, False, LEAKED)
        return self._reopen(kind, access)

    def _is_planted(self, names: frozenset[str]) -> bool:
        return not self.planted.isdisjoint(name.casefold() for name in names)

    def _reopen(self, kind: AccessKind, access: Access) -> Undone:
        attempt = self.ledger.attempt(Phase.CONTAIN, REOPEN, access.key, **details_of(access))
        try:
            reopened = kind.reopen(access)
        except Exception as error:
            self.ledger.result(attempt, "failed", error=type(error).__name__)
            return Undone(access, False, shown(error), failed=True)
        self.ledger.result(attempt, "ok" if reopened.restored else "failed", detail=reopened.detail)
        return Undone(access, reopened.restored, reopened.detail, failed=not reopened.restored)
