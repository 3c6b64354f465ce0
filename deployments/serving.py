"""Makes the deployments known to a Prefect server and runs the worker that carries them out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from blocks.errors import LeakResponseError
from deployments.lab.process import Process, clean_env
from deployments.prefect_server import PrefectServer
from tasks.incident import home

ROOT = Path(__file__).parent.parent
POOL = "leak-response"
LAB_PLAN = "default"  # what the form of `respond` offers


class ServingFailed(LeakResponseError):
    """Prefect did not take the deployments."""


def register_lab(lab_json: Path) -> None:
    """Register the block types and save the lab's systems under the name the form offers."""
    from blocks.systems import Systems, register_all

    register_all()
    Systems.from_lab(lab_json).save(LAB_PLAN)


def start_worker(server: PrefectServer) -> Process:
    """Deploy everything in prefect.yaml and start a process worker for it; ends when we end."""
    env = clean_env(
        **server.env,
        PYTHONPATH=str(ROOT),
        LEAK_RESPONSE_HOME=str(home()),
        PREFECT_WORKER_QUERY_SECONDS="2",  # a commander waits for the start
    )
    _prefect(env, "work-pool", "create", POOL, "--type", "process", "--overwrite")
    _prefect(env, "deploy", "--all", "--prefect-file", "deployments/prefect.yaml")
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--name", "leak-response"]
    return Process(
        "Prefect worker", command, log=home() / "logs" / "prefect-worker.log", env=env, folder=ROOT
    )


def _prefect(env: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise ServingFailed(f"`prefect {arguments[0]}` failed: {' '.join(lines)}", "See the server's log.")
