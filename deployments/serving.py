"""Makes the deployments known to a Prefect server and runs the worker that carries them out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from blocks.errors import BadInput, LeakResponseError
from deployments.lab.process import Process, clean_env
from deployments.prefect_server import PrefectServer
from tasks.incident import home

ROOT = Path(__file__).parent.parent
POOL = "leak-response"
LAB_PLAN = "default"  # what the form of `respond` offers


class ServingFailed(LeakResponseError):
    """Prefect did not take the deployments."""


def register_lab(lab_json: Path, name: str = LAB_PLAN) -> None:
    """Register the block types and save the lab's systems and plan under this name.

    Raises BadInput when the name stands for systems that are not a lab's: a rehearsal must not take the place
    of the real ones.
    """
    from blocks.systems import Systems, register_all, saved_org

    register_all()
    kept = saved_org(name)
    host = urlsplit(kept.instance_url).hostname if kept else "127.0.0.1"
    if host != "127.0.0.1":
        raise BadInput(
            f"The systems saved as {name!r} are real ones (Salesforce at {host}).",
            "Give the lab another name, or another Prefect server (PREFECT_API_URL, LEAK_RESPONSE_HOME).",
        )
    Systems.from_lab(lab_json).save(name)


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
