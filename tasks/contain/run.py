"""Containment as Prefect tasks: one per system, never one per grant.

Parameters carry references alone. Found secrets stay in this process's jar (`jar_of`), which a task picks
up by incident id; results are not persisted and nothing is cached.
"""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from blocks.systems import Systems
from tasks.contain.changes import ChangeSet
from tasks.contain.engine import contain, plan_changes
from tasks.contain.jar import jar_of
from tasks.incident import Containment, Incident, Ledger, System


@task(name="contain", task_run_name="contain {system}", cache_policy=NO_CACHE, persist_result=False)
def contain_system(
    incident: Incident,
    systems: Systems,
    ledger: Ledger,
    system: System,
    agreed: frozenset[str] = frozenset(),
    replacing: bool | None = None,
) -> list[Containment]:
    """Close and prove every access of the suspects in one system. Failures come back as FAILED.

    `agreed` names accesses (`Access.key`) that a person agreed to close, `replacing` is the engine's.
    """
    log = get_run_logger()

    def tell(containment: Containment) -> None:
        log.info("%s %s", containment.status, containment.access.kind)

    return contain(
        incident,
        systems,
        ledger,
        jar=jar_of(incident.id),
        agreed=agreed,
        only=system,
        replacing=replacing,
        on_progress=tell,
    )


@task(name="plan-changes", cache_policy=NO_CACHE, persist_result=False)
def plan_change_set(incident: Incident, systems: Systems, ledger: Ledger | None = None) -> ChangeSet:
    """What containment would do now, with the hash for an approval. Changes nothing."""
    return plan_changes(incident, systems, ledger)
