"""The incident's Slack channel: opened once, the right people invited, one pinned status updated in place.

What is to be posted is written down first, goes out in order, and waits while Slack is down. A message
carries its key in its metadata: when the answer to a post was lost, the channel is searched for that key
before the post is repeated, so nothing appears twice. A channel that was archived or deleted is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from slack_sdk import WebClient

from blocks.errors import LeakResponseError, Unreachable
from blocks.plan import Plan, Role
from blocks.slack import SlackRefused, SlackWorkspace, slack_errors
from tasks.incident import Incident, IncidentFolder
from tasks.notify.messages import Blocks, Status, plain, status_blocks
from tasks.notify.outbox import Message, Outbox
from tasks.notify.records import locked

EVENT = "leak_response_message"
GONE = ("is_archived", "channel_not_found", "is_inactive", "not_in_channel")
# What Slack will never take, however often it is asked: named as a problem and dropped, to block no other.
UNDELIVERABLE = (
    "msg_too_long",
    "invalid_blocks",
    "no_text",
    "invalid_blocks_format",
    "invalid_metadata_format",
)
CLOCKS_APART = timedelta(minutes=10)  # how far Slack's clock and ours may differ


@dataclass(frozen=True, slots=True)
class ChannelState:
    """What is remembered between runs, so that a second run finds its channel and repeats nothing."""

    channel: str | None = None
    name: str | None = None
    status_ts: str | None = None
    status_tried: datetime | None = None
    pinned: bool = False
    invited: tuple[str, ...] = ()
    members: dict[str, str] = field(default_factory=dict)  # role -> Slack user id
    posted: tuple[str, ...] = ()  # keys of messages that are out
    messages: dict[str, str] = field(default_factory=dict)  # key -> ts of messages with buttons
    threads: dict[str, str] = field(default_factory=dict)  # phase -> ts of its first message
    replaced: int = 0  # how many channels before this one were archived or deleted


class Channel:
    """The incident channel. Methods say whether Slack has it; a Slack that is down raises nothing."""

    def __init__(self, workspace: SlackWorkspace, plan: Plan, folder: IncidentFolder) -> None:
        self._workspace = workspace
        self._plan = plan
        self._folder = folder
        self._outbox = Outbox(folder)
        self.state = ChannelState()
        self._reload()
        self.problems: list[str] = []
        self._down = False  # once it did not answer, this object asks no more: nobody waits for it twice

    def open(self, incident: Incident) -> bool:
        """Create the channel or find the one made before; invite the plan's roles; set the topic."""
        return self._try("open the channel", lambda: self._open(incident))

    def update_status(self, status: Status) -> bool:
        """Post the status message and pin it, or update it in place."""
        return self._try("update the status", lambda: self._update_status(status))

    def post(
        self,
        key: str,
        text: str,
        thread: str | None = None,
        blocks: Blocks | None = None,
        to: tuple[str, ...] = (),
    ) -> bool:
        """Post a message once, after all that waits. `thread` names a phase; `to` are roles to mention."""
        with locked(self._folder, "slack"):
            self._reload()
            if key in self.state.posted:
                return True
            self._outbox.add(Message(key, text, thread, blocks, to))
        self.flush()
        return key in self.state.posted

    def flush(self) -> bool:
        """Post what waits, oldest first; stop at the first that Slack does not take. True when all is out."""
        return self._try("post what waits", self._flush)

    def replace(self, key: str, text: str, blocks: Blocks) -> bool:
        """Put other content in the place of a message with buttons that is out."""
        return self._try(f"update {key}", lambda: self._replace(key, text, blocks))

    # --- opening ---------------------------------------------------------------------------------

    def _open(self, incident: Incident) -> None:
        client = self._workspace.get_client()
        name = channel_name(self._plan, incident.id, self.state.replaced)
        if self.state.channel is None:
            self._remember(channel=self._create_or_find(client, name), name=name)
        try:
            with slack_errors("conversations.setTopic"):
                client.conversations_setTopic(
                    channel=self.state.channel or "", topic=f"{incident.id}: {incident.what_happened}"[:250]
                )
        except SlackRefused as error:
            if error.code not in GONE:
                raise
            self._replace_channel()
            return self._open(incident)
        for role in self._plan.roles.values():
            self._invite(client, role)
        return None

    def _create_or_find(self, client: WebClient, name: str) -> str:
        try:
            with slack_errors("conversations.create"):
                return str(client.conversations_create(name=name, is_private=False)["channel"]["id"])
        except SlackRefused as error:
            if error.code != "name_taken":
                raise
        for page in _pages(lambda cursor: client.conversations_list(limit=200, cursor=cursor)):
            for channel in page["channels"]:
                if channel["name"] == name:
                    return str(channel["id"])
        raise SlackRefused(
            f"The channel name {name} is taken by one that cannot be seen.",
            "Invite the app to it or choose another channel_prefix in the plan.",
            "name_taken",
        )

    def _invite(self, client: WebClient, role: Role) -> None:
        """Invite by e-mail; a person who left is named as a problem and skipped."""
        if role.key in self.state.invited:
            return
        try:
            with slack_errors("users.lookupByEmail"):
                user = str(client.users_lookupByEmail(email=role.email)["user"]["id"])
            self._remember(members={**self.state.members, role.key: user})
            with slack_errors("conversations.invite"):
                client.conversations_invite(channel=self.state.channel or "", users=[user])
        except SlackRefused as error:
            if error.code not in ("already_in_channel", "cant_invite_self"):
                self.problems.append(f"Slack could not invite the {role.key}: {error.code}")
                return
        self._remember(invited=(*self.state.invited, role.key))

    def _replace_channel(self) -> None:
        """Forget a channel that takes nothing any more; what was said there is not said again."""
        self.problems.append(f"The channel {self.state.name} is archived or gone; a new one takes its place.")
        self._remember(
            channel=None, name=None, status_ts=None, status_tried=None, pinned=False, invited=(),
            messages={}, threads={}, replaced=self.state.replaced + 1,
        )  # fmt: skip

    # --- posting ---------------------------------------------------------------------------------

    def _flush(self) -> None:
        for message in self._outbox.waiting():
            try:
                self._deliver(message)
            except SlackRefused as error:
                if error.code not in UNDELIVERABLE:
                    raise
                self.problems.append(f"Slack: {message.key} cannot be posted: {error.code}")
                self._remember(posted=(*self.state.posted, message.key))
            self._outbox.remove(message.key)

    def _deliver(self, message: Message) -> None:
        if message.key in self.state.posted:
            return
        thread_ts = self.state.threads.get(message.thread) if message.thread else None
        mentions = " ".join(self._mention(role) for role in message.to)
        text = f"{mentions} {message.text}".strip()
        ts = self._find(message.key, message.tried_at, thread_ts) if message.tried_at else None
        if ts is None:
            self._outbox.mark_tried(message.key, now())
            ts = self._send(message.key, text, _addressed(message.blocks, mentions), thread_ts)
        changes: dict[str, Any] = {"posted": (*self.state.posted, message.key)}
        if message.blocks:
            changes["messages"] = {**self.state.messages, message.key: ts}
        if message.thread and message.thread not in self.state.threads:
            changes["threads"] = {**self.state.threads, message.thread: ts}
        self._remember(**changes)

    def _update_status(self, status: Status) -> None:
        if self.state.channel is None or len(self.state.invited) < len(self._plan.roles):
            self._open(status.incident)
        blocks = status_blocks(status)
        try:
            self._put_status(blocks)
        except SlackRefused as error:
            if error.code == "message_not_found":  # somebody deleted it
                self._remember(status_ts=None, status_tried=None, pinned=False)
            elif error.code in GONE:
                self._replace_channel()
                self._open(status.incident)
            else:
                raise
            self._put_status(blocks)

    def _put_status(self, blocks: Blocks) -> None:
        client, channel = self._workspace.get_client(), self.state.channel or ""
        if self.state.status_ts is None:
            tried = self.state.status_tried
            ts = self._find("status", tried, None) if tried else None
            if ts is None:
                self._remember(status_tried=tried or now())
                ts = self._send("status", plain(blocks), blocks, None)
            self._remember(status_ts=ts)
        else:
            with slack_errors("chat.update"):
                client.chat_update(
                    channel=channel, ts=self.state.status_ts, text=plain(blocks), blocks=blocks
                )
        if not self.state.pinned:
            try:
                with slack_errors("pins.add"):
                    client.pins_add(channel=channel, timestamp=self.state.status_ts or "")
            except SlackRefused as error:
                if error.code != "already_pinned":
                    raise
            self._remember(pinned=True)

    def _replace(self, key: str, text: str, blocks: Blocks) -> None:
        ts = self.state.messages.get(key)
        if ts is None:
            return
        with slack_errors("chat.update"):
            self._workspace.get_client().chat_update(
                channel=self.state.channel or "", ts=ts, text=text, blocks=blocks
            )

    def _send(self, key: str, text: str, blocks: Blocks | None, thread_ts: str | None) -> str:
        channel = self.state.channel
        if channel is None:
            raise Unreachable("The incident channel is not open yet.", "It is opened when Slack answers.")
        with slack_errors("chat.postMessage"):
            reply = self._workspace.posting_client().chat_postMessage(
                channel=channel,
                text=text,
                blocks=blocks,
                thread_ts=thread_ts,
                metadata={"event_type": EVENT, "event_payload": {"key": key}},
                unfurl_links=False,
            )
        return str(reply["ts"])

    def _find(self, key: str, since: datetime | None, thread_ts: str | None) -> str | None:
        """A message whose post was tried before, by the key in its metadata; replies are in their thread."""
        client, channel = self._workspace.get_client(), self.state.channel or ""
        oldest = str((since - CLOCKS_APART).timestamp()) if since else "0"

        def page_at(cursor: str) -> Any:
            common: dict[str, Any] = {"channel": channel, "limit": 200, "include_all_metadata": True}
            if thread_ts:
                return client.conversations_replies(ts=thread_ts, cursor=cursor, **common)
            return client.conversations_history(oldest=oldest, cursor=cursor, **common)

        for page in _pages(page_at):
            for message in page["messages"]:
                payload = (message.get("metadata") or {}).get("event_payload") or {}
                if payload.get("key") == key:
                    return str(message["ts"])
        return None

    def _mention(self, role: str) -> str:
        """A person by Slack id; for one who left the role's name, and the deputy."""
        if user := self.state.members.get(role):
            return f"<@{user}>"
        deputy = self._plan.roles[role].deputy if role in self._plan.roles else None
        found = self.state.members.get(deputy) if deputy else None
        return f"{role} (for them: <@{found}>)" if found else role

    # --- surviving trouble -----------------------------------------------------------------------

    def _try(self, what: str, action: Callable[[], None]) -> bool:
        if self._down:
            return False
        try:
            with locked(self._folder, "slack"):
                self._reload()
                action()
        except LeakResponseError as error:
            self.problems.append(f"Slack: could not {what}: {error.problem}")
            self._down = isinstance(error, Unreachable) and self.state.channel is not None
            if isinstance(error, SlackRefused) and error.code in GONE:
                with locked(self._folder, "slack"):
                    self._replace_channel()
            return False
        return True

    def _reload(self) -> None:
        self.state = self._folder.read(self._folder.slack, ChannelState) or ChannelState()

    def _remember(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self._folder.write(self._folder.slack, self.state)


def now() -> datetime:
    """When a post was tried: only ever compared with Slack's own clock."""
    return datetime.now(UTC)


def _addressed(blocks: Blocks | None, mentions: str) -> Blocks | None:
    """Blocks hide the text, so whom they are for must stand in them."""
    if not blocks or not mentions:
        return blocks
    return [{"type": "context", "elements": [{"type": "mrkdwn", "text": mentions}]}, *blocks]


def _pages(ask: Callable[[str], Any]) -> Iterator[Any]:
    cursor = ""
    while True:
        with slack_errors("reading the channel"):
            page = ask(cursor)
        yield page
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return


def channel_name(plan: Plan, incident_id: str, replaced: int = 0) -> str:
    """Slack's rules: lower case, letters, digits and dashes, at most 80 characters."""
    name = f"{plan.policies.channel_prefix}{incident_id.removeprefix('INC-')}".lower()[:76]
    return f"{name}-{replaced + 1}" if replaced else name
