"""What a click or a command does: answer, approve, confirm a step, take a reminder. Safe to repeat."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from blocks.errors import BadInput
from blocks.plan import Plan, Role
from tasks.incident import Incident, IncidentFolder, Ledger, Phase
from tasks.notify.answers import answer
from tasks.notify.buttons import Click, Kind
from tasks.notify.drafts.store import decide
from tasks.notify.records import append, locked, notify_file, read_all
from tasks.notify.roles import COMMANDER, may_act_for
from tasks.notify.run import start_clocks
from tasks.notify.watching import take


@dataclass(frozen=True, slots=True)
class Case:
    """One incident, opened to act on it."""

    incident: Incident
    plan: Plan
    folder: IncidentFolder
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class LeftStep:
    """A step left for a person, as the remediate phase wrote it into `steps.json`."""

    kind: str
    about: str
    owner: str
    instructions: str

    @property
    def id(self) -> str:
        """What buttons and commands call it: a reference may be a key id, which stays out of Slack."""
        return hashlib.sha256(self.about.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class StepDone:
    """A person says that a manual step is done. It is their word: containment still proves what it can."""

    about: str
    by: str
    at: datetime


def steps_file(folder: IncidentFolder) -> Path:
    return folder.path / "steps.json"


def steps_done_file(folder: IncidentFolder) -> Path:
    return notify_file(folder, "steps-done.json")


def left_steps(folder: IncidentFolder) -> list[LeftStep]:
    """The steps that still wait for somebody's word."""
    done = {one.about for one in read_all(folder, steps_done_file(folder), StepDone)}
    return [one for one in read_all(folder, steps_file(folder), LeftStep) if one.about not in done]


def act(click: Click, person: Role, case: Case, at: datetime) -> str:
    """Do what the click says, as this person; returns one line that says what became of it.

    Raises BadInput when the person may not, or what was shown does not hold any more.
    """
    if click.kind is Kind.ANSWER:
        return give_answer(case, click.about, click.value, person, at)
    if click.kind in (Kind.APPROVE, Kind.REJECT):
        approved = click.kind is Kind.APPROVE
        made = decide(
            case.folder, case.ledger, case.plan, click.about, str(click.value), person, approved, at
        )
        return f"{'Approved' if made.approved else 'Rejected'} by {person.name} ({person.key})."
    if click.kind is Kind.STEP:
        return confirm_step(case, click.about, person, at)
    take(case.folder, case.ledger, click.about, person.key)
    return f"{person.name} ({person.key}) takes care of it."


def give_answer(case: Case, fact: str, value: object, person: Role, at: datetime) -> str:
    """Store the answer and compute the duties anew."""
    answer(case.folder, case.ledger, fact, value, person.key, at, case.plan)
    start_clocks(case.incident, case.plan, case.folder, case.ledger, now=at)
    shown = "not known" if value is None else value
    if isinstance(value, bool):
        shown = "yes" if value else "no"
    return f"Answered: {shown}, by {person.name} ({person.key})."


def confirm_step(case: Case, step_id: str, person: Role, at: datetime) -> str:
    """Record that a manual step is done; its owner, their deputy or the commander may say so."""
    with locked(case.folder):
        steps = read_all(case.folder, steps_file(case.folder), LeftStep)
        step = next((one for one in steps if step_id in (one.id, one.about)), None)
        if step is None:
            raise BadInput(f"There is no step {step_id!r}.", "It may have been done in the meantime.")
        if not (
            may_act_for(person.key, step.owner, case.plan) or may_act_for(person.key, COMMANDER, case.plan)
        ):
            raise BadInput(f"{person.key} may not confirm this step.", f"It is {step.owner}'s.")
        about = step.about
        done = read_all(case.folder, steps_done_file(case.folder), StepDone)
        earlier = next((one for one in done if one.about == about), None)
        if earlier is not None:
            return f"Confirmed by {earlier.by}."
        append(case.folder, steps_done_file(case.folder), StepDone, [StepDone(about, person.key, at)])
    case.ledger.note(
        Phase.REMEDIATE, "manual step confirmed", about, confirmed_by=person.key, confirmed_at=at
    )
    return f"Confirmed by {person.key}."
