"""jsforce logs in, queries, pages, writes, exports in bulk, and understands the twin's refusals."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.deployments.clients.tools import CLIENTS, node
from tests.deployments.lab.twin import Twin, twin

__all__ = ["twin"]
TOUR = Path(__file__).with_name("jsforce_tour.cjs")


@pytest.mark.client
def test_a_tour_with_jsforce(twin: Twin) -> None:
    if CLIENTS is None or not (CLIENTS / "node_modules" / "jsforce").is_dir():
        pytest.skip("jsforce is not installed: run install.sh beside this file and set LEAK_RESPONSE_CLIENTS")
    environment = {**os.environ, "NODE_EXTRA_CA_CERTS": twin.org["ca"], "LEAK_RESPONSE_CLIENTS": str(CLIENTS)}
    done = subprocess.run(
        [str(node()), str(TOUR), str(twin.folder / "org.json")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    contacts = twin.client().count("SELECT COUNT() FROM Contact")
    assert told.pop("describe") > 30
    assert told.pop("global") > 30
    assert told == {
        "soapLogin": "admin@lab.example",
        "wrongPassword": "INVALID_LOGIN",
        "clientCredentials": "admin@lab.example",
        "total": contacts,
        "fetched": contacts,
        "children": 5,
        "limits": True,
        "created": [True, True],
        "updated": True,
        "retrieved": ["JS one", "JS two"],
        "searched": 1,
        "destroyed": [True, True],
        "bulk": contacts,
        "loaded": [1, 1],
        "badQuery": "INVALID_FIELD",
        "badSyntax": "MALFORMED_QUERY",
        "badObject": "NOT_FOUND",
        "missingField": "REQUIRED_FIELD_MISSING",
        "badSession": "INVALID_SESSION_ID",
        "afterLogout": "INVALID_SESSION_ID",
    }
