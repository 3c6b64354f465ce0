"""Vault kinds against a real server with real PostgreSQL logins: token, leases, AppRole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from blocks.systems import Systems
from blocks.vault import VaultServer
from deployments.lab.postgres import Postgres
from deployments.lab.vault import Vault
from deployments.lab.vault_world import INNOCENT, RESPONDER, STOLEN_FROM, VaultWorld
from tasks.contain.engine import contain, plan_changes
from tasks.contain.jar import Credentials
from tasks.contain.pace import Pace
from tasks.contain.undo import reopen
from tasks.evidence.ledger import FileLedger
from tasks.incident import AccessStatus, Incident, Mode, ProofMethod

from .conftest import attempts, by_kind

Make = Callable[..., Incident]
QUICK = Pace(tries=3, first_wait_s=0.05, longest_wait_s=0.1)


@pytest.fixture
def systems(
    lab_vault: Vault, lab_vault_world: VaultWorld, systems_of: Callable[..., Systems], tmp_path: Path
) -> Systems:
    return systems_of(vault=responder(lab_vault, lab_vault_world, tmp_path))


def responder(vault: Vault, world: VaultWorld, folder: Path) -> VaultServer:
    secret_id = folder / "secret-id"
    secret_id.write_text(world.responder_secret_id)
    return VaultServer(addr=vault.addr, role_id=world.responder_role_id, secret_id=[f"file:{secret_id}"])


def logs_in(postgres: Postgres, user: str, password: str) -> bool:
    try:
        psycopg.connect(postgres.dsn(user, password), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def test_token_and_leases_are_closed_and_the_innocent_keeps_working(
    systems: Systems,
    lab_vault: Vault,
    lab_vault_world: VaultWorld,
    lab_postgres: Postgres,
    ledger: FileLedger,
    incident: Make,
) -> None:
    stolen = lab_vault_world.stolen
    assert all(logs_in(lab_postgres, *login) for login in stolen.logins)

    found = by_kind(contain(incident(f"vault-accessor={stolen.accessor}"), systems, ledger))

    assert set(found) == {"vault-token", "vault-leases"}
    assert all(c.status is AccessStatus.CLOSED for c in found.values()), found
    assert not any(logs_in(lab_postgres, *login) for login in stolen.logins)
    innocent = lab_vault.client(lab_vault_world.innocent_token)
    assert innocent.auth.token.lookup_self()["data"]["policies"] == ["default", INNOCENT]
    assert lab_vault.client().sys.list_leases("database/creds/erp-orders/")["data"]["keys"]
    assert ledger.open_attempts() == []


def test_found_secrets_make_the_proof_an_attempt(
    systems: Systems,
    lab_vault_world: VaultWorld,
    lab_postgres: Postgres,
    ledger: FileLedger,
    incident: Make,
) -> None:
    stolen = lab_vault_world.stolen
    jar = Credentials()
    jar.add("vault-accessor", stolen.accessor, stolen.token)
    for user, password in stolen.logins:
        jar.add("postgres", user, lab_postgres.dsn(user, password))

    found = by_kind(contain(incident(f"vault-accessor={stolen.accessor}"), systems, ledger, jar=jar))

    for containment in found.values():
        assert containment.status is AccessStatus.CLOSED
        assert containment.proof is not None
        assert containment.proof.method is ProofMethod.ATTEMPT
    text = ledger.path.read_text()
    assert stolen.token not in text
    assert not any(password in text for _, password in stolen.logins)


def test_a_second_run_proves_again_and_does_nothing(
    systems: Systems, lab_vault_world: VaultWorld, ledger: FileLedger, incident: Make
) -> None:
    suspect = incident(f"vault-accessor={lab_vault_world.stolen.accessor}")
    contain(suspect, systems, ledger)
    before = attempts(ledger)

    again = contain(suspect, systems, ledger)

    assert attempts(ledger) == before
    assert {c.status for c in again} == {AccessStatus.CLOSED}
    assert len(again) == 2


def test_leases_that_cannot_end_are_failed_not_closed_and_are_finished_later(
    systems: Systems, lab_vault_world: VaultWorld, lab_postgres: Postgres, ledger: FileLedger, incident: Make
) -> None:
    """A login that owns a schema cannot be dropped: Vault's revoke fails and the login goes on working."""
    stolen = lab_vault_world.stolen
    user, password = stolen.logins[0]
    suspect = incident(f"vault-accessor={stolen.accessor}")
    with psycopg.connect(lab_postgres.dsn(), autocommit=True) as admin:
        admin.execute(
            psycopg.sql.SQL("CREATE SCHEMA held AUTHORIZATION {}").format(psycopg.sql.Identifier(user))
        )
        try:
            held = by_kind(contain(suspect, systems, ledger, pace=Pace(tries=1)))
        finally:
            admin.execute("DROP SCHEMA held")
    assert held["vault-token"].status is AccessStatus.CLOSED
    assert held["vault-leases"].status is AccessStatus.FAILED
    assert "1 leases would not end" in held["vault-leases"].detail

    freed = by_kind(contain(suspect, systems, ledger))
    assert freed["vault-leases"].status is AccessStatus.CLOSED
    assert not logs_in(lab_postgres, user, password)
    assert sum(e["target"].startswith("vault/vault-token") for e in attempts(ledger)) == 1


def test_a_login_that_still_works_is_never_called_closed(
    systems: Systems, lab_vault_world: VaultWorld, lab_postgres: Postgres, ledger: FileLedger, incident: Make
) -> None:
    """Vault says that all leases are gone; only the login itself shows that one way in is still open."""
    user, password = "left_behind", "still-works"
    with psycopg.connect(lab_postgres.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        try:
            jar = Credentials()
            jar.add("postgres", user, lab_postgres.dsn(user, password))
            suspect = incident(f"vault-accessor={lab_vault_world.stolen.accessor}")
            found = by_kind(contain(suspect, systems, ledger, jar=jar, pace=QUICK))
        finally:
            admin.execute(f"DROP ROLE {user}")
    assert found["vault-token"].status is AccessStatus.CLOSED
    assert found["vault-leases"].status is AccessStatus.FAILED
    assert "still work" in found["vault-leases"].detail


def test_approle_loses_secret_ids_and_issued_tokens(
    systems: Systems, lab_vault: Vault, lab_vault_world: VaultWorld, ledger: FileLedger, incident: Make
) -> None:
    root = lab_vault.client()
    assert root.auth.approle.list_secret_id_accessors(STOLEN_FROM)["data"]["keys"]

    found = by_kind(contain(incident(f"vault-approle={STOLEN_FROM}"), systems, ledger))

    assert found["approle"].status is AccessStatus.CLOSED
    assert lab_vault.client(lab_vault_world.innocent_token).auth.token.lookup_self()
    with pytest.raises(Exception, match="permission denied"):
        lab_vault.client(lab_vault_world.stolen.token).auth.token.lookup_self()


def test_the_responders_own_approle_and_token_are_refused(
    systems: Systems, lab_vault: Vault, lab_vault_world: VaultWorld, ledger: FileLedger, incident: Make
) -> None:
    own = systems.vault.get_client().auth.token.lookup_self()["data"]["accessor"]

    found = contain(incident(f"vault-approle={RESPONDER}", f"vault-accessor={own}"), systems, ledger)

    assert {c.access.kind for c in found} >= {"approle", "vault-token"}
    for containment in found:
        assert containment.status in (AccessStatus.REFUSED, AccessStatus.FAILED), containment
    assert {c.detail.partition(".")[0] for c in found if c.status is AccessStatus.REFUSED} == {
        "It is the responder's own Vault identity"
    }
    assert attempts(ledger) == []
    assert systems.vault.get_client().auth.token.lookup_self()["data"]["accessor"] == own


def test_an_unknown_accessor_is_proven_gone_not_passed_over(
    systems: Systems, ledger: FileLedger, incident: Make
) -> None:
    found = by_kind(contain(incident("vault-accessor=nobodyknowsthisaccessor0"), systems, ledger))
    assert found["vault-token"].status is AccessStatus.CLOSED


def test_plan_mode_changes_nothing_and_its_hash_is_stable(
    systems: Systems, lab_vault_world: VaultWorld, lab_postgres: Postgres, ledger: FileLedger, incident: Make
) -> None:
    suspect = incident(f"vault-accessor={lab_vault_world.stolen.accessor}", mode=Mode.PLAN)

    planned = by_kind(contain(suspect, systems, ledger))
    first, second = plan_changes(suspect, systems), plan_changes(suspect, systems)

    assert {c.status for c in planned.values()} == {AccessStatus.PLANNED}
    assert set(planned) == {"vault-token", "vault-leases"}
    assert first.hash == second.hash
    other = incident(
        f"vault-accessor={lab_vault_world.stolen.accessor}", f"vault-approle={STOLEN_FROM}", mode=Mode.PLAN
    )
    assert plan_changes(other, systems).hash != first.hash
    assert list(ledger.entries()) == []
    assert all(logs_in(lab_postgres, *login) for login in lab_vault_world.stolen.logins)


def test_a_sealed_vault_is_failed_and_named(
    systems: Systems, lab_vault: Vault, lab_vault_world: VaultWorld, ledger: FileLedger, incident: Make
) -> None:
    lab_vault.seal()
    found = contain(
        incident(f"vault-accessor={lab_vault_world.stolen.accessor}"), systems, ledger, pace=QUICK
    )
    assert {c.status for c in found} == {AccessStatus.FAILED}
    assert all("sealed" in c.detail for c in found)


def test_undo_says_what_cannot_come_back(
    systems: Systems, lab_vault_world: VaultWorld, ledger: FileLedger, incident: Make
) -> None:
    suspect = incident(f"vault-accessor={lab_vault_world.stolen.accessor}")
    contain(suspect, systems, ledger)
    before = attempts(ledger)

    undone = reopen(suspect, systems, ledger)

    assert [u.access.kind for u in undone] == ["vault-leases", "vault-token"]
    assert not any(u.restored for u in undone)
    assert attempts(ledger) == before
