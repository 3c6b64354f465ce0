"""An incident in a folder for these tests: plan, scope and ledger, all real."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from blocks.plan import Plan, parse_plan
from tasks.evidence.ledger import FileLedger, open_ledger
from tasks.incident import (
    Bounds,
    Duty,
    Incident,
    IncidentFolder,
    ScopeSummary,
    Suspect,
    SuspectKind,
    Window,
)
from tasks.notify.run import start_clocks

AWARE = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PLAN = """
version: 1
organisation:
  {name: Lab Retail SE, role: controller, time_zone: Europe/Berlin, eu_main_establishment: DE,
   established_in: [DE], cyber_insurance: true}
roles:
  incident_commander: {name: Ines Moreau, email: ines.moreau@lab.example, deputy: legal}
  legal: {name: Amara Okafor, email: amara.okafor@lab.example}
  privacy: {name: Lukas Brandt, email: lukas.brandt@lab.example, deputy: legal}
  salesforce_admin: {name: Priya Nair, email: priya.nair@lab.example}
  integration_engineer: {name: Tomas Silva, email: tomas.silva@lab.example}
  comms: {name: Claire Dubois, email: claire.dubois@lab.example}
vendors:
  - name: Chatwise
    kind: package
    contact: {name: Security Desk, email: security@chatwise.example}
    notice: {from_vendor_hours: 48, to_vendor_hours: 24, clause: "DPA 8.2"}
  - name: Other Middleware
    kind: middleware
    contact: {name: Desk, email: desk@other.example}
    notice: {to_vendor_hours: 24}
  - name: Hanse Versicherung
    kind: insurer
    contact: {name: Claims, email: cyber@hanse.example}
    notice: {to_vendor_hours: 72, clause: "7.1"}
  - name: Marktplatz Partner
    kind: customer
    contact: {name: Privacy office, email: privacy@marktplatz.example}
    notice: {to_vendor_hours: 24}
integrations:
  - name: Support Chat
    owner: integration_engineer
    vendor: Chatwise
    principals: [{kind: connected-app, identifier: Support Chat}]
"""


@dataclass(frozen=True)
class World:
    incident: Incident
    plan: Plan
    folder: IncidentFolder
    ledger: FileLedger

    @classmethod
    def new(cls, root: Path, incident_id: str = "INC-1") -> World:
        folder = IncidentFolder.of(incident_id, root)
        suspects = (Suspect(SuspectKind.CONNECTED_APP, "Support Chat"),)
        window = Window(AWARE - timedelta(days=2))
        incident = Incident(
            id=incident_id,
            what_happened="An integration's tokens leaked",
            suspects=suspects,
            window=window,
            aware_at=AWARE,
            declared_at=AWARE,
            plan="lab",
            commander="Ines Moreau",
        )
        folder.write(folder.incident, incident)
        return cls(incident, parse_plan(PLAN), folder, open_ledger(folder.ledger, strict=True))

    def scope(self, residences: dict[str, int], categories: tuple[str, ...] = ("name", "contact")) -> None:
        people = {code: Bounds(count, count) for code, count in residences.items()}
        total = Bounds(sum(residences.values()), sum(residences.values()))
        summary = ScopeSummary(
            records=total,
            subjects=total,
            records_by_object={"Contact": total.upper},
            by_residence=people,
            by_category=dict.fromkeys(categories, total),
            coverage=(),
            queries=3,
            unparsed_queries=0,
            as_of=AWARE,
        )
        self.folder.write(self.folder.scope, summary)

    def clocks(self, now: datetime, answers: dict[str, Any] | None = None) -> dict[str, Duty]:
        found = start_clocks(self.incident, self.plan, self.folder, self.ledger, now=now, answers=answers)
        return {duty.rule: duty for duty in found}

    def notes(self, action: str) -> list[str]:
        return [entry["target"] for entry in self.ledger.entries() if entry["action"] == action]

    def with_plan(self, plan: Plan) -> World:
        return replace(self, plan=plan)
