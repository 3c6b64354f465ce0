"""How commands print: results for people on the terminal, results for machines as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from blocks.errors import BadInput
from tasks.incident import to_json


def check_writable(path: Path | None) -> None:
    """Refuse an output file that could not be written, before anything is done."""
    if path is None or str(path) == "-":
        return
    if path.is_dir() or not path.absolute().parent.is_dir() or not os.access(path.absolute().parent, os.W_OK):
        raise BadInput(f"{path} cannot be written.", "Name a file in a folder that exists and is yours.")


def write_json(path: Path, value: Any) -> None:
    """Write a result as JSON; `-` is standard output."""
    text = json.dumps(to_json(value), indent=2, ensure_ascii=False) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
        return
    path.write_text(text, encoding="utf-8")
