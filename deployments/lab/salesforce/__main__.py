"""Start the twin: `python -m deployments.lab.salesforce --dir DIR`; stops on SIGTERM or when its parent
ends.

Prints one line of JSON when it answers: {"ready": true, "url", "ca"}. Everything it makes is below DIR; what
it made on an earlier start is made anew.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import uvicorn

from deployments.lab.errors import LabError
from deployments.lab.salesforce.clock import Clock
from deployments.lab.salesforce.data import generate
from deployments.lab.salesforce.identities import Identities, organization_id
from deployments.lab.salesforce.org import Org
from deployments.lab.salesforce.schema_events import LICENCES
from deployments.lab.salesforce.server import Server
from deployments.lab.salesforce.store import Store
from deployments.lab.salesforce.tls import make_certificates


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.lab.salesforce", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="folder for everything the twin makes")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--contacts", type=int, default=10_000)
    parser.add_argument("--latency-ms", type=float, default=0.0, help="added to every call")
    parser.add_argument("--log-delay-s", type=float, default=2.0, help="how far event log files lag")
    parser.add_argument("--licences", nargs="*", choices=LICENCES, default=[], help="what the org has bought")
    return parser.parse_args()


def build(folder: Path, *, seed: int, contacts: int, log_delay_s: float) -> tuple[Org, dict[str, Any]]:
    """A new org in the folder, with data and identities."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in ("org.db", "org.db-wal", "org.db-shm", "truth.db", "truth.db-wal", "truth.db-shm"):
        (folder / old).unlink(missing_ok=True)
    for old in ("event-logs", "bulk"):
        shutil.rmtree(folder / old, ignore_errors=True)
    clock = Clock()
    store = Store(folder / "org.db", clock.now)
    generate(store, seed=seed, contacts=contacts, now=clock.now())
    org = Org(folder, store, clock, organization_id(store), log_delay_s)
    return org, Identities(org, seed).make()


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError as error:
        sys.exit(
            f"Port {port} cannot be used ({error.strerror}). Choose another with --port, or 0 for a free one."
        )
    listening.listen(512)
    return listening


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)


class _Uvicorn(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: dict[str, Any]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(json.dumps(self._ready), flush=True)


def main() -> None:
    arguments = _arguments()
    folder: Path = arguments.dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    listening = _listen(arguments.port)
    url = f"https://127.0.0.1:{listening.getsockname()[1]}"
    try:
        org, told = build(
            folder, seed=arguments.seed, contacts=arguments.contacts, log_delay_s=arguments.log_delay_s
        )
    except LabError as error:
        sys.exit(str(error))
    org.url = url
    org.stores.license(arguments.licences)
    org.faults.latency_s = arguments.latency_ms / 1000
    ca, certificate, key = make_certificates(folder)
    admin_token = secrets.token_urlsafe(32)
    _write(folder / "admin-token", admin_token)
    told = {"url": url, "ca": str(ca), "admin_token_file": str(folder / "admin-token"), **told}
    _write(folder / "org.json", json.dumps(told, indent=2))
    config = uvicorn.Config(
        Server(org, admin_token),
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        log_level="critical",  # the application logs its own failures; a client that stays connected is none
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        backlog=512,
    )
    server = _Uvicorn(config, {"ready": True, "url": url, "ca": str(ca)})
    _end_with_parent(server)
    # What is there now lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(0.001)  # a heavy query in a thread must not make small calls wait
    server.run([listening])
    org.tick()


def _end_with_parent(server: uvicorn.Server) -> None:
    """Standard input is held open by the parent: its end is the parent's end."""

    def watch() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        server.should_exit = True

    if not sys.stdin.isatty():
        threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    signal.signal(signal.SIGINT, lambda *_: setattr(server, "should_exit", True))


if __name__ == "__main__":
    main()
