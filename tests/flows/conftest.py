"""A Prefect server for whole responses: the processes under test are pointed at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.prefect_server import OwnServer, PrefectServer


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """One server for all tests of this folder; each test uses incidents of its own."""
    own = OwnServer(tmp_path_factory.mktemp("prefect"))
    own.wait()
    yield own.server
    own.stop()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"
