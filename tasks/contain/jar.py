"""Found secrets, held in memory only, so that a proof can try the old credential after closing.

Nothing here is ever written: the jar cannot be pickled, copied or printed, which keeps it out of Prefect
results, caches, logs and crash reports.
"""

from __future__ import annotations

import threading
from typing import NoReturn


class Credentials:
    """Secret values by (kind, identifier): ("aws-access-key", key id), ("vault-accessor", accessor),
    ("postgres", user name) with a whole libpq connection string as the value. Thread-safe."""

    def __init__(self) -> None:
        self._secrets: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def add(self, kind: str, identifier: str, secret: str) -> None:
        with self._lock:
            self._secrets[str(kind), identifier] = secret

    def get(self, kind: str, identifier: str) -> str | None:
        with self._lock:
            return self._secrets.get((str(kind), identifier))

    def of_kind(self, kind: str) -> dict[str, str]:
        """Identifier -> secret of one kind."""
        with self._lock:
            return {identifier: value for (k, identifier), value in self._secrets.items() if k == str(kind)}

    def __len__(self) -> int:
        return len(self._secrets)

    def __repr__(self) -> str:
        return f"<Credentials: {len(self)} held in memory>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("found secrets are held in memory only and cannot be pickled or copied")


_JARS: dict[str, Credentials] = {}
_JARS_LOCK = threading.Lock()


def jar_of(incident_id: str) -> Credentials:
    """This process's jar for an incident. It is empty in a new process: scoping finds the secrets again."""
    with _JARS_LOCK:
        return _JARS.setdefault(incident_id, Credentials())
