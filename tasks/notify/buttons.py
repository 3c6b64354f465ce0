"""Messages with buttons, and what a click on one means. A value holds references only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from blocks.errors import BadInput
from tasks.incident import INCIDENT_ID
from tasks.notify.facts import choices
from tasks.notify.messages import Blocks
from tasks.notify.vendors import is_vendor_fact

MAX_SECTION = 2900


class Kind(StrEnum):
    ANSWER = "answer"
    APPROVE = "approve"
    REJECT = "reject"
    STEP = "step"  # a manual step is done
    TAKE = "take"  # somebody takes care of a reminder


@dataclass(frozen=True, slots=True)
class Click:
    """What one button says. `about`: a fact, a draft, a step or a reminder; `value`: answer or draft hash."""

    incident: str
    kind: Kind
    about: str
    value: Any = None
    key: str = ""  # of the message it stands on

    def text(self) -> str:
        return json.dumps(
            {"i": self.incident, "k": self.kind, "a": self.about, "v": self.value, "m": self.key},
            separators=(",", ":"),
        )

    @classmethod
    def read(cls, text: str) -> Click:
        """Raises BadInput for a value that is not one of ours."""
        try:
            data = json.loads(text)
            click = cls(str(data["i"]), Kind(data["k"]), str(data["a"]), data["v"], str(data["m"]))
        except (ValueError, KeyError, TypeError):
            raise BadInput("The button says nothing that is understood.", "Use a newer message.") from None
        if not INCIDENT_ID.fullmatch(click.incident):  # it names a folder
            raise BadInput("The button names no incident.", "Use a newer message.")
        return click


def question_key(fact: str) -> str:
    return f"question-{fact}"


def question_blocks(incident_id: str, fact: str, text: str) -> Blocks | None:
    """A button for each possible answer; None when the answer is no choice but a list, number or time."""
    offered = (True, False) if is_vendor_fact(fact) else choices(fact)
    if not offered:
        return None
    key = question_key(fact)
    shown = {True: "Yes", False: "No"}
    buttons = [
        _button(Click(incident_id, Kind.ANSWER, fact, value, key), shown.get(value, str(value)), number)
        for number, value in enumerate(offered)
    ]
    return [section(text), {"type": "actions", "block_id": key[:255], "elements": buttons}]


def draft_blocks(incident_id: str, key: str, draft_id: str, content_hash: str, text: str) -> Blocks:
    """Approve or reject exactly the text with this hash."""
    approve = _button(Click(incident_id, Kind.APPROVE, draft_id, content_hash, key), "Approve", 0, "primary")
    reject = _button(Click(incident_id, Kind.REJECT, draft_id, content_hash, key), "Reject", 1, "danger")
    return [section(text), {"type": "actions", "block_id": key[:255], "elements": [approve, reject]}]


def step_blocks(incident_id: str, key: str, about: str, text: str) -> Blocks:
    done = _button(Click(incident_id, Kind.STEP, about, None, key), "I have done this", 0, "primary")
    return [section(text), {"type": "actions", "block_id": key[:255], "elements": [done]}]


def take_button(incident_id: str, key: str, text: str) -> Blocks:
    take = _button(Click(incident_id, Kind.TAKE, key, None, key), "I take care of it", 0)
    return [section(text), {"type": "actions", "block_id": key[:255], "elements": [take]}]


def done_blocks(text: str, outcome: str) -> Blocks:
    """The message without its buttons, and what became of it."""
    return [
        section(text),
        {"type": "context", "elements": [{"type": "mrkdwn", "text": outcome[:MAX_SECTION]}]},
    ]


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:MAX_SECTION]}}


def _button(click: Click, label: str, number: int, style: str | None = None) -> dict[str, Any]:
    button: dict[str, Any] = {
        "type": "button",
        "action_id": f"{click.kind}:{number}",
        "text": {"type": "plain_text", "text": label[:75]},
        "value": click.text(),
    }
    return button | ({"style": style} if style else {})
