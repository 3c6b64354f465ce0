"""Twin orgs for the scoping tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tasks.scope.attack import Twin, start_twin


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    process, made = start_twin(tmp_path_factory.mktemp("twin"), contacts=2500)
    yield made
    assert process.stdin
    process.stdin.close()
    process.wait(20)
