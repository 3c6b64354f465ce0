"""Credentials in exposed text, found in a whole lab: the planted key and token, with who they belong to."""

from __future__ import annotations

import json
import pickle
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from blocks.systems import Systems
from blocks.vault import VaultServer
from deployments.lab.lab import Lab
from tasks.incident import Incident, Suspect, SuspectKind, Window
from tasks.scope.found import FoundCredential, accessor_of, found_credentials, scan_texts
from tasks.scope.salt import FIELD, PATH, salt_of


@pytest.fixture(scope="module")
def told(lab: Lab) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(lab.json_path.read_text(encoding="utf-8"))
    return read


@pytest.fixture(scope="module")
def systems(lab: Lab) -> Systems:
    return Systems.from_lab(lab.json_path)


def absent(systems: Systems) -> VaultServer:
    """The same Vault at an address where nothing answers."""
    return VaultServer(
        addr="http://127.0.0.1:9",
        role_id=systems.vault.role_id,
        secret_id=systems.vault.secret_id,
        timeout_s=2,
    )


def incident(*more: Suspect) -> Incident:
    now = datetime.now(UTC)
    suspects = (Suspect(SuspectKind.CONNECTED_APP, "Support Chat"), *more)
    return Incident("found-1", "tokens leaked", suspects, Window(now), now, now, "lab")


def test_the_planted_key_and_token_are_found_within_seconds(systems: Systems, told: dict[str, Any]) -> None:
    began = time.monotonic()
    found = {credential.kind: credential for credential in found_credentials(incident(), systems)}
    assert time.monotonic() - began < 10
    key, token = found[SuspectKind.AWS_ACCESS_KEY], found[SuspectKind.VAULT_ACCESSOR]
    assert len(found) == 2
    assert key.identifier == told["stolen"]["aws_access_key_id"]
    assert key.secret == told["stolen"]["aws_secret_access_key"]
    assert token.identifier == told["stolen"]["vault_accessor"]
    assert token.secret == told["stolen"]["vault_token"]
    assert key.where.startswith("Case 500")
    assert key.where.endswith(": Description")


def test_the_secret_is_neither_shown_nor_pickled(systems: Systems) -> None:
    for credential in found_credentials(incident(), systems):
        assert credential.secret not in repr(credential)
        assert credential.secret not in repr(credential.suspect)
        with pytest.raises(TypeError, match="stays in memory"):
            pickle.dumps(credential)


def test_what_the_incident_names_already_is_not_found_again(systems: Systems, told: dict[str, Any]) -> None:
    known = Suspect(SuspectKind.AWS_ACCESS_KEY, told["stolen"]["aws_access_key_id"])
    assert [c.kind for c in found_credentials(incident(known), systems)] == [SuspectKind.VAULT_ACCESSOR]


def test_every_text_is_looked_at(systems: Systems) -> None:
    scan = scan_texts(systems)
    assert scan.texts > 100
    assert scan.unread == ()
    assert scan.unresolved == 0


def test_a_dead_token_has_no_accessor_and_a_dead_vault_no_answer(systems: Systems) -> None:
    assert accessor_of(systems.vault, "s." + "A1b2C3d4" * 3) == ""
    away = absent(systems)
    assert accessor_of(away, "s." + "A1b2C3d4" * 3) is None


def test_the_salt_is_made_once_in_vault_and_again_only_where_vault_is_away(
    systems: Systems, tmp_path: Path
) -> None:
    salt = salt_of(systems.vault, tmp_path)
    assert salt.kept_in == f"Vault kv/{PATH}"
    assert salt_of(systems.vault, tmp_path / "other").value == salt.value
    assert salt.value.hex() == systems.vault.read_secret("kv", PATH, FIELD)
    assert salt.value.hex() not in repr(salt)
    away = absent(systems)
    local = salt_of(away, tmp_path)
    assert local.value != salt.value
    assert salt_of(away, tmp_path).value == local.value
    assert (tmp_path / "salt").stat().st_mode & 0o077 == 0


def test_the_task_hands_secrets_on_in_memory() -> None:
    """Prefect must not copy or store what the task returns."""
    from tasks.scope.run import find_credentials

    assert find_credentials.persist_result is False
    assert FoundCredential.__slots__ == ("kind", "identifier", "where", "secret")
