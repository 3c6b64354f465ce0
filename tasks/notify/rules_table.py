"""Writes the table of all rules into `rules/README.md`: `python -m tasks.notify.rules_table`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tasks.notify.rules import FILES, Deadline, Rule, parse_rules
from tasks.notify.vocabulary import read_rule_file

TABLE = Path(__file__).parent / "rules" / "README.md"
HEAD = """# Notification rules

One file per region, one entry per rule. This table is made from them: `python -m tasks.notify.rules_table`.

**Not legal advice: have counsel sign off every rule before anything is sent, or left unsent, because of it.**

- *Source*: `seen` (the text or an authority's page was read), `seen_secondary` (somebody else's page about
  it), `memory` (not checked against a text). *Confidence* is that in the rule as written here.
- *Due* in italics is our own target where the law says only "without delay". It is not law.
- A rule that is not in force says so; proposed, unverified and not operational ones are evaluated only with
  the fact `engine.enable_proposed`.
- **Sign-off** is asked for loudest where the source is memory or the confidence is not high.
"""
NAMES = ("Rule", "To", "Due", "Citation", "Status", "Source", "Confidence", "Sign-off")
COLUMNS = f"| {' | '.join(NAMES)} |\n{'|---' * len(NAMES)}|"


def table() -> str:
    """The README's text."""
    regions = {name: parse_rules(read_rule_file(name), name) for name in FILES}
    every = [rule for rules in regions.values() for rule in rules]
    weak = sum(_needs_counsel(rule) for rule in every)
    kinds = Counter(rule.source_kind for rule in every)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    summary = f"{len(every)} rules; sources: {counts}; {weak} need counsel before anybody relies on them.\n"
    parts = [HEAD, summary]
    for name, rules in regions.items():
        rows = "\n".join(_row(rule) for rule in rules)
        parts.append(f"## [{name}]({name})\n\n{COLUMNS}\n{rows}\n")
    return "\n".join(parts)


def _row(rule: Rule) -> str:
    start = f" from {rule.in_force_from}" if rule.in_force_from and rule.status != "in_force" else ""
    sign_off = "**counsel must sign off first**" if _needs_counsel(rule) else "have counsel sign off"
    cells = (
        f"`{rule.id}`",
        rule.recipient.name,
        _due(rule.deadline),
        rule.citation,
        rule.status.replace("_", " ") + start,
        rule.source_kind,
        rule.confidence,
        sign_off,
    )
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _needs_counsel(rule: Rule) -> bool:
    return rule.source_kind == "memory" or rule.confidence != "high" or rule.status == "unverified"


def _due(deadline: Deadline) -> str:
    start = deadline.clock_start.replace("_", " ")
    if deadline.statutory is not None:
        return f"{deadline.statutory.value} {deadline.statutory.unit.replace('_', ' ')} from {start}"
    words = deadline.qualitative or "without delay"
    if deadline.policy_target is None:
        return f"{words}, from {start}"
    target = deadline.policy_target
    return f"{words}, from {start}; *our target {target.value} {target.unit.replace('_', ' ')}*"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
