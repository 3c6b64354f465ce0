"""The sf command line logs in, queries, pages, exports in bulk, and shows the twin's refusals."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployments.clients.tools import sf
from tests.deployments.lab.twin import Twin, twin

__all__ = ["twin"]
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run an sf command with --json; logged in as the administrator by JWT."""
    command = sf()
    home = tmp_path_factory.mktemp("sf-home")
    environment = {
        **os.environ,
        "HOME": str(home),
        "SF_USE_GENERIC_UNIX_KEYCHAIN": "true",
        "SF_DISABLE_TELEMETRY": "true",
        "SF_AUTOUPDATE_DISABLE": "true",
        "SF_SKIP_NEW_VERSION_CHECK": "true",
        "NODE_EXTRA_CA_CERTS": twin.org["ca"],
    }

    def run(*arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [*command, *arguments, "--json"],
            env=environment,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.stdout.strip().startswith("{"), done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    admin = twin.org["admin"]
    key = ("--client-id", admin["consumer_key"], "--jwt-key-file", admin["private_key_file"])
    who = ("--username", admin["username"], "--instance-url", twin.url, "--alias", "lab", "--set-default")
    logged_in = run("org", "login", "jwt", *key, *who)
    assert logged_in["status"] == 0, logged_in
    yield run


@pytest.mark.client
def test_query_pages_and_names_its_columns(run: Run, twin: Twin) -> None:
    told = run("data", "query", "-q", "SELECT Id, Name, Account.Name FROM Contact")["result"]
    assert told["totalSize"] == len(told["records"]) == twin.client().count("SELECT COUNT() FROM Contact")
    tooling = run("data", "query", "-t", "-q", "SELECT Id, Name FROM ApexClass")
    assert tooling["status"] == 0, tooling


@pytest.mark.client
def test_bulk_export(run: Run, twin: Twin, tmp_path: Path) -> None:
    out = tmp_path / "contacts.csv"
    told = run(
        "data", "export", "bulk", "-q", "SELECT Id, Email FROM Contact", "--output-file", str(out),
        "--result-format", "csv", "--wait", "2",
    )  # fmt: skip
    assert told["status"] == 0, told
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == twin.client().count("SELECT COUNT() FROM Contact")


@pytest.mark.client
def test_records_and_bulk_import(run: Run, tmp_path: Path) -> None:
    made = run("data", "create", "record", "-s", "Account", "-v", "Name='sf one'")["result"]["id"]
    assert run("data", "get", "record", "-s", "Account", "-i", made)["result"]["Name"] == "sf one"
    assert run("data", "update", "record", "-s", "Account", "-i", made, "-v", "Phone=1")["status"] == 0
    assert run("data", "delete", "record", "-s", "Account", "-i", made)["status"] == 0
    accounts = tmp_path / "accounts.csv"
    accounts.write_text("Name,Phone\nsf bulk one,1\nsf bulk two,2\n", encoding="utf-8")
    told = run(
        "data", "import", "bulk", "-f", str(accounts), "-s", "Account", "--line-ending", "LF", "--wait", "2"
    )  # fmt: skip
    assert (told["status"], told["result"]["processedRecords"]) == (0, 2), told


@pytest.mark.client
def test_describe_and_limits(run: Run) -> None:
    names = run("sobject", "list", "-s", "all")["result"]
    assert {"Account", "Contact", "Loyalty_Member__c"} <= set(names)
    assert run("sobject", "describe", "-s", "Case")["result"]["name"] == "Case"
    assert any(r["name"] == "DailyApiRequests" for r in run("org", "list", "limits")["result"])


@pytest.mark.client
def test_refusals(run: Run, twin: Twin) -> None:
    wrong = run("data", "query", "-q", "SELECT Nope FROM Contact")
    assert wrong["status"] != 0
    assert wrong["name"] == "INVALID_FIELD"
    assert run("data", "query", "-q", "SELECT FROM")["name"] == "MALFORMED_QUERY"
    missing = run("data", "get", "record", "-s", "Account", "-i", "001000000000000AAA")
    assert missing["name"] == "NOT_FOUND"
    other = twin.org["responder"]
    refused = run(
        "org", "login", "jwt", "--client-id", other["consumer_key"],
        "--jwt-key-file", twin.org["admin"]["private_key_file"], "--username", other["username"],
        "--instance-url", twin.url,
    )  # fmt: skip
    assert refused["status"] != 0
    assert "invalid assertion" in refused["message"]
