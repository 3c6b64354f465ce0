"""Receives clicks from Slack: signature checked, identity from Slack, acknowledged at once, done once.

A click is written into an inbox before Slack gets its answer, so that a crash loses none. It is then carried
out in order, and the message it stands on says what became of it. Run it behind a TLS proxy.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from blocks.errors import BadInput, LeakResponseError, Unreachable
from blocks.plan import Plan, Role
from blocks.slack import SlackWorkspace, slack_errors
from tasks.notify.acting import Case, act
from tasks.notify.buttons import Click, done_blocks
from tasks.notify.channel import Channel
from tasks.notify.roles import role_of

MAX_BODY = 1_000_000
RETRY_S = 5.0
PATH = "/slack/actions"
log = logging.getLogger("leak_response.slack_receiver")
Open = Callable[[str], Case]


@dataclass(frozen=True, slots=True)
class Received:
    """What is kept of a callback: who clicked what, where. Nothing else of it is stored."""

    user: str
    channel: str
    value: str
    text: str  # of the message, to show it again without its buttons


class Receiver:
    """Takes callbacks and carries them out, one after the other, in a thread of its own."""

    def __init__(self, workspace: SlackWorkspace, open_case: Open, inbox: Path) -> None:
        self._workspace = workspace
        self._open = open_case
        self._inbox = inbox
        inbox.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._worker = threading.Thread(target=self._run, name="slack-clicks", daemon=True)

    def start(self) -> None:
        """Begin with what a crash left in the inbox."""
        self._worker.start()
        self._wake.set()

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()
        self._worker.join(30)

    def accept(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Check and keep a callback; returns the HTTP status to answer with."""
        if not self._workspace.is_signed(body, headers):
            return 401
        received = read_callback(body)
        if received is None:
            return 400
        name = hashlib.sha256(body).hexdigest()
        path = self._inbox / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{name[:32]}.json"
        if not any(self._inbox.glob(f"*-{name[:32]}.json")):
            partial = path.with_suffix(".part")
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                json.dump([received.user, received.channel, received.value, received.text], out)
                out.flush()
                os.fsync(out.fileno())
            partial.replace(path)
        self._wake.set()
        return 200

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(RETRY_S)
            self._wake.clear()
            for path in sorted(self._inbox.glob("*.json")):
                try:
                    self.carry_out(Received(*json.loads(path.read_text(encoding="utf-8"))))
                except Unreachable as error:
                    log.warning("a click waits: %s", error.problem)
                    break  # in order: the next ones wait too
                except LeakResponseError as error:
                    log.warning("a click was refused: %s", error.problem)
                except Exception as error:
                    log.error("a click failed: %s", type(error).__name__)
                path.unlink(missing_ok=True)

    def carry_out(self, received: Received) -> str:
        """Do what was clicked as who clicked it, and say so; returns what became of it."""
        click = Click.read(received.value)
        case = self._open(click.incident)
        try:
            person = self._person(received.user, case.plan)
            outcome = act(click, person, case, datetime.now(UTC))
        except BadInput as refused:
            self._tell(received, f"{refused.problem} {refused.fix}")
            raise
        channel = Channel(self._workspace, case.plan, case.folder)
        channel.replace(click.key, f"{received.text}\n{outcome}", done_blocks(received.text, outcome))
        for problem in channel.problems:
            log.warning("%s: %s", click.incident, problem)
        return outcome

    def _person(self, user: str, plan: Plan) -> Role:
        """The plan's role of a Slack user, by the address Slack has for them."""
        with slack_errors("users.info"):
            found: dict[str, Any] = self._workspace.get_client().users_info(user=user)["user"]
        if found.get("deleted") or found.get("is_bot"):
            raise BadInput("This Slack user is deactivated or a bot.", "A person of the plan must decide.")
        return role_of(str((found.get("profile") or {}).get("email") or "nobody"), plan)

    def _tell(self, received: Received, text: str) -> None:
        """Tell only the one who clicked, as well as it goes."""
        try:
            with slack_errors("chat.postEphemeral"):
                self._workspace.posting_client().chat_postEphemeral(
                    channel=received.channel, user=received.user, text=text
                )
        except LeakResponseError as error:
            log.warning("could not tell the user: %s", error.problem)


def read_callback(body: bytes) -> Received | None:
    """A `block_actions` callback with one action; None for anything else."""
    try:
        payload = json.loads(parse_qs(body.decode("utf-8"), strict_parsing=True)["payload"][0])
        if payload["type"] != "block_actions":
            return None
        message = payload["message"]
        section = next((b for b in message.get("blocks", []) if b.get("type") == "section"), None)
        text = section["text"]["text"] if section else message.get("text", "")
        value = str(payload["actions"][0]["value"])
        return Received(str(payload["user"]["id"]), str(payload["channel"]["id"]), value, str(text))
    except (ValueError, KeyError, IndexError, TypeError):
        return None


class Server(ThreadingHTTPServer):
    """The receiver over HTTP, on one address."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], receiver: Receiver) -> None:
        super().__init__(address, Handler)
        self.receiver = receiver


class Handler(BaseHTTPRequestHandler):
    """POST /slack/actions; GET /health."""

    server: Server
    timeout = 10

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/health" else 404)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != PATH:
            return self._answer(404)
        if not length.isdigit() or int(length) > MAX_BODY:
            return self._answer(413 if length.isdigit() else 411)
        body = self.rfile.read(int(length))
        try:
            return self._answer(self.server.receiver.accept(body, dict(self.headers.items())))
        except LeakResponseError as error:
            log.error("a callback could not be checked: %s", error.problem)
            return self._answer(503)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Paths and addresses of callers say nothing that is needed."""
