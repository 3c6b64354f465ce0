"""Lines that a crash tore: kept beside the ledger, byte for byte, because nothing is dropped silently."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any


def keep_torn(path: Path, torn: bytes) -> None:
    """Append torn bytes to the file at `path` and fsync it; the same bytes are kept once."""
    record = {
        "sha256": hashlib.sha256(torn).hexdigest(),
        "bytes": len(torn),
        "base64": base64.b64encode(torn).decode(),
    }
    if record["sha256"] in {known["sha256"] for known in read_torn(path)}:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "ab") as aside:
        # The leading newline ends a record that an earlier crash tore in this very file.
        aside.write(b"\n" + json.dumps(record, sort_keys=True).encode() + b"\n")
        aside.flush()
        os.fsync(aside.fileno())
    sync_folder(path.parent)


def read_torn(path: Path) -> list[dict[str, Any]]:
    """What was kept: SHA-256, size and the bytes in base64. A record that is itself torn is left out."""
    if not path.exists():
        return []
    records = []
    for raw in path.read_bytes().split(b"\n"):
        try:
            record = json.loads(raw) if raw else None
        except ValueError:
            continue
        if isinstance(record, dict) and {"sha256", "bytes", "base64"} <= set(record):
            records.append(record)
    return records


def sync_folder(folder: Path) -> None:
    """Make a new file's name in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
