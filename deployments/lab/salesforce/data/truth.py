"""Collects which record is about which person while records are made, and writes `_person` at the end."""

from __future__ import annotations

from itertools import repeat

import numpy as np

from deployments.lab.salesforce.data.columns import BATCH, Ints, Objects, objects
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
        seen = np.unique(np.concatenate([person for _, _, person in self._parts]))
        return seen[seen != NOBODY]

    def write(self, store: Store, people: int, residence: Objects) -> None:
        labels = objects(f"P{number:08d}" for number in range(people))
        for name, ids, person in self._parts:
            about = person != NOBODY
            ids, person = (ids, person) if about.all() else (ids[about], person[about])
            for start in range(0, len(ids), BATCH):
                rows = person[start : start + BATCH]
                store.load(
                    "_person",
                    ("object", "record_id", "person_id", "residence"),
                    zip(
                        repeat(name, len(rows)),
                        ids[start : start + BATCH].tolist(),
                        labels[rows].tolist(),
                        residence[rows].tolist(),
                        strict=True,
                    ),
                )
