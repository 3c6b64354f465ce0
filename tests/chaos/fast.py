"""A few of the moments at which containment can die and of the faults it can meet, in one lab.

`make chaos` tries them all, with the clock: here nothing is asked that a loaded machine could not answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import crash
from tests.chaos.faults import Bench, Verdict
from tests.chaos.world import ChaosWorld

PATIENT_S = 8.0  # no call takes that long, whatever else the machine does
MOMENTS = (
    "after PATCH sf/sobjects/UserLogin/* #1",
    "after aws UpdateAccessKey #1",
    "after POST /v1/auth/token/revoke-accessor #1",
    "in the middle of a ledger line #3",
)
PASSING = (
    "salesforce POST sf/oauth2/revoke: reset after acting",
    "salesforce DELETE sf/composite/sobjects: partial success",
    "salesforce GET sf/query OauthToken: expired session",
    "vault POST /v1/auth/token/revoke-accessor: reset after acting",
)
LASTING = "aws iam:UpdateAccessKey: throttling for good"
SLACK = "slack messages beside the run: down for good"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChaosWorld]:
    with crash.world_for(tmp_path_factory.mktemp("chaos"), crash.GRANTS) as running:
        yield running


@pytest.fixture(scope="module")
def bench(world: ChaosWorld, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(world, tmp_path_factory.mktemp("faults"), timeout_s=PATIENT_S)


def tried(bench: Bench, name: str) -> Verdict:
    (case,) = [case for case in bench.cases() if str(case) == name]
    return bench.try_once(case)[0]


def test_containment_converges_after_a_crash(world: ChaosWorld, tmp_path: Path) -> None:
    quiet = crash.quiet_run(world, tmp_path)
    assert {"oauth-grants", "access-key", "vault-token", "vault-leases"} <= quiet.kinds
    assert set(MOMENTS) <= set(quiet.moments)

    wrong = {moment: crash.crash(world, quiet, moment, tmp_path / "crash.jsonl") for moment in MOMENTS}

    assert wrong == {moment: [] for moment in MOMENTS}


@pytest.mark.parametrize("name", [*PASSING, SLACK])
def test_containment_survives(bench: Bench, name: str) -> None:
    assert tried(bench, name) == Verdict("survived")


def test_what_cannot_be_closed_is_reported_and_closed_once_it_can(bench: Bench) -> None:
    (case,) = [case for case in bench.cases() if str(case) == LASTING]
    assert case.lasting

    verdict = tried(bench, LASTING)

    assert verdict.word == "reported"
    assert any(told.startswith("aws/access-key/") for told in verdict.problems), verdict
