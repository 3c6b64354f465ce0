"""What every org keeps for free, used: earlier logins, ordered exports, jobs that no log holds yet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tasks.scope.attack import Scoped, Thief, Twin, scoped, start, start_twin

ATTACKER = "44.215.108.109"


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """An org whose log files come ten minutes late."""
    process, made = start_twin(tmp_path_factory.mktemp("late"), contacts=200, log_delay_s=600)
    yield made
    assert process.stdin
    process.stdin.close()
    process.wait(20)


def said(done: Scoped, source: str) -> str:
    (line,) = [one for one in done.summary.coverage if one.source == source]
    return line.statement


def test_a_login_from_the_attackers_address_before_the_window_is_named(late: Twin, tmp_path: Path) -> None:
    early = Thief(late, ip=ATTACKER)
    early.query("SELECT Id FROM Account LIMIT 1")
    time.sleep(1.1)
    since = start()
    Thief(late, ip=ATTACKER).query("SELECT Id FROM Account LIMIT 1")
    late.lab("flush", json={})
    done = scoped(late, tmp_path, since, wait_s=0)
    logins = said(done, "LoginHistory")
    assert "first login from an address of the suspects" in logins
    assert ATTACKER not in logins  # statements go into run history
    assert "before the window's start" in logins


def test_changes_of_the_suspects_and_an_ordered_export_are_named(late: Twin, tmp_path: Path) -> None:
    since = start()
    thief = Thief(late)
    thief.query("SELECT Id FROM Account LIMIT 1")
    user = thief.call("GET", "/services/oauth2/userinfo").json()["user_id"]
    row = {
        "Action": "dataExport",
        "Section": "Data Export",
        "Display": "Requested an export",
        "CreatedById": user,
    }
    late.lab("insert", json={"object": "SetupAuditTrail", "record": row})
    late.lab("flush", json={})
    done = scoped(late, tmp_path, since, wait_s=0)
    changes = said(done, "SetupAuditTrail")
    assert "1 data exports were ordered, 1 of them by the suspects' users" in changes


def test_a_listed_job_counts_and_the_logs_that_follow_only_narrow_the_bounds(
    late: Twin, tmp_path: Path
) -> None:
    since = start()
    thief = Thief(late)
    thief.query("SELECT Id FROM Account LIMIT 1")
    late.lab("flush", json={})  # so that the suspects' user is known
    soql = "SELECT Id, Email FROM Lead WHERE LastName < 'G'"
    job = thief.call("POST", "jobs/query", json={"operation": "query", "query": soql}).json()["id"]
    while thief.call("GET", f"jobs/query/{job}").json()["state"] != "JobComplete":
        time.sleep(0.05)
    assert thief.call("GET", f"jobs/query/{job}/results").ok
    before = scoped(late, tmp_path, since, wait_s=0)
    assert "1 of the suspects' users are in no log yet" in said(before, "bulk job list")
    leads = {record for record in before.served() if record[0] == "Lead"}
    assert leads
    possible, sure = before.found(), before.found(certain=True)  # the next scoping writes the same files
    assert leads < {record for record in possible if record[0] == "Lead"}  # its query is not known
    assert not leads & sure
    late.lab("flush", json={})
    after = scoped(late, tmp_path, since, wait_s=0)
    assert possible > after.found() >= after.served()
    assert sure <= after.found(certain=True)
    old, new = before.summary.records, after.summary.records
    assert old.lower <= new.lower <= len(after.served()) <= new.upper < old.upper
    changed = said(after, "what changed since")
    assert f"records {old.lower}-{old.upper} to " in changed
    assert "lines of evidence" in changed
