"""Prints how many of the rules the tests exercised."""

from __future__ import annotations

import pytest

from tasks.notify.rules import all_rules
from tests.tasks.notify.test_every_rule import EXERCISED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if EXERCISED:
        terminalreporter.write_line(f"rules {len(all_rules())}, exercised {len(EXERCISED)}")
