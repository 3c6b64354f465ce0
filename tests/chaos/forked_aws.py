"""The AWS account as a server that goes back to its first state at once: `python -m ... DIR`.

Made and seeded once over its own API; after that see `forked_twin`.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from werkzeug.serving import make_server

from deployments.lab.aws import __main__ as server_module
from deployments.lab.aws import corrections
from deployments.lab.aws.bootstrap import Admin
from deployments.lab.aws.gate import Gate
from deployments.lab.aws.server import Aws
from deployments.lab.aws.trail import Trail
from deployments.lab.aws.world import seed
from tests.chaos.forking import serve_copies

ADMIN_KEY, ADMIN_SECRET = "AKIACHAOSADMIN234567", "chaos" * 8
CONTROL_TOKEN = "chaos-control-token"


def account(port: int) -> Aws:
    """The account behind that port, for its administrator. Nothing here starts or stops it."""
    process: Any = None
    return Aws(process, f"http://127.0.0.1:{port}", ADMIN_KEY, ADMIN_SECRET, CONTROL_TOKEN)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    corrections.install()
    moto = DomainDispatcherApplication(server_module.create_app)
    gate = Gate(moto, Admin(ADMIN_KEY, ADMIN_SECRET), CONTROL_TOKEN, Trail(0))
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(256)
    port = listening.getsockname()[1]

    def server() -> Any:
        return make_server(
            "127.0.0.1",
            port,
            gate,
            threaded=True,
            request_handler=server_module.Handler,
            fd=listening.fileno(),
        )

    first = server()
    answering = threading.Thread(target=first.serve_forever)
    answering.start()
    world = seed(account(port))
    (folder / "world.json").write_text(json.dumps({"port": port, **asdict(world)}))
    first.shutdown()
    answering.join()
    serve_copies(lambda: None, lambda: server().serve_forever())


if __name__ == "__main__":
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    main()
