"""Classic bulk jobs, staged security policies, credentials for callouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from blocks.systems import Systems
from deployments.lab.twin import Twin
from deployments.lab.vault import Vault
from deployments.lab.vault_world import VaultWorld
from tasks.contain.engine import contain
from tasks.contain.undo import reopen
from tasks.evidence.ledger import FileLedger
from tasks.incident import AccessStatus, Incident

from .conftest import APP, APP_PLAN, Thief, attempts, responder
from .test_salesforce import admin, rows
from .test_vault import responder as vault_responder

pytestmark = pytest.mark.slow  # a lab for every kind

Make = Callable[..., Incident]
CREDENTIAL = "Chat_Backend/Default"
CREDENTIAL_PLAN = APP_PLAN.replace(
    "policies:",
    f"    secret_at: [vault:kv/integrations/support-chat, salesforce:{CREDENTIAL}]\npolicies:",
)


def test_a_job_of_the_older_bulk_api_is_aborted_not_deleted(
    systems: Systems, twin: Twin, thief: Thief, ledger: FileLedger, incident: Make
) -> None:
    token = thief.mint()
    assert token
    with requests.Session() as session:
        session.trust_env = False
        made = session.post(
            f"{twin.url}/services/async/67.0/job",
            json={"operation": "query", "object": "Case", "contentType": "JSON"},
            headers={"X-SFDC-Session": token},
            verify=str(twin.ca),
        )
    assert made.status_code == 201, made.text

    found = contain(incident(f"connected-app={APP}"), systems, ledger)

    (job,) = [c for c in found if c.access.kind == "bulk-job"]
    assert job.access.ref == f"classic/{made.json()['id']}"
    assert job.status is AccessStatus.CLOSED
    assert job.proof is not None
    assert "Aborted" in job.proof.detail
    told = {j["id"]: j["state"] for j in admin(twin).rest("GET", "jobs/ingest")["records"]}
    assert told[made.json()["id"]] == "Aborted"


def test_a_staged_policy_is_switched_on_and_off_again_and_others_stay_off(
    systems: Systems, twin: Twin, ledger: FileLedger, incident: Make
) -> None:
    for name in ("LeakResponse_BlockBulk", "Somebody_Elses"):
        policy = {"DeveloperName": name, "MasterLabel": name, "State": "Disabled", "EventName": "ApiEvent"}
        twin.control("insert", {"object": "TransactionSecurityPolicy", "record": policy})
    states = "SELECT DeveloperName, State FROM TransactionSecurityPolicy ORDER BY DeveloperName"
    suspect = incident(f"connected-app={APP}")

    contain(suspect, systems, ledger)
    assert [row["State"] for row in rows(twin, states)] == ["Enabled", "Disabled"]

    reopen(suspect, systems, ledger)
    assert [row["State"] for row in rows(twin, states)] == ["Disabled", "Disabled"]


def stored(twin: Twin) -> dict[str, dict[str, str]]:
    """The credential's values as only the org itself can see them."""
    import sqlite3

    with sqlite3.connect(f"file:{twin.folder / 'org.db'}?mode=ro", uri=True) as db:
        (text,) = db.execute("SELECT Principals FROM ExternalCredential").fetchone()
    return dict(json.loads(text)["Default"])


def plant_credential(twin: Twin, protocol: str) -> None:
    values = {
        "username": {"value": "chat", "encrypted": False, "revision": 1},
        "password": {"value": "leaked", "encrypted": True, "revision": 3},
    }
    credential = {
        "DeveloperName": "Chat_Backend",
        "MasterLabel": "Chat Backend",
        "AuthenticationProtocol": protocol,
        "Principals": json.dumps({"Default": values}),
    }
    twin.control("insert", {"object": "ExternalCredential", "record": credential})


def test_a_named_credentials_secret_is_replaced_once_and_kept_where_the_other_side_finds_it(
    twin: Twin,
    systems_of: Callable[..., Systems],
    lab_vault: Vault,
    lab_vault_world: VaultWorld,
    tmp_path: Path,
    ledger: FileLedger,
    incident: Make,
) -> None:
    plant_credential(twin, "Custom")
    vault = vault_responder(lab_vault, lab_vault_world, tmp_path)
    systems = systems_of(salesforce=responder(twin), vault=vault, plan=CREDENTIAL_PLAN)
    suspect = incident(f"connected-app={APP}")

    found = contain(suspect, systems, ledger)

    (closed,) = [c for c in found if c.access.kind == "named-credential"]
    assert closed.status is AccessStatus.CLOSED, closed.detail
    after = stored(twin)
    assert after["username"] == {"value": "chat", "encrypted": False, "revision": 1}
    assert after["password"]["value"] != "leaked"
    read = lab_vault.client().secrets.kv.v2.read_secret_version(
        path="integrations/support-chat", mount_point="kv", raise_on_deleted_version=True
    )
    assert read["data"]["data"]["Chat_Backend_Default_password"] == after["password"]["value"]
    assert after["password"]["value"] not in ledger.path.read_text()
    done = attempts(ledger)
    contain(suspect, systems, ledger)
    assert attempts(ledger) == done
    assert stored(twin) == after


def test_an_oauth_credential_is_a_manual_step_with_the_way_to_authenticate(
    twin: Twin, systems_of: Callable[..., Systems], ledger: FileLedger, incident: Make
) -> None:
    plant_credential(twin, "Oauth")
    systems = systems_of(salesforce=responder(twin), plan=CREDENTIAL_PLAN)

    found = contain(incident(f"connected-app={APP}"), systems, ledger)

    (step,) = [c for c in found if c.access.kind == "named-credential-login"]
    assert step.status is AccessStatus.MANUAL
    assert "Authenticate" in step.detail
    assert "/lightning/setup/NamedCredential/home" in step.detail
    assert stored(twin)["password"]["value"] == "leaked"
