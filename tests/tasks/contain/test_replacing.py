"""What writes a new secret can wait until the leaked readers of its place are shut; the change set warns."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from blocks.systems import Systems
from deployments.lab.twin import Twin
from deployments.lab.vault import Vault
from tasks.contain.changes import Change, ChangeSet, Verdict
from tasks.contain.engine import contain
from tasks.evidence.ledger import FileLedger
from tasks.incident import Access, AccessStatus, Incident, System

from .test_salesforce_external import LABEL, kept_in, logs_in, portal, systems

__all__ = ["portal", "systems"]  # the fixtures of that file
Make = Callable[..., Incident]


@pytest.mark.slow
def test_the_new_secret_is_written_only_in_the_second_round(
    portal: str,
    twin: Twin,
    systems: Systems,
    lab_vault: Vault,
    incident: Make,
    ledger: FileLedger,
) -> None:
    suspect = incident(f"connected-app={LABEL}")
    before = kept_in(lab_vault)
    assert logs_in(twin) is not None  # a token to cut in the first round

    first = contain(suspect, systems, ledger, replacing=False)

    assert {one.access.kind for one in first} >= {"external-app-tokens"}
    assert "external-app-secret" not in {one.access.kind for one in first}
    assert kept_in(lab_vault) == before
    assert logs_in(twin) is None  # its user is frozen: waiting lets nobody in

    second = contain(suspect, systems, ledger, replacing=True)

    assert [(one.access.kind, one.status) for one in second] == [("external-app-secret", AccessStatus.CLOSED)]
    assert kept_in(lab_vault).keys() > before.keys()
    assert logs_in(twin) is None
    again = contain(suspect, systems, ledger, replacing=True)
    assert [one.status for one in again] == [AccessStatus.CLOSED]


def test_the_change_set_warns_of_a_leaked_access_that_stays_open() -> None:
    def change(system: System, verdict: Verdict) -> Change:
        return Change(Access(system, "vault-token", "chat", f"{system}-{verdict}"), verdict, "revoke", False)

    changes = ChangeSet("inc-1", tuple(change(system, verdict) for system in System for verdict in Verdict))
    warned = [line for line in changes.lines() if line.startswith("WARNING")]
    assert [line.split()[1] for line in warned] == [
        "vault/vault-token/vault-refuse",
        "vault/vault-token/vault-ask",
    ]
    assert changes.hash == ChangeSet("inc-1", changes.changes).hash
