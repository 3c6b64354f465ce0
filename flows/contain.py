"""Contain: close every access of the suspects, prove it, and follow the keys in what they could read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed

from blocks.plan import system_of
from flows.approval import suspendable, wait_for
from flows.artifacts import containment_artifact
from flows.workspace import Workspace, alone, now
from tasks.contain.approvals import Approvals, Decision
from tasks.contain.jar import jar_of
from tasks.contain.planted import found_planted
from tasks.contain.run import contain_system, plan_change_set
from tasks.incident import AccessStatus, Containment, Incident, Mode, Phase, Suspect, System
from tasks.remediate.readers import readers_of, say_exposed
from tasks.scope.found import FoundCredential
from tasks.scope.leads import Leads, follow_leads
from tasks.scope.run import find_credentials

TRAIL = 5  # steps from a key to what it opens to what that opens; more has not been heard of
NEEDS_APPROVAL = "NeedsApproval"  # the name of the state in which a run ends that waits for a person


@flow(name="contain", flow_run_name="contain-{incident_id}")
def contain(
    incident_id: str, approved: str | None = None, approver: str | None = None, wait: bool | None = None
) -> State[str]:
    """Close and prove every access of the suspects; run it again at any time, nothing is done twice.

    The free text that the suspects could read is searched for credentials at the same time; what is found is
    closed too. In mode `plan` the change set and its hash are shown and nothing is changed. What the plan
    wants approved is closed when somebody approves exactly that, or when the plan's default says so.

    Args:
        incident_id: A declared incident.
        approved: Hash of a change set that was shown and is agreed to; needs `approver`.
        approver: Who agrees.
        wait: Wait for an approval that is asked for, or end and say what waits. Left out: wait where that
            costs nothing, which is in a deployment's own run.
    """
    work = Workspace.open(incident_id)
    if work.incident.mode is Mode.PLAN:
        return show_plan(work)
    if approved:
        Approvals(work.folder, work.ledger).answer(approved, approver or "", approved=True, now=now())
    with alone(work.folder, "contain"):  # two runs over one system would race each other
        contained, searched, work = cut_and_follow(work, agreed_before(work))
    work.folder.write(work.folder.containment, list(contained.values()))  # a wait may be long
    if any(one.status is AccessStatus.ASKED for one in contained.values()):
        contained |= cut_what_is_agreed(work, suspendable() if wait is None else wait)
    work.folder.write(work.folder.containment, list(contained.values()))
    containment_artifact(incident_id, list(contained.values()))
    return outcome(work, list(contained.values()), searched)


def cut_and_follow(work: Workspace, agreed: frozenset[str]) -> tuple[dict[str, Containment], bool, Workspace]:
    """Cut everywhere at once, and follow what the suspects could read and reach, until it leads nowhere new.
    Containments by `Access.key`, whether every search succeeded, and the workspace with who was found."""
    known = as_declared(work.incident)
    search = find_credentials.submit(known, work.systems)
    running = cut(work, tuple(System), agreed)
    done: list[PrefectFuture[list[Containment]]] = []
    result = search.result(raise_on_failure=False)
    searched = isinstance(result, list)
    found = put_in_jar(work.incident.id, result) if isinstance(result, list) else ()
    for _ in range(TRAIL):
        known = known.with_suspects(found)
        work = work.remember(work.incident.with_suspects(found))
        touched = tuple({System(system_of(one.kind)) for one in found})
        for system in touched:
            running[system].wait()  # two runs over one system would race each other
            done.append(running[system])
        running |= cut(work, touched, agreed)
        found, complete = followed(work, known)
        if complete and not found:
            for system in (System.VAULT, System.AWS):
                running[system].wait()  # until then a key could still make another
            found, complete = followed(work, known)
        searched = searched and complete
        if not found:
            break
    else:  # the last who were found are not cut yet
        searched = False
    contained = results((*done, *running.values()))
    contained |= replace_where_nobody_reads(work, contained, agreed)
    if planted := found_planted(work.ledger):
        work = work.remember(work.incident.with_suspects(planted))
    return contained, searched, work


def followed(work: Workspace, known: Incident) -> tuple[tuple[Suspect, ...], bool]:
    """Who is new on the trail, and whether all of it could be followed."""
    leads = follow_leads.submit(known, work.systems, work.ledger).result(raise_on_failure=False)
    if not isinstance(leads, Leads):
        return (), False
    return (*leads.suspects, *put_in_jar(work.incident.id, leads.credentials)), leads.complete


def cut(
    work: Workspace, systems: tuple[System, ...], agreed: frozenset[str], replacing: bool = False
) -> dict[System, PrefectFuture[list[Containment]]]:
    """Start containment of these systems side by side, one task each; `replacing` is the engine's word."""
    return {
        system: contain_system.submit(work.incident, work.systems, work.ledger, system, agreed, replacing)
        for system in systems
    }


def replace_where_nobody_reads(
    work: Workspace, contained: dict[str, Containment], agreed: frozenset[str]
) -> dict[str, Containment]:
    """The secrets of Salesforce whose closing is their replacement, now that Vault has been cut.

    The new ones are written to Vault: a leaked access that is still open there would read them. It is said
    of each that was written all the same.
    """
    replaced = results(cut(work, (System.SALESFORCE,), agreed, replacing=True).values())
    readers = readers_of(["vault:"], contained.values()).all
    for key, one in replaced.items():
        if one.status is AccessStatus.CLOSED:
            say_exposed(work.ledger, Phase.CONTAIN, key, key, readers)
    return replaced


def results(runs: Iterable[PrefectFuture[list[Containment]]]) -> dict[str, Containment]:
    """What became of each access; a later run's word counts."""
    return {one.access.key: one for run in runs for one in run.result()}


def agreed_before(work: Workspace) -> frozenset[str]:
    """What a person has agreed to already, if the world still is as it was shown."""
    approvals = Approvals(work.folder, work.ledger)
    if not approvals.requests():
        return frozenset()
    changes = plan_change_set(work.incident, work.systems, work.ledger)
    return approvals.agreed(changes) | approvals.agreed(changes.asking)


def cut_what_is_agreed(work: Workspace, wait: bool) -> dict[str, Containment]:
    """Ask for what waits for an approval, and close it once exactly that is agreed to.

    When the world has changed while somebody thought about it, the difference is shown and asked again.
    """
    approvals = Approvals(work.folder, work.ledger)
    asked = plan_change_set(work.incident, work.systems, work.ledger).asking
    while asked.changes:
        request = approvals.ask(asked, work.systems.plan.policies.approval, now())
        decision = approvals.decide(request, now())
        if decision is Decision.PENDING and wait:
            decision = wait_for(work, request)
        if decision is not Decision.APPROVED:
            break
        with alone(work.folder, "contain"):
            fresh = plan_change_set(work.incident, work.systems, work.ledger).asking
            if fresh.hash == request.hash:
                touched = tuple({one.access.system for one in fresh.changes})
                closed = results(cut(work, touched, fresh.closing).values())
                known = work.folder.read(work.folder.containment, list[Containment]) or []
                everything = {one.access.key: one for one in known} | closed
                return closed | replace_where_nobody_reads(work, everything, fresh.closing)
        asked = fresh
    return {}


def as_declared(incident: Incident) -> Incident:
    """Without what an earlier run found: after a crash its secrets must be found again for the proofs."""
    return replace(incident, suspects=tuple(one for one in incident.suspects if one.found_in is None))


def put_in_jar(incident_id: str, found: Iterable[FoundCredential]) -> tuple[Suspect, ...]:
    """Keep found secrets in memory for the proofs; what goes on is where each was found."""
    jar, found = jar_of(incident_id), tuple(found)
    for credential in found:
        jar.add(credential.kind, credential.identifier, credential.secret)
    return tuple(Suspect(one.kind, one.identifier, one.where) for one in found)


def show_plan(work: Workspace) -> State[str]:
    """The exact change set, its hash, and nothing done."""
    changes = plan_change_set(work.incident, work.systems, work.ledger)
    Approvals(work.folder, work.ledger).show(changes, now())
    (work.folder.path / "plan.txt").write_text("\n".join(changes.lines()) + "\n", encoding="utf-8")
    return Completed(message=f"{len(changes.changes)} changes planned, nothing changed; hash {changes.hash}")


def outcome(work: Workspace, contained: list[Containment], searched: bool) -> State[str]:
    """Failed unless every access that an API can close is closed and proven."""
    count = {status: sum(one.status is status for one in contained) for status in AccessStatus}
    text = ", ".join(f"{number} {status}" for status, number in count.items() if number)
    if count[AccessStatus.FAILED] or count[AccessStatus.OPEN] or count[AccessStatus.REFUSED] or not searched:
        missing = "" if searched else "; the search for exposed credentials failed"
        return Failed(message=f"Not contained: {text}{missing}")
    if count[AccessStatus.ASKED]:
        return Failed(name=NEEDS_APPROVAL, message=f"Not contained: {text}; {what_to_approve(work)}")
    return Completed(message=f"Contained: {text}")


def what_to_approve(work: Workspace) -> str:
    """How a person lets the rest be closed, or that somebody said no."""
    approvals = Approvals(work.folder, work.ledger)
    asked = [one for one in approvals.requests() if one.deadline is not None]
    if not asked:
        return "nothing that still waits was found: run it again"
    request = asked[-1]
    if (given := approvals.answer_to(request.hash)) is not None and not given.approved:
        return f"{request.hash[:12]} was rejected by {given.by or 'the default of the plan'}"
    return f"approve with: leak-response approve {work.incident.id} --hash {request.hash[:12]} --by NAME"
