"""Contain: close every access of the suspects, prove it, and follow the keys in what they could read."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

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
    search = find_credentials.submit(work.incident, work.systems)
    contained = close_all(work, work.incident, approved)
    found = search.result(raise_on_failure=False)
    incident = work.incident
    if isinstance(found, list) and found:
        incident = incident.with_suspects(put_in_jar(incident_id, found))
        work = work.remember(incident)
        contained = close_all(work, incident, approved)
    work.folder.write(work.folder.containment, contained)
    containment_artifact(incident_id, contained)
    return outcome(contained, searched=isinstance(found, list))


def close_all(work: Workspace, incident: Incident, approved: str | None) -> list[Containment]:
    """All systems side by side, one task each."""
    tasks = [
        contain_system.submit(incident, work.systems, work.ledger, system, approved) for system in System
    ]
    return [containment for task in tasks for containment in task.result()]


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
