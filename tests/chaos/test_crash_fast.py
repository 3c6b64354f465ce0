"""A few of the moments at which containment can die; `make chaos` tries them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import crash

pytestmark = pytest.mark.slow  # labs of its own, killed and restored

POINTS = 6


def test_containment_converges_after_a_crash(tmp_path: Path) -> None:
    with crash.world_for(tmp_path, crash.GRANTS) as world:
        quiet = crash.quiet_run(world, tmp_path)
        assert {"oauth-grants", "access-key", "vault-token", "vault-leases"} <= quiet.kinds
        chosen = quiet.moments[:: len(quiet.moments) // POINTS]
        tried = {moment: crash.crash(world, quiet, moment, tmp_path / "crash.jsonl") for moment in chosen}

    met = {moment: problems for moment, problems in tried.items() if problems is not None}
    assert len(met) >= POINTS // 2, tried  # threads may go another way, so that a moment does not come
    assert not [problem for problems in met.values() for problem in problems], met
