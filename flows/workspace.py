"""What a phase works on: the incident's record, its folder, its ledger and the systems of its plan."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from blocks.errors import BadInput
from blocks.systems import Systems
from tasks.evidence.ledger import FileLedger, open_ledger
from tasks.incident import Incident, IncidentFolder


def now() -> datetime:
    """The one place where flows read the clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Workspace:
    """One incident, opened for work. Systems are loaded from the blocks saved under the plan's name."""

    incident: Incident
    folder: IncidentFolder
    ledger: FileLedger
    systems: Systems

    @classmethod
    def open(cls, incident_id: str) -> Self:
        """Open a declared incident; BadInput when it was never declared here."""
        folder = IncidentFolder.of(incident_id)
        incident = folder.read(folder.incident, Incident)
        if incident is None:
            raise BadInput(
                f"Incident {incident_id} was not declared here ({folder.path}).",
                "Run `respond` or `declare` first, or set LEAK_RESPONSE_HOME to the folder that holds it.",
            )
        return cls(
            incident, folder, open_ledger(folder.ledger, actor=actor(incident)), Systems.load(incident.plan)
        )

    def remember(self, incident: Incident) -> Workspace:
        """Store a changed incident (for example with suspects found on the way)."""
        self.folder.write(self.folder.incident, incident)
        return Workspace(incident, self.folder, self.ledger, self.systems)


@contextmanager
def alone(folder: IncidentFolder, what: str) -> Iterator[None]:
    """One run at a time of this machine does `what` for an incident; another waits until it is done."""
    with (folder.path / f".{what}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def actor(incident: Incident) -> str:
    """Who the ledger says acted: the commander when named, always through this product."""
    return f"leak-response for {incident.commander}" if incident.commander else "leak-response"
