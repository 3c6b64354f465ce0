"""One server of the lab as its parent sees it: started under the guard, logged, waited for, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from .errors import LabError

GUARD = Path(__file__).with_name("guard.py")


class Process:
    """A running server. Its end is tied to ours by the guard's pipe; `stop()` ends it in order."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        stop_signal: str = "TERM",
        grace_s: float = 5.0,
        user: tuple[int, int] | None = None,
        remove: Iterable[Path] = (),
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        guard: list[str] = [sys.executable, "-I", "-S", str(GUARD)]
        guard += ["--stop-signal", stop_signal, "--grace", str(grace_s)]
        if user is not None:
            guard += ["--uid", str(user[0]), "--gid", str(user[1])]
        for path in remove:
            guard += ["--remove", str(path)]
        with _private(log) as output:
            self._guard = subprocess.Popen(
                [*guard, "--", *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=folder,
                start_new_session=True,
            )

    @property
    def guard_pid(self) -> int:
        return self._guard.pid

    @property
    def alive(self) -> bool:
        return self._guard.poll() is None

    def tail(self, lines: int = 12) -> str:
        """The last lines of the server's log, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def check_alive(self) -> None:
        """Raise LabError with the end of the log when the server has died."""
        if not self.alive:
            raise LabError(
                f"The lab's {self.name} server ended with code {self._guard.returncode}.",
                f"Its log {self.log} ends with:\n{self.tail()}",
            )

    def wait_until(self, ready: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Ask `ready` until it says yes. Raises LabError when the server dies or the time is over."""
        end = time.monotonic() + timeout_s
        while not ready():
            self.check_alive()
            if time.monotonic() > end:
                tail = self.tail()
                self.stop()
                raise LabError(
                    f"The lab's {self.name} server was not ready after {timeout_s:.0f} s.",
                    f"Its log {self.log} ends with:\n{tail}",
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server and wait until it is gone. Safe to call twice."""
        pipe: IO[bytes] | None = self._guard.stdin
        if pipe is not None and not pipe.closed:
            pipe.close()
        try:
            self._guard.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.wait()


def _private(log: Path) -> IO[bytes]:
    """An empty log file for its owner alone: Vault prints its root token when it starts."""
    log.unlink(missing_ok=True)
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def free_port() -> int:
    """A TCP port on loopback that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def claim_port(port: int, server: str) -> int:
    """The port to use for a server: a free one for 0. Raises LabError when the named one is in use."""
    if port == 0:
        return free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LabError(
                f"Port {port} for the lab's {server} server cannot be used: {error.strerror}.",
                "Stop what listens there (another lab?) or choose another port.",
            ) from None
    return port


def answers(port: int) -> bool:
    """Whether something accepts connections on this loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def clean_env(**more: str) -> dict[str, str]:
    """Our environment without what would leak into a server: proxies and cloud or Vault credentials."""
    dropped = ("AWS_", "VAULT_", "BAO_", "PG", "MOTO_", "SLACK_", "http_proxy", "https_proxy", "all_proxy")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(dropped) and name.lower() not in ("http_proxy", "https_proxy", "all_proxy")
    }
    return {**kept, **more}
