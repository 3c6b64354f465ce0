"""What a commander asked for, checked before anything is started."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.incident import Mode, Suspect, Window


def lab_plan(lab_json: Path) -> str:
    """The name under which this lab's systems and plan are saved as blocks: each lab has its own, since
    two runs side by side may share one Prefect database."""
    return f"lab-{hashlib.sha256(str(lab_json.resolve()).encode()).hexdigest()[:10]}"


@dataclass(frozen=True, slots=True)
class Request:
    what_happened: str
    suspects: tuple[Suspect, ...]
    window: Window
    aware_at: datetime
    mode: Mode
    incident_id: str | None
    commander: str | None
    plan: str  # the name of saved blocks
    answers: Mapping[str, Any] = field(default_factory=dict)
    log_wait_s: float = 60
