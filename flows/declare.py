"""Declare: write down what is known, check that we can act, open the ledger. Nothing outside is changed."""

from __future__ import annotations

from datetime import datetime

from prefect import flow
from pydantic import BaseModel, Field

from blocks.check import Check, failed
from blocks.errors import LeakResponseError
from blocks.plan import system_of
from blocks.systems import Systems
from flows.workspace import actor, now
from tasks.evidence.ledger import open_ledger
from tasks.incident import Incident, IncidentFolder, Mode, Phase, Suspect, SuspectKind, Window, utc


class SuspectInput(BaseModel):
    """What may have leaked: the kind of credential and a reference to it, never the secret itself."""

    kind: SuspectKind = Field(description="What kind of access is suspected.")
    identifier: str = Field(
        min_length=1,
        description="App label, username, AWS key id, or Vault accessor: a reference, never the secret.",
        examples=["Support Chat"],
    )


class PreflightFailed(LeakResponseError):
    """A system that must be reached cannot be, or lacks a permission. Nothing was changed."""


def preflight(systems: Systems, suspects: tuple[Suspect, ...]) -> list[str]:
    """Check every system before anything changes; returns the warnings.

    A system that fails is a warning while another one named by a suspect can still be contained (one failed
    system never holds up another). When none of them can, the first failure is raised as PreflightFailed.
    """
    failing = failed(systems.check())
    touched = {system_of(suspect.kind) for suspect in suspects}
    broken = {system: check for check in failing if (system := system_named(check)) in touched}
    if touched <= broken.keys():
        first = next(check for check in failing if system_named(check) in touched)
        raise PreflightFailed(f"{first.name}: {first.problem}", first.fix)
    return [f"{check.name}: {check.problem} {check.fix}" for check in failing]


def system_named(check: Check) -> str:
    """The system a check speaks of: the first word of its name."""
    return check.name.partition(":")[0].lower()


@flow(name="declare", flow_run_name="declare-{incident_id}")
def declare(
    incident_id: str,
    what_happened: str,
    suspects: list[SuspectInput],
    window_start: datetime,
    aware_at: datetime,
    window_end: datetime | None = None,
    plan: str = "default",
    mode: Mode = Mode.CONTAIN,
    commander: str | None = None,
) -> list[str]:
    """Write the incident down and check every system. Declaring it again keeps the first record.

    Returns the preflight warnings.
    """
    named = tuple(Suspect(suspect.kind, suspect.identifier) for suspect in suspects)
    incident = Incident(
        id=incident_id,
        what_happened=what_happened,
        suspects=named,
        window=Window(
            utc(window_start, "window start"), utc(window_end, "window end") if window_end else None
        ),
        aware_at=utc(aware_at, "time of awareness"),
        declared_at=now(),
        plan=plan,
        mode=mode,
        commander=commander,
    )
    systems = Systems.load(plan)
    warnings = preflight(systems, named)
    folder = IncidentFolder.of(incident_id)
    ledger = open_ledger(folder.ledger, actor=actor(incident))
    earlier = folder.read(folder.incident, Incident)
    if earlier is not None:
        incident = earlier.with_suspects(named)
    folder.write(folder.incident, incident)
    (folder.path / "plan.yaml").write_text(systems.plan.text, encoding="utf-8")
    ledger.note(
        Phase.DECLARE,
        "resumed" if earlier else "declared",
        incident.id,
        count=len(incident.suspects),
        warnings=len(warnings),
    )
    return warnings
