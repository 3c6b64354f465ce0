"""External client apps: their tokens, the staged exchange of their secrets, and who must not be touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from blocks.systems import Systems
from deployments.lab.twin import Twin
from deployments.lab.vault import Vault
from deployments.lab.vault_world import VaultWorld
from tasks.contain.engine import contain, plan_changes
from tasks.contain.pace import Pace
from tasks.contain.salesforce.external_secrets import ExternalAppSecret
from tasks.contain.salesforce.replacements import keep
from tasks.contain.world import World
from tasks.evidence.ledger import FileLedger
from tasks.incident import AccessStatus, Containment, Incident, Phase, ProofMethod, System

from .conftest import PLAN, attempts, responder
from .test_salesforce import admin, rows
from .test_vault import responder as vault_responder

pytestmark = pytest.mark.slow  # a lab for every kind

Make = Callable[..., Incident]
LABEL = "Ticket Portal"
WORKER = "warehouse-sync@lab.example"
KEY, SECRET = "3MVG9portal" + "k" * 40, "A" * 64
VAULT_PATH = "integrations/support-chat"
PORTAL_PLAN = (
    PLAN
    + f"""integrations:
  - name: {LABEL}
    owner: integration_engineer
    principals:
      - {{kind: connected-app, identifier: {LABEL}}}
      - {{kind: salesforce-user, identifier: {WORKER}}}
    secret_at: [vault:kv/{VAULT_PATH}]
"""
)
NO_VAULT_PLAN = PORTAL_PLAN.replace(f"    secret_at: [vault:kv/{VAULT_PATH}]\n", "")
QUICK = Pace(tries=2, first_wait_s=0.05, longest_wait_s=0.1)


@pytest.fixture
def portal(twin: Twin) -> str:
    """An external client app that logs in as WORKER with its own secret; its id."""
    (user,) = rows(twin, f"SELECT Id FROM User WHERE Username = '{WORKER}'")
    app = {
        "DeveloperName": "Ticket_Portal",
        "MasterLabel": LABEL,
        "ConsumerId": "888000000000001",
        "ConsumerKey": KEY,
        "ConsumerSecret": SECRET,
        "Scopes": "api",
        "Flows": "client_credentials refresh",
        "RunAsUserId": user["Id"],
        "IsBlocked": 0,
    }
    made = twin.control("insert", {"object": "ExternalClientApplication", "record": app})
    return str(made["ids"][0])


@pytest.fixture
def systems(
    twin: Twin,
    systems_of: Callable[..., Systems],
    lab_vault: Vault,
    lab_vault_world: VaultWorld,
    tmp_path: Path,
) -> Systems:
    vault = vault_responder(lab_vault, lab_vault_world, tmp_path)
    lab_vault.client().secrets.kv.v2.create_or_update_secret(
        path=VAULT_PATH, secret={"webhook_url": "https://chat.lab.example"}, mount_point="kv"
    )
    return systems_of(salesforce=responder(twin), vault=vault, plan=PORTAL_PLAN)


def logs_in(twin: Twin, key: str = KEY, secret: str = SECRET) -> str | None:
    form = {"grant_type": "client_credentials", "client_id": key, "client_secret": secret}
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(f"{twin.url}/services/oauth2/token", data=form, verify=str(twin.ca))
    return str(answer.json()["access_token"]) if answer.ok else None


def works(twin: Twin, token: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        path = f"{twin.url}/services/data/v67.0/query?q=SELECT+Id+FROM+Product2+LIMIT+1"
        return session.get(path, headers={"Authorization": f"Bearer {token}"}, verify=str(twin.ca)).ok


def kept_in(vault: Vault) -> dict[str, str]:
    client = vault.client()
    read = client.secrets.kv.v2.read_secret_version(
        path=VAULT_PATH, mount_point="kv", raise_on_deleted_version=True
    )
    return dict(read["data"]["data"])


def of(found: list[Containment], kind: str) -> Containment:
    (one,) = [c for c in found if c.access.kind == kind]
    return one


def staged(twin: Twin, app: str) -> list[dict[str, Any]]:
    path = f"apps/oauth/credentials/{app}/888000000000001/staged"
    return list(admin(twin).rest("GET", path)["stagedCredentials"])


def test_tokens_end_and_the_leaked_secret_is_replaced_by_one_that_works(
    twin: Twin, portal: str, systems: Systems, lab_vault: Vault, ledger: FileLedger, incident: Make
) -> None:
    token = logs_in(twin)
    assert token
    assert works(twin, token)
    before = kept_in(lab_vault)

    found = contain(incident(f"connected-app={LABEL}"), systems, ledger)

    assert {c.status for c in found} == {AccessStatus.CLOSED, AccessStatus.MANUAL}
    assert {c.access.kind for c in found if c.status is AccessStatus.MANUAL} == {"app-block"}
    assert of(found, "external-app-tokens").status is AccessStatus.CLOSED
    assert not works(twin, token)
    proof = of(found, "external-app-secret").proof
    assert proof is not None
    assert proof.method is ProofMethod.ATTEMPT
    assert "invalid_client_id" in proof.detail
    assert logs_in(twin) is None
    assert staged(twin, portal) == []
    after = kept_in(lab_vault)
    assert before.items() <= after.items()
    new = {k.rpartition("888000000000001_")[2]: v for k, v in after.items() if k not in before}
    admin(twin).rest("PATCH", f"sobjects/UserLogin/{_login(twin)}", json={"IsFrozen": False})
    fresh = logs_in(twin, new["consumer_key"], new["consumer_secret"])
    assert fresh is not None
    text = ledger.path.read_text()
    assert not any(one in text for one in (SECRET, KEY, new["consumer_secret"], new["consumer_key"]))


def _login(twin: Twin) -> str:
    (row,) = rows(twin, f"SELECT Id FROM UserLogin WHERE User.Username = '{WORKER}'")
    return str(row["Id"])


def test_running_it_again_replaces_nothing(
    twin: Twin, portal: str, systems: Systems, lab_vault: Vault, ledger: FileLedger, incident: Make
) -> None:
    suspect = incident(f"connected-app={LABEL}")
    contain(suspect, systems, ledger)
    kept, done = kept_in(lab_vault), attempts(ledger)

    again = contain(suspect, systems, ledger)

    assert of(again, "external-app-secret").status is AccessStatus.CLOSED
    assert kept_in(lab_vault) == kept
    assert attempts(ledger) == done


@pytest.mark.parametrize("stopped_after", ["staging", "keeping", "rotating"])
def test_a_run_that_was_cut_off_is_finished_and_rotates_once(
    stopped_after: str,
    twin: Twin,
    portal: str,
    systems: Systems,
    lab_vault: Vault,
    ledger: FileLedger,
    incident: Make,
) -> None:
    """The calls of the exchange, made up to a point as an earlier run would have made them."""
    suspect = incident(f"connected-app={LABEL}")
    kind = ExternalAppSecret(World(suspect, systems))
    (access,) = kind.observe()
    ledger.attempt(
        Phase.CONTAIN, "close", access.key, system=System.SALESFORCE, kind=access.kind,
        principal=access.principal, ref=access.ref, before=dict(access.before),
    )  # fmt: skip
    path = f"apps/oauth/credentials/{portal}/888000000000001/staged"
    made = systems.salesforce.rest("POST", path)["stagedCredentials"][0]
    if stopped_after != "staging":
        pair = {"consumer_key": made["key"], "consumer_secret": made["secret"]}
        keep(kind.world, ("kv", VAULT_PATH), "salesforce_app_888000000000001", pair)
    if stopped_after == "rotating":
        systems.salesforce.rest("PATCH", f"{path}/{made['id']}", json={"command": "rotate"})

    found = contain(suspect, systems, ledger)

    assert of(found, "external-app-secret").status is AccessStatus.CLOSED
    assert logs_in(twin) is None
    assert staged(twin, portal) == []
    kept = kept_in(lab_vault)["salesforce_app_888000000000001_consumer_key"]
    assert (kept == made["key"]) == (stopped_after != "staging")
    trail = rows(twin, "SELECT Action FROM SetupAuditTrail WHERE Action = 'rotatedcredentials'")
    assert len(trail) == 1
    assert ledger.open_attempts() == []


def test_a_pair_that_somebody_else_staged_is_thrown_away_not_put_in_force(
    twin: Twin, portal: str, systems: Systems, lab_vault: Vault, ledger: FileLedger, incident: Make
) -> None:
    path = f"apps/oauth/credentials/{portal}/888000000000001/staged"
    theirs = admin(twin).rest("POST", path)["stagedCredentials"][0]

    contain(incident(f"connected-app={LABEL}"), systems, ledger)

    (now,) = admin(twin).rest("GET", f"apps/oauth/credentials/{portal}")["consumers"]
    assert now["key"] not in (theirs["key"], KEY)
    assert now["key"] == kept_in(lab_vault)["salesforce_app_888000000000001_consumer_key"]
    assert logs_in(twin, theirs["key"], theirs["secret"]) is None


def test_a_secret_a_colleague_replaced_minutes_ago_stays_and_only_its_former_one_goes(
    twin: Twin, portal: str, systems: Systems, ledger: FileLedger, incident: Make
) -> None:
    path = f"apps/oauth/credentials/{portal}/888000000000001/staged"
    theirs = admin(twin).rest("POST", path)["stagedCredentials"][0]
    admin(twin).rest("PATCH", f"{path}/{theirs['id']}", json={"command": "rotate"})
    assert logs_in(twin)  # the former pair lives on beside the new one
    aware = datetime.now(UTC) - timedelta(minutes=30)

    found = contain(replace(incident(f"connected-app={LABEL}"), aware_at=aware), systems, ledger)

    assert of(found, "external-app-secret").status is AccessStatus.CLOSED
    (now,) = admin(twin).rest("GET", f"apps/oauth/credentials/{portal}")["consumers"]
    assert now["key"] == theirs["key"]
    assert logs_in(twin) is None
    assert staged(twin, portal) == []


def test_the_responders_own_app_is_refused(
    twin: Twin, portal: str, systems: Systems, ledger: FileLedger, incident: Make
) -> None:
    """Its own consumer key tells, whatever the app is called."""
    own = twin.org["responder"]
    twin.control(
        "plant",
        {"object": "ExternalClientApplication", "id": portal, "set": {"ConsumerKey": own["consumer_key"]}},
    )
    twin.control(
        "plant",
        {"object": "ConnectedApplication", "match": {"Name": "Leak Response"}, "set": {"ConsumerKey": "old"}},
    )
    secret = own["client_secret"]
    (me,) = rows(twin, f"SELECT Id FROM User WHERE Username = '{own['username']}'")
    twin.control(
        "plant",
        {
            "object": "ExternalClientApplication",
            "id": portal,
            "set": {"ConsumerSecret": secret, "RunAsUserId": me["Id"]},
        },
    )
    own_block = systems.salesforce.model_copy(
        update={"auth": "client_credentials", "secret": [_file(twin, secret)]}
    )
    found = contain(incident(f"connected-app={LABEL}"), replace(systems, salesforce=own_block), ledger)

    refused = {c.access.kind: c.detail for c in found if c.status is AccessStatus.REFUSED}
    assert "responder's own app" in refused["external-app-secret"]
    assert staged(twin, portal) == []


def _file(twin: Twin, text: str) -> str:
    path = twin.folder / "own-secret"
    path.write_text(text)
    return f"file:{path}"


def test_without_a_place_for_the_new_secret_rotation_is_a_manual_step(
    twin: Twin, portal: str, systems_of: Callable[..., Systems], ledger: FileLedger, incident: Make
) -> None:
    systems = systems_of(salesforce=responder(twin), plan=NO_VAULT_PLAN)
    changes = plan_changes(incident(f"connected-app={LABEL}"), systems, ledger)

    manual = {change.access.kind: change.why for change in changes.changes if change.verdict == "manual"}
    assert "ManageExternalClientApplication" in manual["app-secret"]
    assert "integration_engineer, by" in manual["app-secret"]
    assert "external-app-secret" not in {change.access.kind for change in changes.changes}


def test_a_suspect_users_tokens_of_an_innocent_app_are_deleted_and_the_apps_others_stay(
    twin: Twin, portal: str, systems_of: Callable[..., Systems], ledger: FileLedger, incident: Make
) -> None:
    token = logs_in(twin)
    assert token
    systems = systems_of(salesforce=responder(twin))

    found = contain(incident(f"salesforce-user={WORKER}"), systems, ledger, pace=QUICK)

    assert of(found, "user-external-tokens").status is AccessStatus.CLOSED
    assert not works(twin, token)
    (now,) = admin(twin).rest("GET", f"apps/oauth/credentials/{portal}")["consumers"]
    assert now["key"] == KEY
