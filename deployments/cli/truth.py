"""How exact the scope was: what the lab knows was served to the thief, against what scoping found."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

Record = tuple[str, str]  # object, record id


@dataclass(frozen=True, slots=True)
class Score:
    """How many there were, how many were found, and both ways of being wrong."""

    truth: int
    found: int
    missed: int
    extra: int

    @property
    def exact(self) -> bool:
        return self.missed == 0 and self.extra == 0


class LabTruth:
    """The lab's own knowledge, read through its control address."""

    def __init__(self, lab: Mapping[str, Any]) -> None:
        self._url = lab["salesforce"]["url"]
        self._ca = lab["salesforce"]["ca"]
        token = Path(lab["control_token_file"]).read_text(encoding="utf-8").strip()
        self._headers = {"Authorization": f"Bearer {token}"}

    def lines(self, what: str, **params: str) -> Iterator[dict[str, Any]]:
        """JSON Lines of `truth`, `persons` or `requests`."""
        with requests.Session() as session:
            session.trust_env = False
            reply = session.get(
                f"{self._url}/__lab__/{what}",
                params=params,
                headers=self._headers,
                verify=self._ca,
                stream=True,
                timeout=120,
            )
            reply.raise_for_status()
            for line in reply.iter_lines():
                if line:
                    yield json.loads(line)

    def served(self, credential: str) -> set[Record]:
        """Every record of which anything was served to a credential; a name may end in `*`."""
        lines = self.lines("truth", credential=credential)
        return {(line["object"], line["record_id"]) for line in lines}

    def persons(self) -> dict[Record, str]:
        """Who each record is about; a record about nobody is not in it."""
        return {(line["object"], line["record_id"]): line["person"] for line in self.lines("persons")}


def score_records(truth: set[Record], found: set[Record]) -> Score:
    return Score(len(truth), len(found), len(truth - found), len(found - truth))


def score_subjects(
    truth: set[Record], persons: Mapping[Record, str], found: Iterable[tuple[str, Record]]
) -> Score:
    """Two people taken for one: one missed. One taken for two, or nobody taken for one: one extra."""
    real = {persons[record] for record in truth if record in persons}
    about: dict[str, set[str]] = defaultdict(set)
    for subject, record in found:
        about[subject].update({persons[record]} & real if record in persons else ())
    missed = len(real - set().union(*about.values()))
    extra = 0
    for subjects, people in _groups(about):
        missed += max(0, people - subjects)
        extra += max(0, subjects - people)
    return Score(len(real), len(about), missed, extra)


def _groups(about: Mapping[str, set[str]]) -> Iterator[tuple[int, int]]:
    """Subjects and people that are tied together: how many of each."""
    subjects_of: dict[str, set[str]] = defaultdict(set)
    for subject, people in about.items():
        for person in people:
            subjects_of[person].add(subject)
    seen: set[str] = set()
    for start in about:
        if start in seen:
            continue
        subjects, people, waiting = {start}, set[str](), [start]
        while waiting:
            for person in about[waiting.pop()] - people:
                people.add(person)
                waiting.extend(subjects_of[person] - subjects)
                subjects |= subjects_of[person]
        seen |= subjects
        yield len(subjects), len(people)
