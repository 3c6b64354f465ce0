"""Entities, AppRole logins, shared database passwords and stubborn leases, against a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from hvac.exceptions import Forbidden, InvalidRequest

from blocks.systems import Systems
from deployments.lab.postgres import Postgres
from deployments.lab.vault import Vault
from deployments.lab.vault_world import DATABASE_ADMIN, INNOCENT, STATIC_ROLE, STOLEN_FROM, VaultWorld
from tasks.contain.engine import contain, plan_changes
from tasks.contain.history import ISSUE
from tasks.contain.jar import Credentials
from tasks.contain.undo import reopen
from tasks.contain.vault.server import granted, read_rules
from tasks.evidence.ledger import FileLedger
from tasks.incident import AccessStatus, Incident, Phase, ProofMethod

from .conftest import attempts, by_kind
from .test_vault import QUICK, logs_in, responder

Make = Callable[..., Incident]


@pytest.fixture
def systems(
    lab_vault: Vault, lab_vault_world: VaultWorld, systems_of: Callable[..., Systems], tmp_path: Path
) -> Systems:
    return systems_of(vault=responder(lab_vault, lab_vault_world, tmp_path))


def entity_of(vault: Vault, accessor: str) -> str:
    return str(vault.client().auth.token.lookup_accessor(accessor)["data"]["entity_id"])


def alive(vault: Vault, token: str) -> bool:
    try:
        vault.client(token).auth.token.lookup_self()
    except Forbidden:
        return False
    return True


def new_login(vault: Vault, role: str) -> dict[str, str]:
    root = vault.client()
    return {
        "role_id": root.auth.approle.read_role_id(role)["data"]["role_id"],
        "secret_id": root.auth.approle.generate_secret_id(role)["data"]["secret_id"],
    }


def enters(vault: Vault, login: dict[str, str]) -> bool:
    try:
        vault.client("").auth.approle.login(**login)
    except (InvalidRequest, Forbidden):
        return False
    return True


def let(vault: Vault, policy: str, path: str, capability: str) -> None:
    """Give a policy one rule more."""
    root = vault.client()
    rules = root.sys.read_acl_policy(policy)["data"]["policy"]
    rule = f'\npath "{path}" {{ capabilities = ["{capability}"] }}\n'
    root.sys.create_or_update_policy(policy, rules + rule)


def test_an_entity_is_disabled_its_tokens_revoked_and_what_they_leased_ended(
    systems: Systems,
    lab_vault: Vault,
    lab_vault_world: VaultWorld,
    lab_postgres: Postgres,
    ledger: FileLedger,
    incident: Make,
) -> None:
    stolen = lab_vault_world.stolen
    entity = entity_of(lab_vault, stolen.accessor)
    login = new_login(lab_vault, STOLEN_FROM)
    suspect = incident(f"vault-entity={entity}")

    found = by_kind(contain(suspect, systems, ledger))

    assert set(found) == {"vault-entity", "vault-entity-tokens", "vault-leases"}
    assert {c.status for c in found.values()} == {AccessStatus.CLOSED}, found
    assert not alive(lab_vault, stolen.token)
    assert not enters(lab_vault, login)
    assert not any(logs_in(lab_postgres, *known) for known in stolen.logins)
    assert alive(lab_vault, lab_vault_world.innocent_token)

    undone = {u.access.kind: u for u in reopen(suspect, systems, ledger)}
    assert undone["vault-entity"].restored
    assert not undone["vault-entity-tokens"].restored
    assert enters(lab_vault, login)


def test_an_entity_is_known_by_its_name_too_and_an_unknown_one_is_an_error(
    systems: Systems, lab_vault: Vault, lab_vault_world: VaultWorld, ledger: FileLedger, incident: Make
) -> None:
    root = lab_vault.client()
    entity = entity_of(lab_vault, lab_vault_world.stolen.accessor)
    root.write(f"identity/entity/id/{entity}", name="chat-bot")
    jar = Credentials()

    found = by_kind(contain(incident("vault-entity=chat-bot"), systems, ledger, jar=jar))
    assert found["vault-entity"].access.ref == entity
    assert found["vault-entity"].access.principal == "chat-bot"

    unknown = contain(incident("vault-entity=nobody"), systems, ledger, pace=QUICK)
    assert {c.status for c in unknown if c.access.ref == "could-not-be-observed"} == {AccessStatus.FAILED}


def test_the_responders_own_entity_is_refused(systems: Systems, ledger: FileLedger, incident: Make) -> None:
    own = systems.vault.get_client().auth.token.lookup_self()["data"]["entity_id"]

    found = contain(incident(f"vault-entity={own}"), systems, ledger, pace=QUICK)

    assert {c.access.kind for c in found if c.status is AccessStatus.REFUSED} >= {
        "vault-entity",
        "vault-entity-tokens",
    }
    assert attempts(ledger) == []


def test_an_approles_found_login_is_tried_and_its_leases_are_ended(
    systems: Systems,
    lab_vault: Vault,
    lab_vault_world: VaultWorld,
    lab_postgres: Postgres,
    ledger: FileLedger,
    incident: Make,
) -> None:
    login, jar = new_login(lab_vault, STOLEN_FROM), Credentials()
    jar.add("vault-approle", STOLEN_FROM, json.dumps(login))

    found = by_kind(contain(incident(f"vault-approle={STOLEN_FROM}"), systems, ledger, jar=jar))

    assert set(found) == {"approle", "vault-leases"}
    proof = found["approle"].proof
    assert proof is not None
    assert proof.method is ProofMethod.ATTEMPT
    assert not enters(lab_vault, login)
    assert not any(logs_in(lab_postgres, *known) for known in lab_vault_world.stolen.logins)
    assert login["secret_id"] not in ledger.path.read_text()


def test_the_secret_id_issued_in_its_place_survives_the_next_run(
    systems: Systems, lab_vault: Vault, lab_vault_world: VaultWorld, ledger: FileLedger, incident: Make
) -> None:
    suspect = incident(f"vault-approle={STOLEN_FROM}")
    contain(suspect, systems, ledger)
    root = lab_vault.client()
    issue = ledger.attempt(Phase.REMEDIATE, ISSUE, f"vault/approle/{STOLEN_FROM}", principal=STOLEN_FROM)
    new = root.auth.approle.generate_secret_id(STOLEN_FROM)["data"]
    ledger.result(issue, "ok", ref=new["secret_id_accessor"])
    role_id = root.auth.approle.read_role_id(STOLEN_FROM)["data"]["role_id"]
    token = lab_vault.client("").auth.approle.login(role_id, new["secret_id"])["auth"]["client_token"]
    foreign = new_login(lab_vault, STOLEN_FROM)  # a secret id that nobody of ours issued

    found = by_kind(contain(suspect, systems, ledger))

    assert {c.status for c in found.values()} == {AccessStatus.CLOSED}, found
    assert alive(lab_vault, token)
    assert enters(lab_vault, {"role_id": role_id, "secret_id": new["secret_id"]})
    assert not enters(lab_vault, foreign)


def test_an_unknown_approle_is_an_error_not_a_success(
    systems: Systems, ledger: FileLedger, incident: Make
) -> None:
    found = contain(incident("vault-approle=suport-chat"), systems, ledger, pace=QUICK)
    assert AccessStatus.FAILED in {c.status for c in found}
    assert any("no AppRole suport-chat" in c.detail for c in found)


def static_password(vault: Vault) -> tuple[str, str]:
    data = vault.client().read(f"database/static-creds/{STATIC_ROLE}")["data"]
    return data["username"], data["password"]


def test_a_shared_database_password_that_the_suspect_could_read_is_rotated_once(
    systems: Systems,
    lab_vault: Vault,
    lab_vault_world: VaultWorld,
    lab_postgres: Postgres,
    ledger: FileLedger,
    incident: Make,
) -> None:
    let(lab_vault, STOLEN_FROM, "database/static-creds/+", "read")
    user, old = static_password(lab_vault)
    assert logs_in(lab_postgres, user, old)
    suspect = incident(f"vault-accessor={lab_vault_world.stolen.accessor}")
    shown = plan_changes(suspect, systems)
    assert f"database/{STATIC_ROLE}" in {c.access.ref for c in shown.changes}
    jar = Credentials()
    jar.add("postgres", user, lab_postgres.dsn(user, old))

    found = by_kind(contain(suspect, systems, ledger, jar=jar))

    assert found["vault-static-role"].status is AccessStatus.CLOSED
    assert found["vault-static-role"].proof is not None
    assert found["vault-static-role"].proof.method is ProofMethod.ATTEMPT
    assert not logs_in(lab_postgres, user, old)
    new = static_password(lab_vault)
    assert logs_in(lab_postgres, *new)

    contain(suspect, systems, ledger)
    assert static_password(lab_vault) == new
    assert all(secret not in ledger.path.read_text() for secret in (old, new[1]))


def test_vaults_own_database_login_is_rotated_when_the_suspect_could_set_it(
    systems: Systems,
    lab_vault: Vault,
    lab_vault_world: VaultWorld,
    lab_postgres: Postgres,
    ledger: FileLedger,
    incident: Make,
) -> None:
    let(lab_vault, STOLEN_FROM, "database/config/*", "update")
    old = lab_postgres.password[::-1]
    assert logs_in(lab_postgres, DATABASE_ADMIN, old)
    suspect = incident(f"vault-accessor={lab_vault_world.stolen.accessor}")
    try:
        found = by_kind(contain(suspect, systems, ledger))
        assert found["vault-db-root"].status is AccessStatus.CLOSED
        assert not logs_in(lab_postgres, DATABASE_ADMIN, old)
        innocent = lab_vault.client(lab_vault_world.innocent_token)
        assert innocent.read("database/creds/erp-orders")["data"]["username"]  # Vault itself still gets in

        before = attempts(ledger)
        again = by_kind(contain(suspect, systems, ledger))
        assert again["vault-db-root"].status is AccessStatus.CLOSED
        assert attempts(ledger) == before
    finally:
        with psycopg.connect(lab_postgres.dsn(), autocommit=True) as admin:
            admin.execute(f"ALTER ROLE {DATABASE_ADMIN} PASSWORD '{old}'")


@contextmanager
def held(postgres: Postgres, user: str) -> Iterator[None]:
    """The login owns something, so that it cannot be dropped."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(
            psycopg.sql.SQL("CREATE SCHEMA held AUTHORIZATION {}").format(psycopg.sql.Identifier(user))
        )
        try:
            yield
        finally:
            admin.execute("DROP SCHEMA IF EXISTS held")


# In one transaction: nothing happens to the login unless all of it can.
DROP = [
    """REVOKE ALL PRIVILEGES ON ALL TABLES IN SCHEMA public FROM "{{name}}\"""",
    """DROP ROLE "{{name}}\"""",
]


def test_a_forced_lease_is_closed_only_when_its_login_is_refused(
    systems: Systems,
    lab_vault: Vault,
    lab_vault_world: VaultWorld,
    lab_postgres: Postgres,
    ledger: FileLedger,
    incident: Make,
) -> None:
    """Vault forgets a lease by force, and its login still works: known by trying alone."""
    stolen = lab_vault_world.stolen
    user, password = stolen.logins[0]
    root = lab_vault.client()
    root.write("database/roles/support-readonly", db_name="shop", revocation_statements=DROP)
    suspect, jar = incident(f"vault-accessor={stolen.accessor}"), Credentials()
    with held(lab_postgres, user):
        blind = by_kind(contain(suspect, systems, ledger, pace=QUICK))
        assert blind["vault-leases"].status is AccessStatus.FAILED
        approved = plan_changes(suspect, systems, ledger).hash
        without = by_kind(contain(suspect, systems, ledger, pace=QUICK, approved=approved))
        assert without["vault-leases"].status is AccessStatus.FAILED  # no login in hand: nothing is forced
        assert root.sys.list_leases("database/creds/support-readonly/")["data"]["keys"]

        jar.add("postgres", user, lab_postgres.dsn(user, password))
        approved = plan_changes(suspect, systems, ledger).hash
        forced = by_kind(contain(suspect, systems, ledger, jar=jar, pace=QUICK, approved=approved))
        assert forced["vault-leases"].status is AccessStatus.FAILED
        assert "known database logins still work" in forced["vault-leases"].detail
        assert logs_in(lab_postgres, user, password)
    with psycopg.connect(lab_postgres.dsn(), autocommit=True) as admin:
        admin.execute(psycopg.sql.SQL("DROP OWNED BY {0}").format(psycopg.sql.Identifier(user)))
        admin.execute(psycopg.sql.SQL("DROP ROLE {0}").format(psycopg.sql.Identifier(user)))

    done = by_kind(contain(suspect, systems, ledger, jar=jar, pace=QUICK))
    assert done["vault-leases"].status is AccessStatus.CLOSED
    assert done["vault-leases"].proof is not None
    assert done["vault-leases"].proof.method is ProofMethod.ATTEMPT


@pytest.mark.parametrize(
    ("path", "capability", "expected"),
    [
        ("database/static-creds/loyalty", "read", True),
        ("database/static-creds/loyalty/more", "read", False),
        ("database/creds/a", "read", True),
        ("database/creds/secret", "read", False),
        ("kv/data/a/b", "list", True),
        ("kv/data", "list", False),
    ],
)
def test_the_rule_with_the_longest_fixed_beginning_decides(
    path: str, capability: str, expected: bool
) -> None:
    rules = read_rules(
        """
        path "database/static-creds/+" { capabilities = ["read"] }
        path "database/creds/*" {
          capabilities = ["read", "update"]
        }
        path "database/creds/secret" { capabilities = ["deny"] }
        path "kv/data/*" { capabilities = ["list"] }
        """
    )
    assert (capability in granted(rules, path)) is expected


def test_the_innocent_approle_is_not_touched(
    systems: Systems, lab_vault: Vault, lab_vault_world: VaultWorld, ledger: FileLedger, incident: Make
) -> None:
    login = new_login(lab_vault, INNOCENT)
    contain(incident(f"vault-approle={STOLEN_FROM}"), systems, ledger)
    assert enters(lab_vault, login)
    assert alive(lab_vault, lab_vault_world.innocent_token)
