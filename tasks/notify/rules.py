"""The notification rules as data: read from `rules/*.yaml`, checked, with errors that name file and rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from blocks.errors import BadInput
from tasks.notify.vocabulary import read_rule_file, vocabulary

FILES = (
    "eu.yaml",
    "united_kingdom_switzerland.yaml",
    "canada.yaml",
    "latin_america.yaml",
    "asia_pacific.yaml",
    "middle_east_turkey.yaml",
    "africa.yaml",
    "us_federal.yaml",
    "us_states_a_l.yaml",
    "us_states_m.yaml",
    "us_states_n_o.yaml",
    "us_states_p_z.yaml",
    "card_schemes.yaml",
    "contracts.yaml",
)
STATUSES = ("in_force", "future", "configurable", "voluntary", "proposed", "unverified", "not_operational")
RELATIONS = ("after", "before", "concurrent", "concurrent_or_before", "earliest_of_own_deadline_and_rule")


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time: hours, calendar_days, business_days or months."""

    value: int
    unit: str


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a duty is due: the law's figure, or our policy target where the law says only "without delay"."""

    clock_start: str
    qualitative: str
    statutory: Span | None
    policy_target: Span | None
    calendar: str | None
    time_zone: str | None
    subdivision: str | None
    relation: str | None
    related_rule: str | None  # whose notice this one waits for, or goes with
    projected_from: str | None  # whose due time stands in for the clock until that notice is sent

    @property
    def span(self) -> Span | None:
        return self.statutory or self.policy_target


@dataclass(frozen=True, slots=True)
class Recipient:
    type: str
    name: str
    channel: str | None
    also: tuple[tuple[str, Mapping[str, Any]], ...]  # further recipients, each with its condition
    authority: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    jurisdiction: str
    title: str
    citation: str
    status: str
    in_force_from: date | None
    when: Mapping[str, Any]
    recipient: Recipient
    deadline: Deadline
    content: tuple[str, ...]
    displaced_by: tuple[str, ...]
    hold_allowed: bool
    source_kind: str
    source: str
    confidence: str
    notes: str

    @property
    def individuals_rule(self) -> str | None:
        """The rule on telling people that a regulator's or agency's clock hangs on."""
        if self.deadline.clock_start != "individual_notice_sent":
            return None
        return self.deadline.related_rule or f"{self.jurisdiction}-IND"


@cache
def all_rules() -> Mapping[str, Rule]:
    """Every rule shipped with the product, by id."""
    rules: dict[str, Rule] = {}
    for name in FILES:
        for rule in parse_rules(read_rule_file(name), name):
            if rule.id in rules:
                raise BadInput(f"{name}: rule {rule.id} exists already.", "Give it another id.")
            rules[rule.id] = rule
    _check_references(rules)
    return rules


def parse_rules(data: Any, name: str) -> list[Rule]:
    """Rules from the content of one file; BadInput names the file, the rule and the key."""
    if not isinstance(data, dict) or not isinstance(data.get("rules"), list):
        raise BadInput(f"{name} has no list `rules`.", "Start the file with `rules:` and a list under it.")
    parsed = []
    for number, item in enumerate(data["rules"], 1):
        if not isinstance(item, dict) or not isinstance(item.get("id"), str):
            raise BadInput(f"{name}: rule number {number} has no id.", "Give every rule an `id`.")
        try:
            parsed.append(_rule(item))
        except KeyError as error:
            raise BadInput(f"{name}: rule {item['id']} has no {error}.", "Add that key.") from None
        except (TypeError, AttributeError, ValueError) as error:
            raise BadInput(
                f"{name}: rule {item['id']}: {error}.", "Compare it with a neighbouring rule."
            ) from None
    return parsed


def _rule(item: Mapping[str, Any]) -> Rule:
    _check_condition(item["when"])
    recipient = item["recipient"]
    if recipient["type"] not in vocabulary().recipient_types:
        raise ValueError(f"recipient type {recipient['type']!r} is not in the vocabulary")
    if item["status"] not in STATUSES:
        raise ValueError(f"status {item['status']!r} is not one of {', '.join(STATUSES)}")
    start = item.get("in_force_from")
    return Rule(
        id=item["id"],
        jurisdiction=item["jurisdiction"],
        title=item["title"],
        citation=item["citation"],
        status=item["status"],
        in_force_from=date.fromisoformat(start) if start else None,
        when=item["when"],
        recipient=Recipient(
            recipient["type"],
            recipient["name"],
            recipient.get("channel"),
            tuple((also["name"], also["when"]) for also in recipient.get("also", ())),
            recipient.get("authority"),
        ),
        deadline=_deadline(item["deadline"]),
        content=_content(item.get("content", ())),
        displaced_by=tuple(item.get("displaced_by", ())),
        hold_allowed=item.get("law_enforcement_delay", {}).get("allowed") is True,
        source_kind=item["source"]["kind"],
        source=item["source"]["ref"],
        confidence=item["confidence"],
        notes=item.get("notes", ""),
    )


def _deadline(item: Mapping[str, Any]) -> Deadline:
    start = item["clock_start"]
    if start not in vocabulary().clock_starts and start != "end_of_calendar_year_of_discovery":
        raise ValueError(f"clock_start {start!r} is not in the vocabulary")
    calendar = item.get("calendar")
    named = calendar if isinstance(calendar, dict) else {"name": calendar}
    relation = item.get("relation") or {}
    if relation and relation["type"] not in RELATIONS:
        raise ValueError(f"relation {relation['type']!r} is not one of {', '.join(RELATIONS)}")
    return Deadline(
        clock_start=start,
        qualitative=item.get("qualitative", ""),
        statutory=_span(item),
        policy_target=_span(item.get("policy_target") or {}),
        calendar=named.get("name"),
        time_zone=named.get("tz"),
        subdivision=named.get("subdiv"),
        relation=relation.get("type"),
        related_rule=relation.get("rule"),
        projected_from=item.get("projected_from"),
    )


def _span(item: Mapping[str, Any]) -> Span | None:
    if item.get("value") is None:
        return None
    if item["unit"] not in vocabulary().units:
        raise ValueError(f"unit {item['unit']!r} is not one of {', '.join(sorted(vocabulary().units))}")
    return Span(int(item["value"]), item["unit"])


def _content(content: Any) -> tuple[str, ...]:
    if isinstance(content, dict):
        return vocabulary().content_sets[content["ref"]]
    return tuple(content)


def _check_condition(node: Mapping[str, Any]) -> None:
    """Refuse a condition the engine could not evaluate, when the file is read and not in an emergency."""
    keys = set(node)
    if keys in ({"all"}, {"any"}):
        for child in next(iter(node.values())):
            _check_condition(child)
    elif keys == {"not"}:
        _check_condition(node["not"])
    elif keys == {"fact", "op", "value"}:
        if node["op"] not in ("eq", "in", "gte", "gt", "lt", "contains", "intersects"):
            raise ValueError(f"operator {node['op']!r} does not exist")
    elif keys == {"count", "op", "value"}:
        if node["op"] not in ("gte", "gt", "lt"):
            raise ValueError(f"a count cannot be compared with {node['op']!r}")
    elif keys == {"us_pi"}:
        if node["us_pi"] not in vocabulary().us_personal_information:
            raise ValueError(f"no definition of personal information for {node['us_pi']!r}")
    else:
        raise ValueError(f"condition {sorted(keys)} is not understood")


def _check_references(rules: Mapping[str, Rule]) -> None:
    for rule in rules.values():
        named = {*rule.displaced_by, rule.deadline.related_rule, rule.deadline.projected_from}
        for other in named - {None}:
            if other not in rules:
                raise BadInput(f"Rule {rule.id} names {other}, which does not exist.", "Correct the id.")
