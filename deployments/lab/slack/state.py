"""What the workspace remembers: channels, messages, pins, files and views. Guarded by one lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .people import BOT_ID, BOT_NAME, BOT_USER, PEOPLE, TEAM_ID


class SlackError(Exception):
    """An error that Slack reports with HTTP 200: `{"ok": false, "error": code}`."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.more = more


@dataclass(slots=True)
class Channel:
    id: str
    name: str
    created: int
    creator: str
    is_private: bool = False
    is_im: bool = False
    is_archived: bool = False
    topic: str = ""
    purpose: str = ""
    members: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)  # oldest first, thread replies among them
    pins: list[str] = field(default_factory=list)  # ts, oldest first

    def public(self, viewer: str) -> dict[str, Any]:
        """The conversation object of the Web API."""
        if self.is_im:
            other = next((member for member in self.members if member != viewer), viewer)
            return {"id": self.id, "created": self.created, "is_im": True, "user": other}
        text = {"creator": self.creator, "last_set": self.created}
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "created": self.created,
            "creator": self.creator,
            "context_team_id": TEAM_ID,
            "is_channel": not self.is_private,
            "is_group": self.is_private,
            "is_im": False,
            "is_mpim": False,
            "is_private": self.is_private,
            "is_archived": self.is_archived,
            "is_general": self.name == "general",
            "is_member": viewer in self.members,
            "is_shared": False,
            "topic": {"value": self.topic, **text},
            "purpose": {"value": self.purpose, **text},
            "num_members": len(self.members),
        }

    def message(self, ts: str) -> dict[str, Any] | None:
        return next((message for message in self.messages if message["ts"] == ts), None)


@dataclass(slots=True)
class File:
    id: str
    name: str
    length: int
    created: int
    title: str = ""
    content: bytes | None = None
    complete: bool = False
    channels: list[str] = field(default_factory=list)

    def public(self, base: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "created": self.created,
            "timestamp": self.created,
            "name": self.name,
            "title": self.title or self.name,
            "mimetype": "application/octet-stream",
            "user": BOT_USER,
            "size": self.length,
            "channels": self.channels,
            "url_private": f"{base}/files/{self.id}",
            "url_private_download": f"{base}/files/{self.id}",
            "permalink": f"{base}/archives/files/{self.id}",
        }


class Workspace:
    """All state. Callers hold `lock` while they use it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, File] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self.triggers: dict[str, tuple[float, str]] = {}  # trigger id -> (expires, user)
        self.responses: dict[str, tuple[str, str]] = {}  # response url id -> (channel, ts)
        self._numbers: dict[str, int] = {}
        self._last_ts = 0
        self.users: dict[str, dict[str, Any]] = {user["id"]: user for user in _users()}
        for name in ("general", "security", "customer-support"):
            channel = self.new_channel(name, PEOPLE[0].id)
            channel.members = [person.id for person in PEOPLE]

    def new_id(self, prefix: str) -> str:
        self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
        return f"{prefix}0LAB{self._numbers[prefix]:05d}"

    def new_ts(self) -> str:
        """Seconds with six decimals; unique and rising, as it is a message's identity."""
        self._last_ts = max(self._last_ts + 1, time.time_ns() // 1000)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def new_channel(self, name: str, creator: str, *, is_private: bool = False) -> Channel:
        channel = Channel(self.new_id("C"), name, int(time.time()), creator, is_private, members=[creator])
        self.channels[channel.id] = channel
        return channel

    def direct(self, members: Iterable[str]) -> Channel:
        """The direct conversation between these members, made when there is none."""
        wanted = sorted(set(members))
        for channel in self.channels.values():
            if channel.is_im and sorted(channel.members) == wanted:
                return channel
        channel = Channel(self.new_id("D"), "", int(time.time()), wanted[0], is_im=True, members=wanted)
        self.channels[channel.id] = channel
        return channel

    def find_channel(self, reference: str, viewer: str) -> Channel:
        """A channel by id, `#name` or name, or the direct one with a user id. Raises channel_not_found."""
        if reference in self.channels:
            return self.channels[reference]
        if reference in self.users:
            return self.direct((viewer, reference))
        name = reference.removeprefix("#")
        for channel in self.channels.values():
            if channel.name == name and not channel.is_im:
                return channel
        raise SlackError("channel_not_found")

    def new_trigger(self, user: str) -> str:
        """A trigger id, with which one modal may be opened within three seconds."""
        trigger = f"{time.time_ns()}.{TEAM_ID}.{len(self.triggers)}"
        self.triggers[trigger] = (time.monotonic() + 3.0, user)
        return trigger


def _users() -> list[dict[str, Any]]:
    people = [
        {
            "id": person.id,
            "team_id": TEAM_ID,
            "name": person.name,
            "real_name": person.real_name,
            "deleted": False,
            "is_bot": False,
            "tz": person.tz,
            "profile": {
                "email": person.email,
                "real_name": person.real_name,
                "display_name": person.name,
                "title": person.title,
            },
        }
        for person in PEOPLE
    ]
    bot: dict[str, Any] = {
        "id": BOT_USER,
        "team_id": TEAM_ID,
        "name": BOT_NAME,
        "real_name": "Leak Response",
        "deleted": False,
        "is_bot": True,
        "tz": "Etc/UTC",
        "profile": {"bot_id": BOT_ID, "real_name": "Leak Response", "display_name": BOT_NAME},
    }
    return [*people, bot]
