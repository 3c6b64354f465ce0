"""Columns of values for very many rows at once: draws from pools, instants, batches of rows into the store.

A column is a numpy array of objects, a list, or one value for all rows. Values are picked from pools of ready
strings wherever they need not be unique: picking costs a fraction of formatting.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from deployments.lab.salesforce.store import Store

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]
Column = Any  # Objects | list | a single value

YEARS = 3
BATCH = 100_000


def objects(values: Iterable[Any]) -> Objects:
    """An array of Python objects, never of numpy strings (which would copy)."""
    items = values if isinstance(values, list) else list(values)
    made = np.empty(len(items), dtype=object)
    made[:] = items
    return made


class Draw:
    """The random choices of one part of the data; parts do not shift each other's."""

    def __init__(self, seed: int, part: str) -> None:
        self.rng = np.random.default_rng([seed, zlib.crc32(part.encode())])

    def ints(self, high: int | Ints, count: int) -> Ints:
        return self.rng.integers(0, high, count)

    def chance(self, probability: float, count: int) -> Mask:
        return self.rng.random(count) < probability

    def pick(
        self, pool: Sequence[Any] | Objects, count: int, weights: Sequence[float] | None = None
    ) -> Objects:
        """`count` values of a pool, with repetition."""
        array: Objects = pool if isinstance(pool, np.ndarray) else objects(pool)
        if weights is None:
            return array[self.ints(len(array), count)]
        edges = np.cumsum(np.asarray(weights, dtype=float))
        chosen = np.searchsorted(edges, self.rng.random(count) * edges[-1], side="right")
        picked: Objects = array[chosen]
        return picked

    def sample(self, population: Ints, count: int) -> Ints:
        """Up to `count` different members, in random order."""
        return self.rng.permutation(population)[:count]


def where(mask: Mask, yes: Column, no: Column = None) -> Objects:
    """`yes` where the mask holds, else `no`, as objects."""
    made = np.empty(len(mask), dtype=object)
    made[:] = no
    made[mask] = yes[mask] if isinstance(yes, np.ndarray) else yes
    return made


class Calendar:
    """Ready-made instants over the last three years before `now`, in rising order, all different."""

    def __init__(self, seed: int, now: datetime, steps: int = 150_000) -> None:
        draw = Draw(seed, "calendar")
        self.steps = steps
        end = now.astimezone(UTC).replace(microsecond=0)
        span = int(timedelta(days=365 * YEARS).total_seconds()) - 7200
        step = span // steps
        seconds = np.arange(steps) * step + draw.ints(step, steps)
        start = int(end.timestamp()) - 7200 - steps * step
        texts = np.datetime_as_string((start + seconds).astype("datetime64[s]")).tolist()
        self.instants = objects(f"{text}.000+0000" for text in texts)
        self.days = objects(text[:10] for text in texts)

    def any(self, draw: Draw, count: int) -> Ints:
        return np.sort(draw.ints(self.steps, count))

    def after(self, draw: Draw, earlier: Ints) -> Ints:
        """A later (or the same) moment for each."""
        share = draw.rng.random(len(earlier)) ** 2
        return earlier + (share * (self.steps - 1 - earlier)).astype(np.int64)

    def days_ago(self, days: float) -> int:
        """The index of the moment that many days before now."""
        return max(0, int(self.steps * (1 - days / (365 * YEARS))))


class Loader:
    """Writes columns into the store: ids, audit fields and running numbers are added."""

    def __init__(self, store: Store, calendar: Calendar, admin: str) -> None:
        self.store = store
        self.calendar = calendar
        self.admin = admin
        self.counts: dict[str, int] = {}

    def ids(self, name: str, count: int) -> Objects:
        sobject = self.store.schema.objects[name]
        return objects(self.store.reserve_ids(sobject.key_prefix, count))

    def numbers(self, name: str, field: str, count: int) -> Objects:
        """The next running numbers of an auto-number field."""
        found = self.store.schema.objects[name].field(field)
        assert found is not None and found.auto_number is not None
        form: Callable[[int], str] = found.auto_number.format
        first = self.store.reserve_numbers(name, field, count)
        return objects(form(number) for number in range(first, first + count))

    def write(
        self,
        name: str,
        columns: dict[str, Column],
        created: Ints | None = None,
        modified: Ints | None = None,
        by: Column = None,
    ) -> Objects:
        """Load one object's rows; returns their ids. `created` and `modified` are calendar indexes."""
        count = next(len(c) for c in columns.values() if isinstance(c, np.ndarray | list))
        columns = {"Id": self.ids(name, count), **columns} if "Id" not in columns else columns
        columns = {**columns, **self._audit(name, created, modified, by)}
        self.counts[name] = self.counts.get(name, 0) + count
        self._load(name, columns, count)
        ids: Objects = columns["Id"]
        return ids

    def _audit(self, name: str, created: Ints | None, modified: Ints | None, by: Column) -> dict[str, Column]:
        fields = {field.name for field in self.store.schema.objects[name].fields}
        born: Column = self.calendar.instants[created] if created is not None else self.calendar.instants[0]
        last: Column = self.calendar.instants[modified] if modified is not None else born
        who = self.admin if by is None else by
        audit = {
            "CreatedDate": born,
            "CreatedById": who,
            "LastModifiedDate": last,
            "LastModifiedById": who,
            "SystemModstamp": last,
        }
        return {field: value for field, value in audit.items() if field in fields}

    def _load(self, table: str, columns: dict[str, Column], count: int) -> None:
        for start in range(0, count, BATCH):
            stop = min(start + BATCH, count)
            parts = [
                column[start:stop].tolist()
                if isinstance(column, np.ndarray)
                else column[start:stop]
                if isinstance(column, list)
                else repeat(column, stop - start)
                for column in columns.values()
            ]
            self.store.load(table, tuple(columns), zip(*parts, strict=True))
