"""Who read a secret, and whose a token is, out of the audit log of a real server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hvac.exceptions import Forbidden

from deployments.lab.vault import AUDIT_DEVICE, Vault
from deployments.lab.vault_world import STOLEN_FROM, VaultWorld, put
from tasks.contain.vault.audit import accessors_of, made_by, readers
from tasks.contain.vault.server import Vault as Face
from tasks.incident import SuspectKind

from .test_vault import responder

AGO = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
def face(lab_vault: Vault, lab_vault_world: VaultWorld, tmp_path: Path) -> Face:
    return Face(responder(lab_vault, lab_vault_world, tmp_path))


def lines(vault: Vault) -> list[str]:
    return vault.audit_log.read_text().splitlines()


def read(vault: Vault, token: str, path: str) -> None:
    vault.client(token).secrets.kv.v2.read_secret_version(
        path, mount_point="kv", raise_on_deleted_version=True
    )


def test_the_reader_of_a_secret_is_known_and_who_was_refused_is_not_called_one(
    lab_vault: Vault, lab_vault_world: VaultWorld, face: Face
) -> None:
    put(lab_vault, "integrations/support-chat", {"webhook": "a-secret-value"})
    put(lab_vault, "integrations/support-chat-old", {"webhook": "another"})
    stolen = lab_vault_world.stolen
    read(lab_vault, stolen.token, "integrations/support-chat")
    read(lab_vault, stolen.token, "integrations/support-chat-old")
    with pytest.raises(Forbidden):
        read(lab_vault, lab_vault_world.innocent_token, "integrations/support-chat")

    found = readers(["{broken", *lines(lab_vault)], "kv", "integrations/support-chat", since=AGO)

    assert [reader.role for reader in found] == [STOLEN_FROM]
    hashed = found[0].accessor_hash
    assert accessors_of(face, AUDIT_DEVICE, [hashed]) == {hashed: stolen.accessor}
    suspect = found[0].suspect
    assert suspect is not None
    assert suspect.kind is SuspectKind.VAULT_ENTITY
    entity = lab_vault.client().auth.token.lookup_accessor(stolen.accessor)["data"]["entity_id"]
    assert suspect.identifier == entity
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert readers(lines(lab_vault), "kv", "integrations/support-chat", since=later) == []


def test_an_orphan_made_by_the_stolen_token_is_found(
    lab_vault: Vault, lab_vault_world: VaultWorld, face: Face
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
    face.revoke_token(stolen.accessor)
    assert face.token(orphan["accessor"]) is not None  # it outlives its maker

    hashes = made_by(lines(lab_vault), face.audit_hash(AUDIT_DEVICE, stolen.accessor))

    assert set(accessors_of(face, AUDIT_DEVICE, hashes).values()) == {orphan["accessor"], second["accessor"]}
