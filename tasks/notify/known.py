"""What the incident itself tells the rules: facts from plan and scope, and clocks that may have started."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tasks.incident import Bounds, Incident, ScopeSummary
from tasks.notify.facts import Fact, Facts
from tasks.notify.jurisdictions import is_code

# Clocks that start at the latest when we are aware, and those that cannot start earlier. Until somebody gives
# the instant, awareness is the earliest that can be defended, and the duty says that it was assumed.
ASSUMED_CLOCKS = (
    "discovery",
    "noticing",
    "suspicion",
    "reasonable_grounds",
    "determination_breach",
    "determination_harm",
    "confirmation",
    "assessment_complete",
    "classification_major",
    "materiality_determination",
)


def known_facts(
    incident: Incident,
    organisation: Mapping[str, Any],
    scope: ScopeSummary | None,
    answers: Mapping[str, Any] | None = None,
) -> Facts:
    """Facts as far as they are known. `organisation` are the plan's `org.*` and `incident.role` facts;
    `answers` are what people said, and win. Raises BadInput for an answer that is none."""
    facts = Facts.of(organisation, said_by="plan")
    if scope is not None:
        facts = facts.with_answers(_from_scope(scope))
    facts = facts.with_answers(Facts({}, None, _clocks(incident.aware_at)))
    for key, value in (answers or {}).items():
        facts = facts.with_answer(key, value, "answer")
    return facts


def _from_scope(scope: ScopeSummary) -> Facts:
    """Counts per residence, categories, and what reading through the API means for encryption and effect."""
    placed = {
        code: Bounds(max(bounds.lower, min(scope.presumed.get(code, 0), bounds.upper)), bounds.upper)
        for code, bounds in scope.by_residence.items()
        if is_code(code)
    }
    unplaced = sum(bounds.upper for code, bounds in scope.by_residence.items() if code not in placed)
    values: dict[str, Any] = {"incident.data_categories": frozenset(scope.by_category)}
    if scope.records.upper:
        # A permitted reader gets plain text through the API, however the field is encrypted at rest.
        values["incident.encryption"] = "none"
    if scope.records.lower:
        values["incident.effect"] = ["access", "acquisition"]
        values["incident.external_unauthorised_access"] = True
    stated = Facts.of(values, said_by="scope", said_at=scope.as_of)
    return Facts(stated.answers, placed, {}, unplaced)


def _clocks(aware_at: datetime) -> dict[str, Fact]:
    assumed = {name: Fact(aware_at, "assumed at awareness", assumed=True) for name in ASSUMED_CLOCKS}
    return {"awareness": Fact(aware_at, "commander"), **assumed}
