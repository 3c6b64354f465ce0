"""The attacker fights back while it is being cut off: deletes jobs, uses up the org's calls, comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from tasks.contain.engine import contain
from tasks.contain.pace import Pace
from tasks.evidence.ledger import open_ledger
from tasks.incident import AccessStatus, Containment, System
from tests.chaos.world import ChaosWorld

pytestmark = pytest.mark.slow  # labs of its own, killed and restored

QUICK = Pace(tries=2, first_wait_s=0.2, longest_wait_s=0.5)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChaosWorld]:
    world = ChaosWorld(tmp_path_factory.mktemp("hostile"), grants=6)
    yield world
    world.stop()


@pytest.fixture
def world(running: ChaosWorld) -> ChaosWorld:
    running.reset()
    return running


@contextmanager
def meanwhile(attack: Callable[[], object]) -> Iterator[list[int]]:
    """Repeat the attack until the block ends; yields a list that holds how often it was carried out."""
    over, times = threading.Event(), [0]

    def loop() -> None:
        while not over.is_set():
            with suppress(requests.RequestException):
                attack()
            times[0] += 1

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield times
    finally:
        over.set()
        thread.join(30)


def run(world: ChaosWorld, ledger: Path, pace: Pace | None = None, retry_s: float = 30) -> list[Containment]:
    systems = world.systems(salesforce={"retry_s": retry_s})
    return contain(world.incident(), systems, open_ledger(ledger), jar=world.jar(), pace=pace)


def open_ones(found: list[Containment]) -> list[Containment]:
    return [one for one in found if one.status not in (AccessStatus.CLOSED, AccessStatus.MANUAL)]


def test_jobs_that_vanish_while_they_are_aborted(world: ChaosWorld, tmp_path: Path) -> None:
    """As the thieves of 2025 did, each export is deleted as soon as it was started."""
    thief, token = world.thief(), world.loot.access_token
    job = {"operation": "query", "query": "SELECT Id, Email FROM Contact"}

    def start_and_delete() -> None:
        made = thief.call("POST", "/jobs/query", token, json=job)
        if made.ok:
            path = f"/jobs/query/{made.json()['id']}"
            thief.call("PATCH", path, token, json={"state": "Aborted"})
            thief.call("DELETE", path, token)

    with meanwhile(start_and_delete) as times:
        found = run(world, tmp_path / "ledger.jsonl")

    assert times[0] > 0
    assert open_ones(found) == []
    assert world.ways_in() == []


def test_logging_in_again_and_again_during_containment(world: ChaosWorld, tmp_path: Path) -> None:
    """Every refresh token, and every access token minted from one on the way, is dead in the end."""
    thief, minted = world.thief(), [world.loot.access_token]
    stolen = list(world.refresh_tokens().values())

    def come_in_by_all() -> None:
        for refresh_token in stolen:
            if token := thief.refresh(refresh_token):
                minted.append(token)
                thief.query("SELECT Id FROM Contact LIMIT 1", token)

    with meanwhile(come_in_by_all):
        time.sleep(0.5)
        found = run(world, tmp_path / "ledger.jsonl")

    assert len(minted) > 1
    assert open_ones(found) == []
    assert world.ways_in() == []
    assert [token for token in minted if thief.call("GET", "/limits", token).ok] == []


def test_an_org_without_calls_left_holds_up_no_other_system(world: ChaosWorld, tmp_path: Path) -> None:
    """What needs the org's API is reported, with the reason; the rest is closed, and all of it later on."""
    ledger = tmp_path / "ledger.jsonl"
    world.twin.control("limits", {"daily_api": 100, "used_api": 100})

    first = run(world, ledger, QUICK, retry_s=1)

    failed = open_ones(first)
    assert failed
    assert {one.access.system for one in failed} == {System.SALESFORCE}
    assert {one.status for one in failed} == {AccessStatus.FAILED}
    assert all("REQUEST_LIMIT_EXCEEDED" in one.detail for one in failed), failed
    others = [one for one in first if one.access.system is not System.SALESFORCE]
    assert {one.access.kind for one in others} >= {"access-key", "vault-token", "vault-leases"}
    assert max(one.seconds for one in others) < 10
    assert not [way for way in world.ways_in() if "token of" not in way and way != "access token"]

    world.twin.control("limits", {"daily_api": 100_000})
    assert open_ones(run(world, ledger)) == []
    assert world.ways_in() == []


def test_calls_that_run_out_amid_containment_and_come_back(world: ChaosWorld, tmp_path: Path) -> None:
    """Salesforce counts over 24 hours that roll on: what is used up now is free again a little later."""
    world.twin.control("limits", {"daily_api": 30, "used_api": 0})
    relief = threading.Timer(3.0, lambda: world.twin.control("limits", {"daily_api": 100_000}))
    relief.start()
    found = run(world, tmp_path / "ledger.jsonl")
    relief.join()

    assert open_ones(found) == []
    assert world.ways_in() == []
