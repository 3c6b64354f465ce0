"""The Vault block against a real OpenBao: login, renewal, sealing, and the check of our own policy."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from blocks.check import failed
from blocks.errors import SecretUnavailable, Unreachable
from blocks.secrets import resolve
from blocks.vault import VaultRefused, VaultServer, vault_errors
from deployments.lab.vault import Vault
from deployments.lab.vault_world import VaultWorld, put


@pytest.fixture
def vault(lab_vault: Vault, lab_vault_world: VaultWorld, tmp_path: Path) -> VaultServer:
    secret_id = tmp_path / "secret-id"
    secret_id.write_text(lab_vault_world.responder_secret_id + "\n")
    return VaultServer(
        addr=lab_vault.addr, role_id=lab_vault_world.responder_role_id, secret_id=[f"file:{secret_id}"]
    )


def test_the_responder_of_the_lab_has_what_it_needs(vault: VaultServer) -> None:
    checks = vault.check()
    assert failed(checks) == []
    assert any("sign the ledger" in check.name for check in checks)


def test_a_secret_is_read_and_a_missing_one_named(lab_vault: Vault, vault: VaultServer) -> None:
    put(lab_vault, "leak-response/slack", {"token": "xoxb-1"})
    assert resolve(["vault:kv/leak-response/slack#token"], vault) == "xoxb-1"
    with pytest.raises(SecretUnavailable, match="has no field nope"):
        resolve(["vault:kv/leak-response/slack#nope"], vault)
    with pytest.raises(SecretUnavailable, match="no such thing"):
        resolve(["vault:kv/leak-response/none#token"], vault)
    with pytest.raises(SecretUnavailable, match="forbids"):
        resolve(["vault:kv/somebody-else#token"], vault)


def test_a_revoked_token_is_replaced_once_for_all_threads(lab_vault: Vault, vault: VaultServer) -> None:
    client = vault.get_client()
    own = client.auth.token.lookup_self()["data"]["accessor"]
    lab_vault.client().auth.token.revoke_accessor(own)
    barrier = threading.Barrier(8)

    def look(_: int) -> str:
        barrier.wait()
        return str(client.auth.token.lookup_self()["data"]["accessor"])

    with ThreadPoolExecutor(8) as pool:
        accessors = set(pool.map(look, range(8)))
    assert len(accessors) == 1 and own not in accessors


def test_a_forbidden_path_is_not_tried_with_ever_new_logins(vault: VaultServer) -> None:
    client = vault.get_client()
    before = client.auth.token.lookup_self()["data"]["accessor"]
    with (
        pytest.raises(VaultRefused, match="forbids this: reading sys/raw") as caught,
        vault_errors("reading sys/raw"),
    ):
        client.adapter.get("/v1/sys/raw/x")
    assert caught.value.status == 403
    assert client.auth.token.lookup_self()["data"]["accessor"] == before


def test_a_sealed_vault_says_so_at_once_and_files_take_over(
    lab_vault: Vault, vault: VaultServer, tmp_path: Path
) -> None:
    vault.get_client().auth.token.lookup_self()
    lab_vault.seal()
    with pytest.raises(Unreachable, match="sealed"):
        vault.read_secret("kv", "leak-response/slack", "token")
    (tmp_path / "token").write_text("from-file")
    assert resolve(["vault:kv/leak-response/slack#token", f"file:{tmp_path / 'token'}"], vault) == "from-file"
    checks = vault.check()
    assert [check.name for check in failed(checks)] == ["Vault: reachable and unsealed"]
    lab_vault.unseal()
    assert failed(vault.check()) == []


def test_a_vault_that_hangs_holds_nobody_up_for_long(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-file")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        addr = f"http://127.0.0.1:{silent.getsockname()[1]}"
        vault = VaultServer(addr=addr, role_id="r", secret_id=[f"file:{tmp_path / 'secret'}"], timeout_s=1)
        places = ["vault:kv/a/b#c", f"file:{tmp_path / 'secret'}"]
        began = time.monotonic()
        assert resolve(places, vault) == "from-file"
        first = time.monotonic()
        assert [resolve(places, vault) for _ in range(10)] == ["from-file"] * 10
        assert first - began < 4 and time.monotonic() - first < 0.5


def test_missing_capabilities_come_with_the_stanza_to_add(lab_vault: Vault, vault: VaultServer) -> None:
    policy = 'path "transit/keys/leak-response-ledger" { capabilities = ["read"] }'
    lab_vault.client().sys.create_or_update_policy("leak-response", policy)
    missing = failed(vault.check())
    names = {check.name for check in missing}
    assert "Vault: may sign the ledger" in names and "Vault: may revoke a lease" in names
    assert "Vault: may read the ledger's public key" not in names
    fix = next(check.fix for check in missing if check.name == "Vault: may sign the ledger")
    assert 'path "transit/sign/leak-response-ledger" { capabilities = ["update"] }' in fix


def test_a_wrong_secret_id_is_refused_without_repeating_it(vault: VaultServer, tmp_path: Path) -> None:
    (tmp_path / "secret-id").write_text("0000-wrong")
    checks = vault.check()
    bad = failed(checks)[0]
    assert bad.name == "Vault: AppRole login" and "secret id" in bad.fix
    assert "0000-wrong" not in str(checks)


def test_nobody_listening_is_unreachable(vault: VaultServer) -> None:
    dead = VaultServer(**{**vault.model_dump(), "addr": "http://127.0.0.1:9", "timeout_s": 2})
    assert [check.name for check in failed(dead.check())] == ["Vault: reachable and unsealed"]


def test_the_environment_lends_no_token(
    vault: VaultServer, monkeypatch: pytest.MonkeyPatch, lab_vault: Vault
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", lab_vault.root_token)
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")
    with pytest.raises(VaultRefused), vault_errors("looking up nobody"):
        vault.client_with("").auth.token.lookup_self()
    assert vault.get_client().auth.token.lookup_self()["data"]["policies"] == ["default", "leak-response"]


def test_a_stolen_token_can_be_tried(
    vault: VaultServer, lab_vault_world: VaultWorld, lab_vault: Vault
) -> None:
    stolen = vault.client_with(lab_vault_world.stolen.token)
    assert stolen.auth.token.lookup_self()["data"]["accessor"] == lab_vault_world.stolen.accessor
    vault.get_client().auth.token.revoke_accessor(lab_vault_world.stolen.accessor)
    with pytest.raises(VaultRefused), vault_errors("trying the stolen token"):
        stolen.auth.token.lookup_self()
