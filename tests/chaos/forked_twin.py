"""The Salesforce twin as a server that goes back to its first state at once.

`python -m ... DIR USERS [EACH]`: USERS users have granted the app that is
stolen, EACH times each (default once).

The org is made once; whoever writes a line to standard input gets a fresh copy of it in some milliseconds:
the running copy is killed, the database files are put back, and a process that holds the org as it was
made is forked again. Address, keys and tokens stay the same.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import uvicorn

from deployments.lab.salesforce import __main__ as twin
from deployments.lab.salesforce import identities
from deployments.lab.salesforce.org import Org
from deployments.lab.salesforce.server import Server
from deployments.lab.salesforce.tls import make_certificates
from deployments.lab.salesforce.truth import Truth
from tests.chaos.forking import serve_copies

CONTACTS = 50
ADMIN_TOKEN = "chaos-admin-token"


def make(folder: Path, url: str, users: int, each: int) -> Org:
    """An org with that many grants to the stolen app; its description is left in `org.json`, all refresh
    tokens in `stolen/all.json`."""
    identities.GRANTS = users
    org, told = twin.build(folder, seed=1, contacts=CONTACTS, log_delay_s=0)
    org.url = url
    ca, _, _ = make_certificates(folder)
    (folder / "admin-token").write_text(ADMIN_TOKEN)
    (folder / "org.json").write_text(json.dumps({"url": url, "ca": str(ca), **told}))
    tokens = json.loads(Path(told["stolen"]["refresh_tokens_file"]).read_text())
    every = {username: [token, *more_grants(org, username, each - 1)] for username, token in tokens.items()}
    (folder / "stolen" / "all.json").write_text(json.dumps(every))
    org.tick()
    org.store.close()
    vars(org.truth)["_db"].close()  # no connection may be carried over a fork
    return org


def more_grants(org: Org, username: str, count: int) -> list[str]:
    app, user = org.apps.by_name(identities.STOLEN_APP), org.user_by_name(username)
    assert app
    assert user
    return [org.sessions.grant(app, user).refresh_token for _ in range(count)]


def databases(folder: Path) -> list[Path]:
    return [folder / "org.db", folder / "truth.db"]


def keep(folder: Path) -> None:
    """Keep what was made, to be put back."""
    for path in databases(folder):
        shutil.copyfile(path, path.with_suffix(".first"))


def put_back(folder: Path) -> None:
    for path in databases(folder):
        for more in ("-wal", "-shm"):
            path.with_name(path.name + more).unlink(missing_ok=True)
        shutil.copyfile(path.with_suffix(".first"), path)
    for name in ("event-logs", "bulk"):
        for file in (folder / name).rglob("*"):
            if file.is_file():
                file.unlink()


def serve(org: Org, listening: Any) -> None:
    """What a copy does: opens its own database connections and answers until it is killed."""
    store: Any = org.store
    store.__init__(store.path, store.clock, store.schema)
    org.truth = Truth(org.folder / "truth.db")
    config = uvicorn.Config(
        Server(org, ADMIN_TOKEN),
        ssl_certfile=str(org.folder / "server.pem"),
        ssl_keyfile=str(org.folder / "server.key"),
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        backlog=512,
    )
    uvicorn.Server(config).run([listening])


def main() -> None:
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    listening = twin._listen(0)
    url = f"https://127.0.0.1:{listening.getsockname()[1]}"
    users, each = [*map(int, sys.argv[2:]), 1][:2]
    org = make(folder, url, users, each)
    keep(folder)
    serve_copies(lambda: put_back(folder), lambda: serve(org, listening))


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
