"""Which secrets were read with a leaked Vault token, by the audit log of a real server: each is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from blocks.vault import VaultServer
from deployments.lab.vault import Vault
from deployments.lab.vault_world import INNOCENT, STOLEN_FROM, VaultWorld, put
from tasks.incident import Coverage, Incident, Suspect, SuspectKind, Window
from tasks.scope.vault_reads import vault_reads

Make = Callable[..., VaultServer]


@pytest.fixture
def server(lab_vault_block: VaultServer) -> Make:
    """The responder's block; `audit_log` as given."""

    def make(*audit_log: str) -> VaultServer:
        return lab_vault_block.model_copy(update={"audit_log": list(audit_log)})

    return make


def told(server: VaultServer, since: datetime, *suspects: tuple[SuspectKind, str]) -> dict[str, Coverage]:
    now = datetime.now(UTC)
    named = tuple(Suspect(kind, name) for kind, name in suspects)
    incident = Incident("inc-vault", "a token leaked", named, Window(since), now, now, "plan")
    return {line.source: line for line in vault_reads(incident, server, now)}


def test_each_secret_that_the_token_read_is_named_with_time_and_reader(
    lab_vault: Vault, lab_vault_world: VaultWorld, server: Make
) -> None:
    for name in ("support-chat", "webshop", "never-read"):
        put(lab_vault, f"integrations/{name}", {"key": f"value-of-{name}"})
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    thief = lab_vault.client(lab_vault_world.stolen.token)
    for name in ("support-chat", "webshop", "webshop"):
        thief.secrets.kv.v2.read_secret_version(
            path=f"integrations/{name}", mount_point="kv", raise_on_deleted_version=True
        )
    thief.read("database/creds/support-readonly")
    innocent = lab_vault.client(lab_vault_world.innocent_token)
    innocent.read("database/creds/erp-orders")
    accessor = (SuspectKind.VAULT_ACCESSOR, lab_vault_world.stolen.accessor)
    lines = told(server(str(lab_vault.audit_log)), before, accessor)
    assert set(lines) == {
        "Vault audit log",
        "vault:kv/data/integrations/support-chat",
        "vault:kv/data/integrations/webshop",
        "vault:database/creds/support-readonly",
    }
    log = lines["Vault audit log"]
    assert (log.present, log.events, log.lag_s, log.effect) == (True, 4, 0, "")
    shop = lines["vault:kv/data/integrations/webshop"]
    assert shop.events == 2
    assert "has to be replaced" in shop.statement
    assert STOLEN_FROM in shop.statement
    assert shop.first_event is not None
    assert before <= shop.first_event <= datetime.now(UTC)
    by_role = told(server(str(lab_vault.audit_log)), before, (SuspectKind.VAULT_APPROLE, INNOCENT))
    assert set(by_role) == {"Vault audit log", "vault:database/creds/erp-orders"}


def test_reads_outside_of_the_window_are_not_the_incidents(
    lab_vault: Vault, lab_vault_world: VaultWorld, server: Make
) -> None:
    put(lab_vault, "integrations/support-chat", {"key": "value"})
    thief = lab_vault.client(lab_vault_world.stolen.token)
    thief.secrets.kv.v2.read_secret_version(
        path="integrations/support-chat", mount_point="kv", raise_on_deleted_version=True
    )
    accessor = (SuspectKind.VAULT_ACCESSOR, lab_vault_world.stolen.accessor)
    lines = told(server(str(lab_vault.audit_log)), datetime.now(UTC), accessor)
    assert set(lines) == {"Vault audit log"}
    assert lines["Vault audit log"].events == 0


def test_a_log_that_cannot_be_read_widens_what_counts_as_read(
    lab_vault_world: VaultWorld, server: Make
) -> None:
    accessor = (SuspectKind.VAULT_ACCESSOR, lab_vault_world.stolen.accessor)
    (line,) = told(server(), datetime.now(UTC), accessor).values()
    assert not line.present
    assert "all that they may read count as read" in line.effect


def test_nothing_is_asked_where_nobody_of_vault_is_suspected(server: Make) -> None:
    (line,) = told(server(), datetime.now(UTC), (SuspectKind.CONNECTED_APP, "Support Chat")).values()
    assert line.present
    assert "not needed" in line.statement
