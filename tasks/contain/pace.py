"""How often and how fast containment tries, and how it speaks of an error without repeating its text."""

from __future__ import annotations

import random
import traceback
from dataclasses import dataclass

from blocks.errors import LeakResponseError, Refused


@dataclass(frozen=True, slots=True)
class Pace:
    """Tries per access and waits between them. Full jitter: between half of and the whole doubling wait."""

    tries: int = 5
    first_wait_s: float = 0.4
    longest_wait_s: float = 5.0
    rounds: int = 20  # looks of one kind that still find something, before it is called a failure
    passes: int = 6  # times all kinds of a system are gone through
    after_s: float = 5.0  # how long a kind waits for the kinds it is better closed after
    workers: int = 32  # accesses of one kind closed at a time

    def wait(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait after the `failures`-th failure."""
        whole = min(self.longest_wait_s, self.first_wait_s * 2.0 ** (failures - 1))
        return rng.uniform(whole / 2, whole)


def is_final(error: Exception) -> bool:
    """Whether trying again is pointless: a no, unless it is a login that ended (401) and is renewed."""
    return isinstance(error, Refused) and getattr(error, "status", 0) != 401


def shown(error: BaseException) -> str:
    """An error as one line for a person. Foreign errors are named by type and place: their texts can
    carry secrets or data."""
    if isinstance(error, LeakResponseError):
        return f"{error.problem} {error.fix}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    return f"Unexpected {type(error).__name__}{where}. This is a defect: please report it."
