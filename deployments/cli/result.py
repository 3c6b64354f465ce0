"""The machine-readable result of a response or a rehearsal, in the shape the README documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from deployments.cli.run_flow import Outcome
from deployments.cli.truth import LabTruth, Record, score_records, score_subjects
from tasks.incident import (
    AccessStatus,
    Containment,
    Duty,
    DutyStatus,
    IncidentFolder,
    ScopeSummary,
    Suspect,
    SuspectKind,
)

LIMIT_DUTIES = (DutyStatus.DUE, DutyStatus.UNDETERMINED)


def result_json(outcome: Outcome) -> dict[str, Any]:
    """What `respond --json` writes: as `rehearse`, without the attacker and the comparison with the truth."""
    folder = outcome.folder
    contained = containment(folder)
    return {
        "incident_id": outcome.incident.id,
        "mode": outcome.incident.mode,
        "passed": outcome.completed,
        "message": outcome.message,
        "accesses": accesses(contained),
        "manual_steps": manual_steps(contained),
        "integrations": integrations(folder),
        "scope": scope(folder),
        "duties": duties(folder),
        "evidence": evidence(folder),
        "seconds": seconds(folder, outcome.started_at, outcome.ended_at),
    }


def containment(folder: IncidentFolder) -> list[Containment]:
    return folder.read(folder.containment, list[Containment]) or []


def accesses(contained: list[Containment]) -> list[dict[str, Any]]:
    """Every access an API can close, with its proof. What only a person can close is a manual step."""
    return [
        {
            "system": one.access.system,
            "kind": one.access.kind,
            "principal": one.access.principal,
            "closed": one.status is AccessStatus.CLOSED,
            "status": one.status,
            "proof": f"{one.proof.method}: {one.proof.detail}" if one.proof else "",
            "seconds": one.seconds,
        }
        for one in contained
        if one.status is not AccessStatus.MANUAL
    ]


def manual_steps(contained: list[Containment]) -> list[dict[str, Any]]:
    return [
        {"access": one.access.key, "instructions": one.detail}
        for one in contained
        if one.status is AccessStatus.MANUAL
    ]


def integrations(folder: IncidentFolder) -> list[dict[str, Any]]:
    """What the incident cost each integration in time, and whether it works again (null: not yet known)."""
    from tasks.remediate.replace import Replaced, replacements_file

    return [
        {
            "integration": one.integration,
            "seconds_of_access": round(one.seconds_of_access, 2),
            "seconds_of_outage": round(one.seconds_of_outage, 2),
            "outage_over": one.outage_over,
            "replace_again": sorted({reader for made in one.credentials for reader in made.exposed_to}),
        }
        for one in folder.read(replacements_file(folder), list[Replaced]) or []
    ]


def scope(folder: IncidentFolder) -> dict[str, Any]:
    """Counts with both bounds; no count at all when there is no scope yet."""
    found = folder.read(folder.scope, ScopeSummary)
    if found is None:
        return {
            "records": {},
            "subjects": {},
            "by_residence": {},
            "by_category": {},
            "coverage": ["no scope yet"],
        }
    return {
        "records": {"found": found.records.upper, "lower": found.records.lower, "upper": found.records.upper},
        "subjects": {
            "found": found.subjects.upper,
            "lower": found.subjects.lower,
            "upper": found.subjects.upper,
        },
        "by_residence": {code: bounds.upper for code, bounds in found.by_residence.items()},
        "by_category": {category: bounds.upper for category, bounds in found.by_category.items()},
        "coverage": [f"{item.source}: {item.statement}" for item in found.coverage],
    }


def compared_scope(
    folder: IncidentFolder, lab: Mapping[str, Any], credentials: Iterable[str]
) -> dict[str, Any]:
    """The scope beside the lab's truth of what these credentials were served, each record and each person."""
    from tasks.scope.exposure import affected_records, affected_subjects

    known = LabTruth(lab)
    truth = set[Record]().union(*map(known.served, credentials))
    records = affected_records(folder)
    people = affected_subjects(folder)
    pairs = zip(people["subject"], zip(people["object"], people["record_id"], strict=True), strict=True)
    in_records = set(zip(records["object"], records["record_id"], strict=True))
    found = scope(folder)
    found["records"] |= asdict(score_records(truth, in_records))
    found["subjects"] |= asdict(score_subjects(truth, known.persons(), pairs))
    return found


def credentials_of(suspects: Iterable[Suspect]) -> list[str]:
    """The names under which the ground truth keeps what was served to suspect apps."""
    return [f"oauth:{one.identifier}:*" for one in suspects if one.kind is SuspectKind.CONNECTED_APP]


def duties(folder: IncidentFolder) -> list[dict[str, Any]]:
    """What is due or may be due; what is certainly not due is in the incident folder."""
    found = folder.read(folder.duties, list[Duty]) or []
    return [
        {
            "rule": duty.rule,
            "recipient": duty.recipient,
            "clock_start": duty.clock_start,
            "due_at": duty.due_at,
            "status": duty.status,
            "missing": duty.missing,
        }
        for duty in found
        if duty.status in LIMIT_DUTIES
    ]


def evidence(folder: IncidentFolder) -> dict[str, Any]:
    """The newest pack, checked offline now."""
    from tasks.evidence.verify import verify

    packs = sorted((folder.path / "packs").glob("*.zip"), key=lambda path: path.stat().st_mtime)
    if not packs:
        return {"pack": None, "entries": 0, "verified": False, "problems": ["no pack was built"]}
    key = folder.path / "public-key.pem"
    checked = verify(packs[-1], key if key.exists() else None)
    return {
        "pack": str(packs[-1]),
        "entries": checked.entries,
        "verified": checked.verified,
        "problems": checked.problems,
    }


def seconds(folder: IncidentFolder, started: datetime, ended: datetime) -> dict[str, float]:
    """How long each phase took, from the first to the last of its ledger entries."""
    spans: dict[str, list[datetime]] = {}
    for entry in ledger_entries(folder):
        at = datetime.fromisoformat(entry["at"])
        if at >= started:
            spans.setdefault(entry["phase"], []).append(at)
    ends = {phase: max(times) for phase, times in spans.items()}
    result: dict[str, float] = {}
    before = started
    for phase in ("preserve", "contain", "scope", "notify", "remediate", "close"):
        if phase in ends:
            result[phase] = round(max(0.0, (ends[phase] - before).total_seconds()), 2)
            before = max(before, ends[phase])
    return {**result, "total": round((ended - started).total_seconds(), 2)}


def ledger_entries(folder: IncidentFolder) -> list[Mapping[str, Any]]:
    if not folder.ledger.exists():
        return []
    return [json.loads(line) for line in folder.ledger.read_text(encoding="utf-8").splitlines()]
