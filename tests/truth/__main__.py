"""`make truth`: hundreds of generated attacks against one small twin, and how exact scoping was.

    python -m tests.truth [--attacks 300] [--seed 1] [--contacts 250]

Exit code 1 when the truth was outside the bounds anywhere, or recall was below 1 with all sources there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.tasks.scope.attack import start_twin
from tests.truth.world import World


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
    for text in world.scores["all"].outside:
        print(f"outside: {text}")
    for text in world.scores["all sources"].wide if asked.wide else ():
        print(f"wide: {text}")
    print(f"{asked.attacks} attacks, seed {asked.seed}, {time.monotonic() - began:.0f} s")
    exact = world.scores["all sources"]
    return 1 if world.scores["all"].outside or exact.records.recall < 1 else 0


if __name__ == "__main__":
    sys.exit(main())
