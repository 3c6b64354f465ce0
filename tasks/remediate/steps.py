"""Which steps are left for people, and who owns each: manual closes, failures, replacements, vendors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.plan import Integration, Plan
from blocks.systems import Systems
from tasks.incident import AccessStatus, Containment, Incident, IncidentFolder, Ledger, Phase
from tasks.remediate.readers import exposed
from tasks.remediate.replace import DONE, Replaced, replacements_file


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a person must do. `about` is a reference to an access, an integration or a vendor."""

    kind: str  # "manual", "failed", "refused", "approve", "replace", "rotate again" or "vendor"
    about: str
    owner: str  # role in the plan
    instructions: str


def steps_file(folder: IncidentFolder) -> Path:
    return folder.path / "steps.json"


def open_steps(incident: Incident, plan: Plan, folder: IncidentFolder, ledger: Ledger) -> list[Step]:
    """All steps left open, stored in the incident's folder; run it again at any time."""
    contained = folder.read(folder.containment, list[Containment]) or []
    replaced = {one.integration: one for one in folder.read(replacements_file(folder), list[Replaced]) or []}
    steps = [
        *_unfinished(contained, plan),
        *_read_meanwhile(contained, plan, ledger),
        *_replacements(incident, contained, plan, replaced),
    ]
    folder.write(steps_file(folder), steps)
    ledger.note(Phase.REMEDIATE, "steps for people", incident.id, steps=len(steps))
    return steps


def _unfinished(contained: list[Containment], plan: Plan) -> Iterator[Step]:
    kinds = {
        AccessStatus.MANUAL: "manual",
        AccessStatus.FAILED: "failed",
        AccessStatus.OPEN: "failed",
        AccessStatus.REFUSED: "refused",
        AccessStatus.ASKED: "approve",
    }
    for one in contained:
        if one.status in kinds:
            owner = plan.systems[one.access.system].owner
            yield Step(kinds[one.status], one.access.key, owner, one.detail)


def _read_meanwhile(contained: list[Containment], plan: Plan, ledger: Ledger) -> Iterator[Step]:
    """Secrets that containment replaced while a leaked access could still read them."""
    could = exposed(ledger)
    for one in contained:
        if readers := could.get(one.access.key):
            owner = plan.systems[one.access.system].owner
            yield Step("rotate again", one.access.key, owner, _again(one.access.principal, readers))


def _again(what: str, readers: Sequence[str]) -> str:
    return (
        f"Replace {what} once more: {', '.join(readers)} was leaked, is not proven closed, and could read "
        "the new secret when it was written. Close that first."
    )


def _replacements(
    incident: Incident, contained: list[Containment], plan: Plan, replaced: Mapping[str, Replaced]
) -> Iterator[Step]:
    """Integrations that stand still since their credentials were cut, and the vendors behind them."""
    if not contained:
        return
    for integration in plan.integrations:
        if not _hit(integration, incident, contained):
            continue
        done = replaced.get(integration.name)
        yield from _by_hand(integration) if done is None else _left(integration, done)
        vendor = plan.vendor(integration.vendor) if integration.vendor else None
        if vendor is not None:
            yield Step(
                "vendor",
                vendor.name,
                integration.owner,
                f"Tell {vendor.name} what was cut and ask when and how its side was breached.",
            )


def _by_hand(integration: Integration) -> Iterator[Step]:
    """Nothing of it was replaced from here: all of it is one step."""
    where = ", ".join(integration.secret_at) or "where its consumers read it"
    order = ", then ".join(consumer.name for consumer in integration.consumers) or "its consumers"
    text = f"Issue new credentials, write them to {where}, restart {order}, check that each works."
    yield Step("replace", integration.name, integration.owner, text)


def _left(integration: Integration, done: Replaced) -> Iterator[Step]:
    """What replacement could not do: a person's credentials, places, and consumers that are not known to
    work."""
    for one in done.credentials:
        if one.outcome not in DONE:
            yield Step("replace", integration.name, integration.owner, one.detail)
        elif one.exposed_to:
            text = _again(f"{one.ref} of {one.principal}", one.exposed_to)
            yield Step("rotate again", integration.name, integration.owner, text)
    for text in done.by_hand:
        what = f"Write the new credentials to {text} as well: it cannot be written from here."
        yield Step("replace", integration.name, integration.owner, what)
    for check in done.consumers:
        if not check.ok:
            what = f"Restart {check.name} and check that it works: its new credentials are in place."
            yield Step("replace", integration.name, check.owner, f"{what} {check.detail}")


def _hit(integration: Integration, incident: Incident, contained: list[Containment]) -> bool:
    """Whether one of the integration's principals is a suspect or lost an access."""
    closed = {one.access.principal for one in contained if one.status is AccessStatus.CLOSED}
    suspects = {(suspect.kind, suspect.identifier) for suspect in incident.suspects}
    return any(
        (principal.kind, principal.identifier) in suspects or principal.identifier in closed
        for principal in integration.principals
    )


@task(name="list the steps for people", cache_policy=NO_CACHE, persist_result=False)
def list_steps(incident: Incident, systems: Systems, folder: IncidentFolder, ledger: Ledger) -> list[Step]:
    """`open_steps` as a step of a flow."""
    return open_steps(incident, systems.plan, folder, ledger)
