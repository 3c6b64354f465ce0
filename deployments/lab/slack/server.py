"""Starts the lab's Slack and speaks to its control address."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from ..errors import LabError
from ..process import Process, claim_port, clean_env


@dataclass(frozen=True, slots=True)
class Slack:
    """A running workspace."""

    process: Process
    url: str
    token: str
    signing_secret: str
    control_token: str

    @property
    def base_url(self) -> str:
        """What slack_sdk's WebClient takes as `base_url`."""
        return f"{self.url}/api/"

    @classmethod
    def start(cls, folder: Path, *, port: int = 0, logs: Path | None = None) -> Slack:
        """Start and wait until it answers. Raises LabError."""
        port = claim_port(port, "Slack")
        token = f"xoxb-{secrets.randbelow(10**12):012d}-{secrets.token_hex(12)}"
        signing_secret, control_token = secrets.token_hex(16), secrets.token_urlsafe(24)
        process = Process(
            "Slack",
            [sys.executable, "-m", "deployments.lab.slack", str(port)],
            log=(logs or folder) / "slack.log",
            env=clean_env(
                LAB_SLACK_TOKEN=token,
                LAB_SLACK_SIGNING_SECRET=signing_secret,
                LAB_CONTROL_TOKEN=control_token,
            ),
        )
        server = cls(process, f"http://127.0.0.1:{port}", token, signing_secret, control_token)
        process.wait_until(server._ready)
        return server

    def control(self, what: str, body: dict[str, Any] | None = None, *, method: str = "POST") -> Any:
        """Call the lab's own address: state, click, submit, requests, reset, faults, latency."""
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                method,
                f"{self.url}/__lab__/{what}",
                json=body,
                headers={"Authorization": f"Bearer {self.control_token}"},
                timeout=30,
            )
        if answer.status_code != 200:
            raise LabError(f"The lab's Slack refused {what}: {answer.text}", "Check the control call.")
        return answer.json()

    def state(self) -> Any:
        """Channels with messages and pins, files, users and views."""
        return self.control("state")

    def channel(self, name: str) -> Any:
        """One channel of `state()` by name; None when there is none."""
        return next((channel for channel in self.state()["channels"] if channel["name"] == name), None)

    def reset(self) -> None:
        """Forget everything but the members and the first channels."""
        self.control("reset")

    def stop(self) -> None:
        self.process.stop()

    def _ready(self) -> bool:
        try:
            with requests.Session() as session:
                session.trust_env = False
                return session.get(f"{self.url}/__lab__/health", timeout=2).status_code == 200
        except requests.RequestException:
            return False
