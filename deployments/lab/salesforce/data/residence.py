"""Everybody's residence by the rule in `people`: the best reading among all of a person's records."""

from __future__ import annotations

import numpy as np

from deployments.lab.salesforce.data.columns import Ints, Mask, Objects, objects
from deployments.lab.salesforce.data.places import PLACES
from deployments.lab.salesforce.data.population import MISSING, NO_STATE

ORDER = ("Contact", "Loyalty_Member__c", "Lead", "Case", "User")
COUNTRIES: tuple[str, ...] = tuple(sorted({place.country for place in PLACES}))
_UNKNOWN = 1_000_000


class Residences:
    """Keeps for each person the best reading so far: lower rank, then object order, then latest change."""

    def __init__(self, people: int) -> None:
        self._best = np.full(people, _UNKNOWN, dtype=np.int64)
        self._code = np.zeros(people, dtype=np.int64)
        codes = ["unknown", *COUNTRIES, *(place.code for place in PLACES)]
        self._codes = objects(codes)
        country = {code: 1 + i for i, code in enumerate(COUNTRIES)}
        self._of_country = np.array([country[place.country] for place in PLACES])
        self._of_place = np.arange(len(PLACES)) + 1 + len(COUNTRIES)

    def read(
        self, name: str, person: Ints, home: Ints, told: Ints, modified: Ints, dialled: Mask, dial_home: Ints
    ) -> None:
        """Take in one object's rows, which must be in the order of their ids.

        `home` and `told` say what the address tells, `dialled` whether the record has an identifying phone
        number, and `dial_home` in which place's plan it is.
        """
        rank = np.where(told == MISSING, np.where(dialled, 3, 4), np.where(told == NO_STATE, 2, 1))
        code = np.where(
            rank == 1,
            self._of_place[home],
            np.where(rank == 2, self._of_country[home], self._of_country[dial_home]),
        )
        code[rank == 4] = 0
        key = rank * len(ORDER) + ORDER.index(name)
        # Worst first, so that of several assignments to one person the best is the last.
        order = np.lexsort((-np.arange(len(person)), modified, -key))
        person, key, code = person[order], key[order], code[order]
        better = key < self._best[person]
        self._best[person[better]] = key[better]
        self._code[person[better]] = code[better]

    def codes(self) -> Objects:
        """The residence of each person: US-XX, ISO alpha-2 or "unknown"."""
        return self._codes[self._code]
