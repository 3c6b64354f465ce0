"""What a commander asked for, checked before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tasks.incident import Mode, Suspect, Window

LAB_PLAN = "lab"  # the name under which a lab's systems and plan are saved as blocks


@dataclass(frozen=True, slots=True)
class Request:
    what_happened: str
    suspects: tuple[Suspect, ...]
    window: Window
    aware_at: datetime
    mode: Mode
    incident_id: str | None
    commander: str | None
    plan: str = LAB_PLAN
    answers: Mapping[str, Any] = field(default_factory=dict)
    log_wait_s: float = 60
