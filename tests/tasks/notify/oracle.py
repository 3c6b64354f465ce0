"""A second, two-valued reading of the rule files, written apart from the engine.

Facts that satisfy a condition, and whether it holds when every fact is known. Unknown facts are tried with
all values that matter.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import yaml

from tests.tasks.notify import RULES_FOLDER

Condition = Mapping[str, Any]
Values = dict[str, Any]


def raw_rules() -> dict[str, dict[str, Any]]:
    rules = {}
    for path in sorted(RULES_FOLDER.glob("*.yaml")):
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        for rule in data.get("rules", []) if isinstance(data, dict) else []:
            rules[rule["id"]] = rule
    return rules


VOCABULARY = yaml.safe_load((RULES_FOLDER / "vocabulary.yaml").read_text(encoding="utf-8"))
STATES = yaml.safe_load((RULES_FOLDER / "us_personal_information.yaml").read_text(encoding="utf-8"))[
    "by_state"
]
RULES = raw_rules()
SETS = (
    "incident.data_categories",
    "incident.effect",
    "incident.us_no_harm_documented",
    "org.sectors",
    "org.listed",
)


def leaves(node: Condition) -> Iterator[Condition]:
    """All innermost conditions."""
    for key in ("all", "any"):
        for child in node.get(key, ()):
            yield from leaves(child)
    if "not" in node:
        yield from leaves(node["not"])
    if not node.keys() & {"all", "any", "not"}:
        yield node


def active(rule: Mapping[str, Any], on: date, values: Values) -> bool:
    start = rule.get("in_force_from")
    if start and on < date.fromisoformat(start):
        return False
    enabled = bool(values.get("engine.enable_proposed"))
    return enabled or rule["status"] not in ("proposed", "unverified", "not_operational")


def due(rule_id: str, values: Values, on: date) -> bool:
    """Whether the rule is due with everything known."""
    rule = RULES[rule_id]
    if not active(rule, on, values) or not holds(rule["when"], values, on):
        return False
    return not any(due(other, values, on) for other in rule.get("displaced_by", ()))


def holds(node: Condition, values: Values, on: date) -> bool:
    if "all" in node:
        return all(holds(child, values, on) for child in node["all"])
    if "any" in node:
        return any(holds(child, values, on) for child in node["any"])
    if "not" in node:
        return not holds(node["not"], values, on)
    if "us_pi" in node:
        found = implied(values.get("incident.data_categories") or ())
        state = STATES[node["us_pi"]]
        alone = found & set(state["standalone"])
        return bool(alone) or ("name" in found and bool(found & set(state["name_plus_any_of"])))
    if "count" in node:
        number = counted(node["count"], values.get("incident.affected") or {})
        return {"gte": number >= node["value"], "gt": number > node["value"], "lt": number < node["value"]}[
            node["op"]
        ]
    if node["fact"] == "rule_result":
        other, _, status = node["value"].partition(":")
        return due(other, values, on) == (status == "due")
    return fact_holds(node, values.get(node["fact"]))


def fact_holds(node: Condition, value: Any) -> bool:
    op, wanted = node["op"], node["value"]
    if node["fact"] in SETS:
        found = implied(value or ()) if node["fact"] == "incident.data_categories" else set(value or ())
        return bool(found & ({wanted} if op == "contains" else set(wanted)))
    if op == "in":
        return value in wanted
    if op == "gte":
        return (value or 0) >= wanted
    return bool((value if value is not None else False) == wanted)


def implied(categories: Any) -> set[str]:
    found = set(categories)
    for _ in range(5):
        for need, add in VOCABULARY["data_category_implications"].items():
            if set(need.split("+")) <= found:
                found |= set(add)
    return found


def counted(who: str, affected: Mapping[str, int]) -> int:
    if who == "any_of:EEA":
        return sum(n for code, n in affected.items() if code in VOCABULARY["eea_members"])
    if who in ("us_consumers", "hipaa_individuals", "any_of:US"):
        return sum(n for code, n in affected.items() if code.startswith("US"))
    if who == "any_of:CA":
        return sum(n for code, n in affected.items() if code.partition("-")[0] == "CA")
    if who == "any_single_us_state":
        return max((n for code, n in affected.items() if code.startswith("US-")), default=0)
    return affected.get(who, 0)


PLACE = {
    "any_of:EEA": "DE",
    "any_of:CA": "CA-ON",
    "us_consumers": "US-CA",
    "hipaa_individuals": "US-CA",
    "any_single_us_state": "US-CA",
}


def satisfy(node: Condition, want: bool, values: Values) -> None:
    """Change `values` so that the condition comes out as wanted. Conflicts are left to the caller's check."""
    if "all" in node:
        for child in node["all"] if want else node["all"][:1]:
            satisfy(child, want, values)
    elif "any" in node:
        for child in node["any"][:1] if want else node["any"]:
            satisfy(child, want, values)
    elif "not" in node:
        satisfy(node["not"], not want, values)
    elif "us_pi" in node:
        state = STATES[node["us_pi"]]
        values.setdefault("incident.data_categories", set())
        if want:
            values["incident.data_categories"] |= {"name", state["name_plus_any_of"][0]}
    elif "count" in node:
        number = {"gte": node["value"], "gt": node["value"] + 1, "lt": node["value"] - 1}[node["op"]]
        affected = values.setdefault("incident.affected", {})
        place = PLACE.get(node["count"], node["count"])
        affected[place] = (
            max(number, affected.get(place, 0)) if want and node["op"] != "lt" else number if want else 0
        )
    else:
        satisfy_fact(node, want, values)


def satisfy_fact(node: Condition, want: bool, values: Values) -> None:
    key, op, wanted = node["fact"], node["op"], node["value"]
    if key == "rule_result":
        satisfy(RULES[wanted.partition(":")[0]]["when"], want, values)
    elif key in SETS:
        found = values.setdefault(key, set())
        if want:
            found.add(wanted if op == "contains" else wanted[0])
    elif op == "in":
        values[key] = wanted[0] if want else OTHER[key]
    elif op == "gte":
        values[key] = wanted if want else 0
    else:
        values[key] = wanted if want else OTHER.get(key, not wanted)


OTHER: Values = {
    "incident.role": "processor",
    "incident.encryption": "none",
    "incident.risk_level": "unlikely",
    "incident.cn_level": "general",
    "incident.origin": "own_system",
    "org.nis2": "none",
    "org.israel_db_level": "basic",
}


def possible_values(key: str, conditions: list[Condition]) -> list[Any]:
    """Values of an unknown fact that could make a difference to these conditions."""
    asked = [node for node in conditions if node.get("fact") == key]
    if key == "incident.data_categories":
        singles = {
            word
            for node in asked
            for word in ([node["value"]] if node["op"] == "contains" else node["value"])
        }
        states = [STATES[node["us_pi"]] for node in conditions if "us_pi" in node]
        pairs = [{"name", state["name_plus_any_of"][0]} for state in states]
        return [set(), *({word} for word in sorted(singles)), *pairs]
    if key in SETS:
        return [set(), *({node["value"] if node["op"] == "contains" else node["value"][0]} for node in asked)]
    if key == "incident.role":
        return ["controller", "joint_controller", "processor"]
    wanted = [
        w for node in asked for w in (node["value"] if isinstance(node["value"], list) else [node["value"]])
    ]
    return [*wanted, OTHER.get(key, False)]


def possible_counts(places: list[str], conditions: list[Condition]) -> Iterator[dict[str, int]]:
    """Counts around every threshold, for each unknown place."""
    edges = sorted(
        {0, *(node["value"] + step for node in conditions if "count" in node for step in (-1, 0, 1))}
    )
    for numbers in itertools.product([edge for edge in edges if edge >= 0], repeat=len(places)):
        yield dict(zip(places, numbers, strict=True))
