"""The words of the rules, from `rules/vocabulary.yaml`: categories, clocks, members, state definitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from tasks.notify.yaml12 import read_yaml


@dataclass(frozen=True, slots=True)
class PersonalInformation:
    """One US state's definition: a name with any of these, or any of those alone."""

    name_plus_any_of: frozenset[str]
    standalone: frozenset[str]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    recipient_types: frozenset[str]
    units: frozenset[str]
    clock_starts: Mapping[str, str]
    data_categories: frozenset[str]
    data_category_texts: Mapping[str, str]
    encryption_states: frozenset[str]
    risk_levels: frozenset[str]
    fact_schema: Mapping[str, str]
    implications: Mapping[frozenset[str], frozenset[str]]
    eea: frozenset[str]
    content_sets: Mapping[str, tuple[str, ...]]
    authorities: Mapping[str, str]
    us_personal_information: Mapping[str, PersonalInformation]

    def implied(self, categories: frozenset[str]) -> frozenset[str]:
        """The categories with all that they imply, until nothing is added."""
        known = categories
        while True:
            more = known.union(*(add for need, add in self.implications.items() if need <= known))
            if more == known:
                return known
            known = more


def read_rule_file(name: str) -> Any:
    return read_yaml(files("tasks.notify").joinpath("rules", name).read_text(encoding="utf-8"), name)


@cache
def vocabulary() -> Vocabulary:
    """The vocabulary shipped with the rules, read once."""
    data = read_rule_file("vocabulary.yaml")
    words = data["vocab"]
    states = read_rule_file("us_personal_information.yaml")["by_state"]
    return Vocabulary(
        recipient_types=frozenset(words["recipient_types"]),
        units=frozenset(words["units"]),
        clock_starts=words["clock_starts"],
        data_categories=frozenset(words["data_categories"]),
        data_category_texts=words["data_categories"],
        encryption_states=frozenset(words["encryption_states"]),
        risk_levels=frozenset(words["risk_levels"]),
        fact_schema=data["fact_schema"],
        implications={
            frozenset(need.split("+")): frozenset(add)
            for need, add in data["data_category_implications"].items()
        },
        eea=frozenset(data["eea_members"]),
        content_sets={name: tuple(items) for name, items in data["content_sets"].items()},
        authorities=read_rule_file("authorities.yaml")["names"],
        us_personal_information={
            state: PersonalInformation(
                frozenset(definition["name_plus_any_of"]), frozenset(definition["standalone"])
            )
            for state, definition in states.items()
        },
    )
