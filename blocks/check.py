"""What preflight asks of every block: one `Check` per question, each with what to do when it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from blocks.errors import LeakResponseError


@dataclass(frozen=True, slots=True)
class Check:
    """One preflight question and its answer. Nothing in it may carry a secret or personal data."""

    name: str  # what was asked, e.g. "Salesforce: log in"
    ok: bool
    problem: str = ""  # one line on what is wrong; empty when ok
    fix: str = ""  # one line on what to do about it; empty when ok
    note: str = ""  # what a reader should know even when ok


def attempt(name: str, action: Callable[[], object], note: str = "") -> Check:
    """Run `action`; a LeakResponseError becomes a failed check. Anything else is a bug and is raised."""
    try:
        action()
    except LeakResponseError as error:
        return Check(name, ok=False, problem=error.problem, fix=error.fix)
    return Check(name, ok=True, note=note)


def failed(checks: list[Check]) -> list[Check]:
    """The checks that did not pass, in the order they were asked."""
    return [check for check in checks if not check.ok]
