"""The fast set of crashes and faults, in a process of its own: it forks, which must not be done beside the
threads that other tests have started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_few_crashes_and_faults_of_each_kind() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    cases = Path(__file__).with_name("fast.py")
    done = subprocess.run([*command, str(cases)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
    assert "7 passed" in done.stdout
