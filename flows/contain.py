"""Contain: close every access of the suspects, prove it, and follow the keys in what they could read."""

from __future__ import annotations

from dataclasses import replace

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed

from blocks.plan import system_of
from flows.artifacts import containment_artifact
from flows.workspace import Workspace
from tasks.contain.jar import jar_of
from tasks.contain.run import contain_system, plan_change_set
from tasks.incident import AccessStatus, Containment, Incident, Mode, Suspect, System
from tasks.scope.found import FoundCredential
from tasks.scope.run import find_credentials


@flow(name="contain", flow_run_name="contain-{incident_id}")
def contain(incident_id: str, approved: str | None = None) -> State[str]:
    """Close and prove every access of the suspects; run it again at any time, nothing is done twice.

    The free text that the suspects could read is searched for credentials at the same time; what is found is
    closed too. In mode `plan` the change set and its hash are shown and nothing is changed.

    Args:
        incident_id: A declared incident.
        approved: Hash of the change set that a person agreed to, where the plan asks for one.
    """
    work = Workspace.open(incident_id)
    if work.incident.mode is Mode.PLAN:
        return show_plan(work)
    search = find_credentials.submit(as_declared(work.incident), work.systems)
    cutting = cut(work, work.incident, tuple(System), approved)
    found = search.result(raise_on_failure=False)
    searched = isinstance(found, list)
    also = {}
    if searched and found:
        work = work.remember(work.incident.with_suspects(put_in_jar(incident_id, found)))
        touched = {System(system_of(one.kind)) for one in found}
        for system in touched:
            cutting[system].wait()  # two runs over one system would race each other
        also = cut(work, work.incident, tuple(touched), approved)
    contained = {one.access.key: one for run in (*cutting.values(), *also.values()) for one in run.result()}
    work.folder.write(work.folder.containment, list(contained.values()))
    containment_artifact(incident_id, list(contained.values()))
    return outcome(list(contained.values()), searched)


def cut(
    work: Workspace, incident: Incident, systems: tuple[System, ...], approved: str | None
) -> dict[System, PrefectFuture[list[Containment]]]:
    """Start containment of these systems side by side, one task each."""
    return {
        system: contain_system.submit(incident, work.systems, work.ledger, system, approved)
        for system in systems
    }


def as_declared(incident: Incident) -> Incident:
    """Without what an earlier run found: after a crash its secrets must be found again for the proofs."""
    return replace(incident, suspects=tuple(one for one in incident.suspects if one.found_in is None))


def put_in_jar(incident_id: str, found: list[FoundCredential]) -> tuple[Suspect, ...]:
    """Keep found secrets in memory for the proofs; what goes on is where each was found."""
    jar = jar_of(incident_id)
    for credential in found:
        jar.add(credential.kind, credential.identifier, credential.secret)
    return tuple(Suspect(one.kind, one.identifier, one.where) for one in found)


def show_plan(work: Workspace) -> State[str]:
    """The exact change set, its hash, and nothing done."""
    changes = plan_change_set(work.incident, work.systems, work.ledger)
    (work.folder.path / "plan.txt").write_text("\n".join(changes.lines()) + "\n", encoding="utf-8")
    return Completed(message=f"{len(changes.changes)} changes planned, nothing changed; hash {changes.hash}")


def outcome(contained: list[Containment], searched: bool) -> State[str]:
    """Failed unless every access that an API can close is closed and proven."""
    count = {status: sum(one.status is status for one in contained) for status in AccessStatus}
    text = ", ".join(f"{number} {status}" for status, number in count.items() if number)
    if count[AccessStatus.FAILED] or count[AccessStatus.OPEN] or not searched:
        missing = "" if searched else "; the search for exposed credentials failed"
        return Failed(message=f"Not contained: {text}{missing}")
    return Completed(message=f"Contained: {text}")
