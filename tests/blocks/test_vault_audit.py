"""Who read a secret, and whose a token is, out of the audit log of a real server."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hvac.exceptions import Forbidden

from blocks.errors import BadInput
from blocks.vault import VaultServer
from blocks.vault_audit import audit_lines, hashed, made_by, reads
from deployments.lab.vault import Vault
from deployments.lab.vault_world import STOLEN_FROM, VaultWorld, put

AGO = datetime.now(UTC) - timedelta(hours=1)


def read(vault: Vault, token: str, path: str) -> None:
    vault.client(token).secrets.kv.v2.read_secret_version(
        path, mount_point="kv", raise_on_deleted_version=True
    )


def test_the_reader_of_a_secret_is_known_and_who_was_refused_is_not_called_one(
    lab_vault: Vault, lab_vault_world: VaultWorld, lab_vault_block: VaultServer
) -> None:
    put(lab_vault, "integrations/support-chat", {"webhook": "a-secret-value"})
    put(lab_vault, "integrations/support-chat-old", {"webhook": "another"})
    stolen = lab_vault_world.stolen
    read(lab_vault, stolen.token, "integrations/support-chat")
    read(lab_vault, stolen.token, "integrations/support-chat-old")
    with pytest.raises(Forbidden):
        read(lab_vault, lab_vault_world.innocent_token, "integrations/support-chat")

    lines = ["{broken", *audit_lines(lab_vault_block)]
    found = [one for one in reads(lines, since=AGO) if one.path == "kv/data/integrations/support-chat"]

    assert [reader.role for reader in found] == [STOLEN_FROM]
    assert hashed(lab_vault_block, [stolen.accessor]) == {found[0].accessor_hash: stolen.accessor}
    entity = lab_vault.client().auth.token.lookup_accessor(stolen.accessor)["data"]["entity_id"]
    assert found[0].entity == entity
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert reads(audit_lines(lab_vault_block), since=later) == []


def test_an_orphan_made_by_the_stolen_token_is_found(
    lab_vault: Vault, lab_vault_world: VaultWorld, lab_vault_block: VaultServer
) -> None:
    root = lab_vault.client()
    rules = '\npath "auth/token/create*" { capabilities = ["update", "sudo"] }\n'
    root.sys.create_or_update_policy(
        STOLEN_FROM, root.sys.read_acl_policy(STOLEN_FROM)["data"]["policy"] + rules
    )
    stolen = lab_vault_world.stolen
    orphan = lab_vault.client(stolen.token).auth.token.create_orphan(policies=[STOLEN_FROM])["auth"]
    second = lab_vault.client(orphan["client_token"]).auth.token.create_orphan(policies=[STOLEN_FROM])["auth"]
    root.auth.token.create_orphan(policies=[STOLEN_FROM])  # somebody else's
    root.auth.token.revoke_accessor(stolen.accessor)
    for accessor in (orphan["accessor"], second["accessor"]):
        assert root.auth.token.lookup_accessor(accessor)  # they outlive their maker

    (maker,) = hashed(lab_vault_block, [stolen.accessor])
    made = hashed(lab_vault_block, [orphan["accessor"], second["accessor"]])

    assert made_by(audit_lines(lab_vault_block), maker) == set(made)


def test_files_folders_and_gzip_are_read_and_a_missing_file_is_refused(
    lab_vault_block: VaultServer, tmp_path: Path
) -> None:
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "audit-1.log.gz").write_bytes(gzip.compress(b'{"a": 1}\n{"a": 2}\n'))
    (folder / "audit-2.log").write_text('{"a": 3}\n')
    os.utime(folder / "audit-1.log.gz", (1, 1))
    shipped = lab_vault_block.model_copy(update={"audit_log": [str(folder)]})
    assert [line.strip() for line in audit_lines(shipped)] == ['{"a": 1}', '{"a": 2}', '{"a": 3}']
    missing = lab_vault_block.model_copy(update={"audit_log": [str(tmp_path / "nowhere.log")]})
    with pytest.raises(BadInput, match="cannot be read"):
        list(audit_lines(missing))
