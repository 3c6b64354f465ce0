"""Guards: what must not be closed, how much may be closed unasked, and that neither reads as success."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.systems import Systems
from deployments.lab.twin import Twin
from flows.contain import NEEDS_APPROVAL, outcome
from flows.workspace import Workspace
from tasks.contain.engine import contain, plan_changes
from tasks.contain.pace import Pace
from tasks.evidence.ledger import FileLedger
from tasks.incident import AccessStatus, Containment, Incident, IncidentFolder

from .conftest import APP, APP_PLAN, GRANTS, INTEGRATION, responder
from .test_salesforce import rows

Make = Callable[..., Incident]
QUICK = Pace(tries=2, first_wait_s=0.05, longest_wait_s=0.1)
LIMITED = APP_PLAN + "systems:\n  salesforce: {owner: salesforce_admin, max_closes: 100}\n"
GRANTS_KEY = f"salesforce/oauth-grants/{APP}"


def grants(twin: Twin) -> int:
    return len(rows(twin, f"SELECT UserId FROM OauthToken WHERE AppName = '{APP}' LIMIT 2500"))


def statuses(found: list[Containment]) -> dict[str, AccessStatus]:
    return {one.access.kind: one.status for one in found}


def test_over_the_blast_radius_it_asks_and_closes_exactly_what_was_agreed_to(
    twin: Twin, systems_of: Callable[..., Systems], ledger: FileLedger, incident: Make, tmp_path: Path
) -> None:
    systems, suspect = systems_of(salesforce=responder(twin), plan=LIMITED), incident(f"connected-app={APP}")

    asked = contain(suspect, systems, ledger, pace=QUICK)

    assert statuses(asked)["oauth-grants"] is AccessStatus.ASKED
    assert statuses(asked)["login"] is AccessStatus.CLOSED  # narrow and reversible: not held up
    (why,) = [one.detail for one in asked if one.status is AccessStatus.ASKED]
    assert "limit of 100 closes" in why
    assert grants(twin) == 2500  # of more: a query shows no further
    work = Workspace(suspect, IncidentFolder.of(suspect.id, tmp_path), ledger, systems)
    state = outcome(work, asked, searched=True)
    assert state.name == NEEDS_APPROVAL
    assert not state.is_completed()

    waiting = plan_changes(suspect, systems, ledger).asking
    assert [one.access.before["grants"] for one in waiting.changes] == [GRANTS - 1]
    done = contain(suspect, systems, ledger, agreed={GRANTS_KEY}, pace=QUICK)
    assert statuses(done)["oauth-grants"] is AccessStatus.CLOSED
    assert grants(twin) == 0


@pytest.mark.parametrize(
    ("protected", "refused"),
    [
        (f"{{kind: salesforce-user, identifier: {INTEGRATION.upper()}}}", True),
        (f"{{kind: vault-approle, identifier: {INTEGRATION}}}", False),
    ],
)
def test_the_protected_list_counts_in_its_own_system_whatever_the_case(
    protected: str,
    refused: bool,
    twin: Twin,
    systems_of: Callable[..., Systems],
    ledger: FileLedger,
    incident: Make,
    tmp_path: Path,
) -> None:
    systems = systems_of(salesforce=responder(twin), plan=APP_PLAN + f"  protected: [{protected}]\n")
    suspect = incident(f"salesforce-user={INTEGRATION}")

    found = contain(suspect, systems, ledger, pace=QUICK)

    expected = AccessStatus.REFUSED if refused else AccessStatus.CLOSED
    assert statuses(found)["login"] is expected
    work = Workspace(suspect, IncidentFolder.of(suspect.id, tmp_path), ledger, systems)
    assert outcome(work, found, searched=True).is_completed() is not refused
    if refused:
        assert all("The plan protects it" in c.detail for c in found if c.status is AccessStatus.REFUSED)
        assert rows(twin, "SELECT Id FROM UserLogin WHERE IsFrozen = true") == []
