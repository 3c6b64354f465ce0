"""`make truth`: hundreds of generated attacks against one small twin, and how exact scoping was.

    python -m tests.truth [--attacks 300] [--seed 1] [--contacts 250]

Exit code 1 when the truth was outside the bounds in any attack, or when, with all sources there and rows
that the logs tell, anything that left was not named or more than 1 in 100 of what was named did not leave.
What the logs do not tell is counted apart: there the records that left are among those named as possible,
which are more, and those named as certain are the lower bound.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.tasks.scope.attack import start_twin
from tests.truth.score import ALL, TOLD, Score
from tests.truth.world import World

PRECISION = 0.99  # of all that is named, where every source is there and the logs tell the rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attacks", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wide", action="store_true", help="show where more was named than left")
    parser.add_argument("--contacts", type=int, default=250)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="truth-") as base:
        process, twin = start_twin(Path(base) / "twin", asked.contacts, asked.seed)
        try:
            world, began = World(twin, asked.seed, Path(base) / "home"), time.monotonic()
            world.run(asked.attacks)
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(20)
    for name in sorted(world.scores):
        print(world.scores[name].line(name))
    for text in world.scores[ALL].outside:
        print(f"outside: {text}")
    for name in (TOLD, f"{TOLD}, with real-time stores"):
        for text in world.scores[name].wide if asked.wide else ():
            print(f"wide: {text}")
    print(f"{asked.attacks} attacks, seed {asked.seed}, {time.monotonic() - began:.0f} s")
    told = [score for name, score in world.scores.items() if name.startswith(TOLD)]
    good = not world.scores[ALL].outside and all(_exact(score) for score in told)
    print("all aims reached" if good else "an aim was missed")
    return 0 if good else 1


def _exact(score: Score) -> bool:
    tallies = (score.records, score.fields, score.subjects)
    return all(tally.recall == 1 and tally.precision >= PRECISION for tally in tallies)


if __name__ == "__main__":
    sys.exit(main())
