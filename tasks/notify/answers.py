"""What people answered: each fact with who said it and when; all are kept, the latest one counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from blocks.errors import BadInput
from blocks.plan import Plan
from tasks.incident import IncidentFolder, Ledger, Phase, to_json, utc
from tasks.notify.facts import Facts
from tasks.notify.records import append, locked, read_all
from tasks.notify.vendors import VENDOR, is_vendor_fact, vendor_facts


@dataclass(frozen=True, slots=True)
class Answer:
    """One fact as one person stated it. `value` is as it stands in JSON; null means: not known after all."""

    fact: str
    value: Any
    by: str
    at: datetime


def answers_file(folder: IncidentFolder) -> Path:
    return folder.path / "answers.json"


def answer(
    folder: IncidentFolder,
    ledger: Ledger,
    fact: str,
    value: Any,
    by: str,
    at: datetime,
    plan: Plan | None = None,
) -> Answer:
    """Store an answer. The same answer by the same person again changes nothing (a double click).

    `plan` allows the facts about its vendors. Raises BadInput for an unknown fact or a value it cannot have.
    """
    checked = _checked(fact, value, by, at, plan)
    with locked(folder):
        latest = _latest(read_all(folder, answers_file(folder), Answer)).get(fact)
        if latest is not None and (latest.value, latest.by) == (checked.value, checked.by):
            return latest
        ledger.note(Phase.NOTIFY, "answered", fact, approver=by, replaces=latest.by if latest else None)
        append(folder, answers_file(folder), Answer, [checked])
    return checked


def answer_all(
    folder: IncidentFolder,
    ledger: Ledger,
    values: Mapping[str, Any],
    by: str,
    at: datetime,
    plan: Plan | None = None,
) -> list[Answer]:
    """Store several answers of one person, all or none: the first that is wrong is raised as BadInput.

    An answer that this person gave before and somebody else has changed since is not given again: a flow that
    is resumed with the answers it was started with must not overrule them. The ledger says so.
    """
    checked = [_checked(fact, value, by, at, plan) for fact, value in values.items()]
    earlier = all_answers(folder)
    given = [(one.fact, one.value, one.by) for one in earlier]
    latest = _latest(earlier)
    stored = []
    for one in checked:
        if (one.fact, one.value, one.by) in given and latest[one.fact].by != one.by:
            ledger.note(Phase.NOTIFY, "answer not repeated", one.fact, approver=latest[one.fact].by)
        else:
            stored.append(answer(folder, ledger, one.fact, one.value, by, at, plan))
    return stored


def all_answers(folder: IncidentFolder) -> list[Answer]:
    """Every answer ever given, oldest first."""
    return read_all(folder, answers_file(folder), Answer)


def with_stored_answers(folder: IncidentFolder, facts: Facts) -> Facts:
    """The facts with the latest answer to each question put over them, and who said it and when."""
    for one in sorted(_latest(all_answers(folder)).values(), key=lambda one: one.fact):
        if not is_vendor_fact(one.fact):  # all counts at once sort before a single one
            facts = facts.with_answer(one.fact, one.value, one.by, one.at)
    return facts


def vendor_answers(folder: IncidentFolder) -> dict[str, bool | None]:
    """The latest answers about the plan's vendors, by fact."""
    latest = _latest(all_answers(folder))
    return {fact: one.value for fact, one in latest.items() if is_vendor_fact(fact)}


def _latest(answers: list[Answer]) -> dict[str, Answer]:
    return {one.fact: one for one in answers}


def _checked(fact: str, value: Any, by: str, at: datetime, plan: Plan | None) -> Answer:
    if not by.strip():
        raise BadInput("It is not said who answers.", "Name the person or the role.")
    if fact.startswith(VENDOR):
        known = vendor_facts(plan) if plan else {}
        if fact not in known:
            raise BadInput(
                f"There is no fact {fact!r}.", f"The plan's vendors: {', '.join(sorted(known)) or 'none'}."
            )
        if value is not None and not isinstance(value, bool):
            raise BadInput(f"Fact {fact} is {value!r}.", "It must be true, false or null.")
    else:
        Facts.of({fact: value}, by, at)
    plain = sorted(value) if isinstance(value, set | frozenset) else value
    return Answer(fact, to_json(plain), by.strip(), utc(at, "time of the answer"))
