"""Starts the lab's AWS and hands out clients for it."""

from __future__ import annotations

import secrets
import string
import sys
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config

from ..errors import LabError
from ..process import Process, claim_port, clean_env

REGION = "eu-central-1"
_MAKING = threading.Lock()  # a session is not thread-safe; the clients it makes are


@cache
def _session() -> Any:
    """One session for all clients: it remembers the service descriptions it has read."""
    return boto3.session.Session()


@dataclass(frozen=True, slots=True)
class Aws:
    """A running account. `admin` may do everything; what lives in the account is seeded by `world`."""

    process: Process
    endpoint: str
    admin_key_id: str
    admin_secret: str
    control_token: str

    region = REGION

    @classmethod
    def start(cls, folder: Path, *, port: int = 0, log_delay_s: float = 0.0, logs: Path | None = None) -> Aws:
        """Start and wait until it answers. Raises LabError."""
        port = claim_port(port, "AWS")
        letters = string.ascii_letters + string.digits
        admin_key_id = "AKIA" + "".join(secrets.choice(string.ascii_uppercase + "234567") for _ in range(16))
        admin_secret = "".join(secrets.choice(letters) for _ in range(40))
        control_token = secrets.token_urlsafe(24)
        process = Process(
            "AWS",
            [sys.executable, "-m", "deployments.lab.aws", str(port)],
            log=(logs or folder) / "aws.log",
            env=clean_env(
                LAB_AWS_ADMIN_KEY_ID=admin_key_id,
                LAB_AWS_ADMIN_SECRET=admin_secret,
                LAB_CONTROL_TOKEN=control_token,
                LAB_LOG_DELAY_S=str(log_delay_s),
                # moto signs calls to itself with these when it has to; never real ones.
                AWS_EC2_METADATA_DISABLED="true",
            ),
        )
        server = cls(process, f"http://127.0.0.1:{port}", admin_key_id, admin_secret, control_token)
        process.wait_until(server._ready)
        return server

    def client(
        self,
        service: str,
        key_id: str = "",
        secret: str = "",
        token: str | None = None,
        *,
        region: str = REGION,
    ) -> Any:
        """A boto3 client that takes nothing from the environment; the administrator's without a key."""
        with _MAKING:
            return _session().client(
                service,
                region_name=region,
                endpoint_url=self.endpoint,
                aws_access_key_id=key_id or self.admin_key_id,
                aws_secret_access_key=secret or self.admin_secret,
                aws_session_token=token,
                config=Config(retries={"total_max_attempts": 1}, proxies={}, s3={"addressing_style": "path"}),
            )

    def control(self, what: str, body: dict[str, Any] | None = None, *, method: str = "POST") -> Any:
        """Call the lab's own address: requests, events, reset, faults, latency."""
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                method,
                f"{self.endpoint}/__lab__/{what}",
                json=body,
                headers={"Authorization": f"Bearer {self.control_token}"},
                timeout=30,
            )
        if answer.status_code != 200:
            raise LabError(f"The lab's AWS refused {what}: {answer.text}", "Check the control call.")
        return answer.json()

    def reset(self) -> None:
        """Empty the account but for its administrator."""
        self.control("reset")

    def stop(self) -> None:
        self.process.stop()

    def _ready(self) -> bool:
        try:
            with requests.Session() as session:
                session.trust_env = False
                return session.get(f"{self.endpoint}/__lab__/health", timeout=2).status_code == 200
        except requests.RequestException:
            return False
