"""The published and worked-out cases that came with the rule table: outcomes, deadlines, scenarios."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.incident import DutyStatus
from tasks.notify.duties import Engine
from tasks.notify.facts import Facts
from tasks.notify.rules import all_rules

CASES: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("reference_cases.yaml").read_text("utf-8"))
ON = date(2026, 11, 23)


def engine(values: dict[str, Any], on: date = ON) -> Engine:
    return Engine(Facts.of(values), on, all_rules())


@pytest.mark.parametrize("case", CASES["edpb_01_2021"]["cases"], ids=lambda case: f"edpb-{case['case']}")
def test_edpb_outcome(case: dict[str, Any]) -> None:
    found = engine(
        {
            "incident.role": "controller",
            "incident.affected": {"DE": 30},
            "incident.risk_level": case["implied_risk"],
        }
    )
    due = {
        rule: found.duty(rule).status is DutyStatus.DUE
        for rule in ("EU-GDPR-33-5", "EU-GDPR-33-1", "EU-GDPR-34")
    }
    assert due == {
        "EU-GDPR-33-5": case["document"],
        "EU-GDPR-33-1": case["notify_sa"],
        "EU-GDPR-34": case["communicate_subjects"],
    }


@pytest.mark.parametrize("case", CASES["deadline_cases"], ids=lambda case: case["id"])
def test_deadline(case: dict[str, Any]) -> None:
    rule = all_rules()[case["rule"]]
    clock = rule.deadline.clock_start
    found = engine({f"incident.clocks.{clock}": case["start"]})
    due, _ = found._due(rule, found._clock(rule))
    assert due == datetime.fromisoformat(case["due"])


@pytest.mark.parametrize("case", CASES["scenario_cases"], ids=lambda case: case["id"])
def test_scenario(case: dict[str, Any]) -> None:
    on = date.fromisoformat(case.get("on_date", ON.isoformat()))
    found = engine(case["facts"], on)
    status = {rule: found.duty(rule).status for rule in case["must_include"] + case["must_exclude"]}
    assert {rule for rule in case["must_include"] if status[rule] is not DutyStatus.DUE} == set()
    assert {rule for rule in case["must_exclude"] if status[rule] is DutyStatus.DUE} == set()
