"""Preserve: copy what is about to vanish, under a short time box that never holds up containment."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.workspace import Workspace
from tasks.preserve.run import take_snapshot


@flow(name="preserve", flow_run_name="preserve-{incident_id}")
def preserve(incident_id: str, time_box_s: float = 8.0) -> State[str]:
    """Snapshot tokens, sessions, jobs, logins, keys and leases before anything is cut.

    Args:
        incident_id: A declared incident.
        time_box_s: Seconds after which containment goes on without what has not answered.
    """
    work = Workspace.open(incident_id)
    snapshot = take_snapshot(work.incident, work.systems, work.folder, work.ledger, time_box_s)
    read = len(snapshot.sources) - len(snapshot.unread)
    unread = f"; not read: {', '.join(one.source for one in snapshot.unread)}" if snapshot.unread else ""
    return Completed(message=f"{read} of {len(snapshot.sources)} sources in {snapshot.seconds:.1f} s{unread}")
