"""Confirming what a person closed by hand: the name, the time, and a proof where one can be made."""

from __future__ import annotations

from blocks.errors import BadInput
from blocks.systems import Systems
from tasks.contain.confirmations import Confirmation, write_confirmation
from tasks.contain.history import read_history
from tasks.contain.jar import Credentials
from tasks.contain.kinds import ManualKind
from tasks.contain.registry import kind_named
from tasks.contain.world import World
from tasks.incident import (
    AccessStatus,
    Containment,
    Incident,
    IncidentFolder,
    Ledger,
    Proof,
    ProofMethod,
)

BY_HAND = (AccessStatus.MANUAL, AccessStatus.REFUSED, AccessStatus.FAILED)
WORD = "A named person confirmed it; nothing can be tried or asked here."


def waiting_steps(folder: IncidentFolder) -> list[Containment]:
    """What a person may confirm: manual steps, and what containment would or could not close itself."""
    contained = folder.read(folder.containment, list[Containment]) or []
    return [one for one in contained if one.status in BY_HAND]


def confirm(
    incident: Incident,
    systems: Systems,
    folder: IncidentFolder,
    ledger: Ledger,
    access: str,
    by: str,
    *,
    jar: Credentials | None = None,
) -> Containment:
    """Record that `by` closed an access by hand, and try or ask whether it is so.

    `access` is its `Access.key` or the end of it. `jar` may hold what a proof needs (salesforce/manual.py).
    A step that proves to be open still is recorded as confirmed and stays open: the containment says so.
    Raises BadInput for an unknown access or a missing name, and what the system raises that is asked.
    """
    if len(by.strip()) < 3:
        raise BadInput("A confirmation names who gives it.", "Pass --by with a name.")
    one = _find(folder, access)
    world = World(incident, systems, jar=jar, history=read_history(ledger.entries()))
    proof = _proof(world, one) or Proof(ProofMethod.CONFIRMATION, True, WORD, world.now())
    confirmation = Confirmation(one.access, by.strip(), world.now(), proof)
    write_confirmation(ledger, confirmation)
    done = _outcome(incident, one, confirmation)
    contained = folder.read(folder.containment, list[Containment]) or []
    folder.write(
        folder.containment,
        [done if other.access.key == one.access.key else other for other in contained],
    )
    return done


def _find(folder: IncidentFolder, access: str) -> Containment:
    waiting = waiting_steps(folder)
    exact = [one for one in waiting if one.access.key == access]
    matching = exact or [one for one in waiting if one.access.key.endswith(f"/{access}")]
    if len(matching) == 1:
        return matching[0]
    known = "; ".join(one.access.key for one in waiting) or "none"
    raise BadInput(
        f"{access!r} is {'more than one' if matching else 'no'} open manual step.", f"Open: {known}."
    )


def _proof(world: World, one: Containment) -> Proof | None:
    kind = kind_named(one.access.system, one.access.kind)(world)
    return kind.check(one.access) if isinstance(kind, ManualKind) else kind.prove(one.access)


def _outcome(incident: Incident, one: Containment, confirmation: Confirmation) -> Containment:
    proof = confirmation.proof
    if not proof.passed:
        return Containment(one.access, one.status, proof, 0.0, f"Confirmed, but not so: {proof.detail}")
    seconds = (confirmation.at - incident.declared_at).total_seconds()
    return Containment(one.access, AccessStatus.CLOSED, proof, max(seconds, 0.0), "Closed by hand.")
