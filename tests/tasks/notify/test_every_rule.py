"""Every rule: met, at its thresholds, around its dates, with each needed fact unknown; against the oracle."""

from __future__ import annotations

import copy
from datetime import date, timedelta
from typing import Any

import pytest

from tasks.incident import DutyStatus
from tasks.notify.duties import Engine
from tasks.notify.facts import Facts
from tasks.notify.rules import all_rules
from tests.tasks.notify import oracle

ON = date(2028, 1, 3)  # after every rule's start
EXERCISED: set[str] = set()


def status(rule: str, values: dict[str, Any], on: date = ON) -> DutyStatus:
    facts = {key: sorted(value) if isinstance(value, set) else value for key, value in values.items()}
    return Engine(Facts.of(facts), on, all_rules()).duty(rule).status


def met(rule: str) -> dict[str, Any]:
    """Known facts under which the rule is due: what it needs, and the opposite of what would stop it."""
    values: dict[str, Any] = {"engine.enable_proposed": True, "incident.affected": {}}
    for key in ("incident.data_categories", "incident.us_no_harm_documented", "incident.effect"):
        values[key] = set()
    for leaf in oracle.leaves(oracle.RULES[rule]["when"]):
        if leaf.get("fact") not in (None, "rule_result"):
            oracle.satisfy(leaf, False, values)
    oracle.satisfy(oracle.RULES[rule]["when"], True, values)
    return values


def conditions(rule: str) -> list[oracle.Condition]:
    """The rule's innermost conditions, with those of the rules it refers to."""
    found = list(oracle.leaves(oracle.RULES[rule]["when"]))
    others = [leaf["value"].partition(":")[0] for leaf in found if leaf.get("fact") == "rule_result"]
    for other in [*others, *oracle.RULES[rule].get("displaced_by", ())]:
        found += conditions(other)
    return found


def expected(outcomes: set[bool]) -> DutyStatus:
    if outcomes == {True}:
        return DutyStatus.DUE
    return DutyStatus.NOT_DUE if outcomes == {False} else DutyStatus.UNDETERMINED


@pytest.mark.parametrize("rule", sorted(oracle.RULES))
def test_rule(rule: str) -> None:
    base = met(rule)
    assert oracle.due(rule, base, ON), "the oracle's own facts must meet the rule"
    assert status(rule, base) is DutyStatus.DUE
    around_thresholds(rule, base)
    around_dates(rule, base)
    each_fact_unknown(rule, base)
    EXERCISED.add(rule)


def around_thresholds(rule: str, base: dict[str, Any]) -> None:
    """Exactly at, just below and just above every count the rule names."""
    for leaf in conditions(rule):
        if "count" in leaf:
            place = oracle.PLACE.get(leaf["count"], leaf["count"])
            for number in (leaf["value"] - 1, leaf["value"], leaf["value"] + 1):
                values = copy.deepcopy(base)
                values["incident.affected"][place] = max(0, number)
                assert status(rule, values) is expected({oracle.due(rule, values, ON)}), (leaf, number)


def around_dates(rule: str, base: dict[str, Any]) -> None:
    """Not due the day before it came into force, due from that day on."""
    start = oracle.RULES[rule].get("in_force_from")
    if start:
        first = date.fromisoformat(start)
        assert status(rule, base, first - timedelta(days=1)) is DutyStatus.NOT_DUE
        assert status(rule, base, first) is expected({oracle.due(rule, base, first)})


def each_fact_unknown(rule: str, base: dict[str, Any]) -> None:
    """With one fact missing the answer is due or not due only if every possible value gives it."""
    asked = conditions(rule)
    for key in {leaf["fact"] for leaf in asked if leaf.get("fact", "").startswith("incident.")}:
        compare_unknown(rule, base, key, asked)
    if any("us_pi" in leaf for leaf in asked):
        compare_unknown(rule, base, "incident.data_categories", asked)
    places = sorted({oracle.PLACE.get(leaf["count"], leaf["count"]) for leaf in asked if "count" in leaf})
    if places:
        values = copy.deepcopy(base)
        values["incident.affected"].update(dict.fromkeys(places))
        outcomes = set()
        for counts in oracle.possible_counts(places, asked):
            known = copy.deepcopy(base)
            known["incident.affected"].update(counts)
            outcomes.add(oracle.due(rule, known, ON))
        assert status(rule, values) is expected(outcomes), "counts unknown"


def compare_unknown(rule: str, base: dict[str, Any], key: str, asked: list[oracle.Condition]) -> None:
    without = {name: value for name, value in base.items() if name != key}
    outcomes = {oracle.due(rule, {**base, key: value}, ON) for value in oracle.possible_values(key, asked)}
    assert status(rule, without) is expected(outcomes), f"{key} unknown"


def test_all_294_rules_are_carried() -> None:
    assert len(all_rules()) == 294
