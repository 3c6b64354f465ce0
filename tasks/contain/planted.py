"""After the cut: what did suspects leave behind to come back by? Closed the same way, until none is found."""

from __future__ import annotations

from dataclasses import replace

from tasks.contain.guards import Guards
from tasks.contain.pace import Pace, shown
from tasks.contain.salesforce.persistence import planted_suspects
from tasks.contain.system_run import Progress, SystemRun, unobserved
from tasks.contain.world import World
from tasks.incident import Containment, Ledger, Phase, Suspect

LOOKED, FOUND = "looked for planted access", "found planted access"
GENERATIONS = 5  # what was planted by what was planted by ...


def close_planted(
    run: SystemRun, ledger: Ledger, guards: Guards, pace: Pace, on_progress: Progress | None
) -> dict[str, Containment]:
    """Containments by `Access.key` of what suspects planted in the org; a failure to look is one of them."""
    world, found = run.world, dict[str, Containment]()
    if not world.suspects(run.system):
        return found
    for _ in range(GENERATIONS):
        try:
            planted = planted_suspects(world)
        except Exception as error:
            failed = unobserved(run.system, "planted", world.suspects(run.system), shown(error))
            return found | {failed.access.key: failed}
        incident = world.incident.with_suspects(planted)
        fresh = incident.suspects[len(world.incident.suspects) :]
        ledger.note(Phase.CONTAIN, FOUND if fresh else LOOKED, world.incident.id, **_details(fresh))
        if not fresh:
            return found
        world = _with(world, fresh)
        again = SystemRun(world, run.system, ledger, guards, pace, on_progress)
        found |= {one.access.key: one for one in again.run()}
    return found


def _with(world: World, fresh: tuple[Suspect, ...]) -> World:
    """The same run's memory with more suspects; what was looked up before is looked up again."""
    return World(
        replace(world.incident, suspects=world.incident.suspects + fresh),
        world.systems,
        jar=world.jar,
        history=world.history,
        confirmations=world.confirmations,
        force=world.force,
        now=world.now,
    )


def _details(fresh: tuple[Suspect, ...]) -> dict[str, object]:
    return {"suspects": [str(one) for one in fresh], "found_in": [one.found_in or "" for one in fresh]}


def found_planted(ledger: Ledger) -> tuple[Suspect, ...]:
    """Every planted suspect that this incident has found so far, for whoever keeps its record."""
    found: list[Suspect] = []
    for entry in ledger.entries():
        if entry["kind"] == "NOTE" and entry["action"] == FOUND:
            details = entry["details"]
            for text, where in zip(details["suspects"], details["found_in"], strict=True):
                found.append(replace(Suspect.parse(text), found_in=where))
    return tuple(dict.fromkeys(found))
