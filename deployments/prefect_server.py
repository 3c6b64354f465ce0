"""The Prefect server a command needs: the one already running, or one of our own while the command runs."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blocks.errors import BadInput, Unreachable
from deployments.lab.process import Process, claim_port, clean_env

READY_TIMEOUT_S = 180  # a first start makes the database; on a busy machine that takes most of a minute

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # no traffic to anybody
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P90D",  # the default of 7 days is shorter than an incident
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    "PREFECT_CLI_PROMPT": "false",
}


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """Where the API and the UI are, and the environment with which a process reaches them."""

    api_url: str
    home: Path

    @property
    def ui_url(self) -> str:
        return self.api_url.removesuffix("/api")

    @property
    def env(self) -> Mapping[str, str]:
        return {**QUIET, "PREFECT_API_URL": self.api_url, "PREFECT_HOME": str(self.home)}

    def use(self) -> None:
        """Point this process at the server. Must come before the first `import prefect`.

        Logs go to the server, where the UI shows them; the terminal shows our own progress.
        """
        os.environ.update(self.env)
        os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


def healthy(api_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=5) as reply:  # noqa: S310
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def running_server(home: Path) -> PrefectServer | None:
    """The server named by PREFECT_API_URL, if one is; raises Unreachable when it does not answer."""
    api_url = os.environ.get("PREFECT_API_URL")
    if not api_url:
        return None
    if not healthy(api_url):
        raise Unreachable(
            f"The Prefect server at {api_url} does not answer.",
            "Start it (`prefect server start`), correct PREFECT_API_URL, or unset it to use one of our own.",
        )
    return PrefectServer(api_url, Path(os.environ.get("PREFECT_HOME", str(home / "prefect"))))


class OwnServer:
    """A Prefect server started by us, under the same guard as the lab: it ends when we end."""

    def __init__(self, home: Path, port: int = 0) -> None:
        port = claim_port(port, "Prefect")
        self.server = PrefectServer(f"http://127.0.0.1:{port}/api", home / "prefect")
        self.server.home.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "prefect",
            "server",
            "start",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        self._process = Process(
            "Prefect", command, log=home / "logs" / "prefect-server.log", env=clean_env(**self.server.env)
        )

    def wait(self) -> None:
        """Return when it answers. Raises LabError with the end of its log when it does not."""
        self._process.wait_until(lambda: healthy(self.server.api_url), READY_TIMEOUT_S)

    def stop(self) -> None:
        self._process.stop()


@contextmanager
def prefect_server(
    home: Path, port: int = 0, meanwhile: Callable[[], None] = lambda: None
) -> Iterator[PrefectServer]:
    """The running server, or one of our own on `port` (0: any); this process is pointed at it.

    `meanwhile` runs while our own server starts, with this process already pointed at it.
    """
    if "prefect" in sys.modules:
        raise BadInput(
            "Prefect was imported before its server was chosen.", "This is a bug: please report it."
        )
    found = running_server(home)
    own = None if found else OwnServer(home, port)
    server = found or own.server  # type: ignore[union-attr]
    try:
        server.use()
        meanwhile()
        if own:
            own.wait()
        yield server
    finally:
        _flush_logs()
        if own:
            own.stop()


def _flush_logs() -> None:
    """Send the logs that wait, while there is still a server to take them."""
    if "prefect" in sys.modules:
        from prefect.logging.handlers import APILogHandler

        APILogHandler().flush()
