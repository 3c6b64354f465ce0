"""Approvals: what waits for one, who gave it, and what the plan says when nobody does in time.

Requests and answers are files in the incident's folder, so that a wait survives the death of worker and
server alike. An approval is bound to the hash of exactly the changes that were shown; when the world has
changed since, the hash is another, and the difference is shown with the new question.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from blocks.errors import BadInput
from blocks.plan import Approval
from tasks.contain.changes import ChangeSet
from tasks.incident import IncidentFolder, Ledger, Phase

ASKED, ANSWERED = "asked for approval", "approval answered"
SHORTEST = 8  # characters of a hash that a person may type


class Decision(StrEnum):
    """What became of a request."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Request:
    """A change set that somebody is asked to approve. `deadline` None: it was shown, nothing waits for it."""

    hash: str
    changes: ChangeSet
    asked_at: datetime
    deadline: datetime | None
    default: str  # what the plan says when nobody answers in time: proceed, wait or reject
    difference: tuple[str, ...] = ()  # from what was asked before
    flow_run: str | None = None  # the suspended run that waits for it


@dataclass(frozen=True, slots=True)
class Answer:
    """What a named person decided about one hash; `by` is None where the plan's default spoke."""

    hash: str
    approved: bool
    by: str | None
    at: datetime


class Approvals:
    """The requests and answers of one incident."""

    def __init__(self, folder: IncidentFolder, ledger: Ledger) -> None:
        self._folder = folder
        self._ledger = ledger

    def show(self, changes: ChangeSet, now: datetime) -> Request:
        """Keep a change set that was shown, so that it can be approved by its hash. Nothing waits for it."""
        known = self.request(changes.hash)
        return known or self._store(Request(changes.hash, changes, now, None, "wait"))

    def ask(self, changes: ChangeSet, rule: Approval, now: datetime) -> Request:
        """Ask for an approval; asking again for the same changes neither moves the deadline nor repeats."""
        known = self.request(changes.hash)
        if known is not None and known.deadline is not None:
            return known
        before = max(self.requests(), key=lambda one: one.asked_at, default=None)
        difference = tuple(before.changes.difference(changes)) if before else ()
        deadline = now + timedelta(minutes=rule.timeout_minutes)
        self._ledger.note(
            Phase.CONTAIN,
            ASKED,
            changes.incident,
            change_set_hash=changes.hash,
            count=len(changes.changes),
            changes=len(difference),
            due_at=deadline,
            decision=rule.default,
        )
        return self._store(Request(changes.hash, changes, now, deadline, rule.default, difference))

    def answer(self, typed: str, by: str, *, approved: bool, now: datetime) -> Answer:
        """Record what a named person decided. Raises BadInput for an unknown hash, a missing name, or a hash
        that somebody has decided about differently."""
        if len(by.strip()) < 3:
            raise BadInput("An approval names who gives it.", "Pass --by with a name.")
        request = self.find(typed)
        given = self.answer_to(request.hash)
        if given is not None and given.approved is not approved:
            word = "approved" if given.approved else "rejected"
            raise BadInput(
                f"It was {word} already by {given.by or 'the default of the plan'}.",
                "Run containment again: what is still open is asked anew when the world has changed.",
            )
        return given or self._record(Answer(request.hash, approved, by.strip(), now))

    def decide(self, request: Request, now: datetime) -> Decision:
        """An answer, else the plan's default once the deadline has passed."""
        given = self.answer_to(request.hash)
        if given is None and request.deadline is not None and now >= request.deadline:
            if request.default == "wait":
                return Decision.PENDING
            given = self._record(Answer(request.hash, request.default == "proceed", None, now))
        if given is None:
            return Decision.PENDING
        return Decision.APPROVED if given.approved else Decision.REJECTED

    def agreed(self, changes: ChangeSet) -> frozenset[str]:
        """Keys of the accesses that may be closed, if exactly these changes were approved."""
        given = self.answer_to(changes.hash)
        return changes.closing if given is not None and given.approved else frozenset()

    def waits_in(self, request: Request, flow_run: str) -> Request:
        """Note which suspended run waits for the answer."""
        return self._store(
            Request(
                request.hash,
                request.changes,
                request.asked_at,
                request.deadline,
                request.default,
                request.difference,
                flow_run,
            )
        )

    def find(self, typed: str) -> Request:
        """The request whose hash begins so. Raises BadInput."""
        known = self.requests()
        matching = [one for one in known if one.hash.startswith(typed)] if len(typed) >= SHORTEST else []
        if len(matching) != 1:
            shown = ", ".join(one.hash[:12] for one in known) or "none"
            raise BadInput(
                f"No change set with the hash {typed!r} was shown for this incident.", f"Known: {shown}."
            )
        return matching[0]

    def requests(self) -> list[Request]:
        """All change sets shown or asked about, oldest first."""
        files = sorted(self._path.glob("*.request.json"))
        found = [one for file in files if (one := self._folder.read(file, Request))]
        return sorted(found, key=lambda one: one.asked_at)

    def request(self, hash_: str) -> Request | None:
        return self._folder.read(self._path / f"{hash_}.request.json", Request)

    def answer_to(self, hash_: str) -> Answer | None:
        """What was decided about a hash."""
        return self._folder.read(self._path / f"{hash_}.answer.json", Answer)

    @property
    def _path(self) -> Path:
        return self._folder.sub("approvals")

    def _store(self, request: Request) -> Request:
        self._folder.write(self._path / f"{request.hash}.request.json", request)
        return request

    def _record(self, answer: Answer) -> Answer:
        self._ledger.note(
            Phase.CONTAIN,
            ANSWERED,
            answer.hash[:16],
            change_set_hash=answer.hash,
            approver=answer.by or "nobody in time: the plan's default",
            approved=answer.approved,
        )
        self._folder.write(self._path / f"{answer.hash}.answer.json", answer)
        return answer
