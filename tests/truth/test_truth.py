"""A few generated attacks in every test run; `make truth` runs hundreds."""

from __future__ import annotations

from pathlib import Path

from tests.tasks.scope.attack import start_twin
from tests.truth.world import World


def test_generated_attacks_are_inside_the_bounds_and_found(tmp_path: Path) -> None:
    process, twin = start_twin(tmp_path / "twin", 150, 4)
    try:
        world = World(twin, 4, tmp_path / "home")
        world.run(15)
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait(20)
    everything, exact = world.scores["all"], world.scores["all sources"]
    assert everything.attacks >= 10
    assert not exact.outside
    assert (exact.records.recall, exact.subjects.recall) == (1.0, 1.0)
