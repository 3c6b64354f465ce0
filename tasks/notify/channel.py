"""The incident's Slack channel: opened once, the right people invited, one pinned status updated in place.

Everything is tried again later when Slack is down: what could not be posted waits in an outbox file, and goes
out in order. A message carries a key in its metadata; before a repeat the history is asked for that key, so a
reply lost on the way does not post twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from slack_sdk import WebClient

from blocks.errors import LeakResponseError, Unreachable
from blocks.plan import Plan, Role
from blocks.slack import SlackRefused, SlackWorkspace, slack_errors
from tasks.incident import Incident, IncidentFolder
from tasks.notify.messages import Blocks, Status, plain, status_blocks

EVENT = "leak_response_message"


@dataclass(frozen=True, slots=True)
class ChannelState:
    """What is remembered between runs, so that a second run finds its channel and repeats nothing."""

    channel: str | None = None
    name: str | None = None
    status_ts: str | None = None
    pinned: bool = False
    invited: tuple[str, ...] = ()
    posted: tuple[str, ...] = ()  # keys of messages that are out
    threads: dict[str, str] = field(default_factory=dict)  # phase -> ts of its first message


class Channel:
    """The incident channel. Methods say whether Slack has it; a Slack that is down raises nothing."""

    def __init__(self, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder) -> None:
        self._workspace = workspace
        self._plan = plan
        self._folder = folder
        self.state = folder.read(folder.slack, ChannelState) or ChannelState()
        self.problems: list[str] = []

    @property
    def _outbox(self) -> Path:
        return self._folder.path / "outbox.jsonl"

    def open(self, incident: Incident) -> bool:
        """Create the channel or find the one made before; invite the plan's roles; set topic and purpose."""
        return self._try("open the channel", lambda client: self._open(client, incident))

    def update_status(self, status: Status) -> bool:
        """Post the status message and pin it, or update it in place."""
        return self._try("update the status", lambda client: self._update_status(client, status))

    def post(self, key: str, text: str, thread: str | None = None) -> bool:
        """Post a message once. `thread` names the phase under whose first message it goes."""
        if key in self.state.posted:
            return True
        self._flush()
        if self._try(f"post {key}", lambda client: self._post(client, key, text, thread)):
            return True
        with self._outbox.open("a", encoding="utf-8") as outbox:
            outbox.write(json.dumps({"key": key, "text": text, "thread": thread}) + "\n")
        return False

    # --- what is done, when Slack answers ----------------------------------------------------------

    def _open(self, client: WebClient, incident: Incident) -> None:
        name = channel_name(self._plan, incident.id)
        if self.state.channel is None:
            self._remember(channel=self._create_or_find(client, name), name=name)
        channel = self.state.channel
        with slack_errors("conversations.setTopic"):
            client.conversations_setTopic(
                channel=channel or "", topic=f"{incident.id}: {incident.what_happened}"[:250]
            )
        for role in self._plan.roles.values():
            self._invite(client, role)

    def _create_or_find(self, client: WebClient, name: str) -> str:
        try:
            with slack_errors("conversations.create"):
                return str(client.conversations_create(name=name, is_private=False)["channel"]["id"])
        except SlackRefused as error:
            if error.code != "name_taken":
                raise
        cursor = ""
        while True:
            with slack_errors("conversations.list"):
                page = client.conversations_list(limit=200, cursor=cursor, exclude_archived=False)
            for channel in page["channels"]:
                if channel["name"] == name:
                    return str(channel["id"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                raise SlackRefused(
                    f"The channel name {name} is taken by one that cannot be seen.",
                    "Invite the app to it or choose another channel_prefix in the plan.",
                    "name_taken",
                )

    def _invite(self, client: WebClient, role: Role) -> None:
        """Invite by member id, else by e-mail; a person who left is named as a problem and skipped."""
        if role.key in self.state.invited:
            return
        try:
            with slack_errors("users.lookupByEmail"):
                user = client.users_lookupByEmail(email=role.email)["user"]["id"]
            with slack_errors("conversations.invite"):
                client.conversations_invite(channel=self.state.channel or "", users=[user])
        except SlackRefused as error:
            if error.code not in ("already_in_channel", "cant_invite_self"):
                self.problems.append(f"Slack could not invite the {role.key}: {error.code}")
                return
        self._remember(invited=(*self.state.invited, role.key))

    def _update_status(self, client: WebClient, status: Status) -> None:
        if self.state.channel is None:
            self._open(client, status.incident)
        channel, blocks = self.state.channel or "", status_blocks(status)
        if self.state.status_ts is None:
            self._remember(status_ts=self._send(client, "status", plain(blocks), blocks, None))
        else:
            with slack_errors("chat.update"):
                client.chat_update(
                    channel=channel, ts=self.state.status_ts, text=plain(blocks), blocks=blocks
                )
        if not self.state.pinned:
            try:
                with slack_errors("pins.add"):
                    client.pins_add(channel=channel, timestamp=self.state.status_ts)
            except SlackRefused as error:
                if error.code != "already_pinned":
                    raise
            self._remember(pinned=True)

    def _post(self, client: WebClient, key: str, text: str, thread: str | None) -> None:
        ts = self._send(client, key, text, None, self.state.threads.get(thread) if thread else None)
        threads = self.state.threads
        if thread and thread not in threads:
            threads = {**threads, thread: ts}
        self._remember(posted=(*self.state.posted, key), threads=threads)

    def _send(
        self, client: WebClient, key: str, text: str, blocks: Blocks | None, thread_ts: str | None
    ) -> str:
        channel = self.state.channel
        if channel is None:
            raise Unreachable("The incident channel is not open yet.", "It is opened when Slack answers.")
        if earlier := self._already_there(client, channel, key):
            return earlier
        with slack_errors("chat.postMessage"):
            reply = client.chat_postMessage(
                channel=channel,
                text=text,
                blocks=blocks,
                thread_ts=thread_ts,
                metadata={"event_type": EVENT, "event_payload": {"key": key}},
                unfurl_links=False,
            )
        return str(reply["ts"])

    def _already_there(self, client: WebClient, channel: str, key: str) -> str | None:
        with slack_errors("conversations.history"):
            page = client.conversations_history(channel=channel, include_all_metadata=True, limit=200)
        for message in page["messages"]:
            payload = (message.get("metadata") or {}).get("event_payload") or {}
            if payload.get("key") == key:
                return str(message["ts"])
        return None

    # --- surviving trouble -------------------------------------------------------------------------

    def _flush(self) -> None:
        """Post what waits in the outbox, oldest first; stop at the first that Slack does not take."""
        if not self._outbox.exists():
            return
        waiting = [json.loads(line) for line in self._outbox.read_text(encoding="utf-8").splitlines()]
        for message in list(waiting):
            post = partial(self._post, key=message["key"], text=message["text"], thread=message["thread"])
            if not self._try("post the outbox", post):
                break
            waiting.remove(message)
        self._outbox.write_text("".join(json.dumps(message) + "\n" for message in waiting), encoding="utf-8")

    def _try(self, what: str, action: Callable[[WebClient], None]) -> bool:
        try:
            action(self._workspace.get_client())
        except LeakResponseError as error:
            self.problems.append(f"Slack: could not {what}: {error.problem}")
            return False
        return True

    def _remember(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self._folder.write(self._folder.slack, self.state)


def channel_name(plan: Plan, incident_id: str) -> str:
    """Slack's rules: lower case, letters, digits and dashes, at most 80 characters."""
    return f"{plan.policies.channel_prefix}{incident_id.removeprefix('INC-')}".lower()[:80]
