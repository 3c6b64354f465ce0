"""Which steps are left for people, and who owns each: manual closes, failures, replacements, vendors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.plan import Integration, Plan
from blocks.systems import Systems
from tasks.incident import AccessStatus, Containment, Incident, IncidentFolder, Ledger, Phase


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a person must do. `about` is a reference to an access, an integration or a vendor."""

    kind: str  # "manual", "failed", "refused", "replace" or "vendor"
    about: str
    owner: str  # role in the plan
    instructions: str


def steps_file(folder: IncidentFolder) -> Path:
    return folder.path / "steps.json"


def open_steps(incident: Incident, plan: Plan, folder: IncidentFolder, ledger: Ledger) -> list[Step]:
    """All steps left open, stored in the incident's folder; run it again at any time."""
    contained = folder.read(folder.containment, list[Containment]) or []
    steps = [*_unfinished(contained, plan), *_replacements(incident, contained, plan)]
    folder.write(steps_file(folder), steps)
    ledger.note(Phase.REMEDIATE, "steps for people", incident.id, steps=len(steps))
    return steps


def _unfinished(contained: list[Containment], plan: Plan) -> Iterator[Step]:
    kinds = {
        AccessStatus.MANUAL: "manual",
        AccessStatus.FAILED: "failed",
        AccessStatus.OPEN: "failed",
        AccessStatus.REFUSED: "refused",
    }
    for one in contained:
        if one.status in kinds:
            owner = plan.systems[one.access.system].owner
            yield Step(kinds[one.status], one.access.key, owner, one.detail)


def _replacements(incident: Incident, contained: list[Containment], plan: Plan) -> Iterator[Step]:
    """Integrations that stand still since their credentials were cut, and the vendors behind them."""
    if not contained:
        return
    for integration in plan.integrations:
        if not _hit(integration, incident, contained):
            continue
        where = ", ".join(integration.secret_at) or "where its consumers read it"
        order = ", then ".join(consumer.name for consumer in integration.consumers) or "its consumers"
        yield Step(
            "replace",
            integration.name,
            integration.owner,
            f"Issue new credentials, write them to {where}, restart {order}, check that each works.",
        )
        vendor = plan.vendor(integration.vendor) if integration.vendor else None
        if vendor is not None:
            yield Step(
                "vendor",
                vendor.name,
                integration.owner,
                f"Tell {vendor.name} what was cut and ask when and how its side was breached.",
            )


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
