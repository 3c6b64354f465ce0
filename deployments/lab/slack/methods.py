"""The Web API's methods on channels, people and views. Messages and files are in `messages.py`.

Each takes the call and returns the answer without `ok`; errors are SlackError with Slack's own codes.
https://docs.slack.dev/reference/methods
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .people import BOT_ID, BOT_NAME, BOT_USER, TEAM_ID, TEAM_NAME
from .state import Channel, SlackError, Workspace

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated call of a method."""

    workspace: Workspace
    parameters: Mapping[str, Any]
    base: str  # the server's address
    user: str = BOT_USER

    def text(self, name: str, default: str = "") -> str:
        value = self.parameters.get(name)
        return default if value is None else str(value)

    def flag(self, name: str) -> bool:
        return str(self.parameters.get(name, "")).lower() in ("1", "true")

    def items(self, name: str) -> list[str]:
        """A list that clients send comma-joined, as JSON, or as a list."""
        value = self.parameters.get(name) or []
        return [part for part in value.split(",") if part] if isinstance(value, str) else list(value)

    def data(self, name: str) -> Any:
        """A structure that clients send as JSON text or, in a JSON body, as it is."""
        value = self.parameters.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise SlackError(f"invalid_{name}") from None

    def channel(self, name: str = "channel") -> Channel:
        return self.workspace.find_channel(self.text(name), self.user)

    def joined(self) -> Channel:
        """The channel, of which the caller must be a member and which must not be archived."""
        channel = self.channel()
        if channel.is_archived:
            raise SlackError("is_archived")
        if self.user not in channel.members:
            raise SlackError("not_in_channel")
        return channel


def page(call: Call, items: Sequence[Any], default: int = 100) -> tuple[list[Any], Answer]:
    """One page of the items and the `response_metadata` with the cursor of the next."""
    cursor = call.text("cursor")
    if cursor and not cursor.startswith("page:"):
        raise SlackError("invalid_cursor")
    start = int(cursor.removeprefix("page:") or 0)
    limit = min(int(call.text("limit") or default), 1000)
    following = f"page:{start + limit}" if start + limit < len(items) else ""
    return list(items[start : start + limit]), {"response_metadata": {"next_cursor": following}}


def auth_test(call: Call) -> Answer:
    return {
        "url": f"{call.base}/",
        "team": TEAM_NAME,
        "user": BOT_NAME,
        "team_id": TEAM_ID,
        "user_id": BOT_USER,
        "bot_id": BOT_ID,
        "is_enterprise_install": False,
    }


# --- conversations ----------------------------------------------------------------------------------


def create(call: Call) -> Answer:
    name = call.text("name")
    if not name:
        raise SlackError("invalid_name_required")
    if len(name) > 80:
        raise SlackError("invalid_name_maxlength")
    if not re.fullmatch(r"[a-z0-9_\-]+", name):
        raise SlackError("invalid_name_specials")
    if any(channel.name == name for channel in call.workspace.channels.values()):
        raise SlackError("name_taken")
    channel = call.workspace.new_channel(name, call.user, is_private=call.flag("is_private"))
    return {"channel": channel.public(call.user)}


def invite(call: Call) -> Answer:
    channel = call.joined()
    problems = []
    for user in call.items("users"):
        if user == call.user:
            problems.append({"user": user, "ok": False, "error": "cant_invite_self"})
        elif user not in call.workspace.users:
            problems.append({"user": user, "ok": False, "error": "user_not_found"})
        elif user in channel.members:
            problems.append({"user": user, "ok": False, "error": "already_in_channel"})
    if problems and not call.flag("force"):
        raise SlackError(str(problems[0]["error"]), errors=problems)
    refused = {problem["user"] for problem in problems}
    channel.members += [user for user in call.items("users") if user not in refused]
    return {"channel": channel.public(call.user)}


def kick(call: Call) -> Answer:
    channel = call.joined()
    if call.text("user") not in channel.members:
        raise SlackError("not_in_channel")
    channel.members.remove(call.text("user"))
    return {}


def join(call: Call) -> Answer:
    channel = call.channel()
    if channel.is_archived:
        raise SlackError("is_archived")
    if channel.is_private:
        raise SlackError("method_not_supported_for_channel_type")
    if call.user not in channel.members:
        channel.members.append(call.user)
    return {"channel": channel.public(call.user)}


def leave(call: Call) -> Answer:
    channel = call.channel()
    if call.user not in channel.members:
        return {"not_in_channel": True}
    channel.members.remove(call.user)
    return {}


def archive(call: Call) -> Answer:
    channel = call.channel()
    if channel.is_archived:
        raise SlackError("already_archived")
    if call.user not in channel.members:
        raise SlackError("not_in_channel")
    channel.is_archived = True
    return {}


def unarchive(call: Call) -> Answer:
    channel = call.channel()
    if not channel.is_archived:
        raise SlackError("not_archived")
    channel.is_archived = False
    return {}


def set_topic(call: Call) -> Answer:
    channel = call.joined()
    if len(call.text("topic")) > 250:
        raise SlackError("too_long")
    channel.topic = call.text("topic")
    return {"channel": channel.public(call.user), "topic": channel.topic}


def set_purpose(call: Call) -> Answer:
    channel = call.joined()
    if len(call.text("purpose")) > 250:
        raise SlackError("too_long")
    channel.purpose = call.text("purpose")
    return {"channel": channel.public(call.user), "purpose": channel.purpose}


def info(call: Call) -> Answer:
    return {"channel": call.channel().public(call.user)}


def list_channels(call: Call) -> Answer:
    kinds = call.items("types") or ["public_channel"]
    found = [
        channel.public(call.user)
        for channel in call.workspace.channels.values()
        if _kind(channel) in kinds
        and not (channel.is_archived and call.flag("exclude_archived"))
        and (not channel.is_private or call.user in channel.members)
    ]
    channels, more = page(call, found)
    return {"channels": channels, **more}


def members(call: Call) -> Answer:
    found, more = page(call, call.channel().members)
    return {"members": found, **more}


def open_direct(call: Call) -> Answer:
    users = call.items("users")
    if not users:
        raise SlackError("users_list_not_supplied")
    if any(user not in call.workspace.users for user in users):
        raise SlackError("user_not_found")
    channel = call.workspace.direct([call.user, *users])
    return {"channel": {"id": channel.id}}


def history(call: Call) -> Answer:
    channel = call.channel()
    if call.user not in channel.members:
        raise SlackError("not_in_channel")
    top = [m for m in reversed(channel.messages) if m.get("thread_ts", m["ts"]) == m["ts"]]
    found, more = page(call, [shown(call, m) for m in top if within(call, m)])
    return {
        "messages": found,
        "has_more": bool(more["response_metadata"]["next_cursor"]),
        "pin_count": len(channel.pins),
        **more,
    }


def replies(call: Call) -> Answer:
    channel = call.channel()
    ts = call.text("ts")
    if channel.message(ts) is None:
        raise SlackError("thread_not_found")
    thread = [shown(call, m) for m in channel.messages if ts in (m["ts"], m.get("thread_ts"))]
    found, more = page(call, thread)
    return {"messages": found, "has_more": bool(more["response_metadata"]["next_cursor"]), **more}


def within(call: Call, message: Mapping[str, Any]) -> bool:
    """Whether a message lies between `oldest` and `latest`."""
    ts, oldest, latest = float(message["ts"]), call.text("oldest"), call.text("latest")
    if call.flag("inclusive"):
        return (not oldest or ts >= float(oldest)) and (not latest or ts <= float(latest))
    return (not oldest or ts > float(oldest)) and (not latest or ts < float(latest))


def shown(call: Call, message: Mapping[str, Any]) -> Answer:
    """A message as history gives it: metadata only when asked for."""
    hidden = () if call.flag("include_all_metadata") else ("metadata",)
    return {name: value for name, value in message.items() if name not in hidden}


def _kind(channel: Channel) -> str:
    if channel.is_im:
        return "im" if len(channel.members) <= 2 else "mpim"
    return "private_channel" if channel.is_private else "public_channel"


# --- people -----------------------------------------------------------------------------------------


def users_list(call: Call) -> Answer:
    found, more = page(call, list(call.workspace.users.values()))
    return {"members": found, "cache_ts": int(time.time()), **more}


def users_info(call: Call) -> Answer:
    user = call.workspace.users.get(call.text("user"))
    if user is None:
        raise SlackError("user_not_found")
    return {"user": user}


def lookup_by_email(call: Call) -> Answer:
    wanted = call.text("email").lower()
    for user in call.workspace.users.values():
        if user["profile"].get("email", "").lower() == wanted and not user["deleted"]:
            return {"user": user}
    raise SlackError("users_not_found")


# --- views ------------------------------------------------------------------------------------------


def open_view(call: Call) -> Answer:
    trigger = call.workspace.triggers.pop(call.text("trigger_id"), None)
    if trigger is None:
        raise SlackError("invalid_trigger_id")
    if time.monotonic() > trigger[0]:
        raise SlackError("expired_trigger_id")
    view = call.data("view")
    if not isinstance(view, dict) or view.get("type") not in ("modal", "home") or "title" not in view:
        raise SlackError("invalid_arguments")
    kept = {**view, "id": call.workspace.new_id("V"), "user": trigger[1], "hash": f"{time.time_ns()}"}
    call.workspace.views[kept["id"]] = kept
    return {"view": kept}


def update_view(call: Call) -> Answer:
    kept = call.workspace.views.get(call.text("view_id"))
    if kept is None:
        raise SlackError("not_found")
    if call.text("hash") and call.text("hash") != kept["hash"]:
        raise SlackError("hash_conflict")
    kept.update(call.data("view") or {}, hash=f"{time.time_ns()}")
    return {"view": kept}


METHODS: dict[str, tuple[Callable[[Call], Answer], str]] = {
    # name: (function, the scope it needs; "" for none)
    "auth.test": (auth_test, ""),
    "conversations.create": (create, "channels:manage"),
    "conversations.invite": (invite, "channels:manage"),
    "conversations.kick": (kick, "channels:manage"),
    "conversations.join": (join, "channels:join"),
    "conversations.leave": (leave, "channels:manage"),
    "conversations.archive": (archive, "channels:manage"),
    "conversations.unarchive": (unarchive, "channels:manage"),
    "conversations.setTopic": (set_topic, "channels:manage"),
    "conversations.setPurpose": (set_purpose, "channels:manage"),
    "conversations.info": (info, "channels:read"),
    "conversations.list": (list_channels, "channels:read"),
    "conversations.members": (members, "channels:read"),
    "conversations.open": (open_direct, "im:write"),
    "conversations.history": (history, "channels:history"),
    "conversations.replies": (replies, "channels:history"),
    "users.list": (users_list, "users:read"),
    "users.info": (users_info, "users:read"),
    "users.lookupByEmail": (lookup_by_email, "users:read.email"),
    "views.open": (open_view, ""),
    "views.update": (update_view, ""),
}
