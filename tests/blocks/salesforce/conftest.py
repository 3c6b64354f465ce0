"""A server that misbehaves on request, and an org block that talks to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.salesforce.org import SalesforceOrg
from tests.blocks.salesforce.unruly import Unruly, running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Unruly]:
    with running(tmp_path) as unruly:
        yield unruly


@pytest.fixture
def org(server: Unruly) -> SalesforceOrg:
    return SalesforceOrg(
        instance_url=server.url,
        auth="jwt",
        consumer_key="consumer",
        username="responder@lab.example",
        secret=[f"file:{server.key_file}"],
        audience=server.url,
        ca_bundle=server.ca,
        timeout_s=1,
        retry_s=8,
    )
