"""Manual steps: exact instructions, a name, and the token endpoint's answer as the proof."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.errors import BadInput
from blocks.systems import Systems
from deployments.lab.twin import Twin
from tasks.contain.engine import contain
from tasks.contain.jar import Credentials
from tasks.contain.manual_steps import confirm, waiting_steps
from tasks.contain.salesforce.manual import CONSUMER_KEY, FORMER_SECRET
from tasks.contain.undo import reopen
from tasks.evidence.ledger import FileLedger
from tasks.incident import AccessStatus, Containment, Incident, IncidentFolder, ProofMethod

from .conftest import APP

Make = Callable[..., Incident]
BLOCK, SECRET = f"salesforce/app-block/{APP}", f"salesforce/app-secret/{APP}"


@pytest.fixture
def folder(tmp_path: Path) -> IncidentFolder:
    return IncidentFolder.of("inc-test-1", tmp_path)


@pytest.fixture
def suspect(incident: Make) -> Incident:
    return incident(f"connected-app={APP}")


@pytest.fixture
def contained(
    systems: Systems, ledger: FileLedger, suspect: Incident, folder: IncidentFolder
) -> list[Containment]:
    found = contain(suspect, systems, ledger)
    folder.write(folder.containment, found)
    return found


def jar(twin: Twin, secret: str = "") -> Credentials:
    made = Credentials()
    made.add(CONSUMER_KEY, APP, twin.org["stolen"]["consumer_key"])
    if secret:
        made.add(FORMER_SECRET, APP, secret)
    return made


def status_of(found: list[Containment], key: str) -> AccessStatus:
    (one,) = [c for c in found if c.access.key == key]
    return one.status


def test_instructions_name_owner_due_time_and_the_page_in_setup(
    contained: list[Containment], twin: Twin
) -> None:
    steps = {c.access.key: c for c in contained if c.status is AccessStatus.MANUAL}
    assert set(steps) == {BLOCK, SECRET}
    assert steps[BLOCK].detail.startswith("integration_engineer, by 24 Nov 10:00 UTC: open " + twin.url)
    assert "/lightning/setup/ConnectedAppsUsage/home" in steps[BLOCK].detail
    assert steps[BLOCK].access.before["owner"] == "integration_engineer"
    assert steps[BLOCK].access.before["due_at"] == "2026-11-24T10:00:00+00:00"


def test_a_confirmed_step_is_closed_with_the_name_on_record_and_stays_so(
    contained: list[Containment],
    systems: Systems,
    ledger: FileLedger,
    suspect: Incident,
    folder: IncidentFolder,
) -> None:
    done = confirm(suspect, systems, folder, ledger, f"app-block/{APP}", "Priya Nair")

    assert done.status is AccessStatus.CLOSED
    assert done.proof is not None
    assert done.proof.method is ProofMethod.CONFIRMATION
    (note,) = [entry for entry in ledger.entries() if entry["action"] == "confirmed"]
    assert note["details"]["confirmed_by"] == "Priya Nair"
    assert [one.access.key for one in waiting_steps(folder)] == [SECRET]
    again = contain(suspect, systems, ledger)
    assert status_of(again, BLOCK) is AccessStatus.CLOSED
    assert status_of(again, SECRET) is AccessStatus.MANUAL
    by_hand = [u for u in reopen(suspect, systems, ledger) if u.access.key == BLOCK]
    assert [(u.restored, "by hand" in u.detail) for u in by_hand] == [(False, True)]


def test_blocking_is_proven_at_the_token_endpoint_and_words_alone_do_not_close_it(
    contained: list[Containment],
    systems: Systems,
    twin: Twin,
    ledger: FileLedger,
    suspect: Incident,
    folder: IncidentFolder,
) -> None:
    too_soon = confirm(suspect, systems, folder, ledger, BLOCK, "Priya Nair", jar=jar(twin))
    assert too_soon.status is AccessStatus.MANUAL
    assert "Confirmed, but not so" in too_soon.detail
    assert status_of(contain(suspect, systems, ledger), BLOCK) is AccessStatus.MANUAL

    app = {"object": "ConnectedApplication", "match": {"Name": APP}, "set": {"IsBlocked": 1}}
    twin.control("plant", app)
    done = confirm(suspect, systems, folder, ledger, BLOCK, "Priya Nair", jar=jar(twin))

    assert done.status is AccessStatus.CLOSED
    assert done.proof is not None
    assert done.proof.method is ProofMethod.ATTEMPT
    assert "refused the app as blocked" in done.proof.detail
    assert twin.org["stolen"]["consumer_key"] not in ledger.path.read_text()


def test_a_new_secret_is_proven_by_the_old_one_being_refused(
    contained: list[Containment],
    systems: Systems,
    twin: Twin,
    ledger: FileLedger,
    suspect: Incident,
    folder: IncidentFolder,
) -> None:
    old = twin.org["stolen"]["consumer_secret"]
    still = confirm(suspect, systems, folder, ledger, SECRET, "Tomas Silva", jar=jar(twin, old))
    assert still.status is AccessStatus.MANUAL
    assert "still accepted" in still.detail

    app = {"object": "ConnectedApplication", "match": {"Name": APP}, "set": {"ConsumerSecret": "F" * 64}}
    twin.control("plant", app)
    done = confirm(suspect, systems, folder, ledger, SECRET, "Tomas Silva", jar=jar(twin, old))

    assert done.status is AccessStatus.CLOSED
    assert done.proof is not None
    assert "invalid_client" in done.proof.detail
    assert old not in ledger.path.read_text()


@pytest.mark.parametrize(
    ("access", "by", "problem"),
    [
        ("app-blok/Support Chat", "Priya Nair", "no open manual step"),
        (BLOCK, " ", "names who gives it"),
        ("salesforce/login/0055g0000000004AAA", "Priya Nair", "no open manual step"),
    ],
)
def test_an_unknown_step_or_no_name_changes_nothing(
    access: str,
    by: str,
    problem: str,
    contained: list[Containment],
    systems: Systems,
    ledger: FileLedger,
    suspect: Incident,
    folder: IncidentFolder,
) -> None:
    entries = len(list(ledger.entries()))
    with pytest.raises(BadInput, match=problem):
        confirm(suspect, systems, folder, ledger, access, by)
    assert len(list(ledger.entries())) == entries
