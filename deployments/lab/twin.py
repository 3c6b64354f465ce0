"""Starts the Salesforce twin and speaks to its control address."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from .errors import LabError
from .process import Process, claim_port, clean_env


@dataclass(frozen=True, slots=True)
class Twin:
    """The running twin of an org. `org` is what it wrote about itself (org.json)."""

    process: Process
    url: str
    ca: Path
    folder: Path
    org: Mapping[str, Any]

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        seed: int = 1,
        contacts: int = 10_000,
        latency_ms: int = 0,
        log_delay_s: float = 2.0,
        port: int = 0,
        logs: Path | None = None,
    ) -> Twin:
        """Start and wait until its data is there and it answers. Raises LabError."""
        folder.mkdir(parents=True, exist_ok=True)
        process = Process(
            "Salesforce",
            [
                *(sys.executable, "-m", "deployments.lab.salesforce", "--dir", folder.absolute()),
                *("--port", str(claim_port(port, "Salesforce") if port else 0), "--seed", str(seed)),
                *("--contacts", str(contacts), "--latency-ms", str(latency_ms)),
                *("--log-delay-s", str(log_delay_s)),
            ],
            log=(logs or folder) / "salesforce.log",
            env=clean_env(PYTHONUNBUFFERED="1"),
        )
        process.wait_until(lambda: _ready_line(process.log) is not None, timeout_s=60 + contacts / 2000)
        ready = _ready_line(process.log) or {}
        org = json.loads((folder / "org.json").read_text(encoding="utf-8"))
        return cls(process, ready["url"], Path(ready["ca"]), folder, org)

    @property
    def control_token_file(self) -> Path:
        return self.folder.absolute() / "admin-token"

    def control(self, what: str, body: Mapping[str, Any] | None = None, *, method: str = "POST") -> Any:
        """Call the lab's own address: plant, insert, clock, faults, latency, requests, truth, persons."""
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                method,
                f"{self.url}/__lab__/{what}",
                json=body,
                headers={"Authorization": f"Bearer {self.control_token_file.read_text().strip()}"},
                verify=str(self.ca),
                timeout=120,
            )
        if not answer.ok:
            raise LabError(
                f"The lab's Salesforce refused {what}: {answer.text[:300]}", "Check the control call."
            )
        kind = answer.headers.get("Content-Type", "")
        return answer.json() if kind.startswith("application/json") else answer.text

    def stop(self) -> None:
        self.process.stop()


def _ready_line(log: Path) -> dict[str, Any] | None:
    """The line `{"ready": true, "url": ..., "ca": ...}` that the twin prints, once it is there."""
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("{") and '"ready"' in line:
            try:
                found: dict[str, Any] = json.loads(line)
            except ValueError:
                continue
            return found
    return None
