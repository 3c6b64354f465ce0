"""The scorecard of a response or a rehearsal in the terminal, read at a glance."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tasks.report.text import instant, plural, words

OWED = "due"
SHOWN_RESIDENCES = 12
SHOWN_DUTIES = 12
Result = Mapping[str, Any]


def scorecard(result: Result, *, reasons: Sequence[str] = ()) -> Group:
    """A rich renderable of the machine-readable result (the JSON of `rehearse` and `respond`).

    `reasons` says in sentences why it did not pass. Parts that the result lacks (a real response has no
    attacker and no ground truth) are left out.
    """
    parts: list[RenderableType] = [_verdict(result, reasons)]
    if result.get("attacker"):
        parts.append(_section("Attacker", _attacker(result["attacker"])))
    parts.append(_section(_accesses_title(result["accesses"]), _accesses(result["accesses"])))
    if result.get("manual_steps"):
        parts.append(_section("Manual steps open", _manual(result["manual_steps"])))
    if result.get("integrations"):
        parts.append(_section("Integrations that were cut", _integrations(result["integrations"])))
    if result.get("scope"):
        parts.append(_section("Scope", _scope(result["scope"])))
    parts.append(_section(_duties_title(result["duties"]), _duties(result["duties"])))
    parts.append(_section("Evidence", _evidence(result)))
    if result.get("seconds"):
        parts.append(_section("Time", _times(result["seconds"])))
    return Group(*parts)


def scorecard_text(
    result: Result, *, reasons: Sequence[str] = (), width: int = 110, color: bool = False
) -> str:
    """The scorecard as text, for files, CI logs and tests."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=color, no_color=not color, highlight=False)
    console.print(scorecard(result, reasons=reasons))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _verdict(result: Result, reasons: Sequence[str]) -> Panel:
    good, verdict = _word(result)
    named = result.get("scenario") or ""
    seed = f", seed {result['seed']}" if result.get("seed") is not None else ""
    style = "bold green" if good else "bold red"
    body = Text.assemble((verdict, style), f"  {named}{seed}", ("\n" + result["incident_id"], "dim"))
    for reason in reasons:
        body.append(f"\n✗ {reason}", "red")
    return Panel(body, border_style="green" if good else "red", padding=(0, 1))


def _word(result: Result) -> tuple[bool, str]:
    """Whether it went well, and the verdict in capitals."""
    passed = bool(result.get("passed", True))
    closed = all(access["closed"] for access in result["accesses"])
    if result.get("scenario"):
        return passed, "REHEARSAL PASSED" if passed else "REHEARSAL FAILED"
    if result.get("mode") == "plan":
        return passed, "PLAN ONLY: NOTHING WAS CHANGED"
    if not closed:
        return False, "RESPONSE: NOT CONTAINED"
    return passed, "RESPONSE: CONTAINED" if passed else "RESPONSE: CONTAINED, NOT FINISHED"


def _section(title: str | Text, body: RenderableType) -> Group:
    head = Text(title, "bold") if isinstance(title, str) else title
    return Group(Text(""), head, Padding(body, (0, 0, 0, 2)))


def _mark(good: bool) -> Text:
    return Text("✓", "green") if good else Text("✗", "red")


def _grid(*justify: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for side in justify:
        table.add_column(justify=side, overflow="fold")  # type: ignore[arg-type]
    return table


def _row(table: Table, *cells: str | Text) -> None:
    """Strings as they are: rich would read square brackets in a name as markup."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def _attacker(attacker: Result) -> Table:
    table = _grid("left", "left")
    after = attacker["successes_after_contained"]
    _row(table, _mark(after == 0), f"{plural(after, 'success', 'successes')} after containment")
    _row(
        table,
        "",
        f"{plural(attacker['requests_after_trigger'], 'request')} tried after the response was started",
    )
    access = attacker["seconds_of_access_after_trigger"]
    last = attacker.get("last_success_at")
    when = f", last success {instant(_parsed(last))}" if last else ""
    _row(table, "", f"{access:.1f} s of access after the response was started{when}")
    return table


def _accesses_title(accesses: Sequence[Result]) -> str:
    closed = sum(bool(access["closed"]) for access in accesses)
    return f"Accesses: {closed} of {len(accesses)} closed and proven"


def _accesses(accesses: Sequence[Result]) -> RenderableType:
    if not accesses:
        return Text("none found", "yellow")
    table = _grid("left", "left", "left", "left", "right", "left")
    for access in sorted(accesses, key=lambda a: (bool(a["closed"]), a["system"], a["kind"])):
        _row(
            table,
            _mark(access["closed"]),
            words(access["system"]),
            words(access["kind"]),
            str(access["principal"]),
            f"{access['seconds']:.1f} s" if access["closed"] else "",
            Text(str(access["proof"] or "no proof"), "" if access["closed"] else "red"),
        )
    return table


def _integrations(integrations: Sequence[Result]) -> Table:
    """What the incident cost each integration: the attacker's time inside, its own time standing still."""
    table = _grid("left", "left", "right", "right", "left")
    for one in integrations:
        over = one["outage_over"]
        state = (
            "works again"
            if over
            else "credentials replaced; consumers to be asked"
            if over is None
            else "still out, see the steps for people"
        )
        readers = one.get("replace_again") or ()
        if readers:
            state = f"REPLACE ONCE MORE: {', '.join(readers)} could read the new secret"
        _row(
            table,
            _mark(over is not False and not readers),
            str(one["integration"]),
            f"{one['seconds_of_access']:.1f} s of access",
            f"{one['seconds_of_outage']:.1f} s of outage",
            state,
        )
    return table


def _manual(steps: Sequence[Result]) -> Table:
    table = _grid("left", "left")
    for step in steps:
        _row(table, Text("•", "yellow"), f"{step['access']}: {step['instructions']}")
    return table


def _scope(scope: Result) -> Group:
    table = _grid("left", "left", "right", "right", "right", "right")
    compared = isinstance(scope["records"], Mapping) and scope["records"].get("truth") is not None
    if compared:
        dim = [Text(word, "dim") for word in ("", "", "found", "truth", "missed", "extra")]
        _row(table, *dim)
    for what in ("records", "subjects"):
        figures = scope[what] if isinstance(scope[what], Mapping) else {"found": scope[what]}
        if compared:
            exact = not figures["missed"] and not figures["extra"]
            _row(
                table,
                _mark(exact),
                words(what),
                *(f"{figures[name]:,}" for name in ("found", "truth", "missed", "extra")),
            )
        else:
            _row(table, "", words(what), _range(figures), "", "", "")
    parts: list[RenderableType] = [table]
    if scope.get("by_residence"):
        parts.append(Text("by residence: " + _residences(scope["by_residence"])))
    parts += [Text(f"coverage: {line}", "dim") for line in scope.get("coverage", ())]
    return Group(*parts)


def _range(figures: Result) -> str:
    lower, upper = figures.get("lower"), figures.get("upper")
    if lower is None or upper is None or lower == upper:
        return f"{figures['found']:,}"
    return f"{lower:,} to {upper:,}"


def _residences(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{place} {count:,}" for place, count in ordered[:SHOWN_RESIDENCES])
    left = len(ordered) - SHOWN_RESIDENCES
    return shown + (f" and {plural(left, 'further place')}" if left > 0 else "")


def _duties_title(duties: Sequence[Result]) -> str:
    owed = sum(duty["status"] == OWED for duty in duties)
    open_ = sum(duty["status"] == "undetermined" for duty in duties)
    other = len(duties) - owed - open_
    return f"Duties: {owed} due, {open_} undetermined" + (f", {other} not due" if other else "")


def _duties(duties: Sequence[Result]) -> RenderableType:
    owed = [duty for duty in duties if duty["status"] == OWED]
    if not owed:
        return Text("none due on the facts known now", "dim")
    owed.sort(key=lambda duty: (duty["due_at"] is None, _when(duty["due_at"]), duty["rule"]))
    table = _grid("left", "left", "left")
    for duty in owed[:SHOWN_DUTIES]:
        due = instant(_parsed(duty["due_at"])) if duty["due_at"] else "without undue delay"
        _row(table, due, str(duty["recipient"]), Text(str(duty["rule"]), "dim"))
    if len(owed) > SHOWN_DUTIES:
        _row(table, Text(f"and {len(owed) - SHOWN_DUTIES} more", "dim"), "", "")
    return table


def _parsed(at: str | datetime) -> datetime:
    """An instant as the result holds it, or as its JSON does."""
    return at if isinstance(at, datetime) else datetime.fromisoformat(at)


def _when(at: str | datetime | None) -> float:
    return _parsed(at).timestamp() if at else 0.0


def _evidence(result: Result) -> Table:
    evidence = result["evidence"]
    table = _grid("left", "left")
    entries = plural(evidence["entries"], "ledger entry", "ledger entries")
    word = "verified offline" if evidence["verified"] else "NOT verified"
    _row(table, _mark(bool(evidence["verified"])), f"{entries}, {word}")
    if evidence.get("pack"):
        _row(table, "", Text(str(evidence["pack"]), "dim"))
    canaries = result.get("canaries_in_run_history")
    if canaries is not None:
        found = f"{plural(canaries, 'canary', 'canaries')} found in run history"
        _row(table, _mark(canaries == 0), found)
    return table


def _times(times: Mapping[str, float]) -> Text:
    return Text("   ".join(f"{name} {value:.1f} s" for name, value in times.items()))
