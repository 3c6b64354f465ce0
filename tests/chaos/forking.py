"""Processes that are copies of one that has everything ready: cheap to make, to kill and to make again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NoReturn


def fork(run: Callable[[], object]) -> int:
    """Run in a copy of this process; its id. Refuses where other threads could leave a lock held."""
    if threading.active_count() != 1:
        raise RuntimeError(f"cannot fork beside threads: {threading.enumerate()}")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _run_and_leave(run)
    return child


def _run_and_leave(run: Callable[[], object]) -> NoReturn:
    code = 70
    try:
        run()
        code = 0
    except BaseException:  # a copy must never run on in its parent's code
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def serve_copies(prepare: Callable[[], object], serve: Callable[[], object]) -> None:
    """For each line on standard input: kill the copy that serves, prepare, start the next one, say so.
    Ends with its input."""
    copy = 0
    print("made", flush=True)
    for _ in sys.stdin:
        _end(copy)
        prepare()
        copy = fork(serve)
        print("serving", flush=True)
    _end(copy)


def _end(copy: int) -> None:
    if copy:
        os.kill(copy, signal.SIGKILL)
        os.waitpid(copy, 0)


class Resettable:
    """A server under `serve_copies`, seen from the test."""

    def __init__(self, module: str, arguments: Sequence[object], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._expect("made")

    def reset(self) -> None:
        """Back to the first state; returns when the new copy has been started."""
        assert self._process.stdin
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        self._expect("serving")

    def stop(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)

    def _expect(self, word: str) -> None:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        if line != word:
            raise RuntimeError(f"the server said {line!r} instead of {word!r}")
