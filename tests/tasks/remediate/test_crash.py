"""The process dies at any write of the ledger, and the next run finishes: one key, in every place, proven."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.evidence.ledger import FileLedger
from tasks.remediate.job import Outcome
from tasks.remediate.replace import replace_all

from .conftest import KEY_SECRET, Scene


class Died(BaseException):
    """What kills the process: nothing in it catches this and goes on."""


class Mortal(FileLedger):
    """A ledger whose process dies before its n-th write, and never writes again."""

    writes_left: int

    def attempts(self, *args: Any, **more: Any) -> list[str]:
        self._live()
        return super().attempts(*args, **more)

    def results(self, results: Iterable[Any]) -> None:
        self._live()
        super().results(results)

    def note(self, *args: Any, **more: Any) -> None:
        self._live()
        super().note(*args, **more)

    def _live(self) -> None:
        self.writes_left -= 1
        if self.writes_left < 0:
            raise Died


def dies(scene: Scene, after: int) -> bool:
    """Run replacement until the process dies; False when it lived through."""
    mortal = Mortal(scene.ledger.path, actor="test", clock=lambda: datetime.now(UTC))
    mortal.writes_left = after
    try:
        replace_all(scene.incident, scene.systems, scene.folder, mortal)
    except Died:
        return True
    return False


@pytest.mark.parametrize("after", range(9))
def test_the_next_run_converges(scene: Scene, after: int) -> None:
    key_id = scene.aws_world.stolen.access_key_id
    scene.cut(f"aws-access-key={key_id}")
    died = dies(scene, after)
    lost = set(scene.keys()) - {key_id, scene.kv()["aws_access_key_id"]}

    one = scene.replace()

    (key,) = [c for c in one.credentials if c.kind == "aws-user"]
    if lost:
        # The key was made and its secret died with the process: a person frees the slot, and it goes on.
        assert after < 3
        assert key.outcome is Outcome.PERSON
        assert lost.pop() in key.detail
        return
    assert key.outcome is Outcome.REPLACED
    assert scene.kv()["aws_access_key_id"] == scene.secret(KEY_SECRET)["accessKeyId"] == key.ref
    assert sorted(scene.keys().values()) == ["Active", "Inactive"]
    assert scene.kv_versions()["1"]["destroyed"]
    assert scene.replace().credentials == one.credentials
    assert died == (after < 9)
    assert scene.ledger.open_attempts() == []
