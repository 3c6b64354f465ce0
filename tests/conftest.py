"""Lab fixtures. A test that needs one server asks for that one; `lab` is the whole lab, once per session."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.aws import AwsAccount
from blocks.vault import VaultServer
from deployments.lab.aws.server import Aws
from deployments.lab.aws.world import AwsWorld
from deployments.lab.aws.world import seed as seed_aws
from deployments.lab.lab import Lab
from deployments.lab.postgres import Postgres
from deployments.lab.slack.server import Slack
from deployments.lab.vault import AUDIT_DEVICE, Vault
from deployments.lab.vault_world import VaultWorld, seed
from deployments.prefect_server import QUIET
from tasks.notify.rules import all_rules

os.environ.update(QUIET)  # a server that a test starts talks to nobody either
COUNT = pytest.StashKey[int]()


EXERCISED = "rules_exercised"  # how a worker tells how many notification rules its tests went through


def pytest_sessionfinish(session: pytest.Session) -> None:
    rules = sys.modules.get("tests.tasks.notify.test_every_rule")
    if rules is not None and hasattr(session.config, "workeroutput"):
        session.config.workeroutput[EXERCISED] = len(rules.EXERCISED)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    count = getattr(node, "workeroutput", {}).get(EXERCISED, 0)
    node.config.stash[COUNT] = node.config.stash.get(COUNT, 0) + count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """`rules N, exercised N`: how many of the notification rules the tests went through."""
    here = sys.modules.get("tests.tasks.notify.test_every_rule")
    exercised = terminalreporter.config.stash.get(COUNT, 0) or (len(here.EXERCISED) if here else 0)
    if exercised:
        terminalreporter.write_line(f"rules {len(all_rules())}, exercised {exercised}")


@pytest.fixture
def incident_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which this test's incidents are kept."""
    home = tmp_path / "home"
    monkeypatch.setenv("LEAK_RESPONSE_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The whole lab, small, started once. A test that contains or breaks something starts its own."""
    with Lab.start(tmp_path_factory.mktemp("lab"), contacts=300, log_delay_s=1.0) as running:
        yield running


@pytest.fixture(scope="session")
def lab_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    server = Postgres.start(tmp_path_factory.mktemp("postgres"))
    yield server
    server.stop()


@pytest.fixture
def lab_vault(tmp_path_factory: pytest.TempPathFactory, lab_postgres: Postgres) -> Iterator[Vault]:
    """A Vault of its own for this test (it starts in half a second), not seeded."""
    server = Vault.start(tmp_path_factory.mktemp("vault"))
    yield server
    server.stop()


@pytest.fixture
def lab_vault_world(lab_vault: Vault, lab_postgres: Postgres) -> VaultWorld:
    """The responder, the integrations and the stolen token in `lab_vault`."""
    return seed(lab_vault, lab_postgres)


@pytest.fixture
def lab_vault_block(lab_vault: Vault, lab_vault_world: VaultWorld, tmp_path: Path) -> VaultServer:
    """`lab_vault` as the responder reaches it, its audit log readable."""
    secret_id = tmp_path / "vault-secret-id"
    secret_id.write_text(lab_vault_world.responder_secret_id)
    return VaultServer(
        addr=lab_vault.addr,
        role_id=lab_vault_world.responder_role_id,
        secret_id=[f"file:{secret_id}"],
        audit_log=[str(lab_vault.audit_log)],
        audit_device=AUDIT_DEVICE,
    )


@pytest.fixture(scope="session")
def lab_aws_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    server = Aws.start(tmp_path_factory.mktemp("aws"))
    yield server
    server.stop()


@pytest.fixture
def lab_aws(lab_aws_server: Aws) -> Aws:
    """The AWS account, emptied for this test, not seeded."""
    lab_aws_server.reset()
    return lab_aws_server


@pytest.fixture
def lab_aws_world(lab_aws: Aws) -> AwsWorld:
    """The responder, the leaked key, the innocent user and the buckets in `lab_aws`."""
    return seed_aws(lab_aws)


@pytest.fixture
def lab_aws_block(lab_aws: Aws, lab_aws_world: AwsWorld, tmp_path: Path) -> AwsAccount:
    """`lab_aws` as the responder reaches it."""
    (tmp_path / "aws-key-id").write_text(lab_aws_world.responder.access_key_id)
    (tmp_path / "aws-secret").write_text(lab_aws_world.responder.secret_access_key)
    return AwsAccount(
        endpoint_url=lab_aws.endpoint,
        region=lab_aws.region,
        access_key_id=[f"file:{tmp_path / 'aws-key-id'}"],
        secret_access_key=[f"file:{tmp_path / 'aws-secret'}"],
    )


@pytest.fixture(scope="session")
def lab_slack_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slack]:
    server = Slack.start(tmp_path_factory.mktemp("slack"))
    yield server
    server.stop()


@pytest.fixture
def lab_slack(lab_slack_server: Slack) -> Slack:
    """The Slack workspace as it was at first, for this test."""
    lab_slack_server.reset()
    return lab_slack_server
