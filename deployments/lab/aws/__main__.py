"""Runs the lab's AWS: `python -m deployments.lab.aws PORT`, until its standard input ends.

The administrator's key comes in the environment (LAB_AWS_ADMIN_KEY_ID, LAB_AWS_ADMIN_SECRET), as do the
token of the control address (LAB_CONTROL_TOKEN) and the trail's delay in seconds (LAB_LOG_DELAY_S).
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from . import corrections
from .bootstrap import Admin
from .gate import ConnectionCut, Gate
from .trail import Trail


class Handler(MotoRequestHandler):
    """Writes no access log and can cut a connection."""

    def log_request(self, *args: Any, **kwargs: Any) -> None:
        """The gate keeps its own list of requests."""

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        if isinstance(error, ConnectionCut):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)


def create_app(service: Any) -> Any:
    """moto's application for a service, whose errors reach the gate instead of becoming a page."""
    app = create_backend_app(service)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    return app


def end_with_parent() -> None:
    """Wait for the end of standard input, then end this process."""
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    corrections.install()
    admin = Admin(os.environ["LAB_AWS_ADMIN_KEY_ID"], os.environ["LAB_AWS_ADMIN_SECRET"])
    trail = Trail(float(os.environ.get("LAB_LOG_DELAY_S", "0")))
    moto = DomainDispatcherApplication(create_app)
    gate = Gate(moto, admin, os.environ["LAB_CONTROL_TOKEN"], trail)
    server = make_server("127.0.0.1", int(sys.argv[1]), gate, threaded=True, request_handler=Handler)
    threading.Thread(target=end_with_parent, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
