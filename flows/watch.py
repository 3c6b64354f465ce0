"""Watch: look at the stored deadlines of every open incident; say each threshold once, and escalate."""

from __future__ import annotations

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from blocks.errors import LeakResponseError
from flows.workspace import Workspace, now
from tasks.incident import home
from tasks.notify.outlet import outlet_for
from tasks.notify.watching import watch_incident, watched_incidents


@flow(name="watch")
def watch() -> State[str]:
    """Remind of every notification deadline and escalate what nobody takes care of.

    Scheduled every few minutes. It compares stored instants with the clock, so a look that was missed, for
    minutes or for days, is made up for by the next one. An incident that cannot be looked at keeps no other
    from being looked at.
    """
    incidents = list(watched_incidents(home()))
    failed = [incident_id for incident_id in incidents if not watch_one(incident_id)]
    if failed:
        return Failed(message=f"{len(incidents)} incidents, not looked at: {', '.join(failed)}")
    return Completed(message=f"{len(incidents)} incidents looked at")


def watch_one(incident_id: str) -> bool:
    """Look at one incident; False when it could not be looked at."""
    log = get_run_logger()
    try:
        work = Workspace.open(incident_id)
        outlet = outlet_for(work.systems.slack, work.systems.mail, work.systems.plan, work.folder)
        problems = watch_incident(work.incident, work.systems.plan, work.folder, work.ledger, outlet, now())
    except LeakResponseError as error:
        log.error("%s: %s", incident_id, error.problem)
        return False
    except Exception as error:
        log.error("%s: %s", incident_id, type(error).__name__)
        return False
    for problem in problems:
        log.warning("%s: %s", incident_id, problem)
    return True
