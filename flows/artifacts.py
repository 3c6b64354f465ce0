"""What the Prefect UI shows of a phase: counts, kinds and times; nothing personal and nothing secret."""

from __future__ import annotations

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from tasks.incident import Containment, Duty, DutyStatus, ScopeSummary
from tasks.remediate.steps import Step


def key(incident_id: str, phase: str) -> str:
    """Artifact keys are lower-case letters, digits and dashes; one key has a history."""
    return f"{phase}-{incident_id}".lower()


def containment_artifact(incident_id: str, contained: Sequence[Containment]) -> None:
    table = [
        {
            "system": str(one.access.system),
            "access": one.access.kind,
            "status": str(one.status),
            "proof": str(one.proof.method) if one.proof else "none",
            "seconds": round(one.seconds, 1),
        }
        for one in contained
    ]
    create_table_artifact(
        table, key=key(incident_id, "containment"), description="Accesses, each with its proof"
    )


def scope_artifact(incident_id: str, scope: ScopeSummary) -> None:
    rows = [
        f"| {code} | {bounds.lower:,} | {bounds.upper:,} |"
        for code, bounds in sorted(scope.by_residence.items(), key=lambda item: -item[1].upper)
    ]
    coverage = [f"- **{item.source}**: {item.statement}" for item in scope.coverage]
    text = [
        f"**{scope.records.lower:,} to {scope.records.upper:,}** records, "
        f"**{scope.subjects.lower:,} to {scope.subjects.upper:,}** people.",
        "",
        "| residence | people, at least | at most |",
        "|---|---|---|",
        *rows,
        "",
        "Coverage:",
        *coverage,
    ]
    create_markdown_artifact("\n".join(text), key=key(incident_id, "scope"), description="Whose data left")


def duties_artifact(incident_id: str, duties: Sequence[Duty]) -> None:
    table = [
        {
            "due": duty.due_at.isoformat(timespec="minutes") if duty.due_at else "no time yet",
            "rule": duty.rule,
            "status": str(duty.status),
            "to": duty.recipient,
            "to answer": ", ".join(duty.missing),
        }
        for duty in duties
        if duty.status is not DutyStatus.NOT_DUE
    ]
    create_table_artifact(
        table, key=key(incident_id, "duties"), description="Notifications owed, first due first"
    )


def steps_artifact(incident_id: str, steps: Sequence[Step]) -> None:
    table = [{"owner": step.owner, "what": step.kind, "about": step.about} for step in steps]
    create_table_artifact(table, key=key(incident_id, "steps"), description="What people still have to do")
