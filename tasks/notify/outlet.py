"""Where messages go: Slack; without Slack by e-mail to the roles; without either only into the folder.

All three take the same calls, so nobody who says something needs to know which it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

from blocks.errors import LeakResponseError, Unreachable
from blocks.mail import MailServer
from blocks.plan import Plan
from blocks.slack import SlackWorkspace
from tasks.incident import Incident, IncidentFolder
from tasks.notify.channel import Channel
from tasks.notify.messages import Blocks, Status, plain, status_blocks
from tasks.notify.outbox import Message, Outbox
from tasks.notify.records import locked, notify_file
from tasks.notify.roles import COMMANDER


class Outlet(Protocol):
    """Says things once. Methods tell whether it is out; what could not be said is in `problems`."""

    problems: list[str]

    def open(self, incident: Incident) -> bool: ...

    def update_status(self, status: Status) -> bool: ...

    def post(
        self,
        key: str,
        text: str,
        thread: str | None = None,
        blocks: Blocks | None = None,
        to: tuple[str, ...] = (),
    ) -> bool: ...

    def replace(self, key: str, text: str, blocks: Blocks) -> bool: ...


def outlet_for(
    slack: SlackWorkspace | None, mail: MailServer | None, plan: Plan, folder: IncidentFolder
) -> Outlet:
    """Slack where there is one, else e-mail, else the folder alone."""
    if slack is not None:
        return Channel(slack, plan, folder)
    return MailOutlet(mail, plan, folder) if mail is not None else FolderOutlet(folder)


class FolderOutlet:
    """Keeps every message in the incident's folder, where the report and people find it."""

    def __init__(self, folder: IncidentFolder) -> None:
        self._folder = folder
        self.problems: list[str] = []

    @property
    def path(self) -> Path:
        return notify_file(self._folder, "messages.jsonl")

    def open(self, incident: Incident) -> bool:
        return True

    def update_status(self, status: Status) -> bool:
        notify_file(self._folder, "status.txt").write_text(
            plain(status_blocks(status)) + "\n", encoding="utf-8"
        )
        return True

    def post(
        self,
        key: str,
        text: str,
        thread: str | None = None,
        blocks: Blocks | None = None,
        to: tuple[str, ...] = (),
    ) -> bool:
        with locked(self._folder, "messages"):
            known = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
            if all(json.loads(line)["key"] != key for line in known):
                with self.path.open("a", encoding="utf-8") as out:
                    out.write(json.dumps({"key": key, "to": to, "thread": thread, "text": text}) + "\n")
        return True

    def replace(self, key: str, text: str, blocks: Blocks) -> bool:
        return self.post(f"{key}-done", text)


class MailOutlet:
    """E-mail to the roles a message is for, else to the commander; waits in order while the server is down.

    A message keeps its Message-ID when it is sent again, so that a mailbox that got it before drops it.
    """

    def __init__(self, mail: MailServer, plan: Plan, folder: IncidentFolder) -> None:
        self._mail = mail
        self._plan = plan
        self._folder = folder
        self._outbox = Outbox(folder)
        self.problems: list[str] = []
        self._down = False

    @property
    def _sent_path(self) -> Path:
        return notify_file(self._folder, "mailed.json")

    def open(self, incident: Incident) -> bool:
        return True

    def update_status(self, status: Status) -> bool:
        """A status that changes all the time is no mail: it goes into the folder."""
        return FolderOutlet(self._folder).update_status(status)

    def post(
        self,
        key: str,
        text: str,
        thread: str | None = None,
        blocks: Blocks | None = None,
        to: tuple[str, ...] = (),
    ) -> bool:
        with locked(self._folder, "slack"):
            if key not in self._sent():
                self._outbox.add(Message(key, text, thread, None, to))
            if not self._down:
                self._flush()
            return key in self._sent()

    def replace(self, key: str, text: str, blocks: Blocks) -> bool:
        return True

    def _flush(self) -> None:
        for message in self._outbox.waiting():
            try:
                refused = self._mail.send(self._as_mail(message))
            except LeakResponseError as error:
                self.problems.append(f"Mail: could not send {message.key}: {error.problem}")
                self._down = isinstance(error, Unreachable)
                return
            if refused:
                self.problems.append(f"Mail: {len(refused)} recipients of {message.key} were refused.")
            self._folder.write(self._sent_path, [*self._sent(), message.key])
            self._outbox.remove(message.key)

    def _sent(self) -> list[str]:
        return self._folder.read(self._sent_path, list[str]) or []

    def _as_mail(self, message: Message) -> EmailMessage:
        incident = self._folder.path.name
        roles = [role for role in message.to if role in self._plan.roles] or [COMMANDER]
        mail = EmailMessage()
        mail["From"] = self._mail.sender
        mail["To"] = ", ".join(sorted({self._plan.roles[role].email for role in roles}))
        mail["Subject"] = f"[{incident}] {plain_text(message.text.splitlines()[0])[:100]}"
        digest = hashlib.sha256(f"{incident} {message.key}".encode()).hexdigest()[:32]
        mail["Message-ID"] = f"<{digest}@leak-response.invalid>"
        mail.set_content(plain_text(message.text) + "\n")
        return mail


def plain_text(text: str) -> str:
    """Without Slack's marks for bold and code."""
    return re.sub(r"[*`]", "", text)
