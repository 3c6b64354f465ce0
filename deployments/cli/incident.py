"""`leak-response incident ...`: what people do without Slack: answer, complete, approve, confirm."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blocks.errors import BadInput
from deployments.cli.output import check_writable, write_json
from tasks.incident import INCIDENT_ID, Incident, IncidentFolder, home, utc

if TYPE_CHECKING:
    from tasks.notify.acting import Case
    from tasks.notify.drafts.store import Draft

app = typer.Typer(
    help="Work on one incident: answers, drafts, approvals, confirmations.", no_args_is_help=True
)

IncidentId = Annotated[str, typer.Argument(metavar="INCIDENT", help="Id of a declared incident.")]
By = Annotated[str, typer.Option(help="Who says so: a role of the plan, or its e-mail address.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the result here; - is stdout.")]


def open_case(incident_id: str) -> Case:
    """The incident in our home with the plan it is answered by; BadInput when there is none."""
    from blocks.plan import load_plan
    from tasks.evidence.ledger import open_ledger
    from tasks.notify.acting import Case
    from tasks.notify.run import plan_file

    path = home() / "incidents" / incident_id
    if not INCIDENT_ID.fullmatch(incident_id) or not path.is_dir():
        raise BadInput(
            f"There is no incident {incident_id!r} in {home()}.",
            "Set LEAK_RESPONSE_HOME to the folder that holds it.",
        )
    folder = IncidentFolder(path)
    incident = folder.read(folder.incident, Incident)
    if incident is None or not plan_file(folder).exists():
        raise BadInput(
            f"The clocks of {incident_id} were not started yet.", "Run the notify flow for it first."
        )
    return Case(incident, load_plan(plan_file(folder)), folder, open_ledger(folder.ledger))


def person(case: Case, who: str) -> Any:
    from tasks.notify.roles import role_of

    return role_of(who, case.plan)


def refresh(case: Case, at: datetime) -> list[Draft]:
    """Compute the duties and make the drafts anew after something was said."""
    from tasks.notify.present import present
    from tasks.notify.run import start_clocks

    start_clocks(case.incident, case.plan, case.folder, case.ledger, now=at)
    return present(case.incident, case.plan, case.folder, case.ledger, at)


@app.command()
def answer(
    incident: IncidentId,
    fact: Annotated[str, typer.Argument(help="Key of the fact, e.g. incident.risk_level.")],
    value: Annotated[str, typer.Argument(help="Its value as YAML: true, high, [name, ssn], {DE: 12}, null.")],
    by: By,
) -> None:
    """Answer an open question; the duties follow at once.

    Example: leak-response incident answer INC-20261124-093012-7f3a incident.risk_level high --by privacy
    """
    from tasks.notify.acting import give_answer
    from tasks.notify.yaml12 import read_yaml

    case = open_case(incident)
    at = datetime.now(UTC)
    typer.echo(give_answer(case, fact, read_yaml(value, "the value"), person(case, by), at))
    refresh(case, at)


@app.command()
def questions(incident: IncidentId, json_file: Json = None) -> None:
    """List the open questions, the ones that most duties wait for first."""
    from tasks.notify.asking import open_questions

    found = [
        {"fact": fact, "duties": [duty.rule for duty in duties]}
        for fact, duties in open_questions(open_case(incident))
    ]
    _show(json_file, found, [f"{len(one['duties']):>4}  {one['fact']}" for one in found])


@app.command()
def history(
    incident: IncidentId,
    rule: Annotated[str, typer.Option(help="Only this rule.")] = "",
    json_file: Json = None,
) -> None:
    """What became of each duty: appeared, moved, withdrawn, sent, confirmed late."""
    from tasks.notify.history import history as changes_of

    found = [change for change in changes_of(open_case(incident).folder) if rule in ("", change.rule)]
    lines = [f"{one.at:%Y-%m-%d %H:%M} {one.rule} {one.what}: {one.why[:100]}" for one in found]
    _show(json_file, found, lines)


@app.command()
def drafts(incident: IncidentId, json_file: Json = None) -> None:
    """Make all drafts as of now and list them with hash, gaps and approval."""
    from tasks.notify.drafts.store import is_approved

    case = open_case(incident)
    found = refresh(case, datetime.now(UTC))
    rows = [
        {
            "draft": one.id,
            "version": one.version,
            "hash": one.hash,
            "role": one.role,
            "gaps": one.gaps,
            "approved": is_approved(case.folder, one),
            "file": str(case.folder.path / "drafts" / f"{one.stem}.html"),
        }
        for one in found
    ]
    lines = [f"{row['draft']:<36} {str(row['hash'])[:12]} {_state(row)}" for row in rows]
    _show(json_file, rows, lines)


@app.command()
def complete(
    incident: IncidentId,
    field: Annotated[
        str, typer.Argument(help="The field of a gap; RULE:field or de:field for one draft only.")
    ],
    text: Annotated[str, typer.Argument(help="What belongs there.")],
    by: By,
) -> None:
    """Write the text for a gap in the drafts."""
    from tasks.notify.drafts.store import fill

    case = open_case(incident)
    at = datetime.now(UTC)
    fill(case.folder, case.ledger, field, text, person(case, by).key, at)
    left = sum(bool(draft.gaps) for draft in refresh(case, at))
    typer.echo(f"Completed {field}. {left} drafts still have gaps.")


@app.command()
def approve(
    incident: IncidentId,
    draft: Annotated[str, typer.Argument(help="Id of the draft.")],
    content_hash: Annotated[
        str, typer.Option("--hash", help="Hash of the text that was read, its first 12 characters at least.")
    ],
    by: By,
    reject: Annotated[bool, typer.Option("--reject", help="Reject it instead.")] = False,
    reason: Annotated[str, typer.Option(help="Why, without personal data.")] = "",
) -> None:
    """Approve or reject exactly the text with this hash, as the role the plan names."""
    from tasks.notify.drafts.store import decide, latest_drafts

    case = open_case(incident)
    known = latest_drafts(case.folder).get(draft)
    shown = known is not None and len(content_hash) >= 12 and known.hash.startswith(content_hash)
    full = known.hash if known and shown else content_hash
    who, at = person(case, by), datetime.now(UTC)
    made = decide(case.folder, case.ledger, case.plan, draft, full, who, not reject, at, reason)
    typer.echo(f"{'Approved' if made.approved else 'Rejected'}: {draft} {made.hash[:12]} by {made.role}.")


@app.command()
def sent(
    incident: IncidentId,
    rule: Annotated[str, typer.Argument(help="The rule under which notice was given.")],
    channel: Annotated[str, typer.Option(help="How it was sent, e.g. online form, post.")],
    reference: Annotated[str, typer.Option(help="The recipient's number for it.")],
    by: By,
    at: Annotated[str, typer.Option(help="When it was sent (ISO 8601 with offset). Default: now.")] = "",
    recipient: Annotated[str, typer.Option(help="Which of several recipients. Default: all.")] = "",
    late_reason: Annotated[str, typer.Option(help="Why it was late, if it was.")] = "",
    amends: Annotated[str, typer.Option(help="Reference of the notice that this one supplements.")] = "",
    unapproved: Annotated[str, typer.Option(help="Why it went out without an approval, if it did.")] = "",
) -> None:
    """Confirm that a notice went out; the clocks that wait for it start.

    Example: leak-response incident sent INC-1 EU-GDPR-33-1 --channel 'online form' --reference 2026-77
    --by privacy
    """
    from tasks.notify.drafts.store import approved_hashes
    from tasks.notify.sent import Sent, confirm_sent

    case = open_case(incident)
    now = datetime.now(UTC)
    approved = approved_hashes(case.folder)
    confirmation = Sent(
        rule=rule,
        sent_at=utc(at, "--at") if at else now,
        channel=channel,
        reference=reference,
        by=person(case, by).key,
        recorded_at=now,
        recipient=recipient or None,
        draft_hash=approved.get(rule),
        unapproved=unapproved or None,
        late_reason=late_reason or None,
        amends=amends or None,
    )
    confirm_sent(case.folder, case.ledger, confirmation, approved)
    refresh(case, now)
    typer.echo(f"{rule} confirmed as sent under {reference}.")


@app.command()
def step(
    incident: IncidentId,
    about: Annotated[str, typer.Argument(help="The step, as `steps.json` or Slack calls it.")],
    by: By,
) -> None:
    """Confirm that a manual step is done."""
    from tasks.notify.acting import confirm_step

    case = open_case(incident)
    typer.echo(confirm_step(case, about, person(case, by), datetime.now(UTC)))


def _state(row: dict[str, Any]) -> str:
    if row["gaps"]:
        return f"gaps: {', '.join(row['gaps'][:4])}"
    return "approved" if row["approved"] else f"to be approved by {row['role']}"


def _show(json_file: Path | None, value: Any, lines: list[str]) -> None:
    check_writable(json_file)
    if json_file:
        write_json(json_file, value)
    if str(json_file) != "-":
        typer.echo("\n".join(lines) if lines else "Nothing.")
