"""Puts before people what only they can decide: open questions, drafts to approve, manual steps."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.incident import Duty, DutyStatus
from tasks.notify.acting import Case, left_steps
from tasks.notify.buttons import draft_blocks, question_blocks, question_key, step_blocks
from tasks.notify.drafts.store import Draft, all_approvals, latest_drafts
from tasks.notify.facts import known_keys
from tasks.notify.messages import masked, stamp
from tasks.notify.outlet import Outlet
from tasks.notify.vendors import is_vendor_fact
from tasks.notify.vocabulary import vocabulary

QUESTIONS = 12  # at a time: the ones that most duties wait for
THREAD = "notify"


def ask_people(case: Case, outlet: Outlet) -> list[str]:
    """Post what is open, each thing once; returns what could not be posted."""
    for fact, duties in open_questions(case):
        text = question_text(case, fact, duties)
        blocks = question_blocks(case.incident.id, fact, text)
        outlet.post(question_key(fact), text, THREAD, blocks, ("privacy",))
    for draft in undecided(case):
        key = f"draft-{draft.id}-{draft.hash[:12]}"
        text = (
            f"*Draft for approval*: `{draft.id}` version {draft.version} to {draft.recipient[:200]}\n"
            f"Read `drafts/{draft.stem}.html` in the incident's folder (sha256 {draft.hash[:12]})."
        )
        blocks = draft_blocks(case.incident.id, key, draft.id, draft.hash, text)
        outlet.post(key, text, THREAD, blocks, (draft.role,))
    for step in left_steps(case.folder):
        if step.kind == "manual":
            key = f"step-{step.id}"
            text = f"*Manual step*: `{_masked_ref(step.about)}`"
            outlet.post(
                key, text, "remediate", step_blocks(case.incident.id, key, step.id, text), (step.owner,)
            )
    return outlet.problems


def open_questions(case: Case) -> list[tuple[str, list[Duty]]]:
    """Facts that would decide duties, with those duties; the most wanted first, then the most urgent."""
    waiting: dict[str, list[Duty]] = {}
    for duty in case.folder.read(case.folder.duties, list[Duty]) or []:
        if duty.status is DutyStatus.UNDETERMINED:
            for fact in duty.missing:
                if fact in known_keys() or is_vendor_fact(fact):
                    waiting.setdefault(fact, []).append(duty)
    order = sorted(waiting.items(), key=lambda item: (-len(item[1]), _first_due(item[1]), item[0]))
    return order[:QUESTIONS]


def question_text(case: Case, fact: str, duties: list[Duty]) -> str:
    """The question, why it is asked, and how to answer it where no button can."""
    meaning = vocabulary().fact_schema.get(fact, "is this customer's or vendor's data among it?")
    first = _first_due(duties)
    due = f", the first due {first}" if first != "~" else ""
    how = f"`leak-response incident answer {case.incident.id} {fact} VALUE --by ROLE`"
    return f"*Question*: `{fact}`: {meaning}\n{len(duties)} duties wait for it{due}. Or: {how}"


def undecided(case: Case) -> Iterator[Draft]:
    """Drafts without gaps that nobody has approved or rejected as they are now."""
    decided = {(one.draft, one.hash) for one in all_approvals(case.folder)}
    for draft in latest_drafts(case.folder).values():
        if not draft.gaps and (draft.id, draft.hash) not in decided:
            yield draft


def _first_due(duties: list[Duty]) -> str:
    times = [duty.due_at for duty in duties if duty.due_at]
    return stamp(min(times)) if times else "~"


def _masked_ref(about: str) -> str:
    """An access key `system/kind/ref` with an opaque reference shortened."""
    *front, ref = about.split("/")
    return "/".join([*front, masked(ref)])
