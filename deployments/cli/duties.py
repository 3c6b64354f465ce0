"""`leak-response duties`: who must be told, by when, and what must still be answered. Works offline."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from blocks.errors import BadInput
from deployments.cli.output import check_writable, write_json
from tasks.incident import Duty, DutyStatus


def duties(
    facts: Annotated[Path, typer.Option(help="YAML file of flat facts, e.g. `incident.role: controller`.")],
    at: Annotated[str, typer.Option(help="Use the law of this date (YYYY-MM-DD). Default: today.")] = "",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all rules to this file; - is stdout.")
    ] = None,
    explain: Annotated[str, typer.Option(help="Show how this rule came out, condition by condition.")] = "",
    ics: Annotated[Path | None, typer.Option(help="Write the due times as a calendar file.")] = None,
) -> None:
    """List the notification duties that follow from the facts. Not legal advice.

    Example: leak-response duties --facts facts.yaml --at 2026-11-23 --json duties.json
    """
    from tasks.notify.calendar_file import to_ics
    from tasks.notify.duties import duties as compute
    from tasks.notify.duties import explain as explain_rule
    from tasks.notify.facts import load_facts

    on = _date(at)
    check_writable(json_file)
    check_writable(ics)
    known = load_facts(facts)
    if explain:
        typer.echo(explain_rule(explain, known, on))
        return
    found = compute(known, on)
    if json_file:
        write_json(json_file, found)
    if ics:
        ics.write_text(to_ics(found, datetime.now(UTC)), encoding="utf-8", newline="")
    if str(json_file) != "-":
        _table(found)


def _date(text: str) -> date:
    if not text:
        return datetime.now(UTC).date()
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise BadInput(f"--at {text!r} is not a date.", "Write it like 2026-11-23.") from None


def _table(found: list[Duty]) -> None:
    """Due first, soonest first; what is undetermined with the question; the rest as a count."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    shown = [duty for duty in found if duty.status is not DutyStatus.NOT_DUE]
    table = Table(title="Notification duties", title_justify="left", show_lines=True)
    table.add_column("Due (UTC)", no_wrap=True)
    table.add_column("Duty: rule, status, to whom, why or what to answer")
    for duty in shown:
        when = duty.due_at.strftime("%Y-%m-%d %H:%M") if duty.due_at else "no time yet"
        policy = "\n[dim]our target[/]" if duty.policy and duty.due_at else ""
        style = "bold red" if duty.status is DutyStatus.DUE else "yellow"
        head = f"[bold]{duty.rule}[/] [{style}]{duty.status}[/]"
        table.add_row(f"{when}{policy}", f"{head}\n{escape(duty.recipient)}\n[dim]{escape(duty.why)}[/]")
    if shown:
        console.print(table)
    due = sum(duty.status is DutyStatus.DUE for duty in found)
    not_due = len(found) - len(shown)
    console.print(f"{due} due, {len(shown) - due} undetermined, {not_due} not due, of {len(found)} rules.")
    console.print("Not legal advice: have counsel sign off before anything is sent or left unsent.")
