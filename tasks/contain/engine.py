"""The reconcile loop: observe, plan, ATTEMPT, close, prove, RESULT, until nothing of the suspects is open.

Systems run side by side and so do the kinds within one; each kind loops by itself until it sees nothing
open, so a slow or failed access holds up no other. When all kinds of a system are quiet they look once
more, because one closing can reveal or race another. What an earlier run closed is proven again, not done
again. The ledger is the only memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from blocks.systems import Systems
from tasks.contain.changes import Change, ChangeSet, Verdict
from tasks.contain.confirmations import read_confirmations
from tasks.contain.guards import Guards
from tasks.contain.history import read_history, read_replaced
from tasks.contain.jar import Credentials
from tasks.contain.kinds import AccessKind
from tasks.contain.pace import Pace, shown
from tasks.contain.planted import close_planted
from tasks.contain.registry import kinds_of
from tasks.contain.system_run import Progress, SystemRun, unobserved
from tasks.contain.world import World
from tasks.incident import (
    Access,
    AccessStatus,
    Containment,
    Incident,
    Ledger,
    Mode,
    System,
)


def plan_changes(
    incident: Incident, systems: Systems, ledger: Ledger | None = None, *, only: System | None = None
) -> ChangeSet:
    """What `contain` would do now. Changes nothing. Never raises for one system: it is named as unseen."""
    history = read_history(ledger.entries()) if ledger else {}
    confirmed = read_confirmations(ledger.entries()) if ledger else {}
    world = World(
        replace(incident, mode=Mode.PLAN),
        systems,
        history=history,
        replaced=read_replaced(ledger.entries()) if ledger else {},
        confirmations=confirmed,
    )
    guards = Guards(world)
    kinds = [kind(world) for system in _systems(world, only) for kind in kinds_of(system)]
    with ThreadPoolExecutor(max(1, len(kinds))) as pool:
        looked = list(pool.map(_look, kinds))
    changes, unseen = [], []
    for kind, found in zip(kinds, looked, strict=True):
        if isinstance(found, str):
            unseen.append(f"{kind.system} {kind.name}: {found}")
            continue
        for access in sorted(found):
            changes.append(_change(kind, access, guards))
    return ChangeSet(incident.id, tuple(changes), tuple(unseen))


def contain(
    incident: Incident,
    systems: Systems,
    ledger: Ledger,
    *,
    jar: Credentials | None = None,
    approved: str | None = None,
    agreed: Collection[str] = (),
    on_progress: Progress | None = None,
    only: System | None = None,
    pace: Pace | None = None,
    replacing: bool | None = None,
) -> list[Containment]:
    """Close every access of the suspects and prove it; what became of each, in order.

    Call it again with more suspects, a fuller jar, or after a crash: it does what is new and proves the
    rest. `approved` is the hash of the change set a person agreed to: while the world still matches it, its
    accesses are closed without asking and leases may be revoked by force. `agreed` names accesses
    (`Access.key`) that were agreed to before, whatever else has changed since. `replacing` False leaves out
    the kinds that write a new secret, True takes them alone: for whoever wants the leaked readers of that
    place shut first. In mode=plan nothing is
    changed and the accesses come back as PLANNED. Never raises for a failed system: its accesses are FAILED.
    """
    if incident.mode is Mode.PLAN:
        return [_planned(change) for change in plan_changes(incident, systems, ledger, only=only).changes]
    pace = pace or Pace()
    agreed = frozenset(agreed)
    if approved is not None and (changes := plan_changes(incident, systems, ledger)).hash == approved:
        agreed |= changes.closing
    world = World(
        incident,
        systems,
        jar=jar,
        history=read_history(ledger.entries()),
        replaced=read_replaced(ledger.entries()),
        confirmations=read_confirmations(ledger.entries()),
        force=bool(agreed),
    )
    guards = Guards(world, agreed=agreed)
    runs = [
        SystemRun(world, system, ledger, guards, pace, on_progress, replacing)
        for system in _systems(world, only)
    ]
    with ThreadPoolExecutor(max(1, len(runs)), thread_name_prefix="contain") as pool:
        results = list(pool.map(_isolated, runs))
    found = {one.access.key: one for result in results for one in result}
    for run in runs:
        if run.system is System.SALESFORCE and not replacing:
            found |= close_planted(run, ledger, guards, pace, on_progress)
    return list(found.values())


def _isolated(run: SystemRun) -> Iterable[Containment]:
    try:
        return run.run()
    except Exception as error:  # a bug in one system's run must not take the others' results away
        return [*run.outcomes(), unobserved(run.system, "run", run.world.suspects(run.system), shown(error))]


def _systems(world: World, only: System | None) -> list[System]:
    """The systems that a suspect or an earlier run touches."""
    touched = {past.access.system for past in world.history.values()}
    return [s for s in System if (s in touched or world.suspects(s)) and (only is None or s is only)]


def _look(kind: AccessKind) -> list[Access] | str:
    try:
        return kind.observe()
    except Exception as error:
        return shown(error)


def _change(kind: AccessKind, access: Access, guards: Guards) -> Change:
    make: Callable[[Verdict, str], Change] = lambda verdict, why: Change(  # noqa: E731
        access, verdict, kind.action, kind.reversible, why
    )
    if kind.manual:
        return make(Verdict.MANUAL, kind.instructions(access))
    if reason := guards.refusal(access, kind.who(access)):
        return make(Verdict.REFUSE, reason)
    if reason := guards.must_ask(access):
        return make(Verdict.ASK, reason)
    return make(Verdict.CLOSE, "")


def _planned(change: Change) -> Containment:
    statuses = {
        Verdict.MANUAL: AccessStatus.MANUAL,
        Verdict.REFUSE: AccessStatus.REFUSED,
        Verdict.ASK: AccessStatus.ASKED,
    }
    status = statuses.get(change.verdict, AccessStatus.PLANNED)
    return Containment(change.access, status, None, 0.0, change.why or change.action)
