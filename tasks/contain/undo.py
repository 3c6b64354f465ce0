"""Undo: reopen what was closed, from the recorded before-state, newest first.

A credential that leaked stays closed unless it is asked for twice: putting a stolen key back is rarely what
anybody means. What cannot come back (tokens, sessions, leases) is said, not tried.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from blocks.systems import Systems
from tasks.contain.closing import RECHECKED
from tasks.contain.history import REOPEN, details_of, read_history
from tasks.contain.pace import shown
from tasks.contain.registry import kind_named
from tasks.contain.world import World
from tasks.incident import Access, Incident, Ledger, Phase


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of one access at undo."""

    access: Access
    restored: bool
    detail: str


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
    leaked.
    """
    for entry in ledger.open_attempts():
        if entry["action"] == REOPEN:
            ledger.result(entry["id"], RECHECKED)
    history = read_history(ledger.entries())
    world = World(incident, systems, history=history)
    newest_first = sorted(history.values(), key=lambda past: past.first_attempt, reverse=True)
    wanted = [p.access for p in newest_first if keys is None or p.access.key in keys]
    return [_one(world, ledger, access, even_leaked) for access in wanted]


def _one(world: World, ledger: Ledger, access: Access, even_leaked: bool) -> Undone:
    kind = kind_named(access.system, access.kind)(world)
    if not kind.reversible:
        return Undone(access, False, kind.reopen(access).detail)
    if kind.credential and not even_leaked:
        return Undone(
            access, False, "It leaked, so it stays closed. Ask for it twice to reopen it all the same."
        )
    attempt = ledger.attempt(Phase.CONTAIN, REOPEN, access.key, **details_of(access))
    try:
        reopened = kind.reopen(access)
    except Exception as error:
        ledger.result(attempt, "failed", error=type(error).__name__)
        return Undone(access, False, shown(error))
    ledger.result(attempt, "ok" if reopened.restored else "failed", detail=reopened.detail)
    return Undone(access, reopened.restored, reopened.detail)
