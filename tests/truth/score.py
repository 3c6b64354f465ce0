"""How exact scoping was: recall and precision over groups of attacks, and whether the bounds held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from tasks.incident import Bounds, ScopeSummary
from tests.truth.attacks import Attack, Untold

Pair = tuple[str, str]
ALL, TOLD = "all attacks", "all sources, rows told by logs"
OF_FIELDS = frozenset({Untold.FIELDS, Untold.RIGHTS})


@dataclass
class Tally:
    """How many there were, were found, and were both."""

    truth: int = 0
    found: int = 0
    both: int = 0

    def add(self, truth: set[Any], found: set[Any]) -> None:
        self.truth += len(truth)
        self.found += len(found)
        self.both += len(truth & found)

    @property
    def recall(self) -> float:
        return self.both / self.truth if self.truth else 1.0

    @property
    def precision(self) -> float:
        return self.both / self.found if self.found else 1.0


@dataclass
class Score:
    """The tallies of one group of attacks, and every attack whose truth was not inside the bounds."""

    attacks: int = 0
    records: Tally = field(default_factory=Tally)
    fields: Tally = field(default_factory=Tally)
    subjects: Tally = field(default_factory=Tally)
    certain: Tally = field(default_factory=Tally)
    outside: list[str] = field(default_factory=list)
    wide: list[str] = field(default_factory=list)  # where more was named than left, or not all that left

    def line(self, name: str) -> str:
        parts = [f"{name:<44} {self.attacks:>3} attacks"]
        for what in ("records", "fields", "subjects"):
            tally: Tally = getattr(self, what)
            parts.append(f"{what} {tally.truth:>6} recall {tally.recall:.4f} precision {tally.precision:.4f}")
        parts.append(f"named as certain {self.certain.found:>6}, true {self.certain.precision:.4f}")
        parts.append(f"inside the bounds {self.attacks - len(self.outside)}/{self.attacks}")
        return "  ".join(parts)


@dataclass(frozen=True)
class Person:
    name: str
    residence: str


@dataclass(frozen=True)
class Outcome:
    """What left in one attack, and what scoping found."""

    records: set[Pair]
    fields: set[tuple[str, str, str]]
    people: set[str]
    residences: Counter[str]
    found: set[Pair]
    found_fields: set[tuple[str, str, str]]
    found_people: set[str]
    certain: set[Pair]
    bounds: ScopeSummary

    @classmethod
    def of(
        cls,
        served: list[dict[str, Any]],
        table: pd.DataFrame,
        persons: Mapping[Pair, Person],
        bounds: ScopeSummary,
    ) -> Outcome:
        records = {(line["object"], line["record_id"]) for line in served}
        who = {persons[record] for record in records if record in persons}
        pairs = list(zip(table["object"].astype(str), table["record_id"].astype(str), strict=True))
        sure = table["certain"].astype(bool)
        named = {
            persons[pair].name if pair in persons else f"nobody {subject}"
            for pair, subject in zip(pairs, table["subject"], strict=True)
            if subject
        }
        fields = {
            (*pair, one.casefold())
            for pair, text in zip(pairs, table["fields"], strict=True)
            for one in str(text).split(",")
            if one.casefold() != "id"
        }
        return cls(
            records,
            set(_fields(served)),
            {person.name for person in who},
            Counter(person.residence for person in who),
            set(pairs),
            fields,
            named,
            {pair for pair, certain in zip(pairs, sure, strict=True) if certain},
            bounds,
        )

    def wrong(self) -> list[str]:
        """Each bound that the truth is outside of."""
        found = []
        for what, count, bounds in (
            ("records", len(self.records), self.bounds.records),
            ("people", len(self.people), self.bounds.subjects),
        ):
            if not bounds.lower <= count <= bounds.upper:
                found.append(f"{count} {what} in {bounds.lower}-{bounds.upper}")
        # Those whose residence is not known, or who have no name, may live anywhere.
        open_ = self.bounds.by_residence.get("unknown", Bounds(0, 0)).upper
        for place in sorted({*self.residences, *self.bounds.by_residence} - {"unknown"}):
            bounds = self.bounds.by_residence.get(place, Bounds(0, 0))
            count = self.residences[place]
            if not bounds.lower <= count <= bounds.upper + open_:
                found.append(f"{count} people in {place} in {bounds.lower}-{bounds.upper}+{open_}")
        if extra := self.certain - self.records:
            found.append(f"{len(extra)} records wrongly certain")
        return found


def _fields(served: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for line in served:
        for name in line["fields"]:
            if name.casefold() != "id":
                yield line["object"], line["record_id"], name.casefold()


def groups(attack: Attack) -> Iterator[str]:
    """The lines of the result that an attack counts for."""
    yield ALL
    stores = ", with real-time stores" if attack.licensed else ""
    if attack.missing:
        yield f"without {attack.missing}{stores}"
    elif attack.untold - OF_FIELDS:
        yield f"all sources, rows not told by logs{stores}"
    else:
        yield f"{TOLD}{stores}"


def add(scores: Mapping[str, Score], attack: Attack, outcome: Outcome) -> None:
    missed, more = outcome.records - outcome.found, outcome.found - outcome.records
    text = (
        f"attack {attack.number} ({attack.user}: {', '.join(attack.steps)}; missing {attack.missing or 'no'})"
    )
    notes = " ".join(attack.notes)
    for group in groups(attack):
        score = scores[group]
        score.attacks += 1
        score.records.add(outcome.records, outcome.found)
        if not attack.untold & OF_FIELDS:
            score.fields.add(outcome.fields, outcome.found_fields)
        score.subjects.add(outcome.people, outcome.found_people)
        score.certain.add(outcome.records, outcome.certain)
        if missed or more:
            counts = f"{len(missed)} not found, {len(more)} of {len(outcome.found)} named did not leave"
            score.wide.append(f"{text}: {counts}; {notes}")
        if wrong := outcome.wrong():
            score.outside.append(f"{text}: {'; '.join(wrong)}; {len(missed)} not found; {notes}")
