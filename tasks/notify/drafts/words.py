"""The words of drafts: which paragraph a content field asks for, and the languages of letters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from tasks.notify.yaml12 import read_yaml

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl")


@dataclass(frozen=True, slots=True)
class FieldWords:
    """`templates/fields.yaml`, read once."""

    patterns: tuple[tuple[re.Pattern[str], str | None], ...]
    titles: Mapping[str, str]
    groups: Mapping[str, frozenset[str]]  # group of data -> categories
    risks: Mapping[str, str]  # group of data -> risk
    objects: Mapping[str, str]
    statics: Mapping[str, str]
    by_risk: Mapping[str, Mapping[str, str]]  # "risks" and "advice" -> risk -> sentence

    def field_of(self, name: str) -> str | None:
        """The paragraph that answers a content field of a rule; None: only a person can."""
        return next((field for pattern, field in self.patterns if pattern.search(name)), None)

    def groups_of(self, categories: Iterable[str]) -> list[str]:
        """The groups in which these categories are told to people, in the file's order."""
        wanted = set(categories)
        return [group for group, members in self.groups.items() if members & wanted]

    def risks_of(self, categories: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(self.risks[group] for group in self.groups_of(categories)))


@cache
def field_words() -> FieldWords:
    data = _read("fields.yaml")
    return FieldWords(
        patterns=tuple((re.compile(one["find"]), one["field"]) for one in data["patterns"]),
        titles=data["titles"],
        groups={name: frozenset(group["categories"]) for name, group in data["groups"].items()},
        risks={name: group["risk"] for name, group in data["groups"].items()},
        objects=data["objects"],
        statics={
            "cra_contacts": "\n".join(f"- {line}" for line in data["cra_contacts"]),
            "ftc_contact": data["ftc_contact"],
            "freeze": " ".join(data["freeze"].split()),
        },
        by_risk={"risks": data["risks"], "advice": data["advice"]},
    )


@cache
def letter_words(language: str) -> Mapping[str, Any]:
    """The sentences of a letter in one language."""
    words: Mapping[str, Any] = _read(f"words/{language}.yaml")
    return words


@cache
def _residences() -> Mapping[str, list[str]]:
    residences: Mapping[str, list[str]] = _read("words/languages.yaml")["residences"]
    return residences


def languages_of(residences: Iterable[str]) -> list[str]:
    """The languages in which people of these residences are written to; English where none is named."""
    wanted: set[str] = set()
    for code in residences:
        known = _residences()
        wanted |= set(known.get(code) or known.get(code.partition("-")[0]) or ["en"])
    return [language for language in LANGUAGES if language in wanted]


def written(instant: datetime, language: str, zone: ZoneInfo) -> str:
    """A date as a letter writes it, in the organisation's zone."""
    words, local = letter_words(language), instant.astimezone(zone)
    return str(words["date"].format(day=local.day, month=words["months"][local.month - 1], year=local.year))


def listed(items: list[str], language: str) -> str:
    if len(items) < 2:
        return "".join(items)
    return f"{'; '.join(items[:-1])} {letter_words(language)['and']} {items[-1]}"


def _read(name: str) -> Any:
    text = files("tasks.notify").joinpath("templates", *name.split("/")).read_text(encoding="utf-8")
    return read_yaml(text, name)
