"""Runs `leak-response respond` as a process, as a person or a machine would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deployments.lab.lab import Lab
from deployments.prefect_server import PrefectServer

TIMEOUT_S = 280


def command(lab: Lab, result: Path, *more: str) -> list[str]:
    now = datetime.now(UTC)
    return [
        sys.executable,
        "-m",
        "deployments.cli.main",
        "respond",
        "--lab",
        str(lab.json_path),
        "--suspect",
        "connected-app=Support Chat",
        "--window-start",
        (now - timedelta(hours=1)).isoformat(),
        "--aware-at",
        now.isoformat(),
        "--json",
        str(result),
        *more,
    ]


def environment(home: Path, server: PrefectServer) -> dict[str, str]:
    return {
        **os.environ,
        **server.env,
        "LEAK_RESPONSE_HOME": str(home),
        "LEAK_RESPONSE_STRICT_LEDGER": "1",
    }


def respond(
    lab: Lab, home: Path, server: PrefectServer, *more: str
) -> tuple[subprocess.CompletedProcess[str], Any]:
    """Run to the end; the process and the result it wrote, if any."""
    home.mkdir(parents=True, exist_ok=True)
    result = home / "result.json"
    result.unlink(missing_ok=True)
    done = subprocess.run(
        command(lab, result, *more),
        env=environment(home, server),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done, json.loads(result.read_text(encoding="utf-8")) if result.exists() else None
