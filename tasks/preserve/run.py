"""Preservation as a Prefect task: one for the whole snapshot. Its result holds counts, names and hashes."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from blocks.systems import Systems
from tasks.incident import Incident, IncidentFolder, Ledger
from tasks.preserve.snapshot import Snapshot, preserve


def utc_now() -> datetime:
    """The one place where preservation reads the time."""
    return datetime.now(UTC)


@task(name="snapshot", cache_policy=NO_CACHE, persist_result=False)
def take_snapshot(
    incident: Incident, systems: Systems, folder: IncidentFolder, ledger: Ledger, time_box_s: float = 8.0
) -> Snapshot:
    """Copy everything volatile within `time_box_s` seconds; what could not be read is in the result."""
    snapshot = preserve(incident, systems, folder, ledger, clock=utc_now, time_box_s=time_box_s)
    log = get_run_logger()
    for source in snapshot.unread:
        log.warning("%s source not preserved: %s", source.system, source.problem)
    log.info("%s rows of %s sources", sum(s.rows for s in snapshot.sources), len(snapshot.sources))
    return snapshot
