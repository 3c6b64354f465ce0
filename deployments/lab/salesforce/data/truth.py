"""Collects which record is about which person while records are made, and writes `_person` at the end."""

from __future__ import annotations

from itertools import repeat

import numpy as np

from deployments.lab.salesforce.data.columns import BATCH, Ints, Objects
from deployments.lab.salesforce.store import Store

NOBODY = -1


class Truth:
    """Pairs of record and person. A person is an index over the whole population; NOBODY is skipped."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, Objects, Ints]] = []

    def add(self, name: str, ids: Objects, person: Ints) -> None:
        self._parts.append((name, ids, person))

    def persons(self) -> Ints:
        """Everybody some record is about."""
        seen: Ints = np.unique(np.concatenate([person for _, _, person in self._parts]))
        somebody: Ints = seen[seen != NOBODY]
        return somebody

    def write(self, store: Store, residence: Objects) -> None:
        """Everything collected, and where each person lives."""
        for name, ids, person in self._parts:
            about = person != NOBODY
            ids, person = (ids, person) if about.all() else (ids[about], person[about])
            for start in range(0, len(ids), BATCH):
                stop = min(start + BATCH, len(ids))
                columns = repeat(name, stop - start), ids[start:stop].tolist(), person[start:stop].tolist()
                store.load("_about", ("object", "record_id", "person"), zip(*columns, strict=True))
        persons = self.persons()
        rows = zip(persons.tolist(), residence[persons].tolist(), strict=True)
        store.load("_lives", ("person", "residence"), rows)
