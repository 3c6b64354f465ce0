"""A few of the faults that containment can meet; `make chaos` tries every kind of call with all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.crash import GRANTS, world_for
from tests.chaos.faults import Bench, Case

pytestmark = pytest.mark.slow  # labs of its own, killed and restored

PASSING = (
    "salesforce POST sf/oauth2/revoke: reset after acting",
    "salesforce DELETE sf/composite/sobjects: partial success",
    "salesforce GET sf/query OauthToken: expired session",
    "aws iam:UpdateAccessKey: throttling",
    "vault POST /v1/auth/token/revoke-accessor: reset after acting",
    "postgres postgres login: timeout",
)
LASTING = (
    "salesforce PATCH sf/sobjects/UserLogin/*: UNABLE_TO_LOCK_ROW for good",
    "aws iam:UpdateAccessKey: 503 for good",
    "vault POST /v1/auth/token/lookup-accessor: sealed for good",
)
SLACK = "slack messages beside the run: down for good"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder: Path = tmp_path_factory.mktemp("faults")
    with world_for(folder, GRANTS) as world:
        yield Bench(world, folder)


def named(bench: Bench, name: str) -> Case:
    return next(case for case in bench.cases() if str(case) == name)


@pytest.mark.parametrize("name", [*PASSING, SLACK])
def test_containment_survives(bench: Bench, name: str) -> None:
    verdict = bench.try_case(named(bench, name))

    assert verdict.word == "survived", verdict


@pytest.mark.parametrize("name", LASTING)
def test_what_cannot_be_closed_is_reported_and_holds_up_nothing(bench: Bench, name: str) -> None:
    verdict = bench.try_case(named(bench, name))

    assert verdict.word == "reported", verdict
