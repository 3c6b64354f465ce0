"""A few generated attacks in every test run; `make truth` runs hundreds."""

from __future__ import annotations

from pathlib import Path

from tests.tasks.scope.attack import start_twin
from tests.truth.score import ALL, TOLD
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
    everything, exact = world.scores[ALL], world.scores[TOLD]
    assert everything.attacks == 15
    assert exact.attacks
    assert not everything.outside
    assert (exact.records.recall, exact.fields.recall, exact.subjects.recall) == (1.0, 1.0, 1.0)
    assert everything.certain.precision == 1
