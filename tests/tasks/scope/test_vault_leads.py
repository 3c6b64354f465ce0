"""What a stolen Vault token made and read is found in the audit log of a real server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from blocks.vault import VaultServer
from deployments.lab.vault import Vault
from deployments.lab.vault_world import STOLEN_FROM, VaultWorld, put
from tasks.incident import Incident, Suspect, SuspectKind, Window
from tasks.scope.vault_leads import vault_leads

KEY_ID, KEY = "AKIAQWERTYUIOPASDFGH", "abcdefghij0123456789ABCDEFGHIJ/+abcdefgh"
SECRET = "integrations/erp-sync"


Declare = Callable[..., Incident]


@pytest.fixture
def declared(lab_vault_world: VaultWorld) -> Declare:
    began = datetime.now(UTC)  # the server has served other tests before

    def declare(*more: Suspect, since: datetime = began) -> Incident:
        now = datetime.now(UTC)
        suspects = (Suspect(SuspectKind.VAULT_ACCESSOR, lab_vault_world.stolen.accessor), *more)
        return Incident("trail-1", "a token leaked", suspects, Window(since), now, now, "lab")

    return declare


def read(vault: Vault, token: str, path: str) -> None:
    kv = vault.client(token).secrets.kv.v2
    kv.read_secret_version(path, mount_point="kv", raise_on_deleted_version=True)


def test_credentials_in_secrets_that_were_read_are_found_and_their_replacements_are_not(
    lab_vault: Vault, lab_vault_world: VaultWorld, lab_vault_block: VaultServer, declared: Declare
) -> None:
    put(lab_vault, SECRET, {"aws_access_key_id": KEY_ID, "aws_secret_access_key": KEY})
    put(lab_vault, "integrations/unread", {"aws_access_key_id": KEY_ID[:-1] + "X"})
    read(lab_vault, lab_vault_world.stolen.token, SECRET)
    put(lab_vault, SECRET, {"aws_access_key_id": KEY_ID[:-1] + "Z", "aws_secret_access_key": KEY})

    trail = vault_leads(declared(), lab_vault_block)

    (found,) = trail.credentials
    assert (found.kind, found.identifier) == (SuspectKind.AWS_ACCESS_KEY, KEY_ID)
    assert found.secret == KEY and found.where == f"Vault secret kv/{SECRET}"
    assert [one.path for one in trail.read] == [f"kv/data/{SECRET}"]
    assert KEY not in repr(trail)
    assert vault_leads(declared(found.suspect), lab_vault_block).credentials == ()  # known by then


def test_an_orphan_that_the_stolen_token_made_is_a_suspect_and_so_is_what_it_read(
    lab_vault: Vault, lab_vault_world: VaultWorld, lab_vault_block: VaultServer, declared: Declare
) -> None:
    root, stolen = lab_vault.client(), lab_vault_world.stolen
    rules = root.sys.read_acl_policy(STOLEN_FROM)["data"]["policy"]
    more = '\npath "auth/token/create*" { capabilities = ["update", "sudo"] }\n'
    root.sys.create_or_update_policy(STOLEN_FROM, rules + more)
    orphan = lab_vault.client(stolen.token).auth.token.create_orphan(policies=[STOLEN_FROM])["auth"]
    put(lab_vault, SECRET, {"aws_access_key_id": KEY_ID, "aws_secret_access_key": KEY})
    read(lab_vault, orphan["client_token"], SECRET)

    trail = vault_leads(declared(), lab_vault_block)

    (made,) = trail.made
    assert (made.kind, made.identifier) == (SuspectKind.VAULT_ACCESSOR, orphan["accessor"])
    assert made.found_in == f"Vault audit log: made by {stolen.accessor}"
    assert KEY_ID in [one.identifier for one in trail.credentials]


def test_reads_before_the_window_and_a_log_nobody_can_read_are_said(
    lab_vault: Vault, lab_vault_world: VaultWorld, lab_vault_block: VaultServer, declared: Declare
) -> None:
    put(lab_vault, SECRET, {"aws_access_key_id": KEY_ID, "aws_secret_access_key": KEY})
    read(lab_vault, lab_vault_world.stolen.token, SECRET)
    assert vault_leads(declared(since=datetime.now(UTC)), lab_vault_block).read == ()
    blind = vault_leads(declared(), lab_vault_block.model_copy(update={"audit_log": []}))
    assert not blind.told and blind.read == ()
