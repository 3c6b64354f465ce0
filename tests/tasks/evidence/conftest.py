"""A Vault whose responder may sign, and an incident's folder as the phases leave it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from blocks.vault import VaultServer
from deployments.lab.postgres import Postgres
from deployments.lab.vault import Vault
from deployments.lab.vault_world import seed
from tasks.evidence.ledger import FileLedger
from tasks.evidence.seal import VaultSigner
from tasks.incident import IncidentFolder
from tests.tasks.evidence import sample


@dataclass(frozen=True)
class Signing:
    server: Vault
    block: VaultServer

    @property
    def signer(self) -> VaultSigner:
        return VaultSigner(self.block)


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory, lab_postgres: Postgres) -> Iterator[Signing]:
    """A real Vault, reached as the responder with the responder's policy."""
    folder = tmp_path_factory.mktemp("vault")
    server = Vault.start(folder)
    try:
        world = seed(server, lab_postgres, leases=1)
        secret_id = folder / "secret-id"
        secret_id.write_text(world.responder_secret_id)
        yield Signing(
            server,
            VaultServer(addr=server.addr, role_id=world.responder_role_id, secret_id=[f"file:{secret_id}"]),
        )
    finally:
        server.stop()


@pytest.fixture
def folder(tmp_path: Path) -> IncidentFolder:
    return sample.folder_at(tmp_path)


@pytest.fixture
def ledger(folder: IncidentFolder) -> FileLedger:
    return sample.fill(folder)
