"""Messages on their way: written down before they are sent, sent in order, forgotten when they are out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.incident import IncidentFolder
from tasks.notify.records import read_all


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `key` is the same whenever the same thing is said, so that it is said once."""

    key: str
    text: str
    thread: str | None = None  # the phase under whose first message it goes
    blocks: list[dict[str, Any]] | None = None
    to: tuple[str, ...] = ()  # roles that must see it
    tried_at: datetime | None = None  # sent before, and no answer came: it may be there


class Outbox:
    """A file of messages in order. The caller holds the folder's lock `slack`."""

    def __init__(self, folder: IncidentFolder) -> None:
        self._folder = folder

    @property
    def path(self) -> Path:
        return self._folder.path / "outbox.json"

    def waiting(self) -> list[Message]:
        return read_all(self._folder, self.path, Message)

    def add(self, message: Message) -> None:
        """Put a message at the end, unless one with its key waits already."""
        waiting = self.waiting()
        if all(one.key != message.key for one in waiting):
            self._folder.write(self.path, [*waiting, message])

    def mark_tried(self, key: str, at: datetime) -> None:
        """Remember the first try: only what was tried before must be looked for."""
        self._write(
            replace(one, tried_at=one.tried_at or at) if one.key == key else one for one in self.waiting()
        )

    def remove(self, key: str) -> None:
        self._write(one for one in self.waiting() if one.key != key)

    def _write(self, messages: Any) -> None:
        self._folder.write(self.path, list(messages))
