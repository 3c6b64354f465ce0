"""Failures on demand, the same for every stand-in server of the lab."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = (
    "throttled",  # 429 or the protocol's own, with retry_after_s
    "unavailable",  # 503
    "failed",  # 500
    "timeout",  # no answer for delay_s, then the connection is cut
    "reset",  # the connection is cut before the server acts
    "reset-after",  # the connection is cut after the server acted
    "malformed",  # an answer that is not what the protocol promises
    "slow",  # a right answer, delay_s late
)


@dataclass(slots=True)
class Fault:
    """What goes wrong, for which requests, how often (None: until cleared)."""

    kind: str
    match: Mapping[str, str] = field(default_factory=dict)
    times: int | None = None
    after: int = 0  # let this many matching requests pass first
    retry_after_s: float = 1.0
    delay_s: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault kind {self.kind!r}: use one of {', '.join(KINDS)}")


class Faults:
    """The faults now in force. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.latency_s = 0.0
        self.hits = 0  # since the last clear

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()
            self.hits = 0

    def take(self, **request: str | None) -> Fault | None:
        """The fault that meets this request, counted down; None when it may pass."""
        with self._lock:
            for fault in self._faults:
                if any(request.get(name) != value for name, value in fault.match.items()):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                self.hits += 1
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                return fault
        return None

    def control(self, method: str, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Serve `POST faults`, `DELETE faults`, `GET faults` (how many hits), `POST latency` of a server's
        control address."""
        if what == "latency":
            self.latency_s = float(body["ms"]) / 1000
        elif method == "DELETE":
            self.clear()
        elif method == "GET":
            return {"ok": True, "hits": self.hits}
        else:
            self.add(Fault(**body))
        return {"ok": True}
