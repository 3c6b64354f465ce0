"""No server outlives its parent, however the parent ends: shown by process id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.lab.errors import LabError
from deployments.lab.process import Process, free_port

# A server with a child of its own that ignores SIGTERM: the hard case.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 1:
    child = subprocess.Popen([sys.executable, "-c", SOURCE, "child"])
    print(f"pids {os.getpid()} {child.pid}", flush=True)
time.sleep(600)
"""
STUBBORN = f"SOURCE = {STUBBORN!r}\n{STUBBORN}"


# A parent that starts one guarded server and then waits.
PARENT = """
import sys, time
from pathlib import Path
from deployments.lab.process import Process
process = Process("test", [sys.executable, "-c", Path(sys.argv[1]).read_text()], log=Path(sys.argv[2]),
                  grace_s=0.5, remove=[Path(sys.argv[3])])
print("guard", process.guard_pid, flush=True)
try:
    time.sleep(600)
finally:
    if len(sys.argv) > 4:
        process.stop()
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def pids_in(log: Path) -> list[int]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [int(word) for line in lines if line.startswith("pids ") for word in line.split()[1:]]


@pytest.fixture
def parent(tmp_path: Path) -> Callable[..., tuple[subprocess.Popen[str], int, list[int], Path]]:
    """A parent process with one guarded server: the parent, the guard's pid, the server's pids, a folder."""

    def start(*more: str) -> tuple[subprocess.Popen[str], int, list[int], Path]:
        script, log, folder = tmp_path / "server.py", tmp_path / "server.log", tmp_path / "remove-me"
        script.write_text(STUBBORN)
        folder.mkdir()
        (folder / "data").write_text("x")
        command = [sys.executable, "-c", textwrap.dedent(PARENT), str(script), str(log), str(folder), *more]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert process.stdout is not None
        guard = int(process.stdout.readline().split()[1])
        assert until(lambda: len(pids_in(log)) == 2), "the server did not start"
        assert all(alive(pid) for pid in [guard, *pids_in(log)])
        return process, guard, pids_in(log), folder

    return start


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_a_parent_that_ends(
    parent: Callable[..., tuple[subprocess.Popen[str], int, list[int], Path]], number: signal.Signals
) -> None:
    process, guard, servers, folder = parent()
    process.send_signal(number)
    process.wait(10)
    assert until(lambda: not any(alive(pid) for pid in [guard, *servers]))
    assert until(lambda: not folder.exists()), "the folder named with --remove is still there"


def test_ctrl_c_reaches_the_parent_alone_which_stops_its_servers(
    parent: Callable[..., tuple[subprocess.Popen[str], int, list[int], Path]],
) -> None:
    process, guard, servers, _ = parent("stop")
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: the whole foreground group
    process.wait(20)
    assert not any(alive(pid) for pid in [guard, *servers]), "stop() returned before all were gone"


def test_killing_the_guard_itself_ends_the_server(
    parent: Callable[..., tuple[subprocess.Popen[str], int, list[int], Path]],
) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux signals a child when its parent dies")
    process, guard, servers, _ = parent()
    os.kill(guard, signal.SIGKILL)
    try:
        assert until(lambda: not alive(servers[0]))
    finally:
        os.kill(servers[1], signal.SIGKILL)  # the grandchild is out of a killed guard's reach
        process.kill()
        process.wait()


def test_stop_waits_until_the_server_is_gone_and_may_be_called_twice(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = Process("test", [sys.executable, "-c", STUBBORN], log=log, grace_s=0.3)
    assert until(lambda: len(pids_in(log)) == 2)
    servers = pids_in(log)
    process.stop()
    process.stop()
    assert not process.alive
    assert until(lambda: not any(alive(pid) for pid in servers), 2)


def test_a_server_that_dies_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    process = Process(
        "Example", [sys.executable, "-c", "print('out of cheese'); raise SystemExit(3)"], log=tmp_path / "log"
    )
    with pytest.raises(LabError) as caught:
        process.wait_until(lambda: False, timeout_s=20)
    assert "Example server ended with code 3" in caught.value.problem
    assert "out of cheese" in caught.value.fix


def test_a_server_that_is_never_ready_is_stopped_and_reported(tmp_path: Path) -> None:
    process = Process("Example", [sys.executable, "-c", "import time; time.sleep(600)"], log=tmp_path / "log")
    with pytest.raises(LabError, match="was not ready after"):
        process.wait_until(lambda: False, timeout_s=0.3)
    assert not process.alive


def test_a_free_port_is_free() -> None:
    assert 1024 < free_port() < 65536
