"""The table of rules is what the rule files say now, and says where counsel must sign off."""

from __future__ import annotations

from tasks.notify.rules import all_rules
from tasks.notify.rules_table import TABLE, table


def test_the_table_is_up_to_date() -> None:
    assert TABLE.read_text(encoding="utf-8") == table(), "run: python -m tasks.notify.rules_table"


def test_each_rule_has_its_row_with_what_it_rests_on() -> None:
    rows = {line.split("`")[1]: line for line in table().splitlines() if line.startswith("| `")}
    assert rows.keys() == all_rules().keys()
    for rule in all_rules().values():
        row = rows[rule.id]
        assert f"| {rule.source_kind} | {rule.confidence} |" in row
        weak = rule.source_kind == "memory" or rule.confidence != "high"
        assert ("counsel must sign off first" in row) == (weak or rule.status == "unverified")
    assert "Not legal advice" in table()
