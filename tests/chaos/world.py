"""A small lab for very many runs: a stolen app, key and token, and back to its first state at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from blocks.aws import AwsAccount
from blocks.evidence import EvidenceStore
from blocks.plan import load_plan
from blocks.salesforce.org import SalesforceOrg
from blocks.slack import SlackWorkspace
from blocks.systems import Systems
from blocks.vault import VaultServer
from deployments.lab import vault_world, world
from deployments.lab.aws.world import AwsWorld, Key
from deployments.lab.fault_proxy import FaultProxy
from deployments.lab.lab import PLAN
from deployments.lab.postgres import Postgres
from deployments.lab.process import clean_env
from deployments.lab.scenarios.attacker import SalesforceThief
from deployments.lab.slack.server import Slack
from deployments.lab.twin import Twin
from deployments.lab.vault import Vault
from deployments.lab.vault_world import DYNAMIC_ROLES, STOLEN_FROM
from tasks.contain.jar import Credentials
from tasks.incident import Incident, Suspect, Window
from tests.chaos.forked_aws import account
from tests.chaos.forking import Resettable
from tests.chaos.state import aws_state, salesforce_state

LEASES = 2
BROWSER_SESSIONS = 3
BULK_ROWS_PER_S = 5.0  # so slow that the thief's job still runs when it is aborted


@dataclass(frozen=True, slots=True)
class Loot:
    """What is stolen anew after each reset."""

    accessor: str
    token: str
    logins: tuple[tuple[str, str], ...]
    access_token: str  # of the integration user, minted with its refresh token


class ChaosWorld:
    """Salesforce, AWS, Vault and PostgreSQL. `reset` makes the leak happen again."""

    def __init__(self, folder: Path, *, grants: int) -> None:
        self.folder = folder
        logs = folder / "logs"
        self._twin_server = Resettable(
            "tests.chaos.forked_twin", [folder / "salesforce", grants], clean_env()
        )
        self._aws_server = Resettable("tests.chaos.forked_aws", [folder / "aws"], clean_env())
        self.postgres = Postgres.start(folder / "postgres", logs=logs)
        self.vault = Vault.start(folder / "vault", logs=logs)
        self.slack = Slack.start(folder / "slack", logs=logs)
        self.vault_proxy = FaultProxy.start(logs, int(self.vault.addr.rpartition(":")[2]), "http")
        self.postgres_proxy = FaultProxy.start(logs, self.postgres.port, "tcp")
        self._twin_server.reset()
        self._aws_server.reset()
        self.twin = twin_of(folder / "salesforce")
        made = json.loads((folder / "aws" / "world.json").read_text())
        keys = {name: Key(**made[name]) for name in ("responder", "stolen", "innocent")}
        self.aws = account(made["port"])
        self.in_aws = AwsWorld(**keys, attachments=tuple(made["attachments"]))
        self.in_vault = vault_world.seed(self.vault, self.postgres, leases=0)
        files = world.store_secrets(
            folder / "break-glass", self.twin, self.in_aws, self.vault, self.slack, self.in_vault
        )
        aws = {"region": self.aws.region, "endpoint": self.aws.endpoint}
        self.blocks = world.block_values(self.twin, aws, self.vault, self.slack, self.in_vault, files)
        self.loot: Loot

    def stop(self) -> None:
        for proxy in (self.vault_proxy, self.postgres_proxy):
            proxy.stop()
        for server in (self._twin_server, self._aws_server, self.postgres, self.vault, self.slack):
            server.stop()

    def reset(self) -> None:
        """The first state again, and the leak in it: a running bulk job, a token with leases, a key."""
        self._twin_server.reset()
        self._aws_server.reset()
        self.twin.control("latency", {"ms": 0, "bulk_rows_per_s": BULK_ROWS_PER_S})
        root = self.vault.client()
        for accessor in self._tokens():
            root.auth.token.revoke_accessor(accessor)
        role = root.auth.approle
        for old in self._secret_ids():
            role.destroy_secret_id_accessor(STOLEN_FROM, old)
        login = self.vault.client("").auth.approle.login(
            role.read_role_id(STOLEN_FROM)["data"]["role_id"],
            role.generate_secret_id(STOLEN_FROM)["data"]["secret_id"],
        )["auth"]
        creds = f"database/creds/{DYNAMIC_ROLES[STOLEN_FROM]}"
        leased = [self.vault.client(login["client_token"]).read(creds)["data"] for _ in range(LEASES)]
        self.loot = Loot(
            login["accessor"],
            login["client_token"],
            tuple((one["username"], one["password"]) for one in leased),
            self._steal_from_salesforce(),
        )

    def _steal_from_salesforce(self) -> str:
        thief = self.thief()
        username = self.twin.org["integration_username"]
        token = thief.refresh(self.refresh_tokens()[username])
        assert token
        # Sessions that no grant opened, so that revoking grants does not end them.
        (user,) = thief.query(f"SELECT Id FROM User WHERE Username = '{username}'", token).json()["records"]
        browser = {"UsersId": user["Id"], "SessionType": "UI", "LoginType": "Application"}
        self.twin.control("insert", {"object": "AuthSession", "records": [browser] * BROWSER_SESSIONS})
        job = {"operation": "query", "query": "SELECT Id, Email FROM Contact"}
        assert thief.call("POST", "/jobs/query", token, json=job).ok
        return token

    def thief(self) -> SalesforceThief:
        salesforce = {"url": self.twin.url, "api_version": "67.0", "ca": str(self.twin.ca)}
        return SalesforceThief({"salesforce": salesforce, "stolen": self.twin.org["stolen"]}, "thief/1.0")

    def refresh_tokens(self) -> dict[str, str]:
        """Stolen refresh tokens by user name."""
        found: dict[str, str] = json.loads(Path(self.twin.org["stolen"]["refresh_tokens_file"]).read_text())
        return found

    # --- what containment is given ---

    def systems(self, *, vault: Mapping[str, Any] | None = None, **changed: Mapping[str, Any]) -> Systems:
        """Blocks as a new process would build them; each may have values of its own."""
        values = {name: {**self.blocks[name], **changed.get(name, {})} for name in self.blocks}
        server = VaultServer(**{**values["vault"], **(vault or {})})
        aws = AwsAccount(**values["aws"], vault=server)
        return Systems(
            salesforce=SalesforceOrg(**values["salesforce"], vault=server),
            vault=server,
            aws=aws,
            slack=SlackWorkspace(**values["slack"], vault=server),
            evidence=EvidenceStore(**values["evidence"], aws=aws),
            plan=load_plan(PLAN),
        )

    def incident(self, *more: str) -> Incident:
        """The stolen app, with the key and the token that were found in what it could read."""
        at = datetime.now(UTC) - timedelta(minutes=5)
        suspects = (
            f"connected-app={self.twin.org['stolen']['app']}",
            f"aws-access-key={self.in_aws.stolen.access_key_id}",
            f"vault-accessor={self.loot.accessor}",
            *more,
        )
        return Incident(
            id="inc-chaos",
            what_happened="a token was stolen",
            suspects=tuple(Suspect.parse(text) for text in suspects),
            window=Window(at),
            aware_at=at,
            declared_at=at,
            plan="plan",
        )

    def jar(self, postgres_port: int | None = None) -> Credentials:
        """The found secrets, for proofs by attempt."""
        jar = Credentials()
        stolen = self.in_aws.stolen
        jar.add("aws-access-key", stolen.access_key_id, stolen.secret_access_key)
        jar.add("vault-accessor", self.loot.accessor, self.loot.token)
        for user, password in self.loot.logins:
            jar.add("postgres", user, self._dsn(user, password, postgres_port))
        return jar

    def _dsn(self, user: str, password: str, port: int | None = None) -> str:
        return psycopg.conninfo.make_conninfo(
            self.postgres.dsn(user, password), port=port or self.postgres.port
        )

    # --- what is true ---

    def _tokens(self) -> list[str]:
        """Accessors of live tokens of the integration whose token was stolen."""
        lookup = self.vault.client().auth.token.lookup_accessor
        accessors = self.vault.client().list("auth/token/accessors")["data"]["keys"]
        alive = [lookup(accessor)["data"] for accessor in accessors]
        return [t["accessor"] for t in alive if (t.get("meta") or {}).get("role_name") == STOLEN_FROM]

    def _secret_ids(self) -> list[str]:
        found = self.vault.client().list(f"auth/approle/role/{STOLEN_FROM}/secret-id")
        return list(found["data"]["keys"]) if found else []

    def ways_in(self) -> list[str]:
        """Which stolen credentials still work, by trying every one of them."""
        thief = self.thief()
        found = [
            f"refresh token of {user}"
            for user, token in self.refresh_tokens().items()
            if thief.refresh(token)
        ]
        if thief.call("GET", "/limits", self.loot.access_token).ok:
            found.append("access token")
        if self.loot.accessor in self._tokens():
            found.append("vault token")
        for user, password in self.loot.logins:
            try:
                psycopg.connect(self._dsn(user, password)).close()
                found.append("database login")
            except psycopg.OperationalError:
                pass
        keys = self.aws.client("iam").list_access_keys(UserName="support-attachments")["AccessKeyMetadata"]
        return found + [f"aws key {key['Status']}" for key in keys if key["Status"] != "Inactive"]

    def state(self) -> dict[str, Any]:
        """Everything that containment may change, without times and ids of its own making."""
        self.twin.control("flush")
        return {
            "salesforce": salesforce_state(self.folder / "salesforce" / "org.db"),
            "aws": aws_state(self.aws),
            "vault": {"tokens": len(self._tokens()), "secret ids": len(self._secret_ids())},
            "ways in": self.ways_in(),
        }


def twin_of(folder: Path) -> Twin:
    """The twin behind `org.json`. Nothing here starts or stops it."""
    org = json.loads((folder / "org.json").read_text())
    process: Any = None
    return Twin(process, org["url"], Path(org["ca"]), folder, org)
