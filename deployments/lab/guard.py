"""Runs one server and ends it when its parent is gone, for whatever reason.

Run as a script, with nothing but the standard library, so that it starts in milliseconds:

    python -I -S guard.py [--stop-signal INT] [--grace 5] [--uid N --gid N] [--remove PATH] -- COMMAND ...

Its standard input is a pipe whose other end only the parent holds. The kernel closes that end when the
parent exits, crashes or is killed, so end-of-file here means: the parent is gone. Then the server's whole
process group gets the stop signal, after the grace period SIGKILL, and what --remove names
is deleted. The guard sits in a session of its own: Ctrl-C in the terminal reaches the parent alone, which
stops its servers in order.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="guard", add_help=False)
    parser.add_argument("--stop-signal", default="TERM")
    parser.add_argument("--grace", type=float, default=5.0)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--remove", action="append", default=[])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command

    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    asked_to_stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: asked_to_stop.append(received))
    signal.signal(signal.SIGCHLD, lambda _received, _frame: None)

    try:
        child = _start(command, options.uid, options.gid)
        while child.poll() is None and not asked_to_stop:
            readable, _, _ = select.select([0, wake_read], [], [])
            if wake_read in readable:
                os.read(wake_read, 512)
            if 0 in readable and not os.read(0, 512):
                break
        _stop(child, getattr(signal, f"SIG{options.stop_signal}"), options.grace)
        return child.returncode if child.returncode >= 0 else 128 - child.returncode
    finally:
        for path in options.remove:
            if os.path.isdir(path):  # noqa: PTH112 - pathlib would triple the start-up time
                shutil.rmtree(path, ignore_errors=True)
            elif os.path.exists(path):  # noqa: PTH110
                os.unlink(path)  # noqa: PTH108


def _start(command: list[str], uid: int | None, gid: int | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,  # held open by the guard: a server that watches it ends with the guard too
        process_group=0,
        user=uid,
        group=gid,
        extra_groups=[] if uid is not None else None,
        preexec_fn=_die_with_guard(),
    )


def _die_with_guard() -> Callable[[], None] | None:
    """On Linux the kernel also kills the server should the guard be killed; elsewhere only its pipe tells."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _stop(child: subprocess.Popen[bytes], stop_signal: int, grace: float) -> None:
    """Signal the group, wait, and kill what is left of it."""
    if child.poll() is None:
        _signal_group(child.pid, stop_signal)
        end = time.monotonic() + grace
        while child.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
    _signal_group(child.pid, signal.SIGKILL)
    child.wait()


def _signal_group(group: int, number: int) -> None:
    # macOS answers EPERM for a group of zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
