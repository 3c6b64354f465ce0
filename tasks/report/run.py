"""The report as a Prefect task."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.systems import Systems
from tasks.incident import Incident, IncidentFolder, Ledger, Phase
from tasks.report.html import write_report


@task(name="write the report", cache_policy=NO_CACHE, persist_result=False)
def write_incident_report(
    incident: Incident, systems: Systems, folder: IncidentFolder, ledger: Ledger
) -> Path:
    """Write the incident's HTML report as of now, and note it in the ledger; returns its path."""
    path = write_report(folder, ledger.entries(), datetime.now(UTC))
    ledger.note(Phase.CLOSE, "report-written", incident.id, file=path.name, bytes=path.stat().st_size)
    return path
