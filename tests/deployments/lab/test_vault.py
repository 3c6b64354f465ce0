"""Vault of the lab: the responder may do what response needs and no more; leaks behave as real ones do."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from typing import Any

import hvac
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, VaultDown

from deployments.lab.postgres import Postgres
from deployments.lab.vault import TRANSIT_KEY, Vault
from deployments.lab.vault_world import STATIC_ROLE, VaultWorld, put

Login = tuple[str, str]


@pytest.fixture
def responder(lab_vault: Vault, lab_vault_world: VaultWorld) -> hvac.Client:
    answer = lab_vault.client("").auth.approle.login(
        lab_vault_world.responder_role_id, lab_vault_world.responder_secret_id
    )
    return lab_vault.client(answer["auth"]["client_token"])


@pytest.fixture
def thief(lab_vault: Vault, lab_vault_world: VaultWorld) -> hvac.Client:
    return lab_vault.client(lab_vault_world.stolen.token)


def logs_in(postgres: Postgres, login: Login) -> bool:
    try:
        psycopg.connect(postgres.dsn(*login)).close()
    except psycopg.OperationalError:
        return False
    return True


def read(client: hvac.Client, path: str) -> Any:
    answer = client.secrets.kv.v2.read_secret_version(
        path=path, mount_point="kv", raise_on_deleted_version=True
    )
    return answer["data"]["data"]


def refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except Forbidden:
        return True
    return False


def test_the_stolen_token_reads_secrets_makes_logins_and_renews_itself(
    lab_vault: Vault, lab_postgres: Postgres, thief: hvac.Client
) -> None:
    put(lab_vault, "integrations/support-chat", {"key": "loot"})
    listed = thief.secrets.kv.v2.list_secrets(path="integrations", mount_point="kv")["data"]["keys"]
    assert listed == ["support-chat"]
    assert read(thief, "integrations/support-chat") == {"key": "loot"}
    lease = thief.secrets.database.generate_credentials("support-readonly")["data"]
    with psycopg.connect(lab_postgres.dsn(lease["username"], lease["password"])) as connection:
        assert connection.execute("SELECT count(*) FROM order_archive").fetchone() == (500,)
    thief.auth.token.renew_self()
    assert refused(lambda: read(thief, "leak-response/aws"))
    assert refused(lambda: thief.secrets.database.generate_credentials("erp-orders"))


def test_revoking_the_token_by_accessor_ends_its_logins_and_open_sessions_alone(
    lab_vault: Vault,
    lab_postgres: Postgres,
    lab_vault_world: VaultWorld,
    responder: hvac.Client,
    thief: hvac.Client,
) -> None:
    stolen = lab_vault_world.stolen
    assert all(logs_in(lab_postgres, login) for login in stolen.logins)
    session = psycopg.connect(lab_postgres.dsn(*stolen.logins[0]))
    responder.auth.token.revoke_accessor(stolen.accessor)
    for lease in stolen.leases:  # Vault ends them in the background; asking makes it certain
        with contextlib.suppress(InvalidRequest):
            responder.sys.revoke_lease(lease)
    assert refused(lambda: thief.auth.token.lookup_self())
    assert not any(logs_in(lab_postgres, login) for login in stolen.logins)
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    innocent = lab_vault.client(lab_vault_world.innocent_token)
    lease = innocent.secrets.database.generate_credentials("erp-orders")["data"]
    assert logs_in(lab_postgres, (lease["username"], lease["password"]))


def test_the_responder_may_list_and_revoke_leases_by_prefix(
    lab_postgres: Postgres, lab_vault_world: VaultWorld, responder: hvac.Client
) -> None:
    prefix = "database/creds/support-readonly/"
    found = responder.sys.list_leases(prefix)["data"]["keys"]
    assert {prefix + key for key in found} == set(lab_vault_world.stolen.leases)
    assert responder.sys.read_lease(lab_vault_world.stolen.leases[0])["data"]["ttl"] > 0
    responder.sys.revoke_prefix(prefix)
    assert not any(logs_in(lab_postgres, login) for login in lab_vault_world.stolen.logins)


def test_a_forced_revoke_makes_vault_forget_a_login_that_still_works(
    lab_postgres: Postgres, lab_vault_world: VaultWorld, responder: hvac.Client
) -> None:
    name, password = lab_vault_world.stolen.logins[0]
    lease = lab_vault_world.stolen.leases[0]
    with psycopg.connect(lab_postgres.dsn(), autocommit=True) as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
        admin.execute(f'ALTER TABLE kept OWNER TO "{name}"')
        try:
            with pytest.raises(InvalidRequest):
                responder.sys.revoke_lease(lease)
            assert logs_in(lab_postgres, (name, password))
            responder.sys.revoke_force(lease)
            with pytest.raises(InvalidRequest):
                responder.sys.read_lease(lease)
            assert logs_in(lab_postgres, (name, password)), "the trap that a forced revoke sets"
        finally:
            admin.execute("DROP TABLE kept")


def test_destroying_a_secret_id_leaves_issued_tokens_alive(
    lab_vault: Vault, responder: hvac.Client, thief: hvac.Client
) -> None:
    accessors = responder.auth.approle.list_secret_id_accessors("support-chat")["data"]["keys"]
    for accessor in accessors:
        responder.auth.approle.destroy_secret_id_accessor("support-chat", accessor)
    with pytest.raises(InvalidPath):
        responder.auth.approle.list_secret_id_accessors("support-chat")
    assert thief.auth.token.lookup_self()["data"]["meta"]["role_name"] == "support-chat"


def test_the_responder_is_not_root(lab_vault: Vault, responder: hvac.Client) -> None:
    put(lab_vault, "leak-response/aws", {"access_key_id": "x"})
    assert read(responder, "leak-response/aws") == {"access_key_id": "x"}
    for call in (
        lambda: responder.sys.create_or_update_policy("mine", 'path "*" { capabilities = ["sudo"] }'),
        lambda: responder.auth.token.create(policies=["root"]),
        lambda: responder.sys.seal(),
        lambda: responder.secrets.transit.delete_key(TRANSIT_KEY),
        lambda: responder.secrets.transit.export_key(TRANSIT_KEY, "signing-key"),
        lambda: responder.secrets.transit.update_key_configuration(TRANSIT_KEY, deletion_allowed=True),
        lambda: responder.secrets.database.generate_credentials("support-readonly"),
        lambda: put_as(responder, "leak-response/aws"),
    ):
        assert refused(call)


def put_as(client: hvac.Client, path: str) -> object:
    return client.secrets.kv.v2.create_or_update_secret(path, {"a": "b"}, mount_point="kv")


def test_the_ledger_key_signs_but_cannot_be_exported_or_deleted_even_by_root(
    lab_vault: Vault, responder: hvac.Client
) -> None:
    message = b"ledger head"
    signed = responder.secrets.transit.sign_data(TRANSIT_KEY, hash_input=base64.b64encode(message).decode())[
        "data"
    ]["signature"]
    key = responder.secrets.transit.read_key(TRANSIT_KEY)["data"]
    assert key["type"] == "ed25519"
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key["keys"]["1"]["public_key"]))
    public.verify(base64.b64decode(signed.rpartition(":")[2]), message)
    root = lab_vault.client()
    with pytest.raises(InvalidRequest, match="not exportable"):
        root.secrets.transit.export_key(TRANSIT_KEY, "signing-key")
    with pytest.raises(InvalidRequest, match="deletion is not allowed"):
        root.secrets.transit.delete_key(TRANSIT_KEY)


def test_rotating_a_static_role_and_the_root_password_changes_who_logs_in(
    lab_vault: Vault, lab_postgres: Postgres, responder: hvac.Client
) -> None:
    root = lab_vault.client()
    before = root.secrets.database.get_static_credentials(STATIC_ROLE)["data"]
    assert logs_in(lab_postgres, (before["username"], before["password"]))
    responder.secrets.database.rotate_static_role_credentials(STATIC_ROLE)
    after = root.secrets.database.get_static_credentials(STATIC_ROLE)["data"]
    assert not logs_in(lab_postgres, (before["username"], before["password"]))
    assert logs_in(lab_postgres, (after["username"], after["password"]))
    old_root = ("vault_admin", lab_postgres.password[::-1])
    assert logs_in(lab_postgres, old_root)
    responder.secrets.database.rotate_root_credentials("shop")
    assert not logs_in(lab_postgres, old_root)


def test_the_audit_log_proves_which_token_read_a_secret(
    lab_vault: Vault, thief: hvac.Client, lab_vault_world: VaultWorld, responder: hvac.Client
) -> None:
    put(lab_vault, "integrations/erp-sync", {"key": "loot"})
    read(thief, "integrations/erp-sync")
    hashed = responder.sys.calculate_hash("lab", lab_vault_world.stolen.accessor)["data"]["hash"]
    events = [json.loads(line) for line in lab_vault.audit_log.read_text().splitlines()]
    reads = [
        event
        for event in events
        if event["type"] == "response"
        and event["request"]["path"] == "kv/data/integrations/erp-sync"
        and event["request"]["operation"] == "read"
    ]
    assert [event["auth"]["accessor"] for event in reads] == [hashed]
    assert lab_vault_world.stolen.token not in lab_vault.audit_log.read_text()


def test_a_sealed_vault_answers_nothing_until_it_is_unsealed(
    lab_vault: Vault, lab_vault_world: VaultWorld, responder: hvac.Client
) -> None:
    lab_vault.seal()
    with pytest.raises(VaultDown):
        responder.auth.token.lookup_self()
    lab_vault.unseal()
    assert responder.auth.token.lookup_self()["data"]["meta"]["role_name"] == "leak-response"
