"""The Web API's methods on messages, pins, reactions and files."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from . import blocks
from .methods import Answer, Call, page
from .people import BOT_ID, BOT_USER, TEAM_ID
from .state import Channel, File, SlackError

MAX_TEXT = 40_000


def post(call: Call) -> Answer:
    channel = call.joined()
    message = _content(call, {})
    thread = call.text("thread_ts")
    if thread:
        if channel.message(thread) is None:
            raise SlackError("thread_not_found")
        message["thread_ts"] = thread
    message = {
        "type": "message",
        "user": call.user,
        "bot_id": BOT_ID,
        "team": TEAM_ID,
        "ts": call.workspace.new_ts(),
        **message,
    }
    channel.messages.append(message)
    return {"channel": channel.id, "ts": message["ts"], "message": message}


def update(call: Call) -> Answer:
    channel = call.channel()
    message = _own_message(call, channel, "cant_update_message")
    if channel.is_archived:
        raise SlackError("is_inactive")
    message.update(_content(call, message))
    message["edited"] = {"user": call.user, "ts": call.workspace.new_ts()}
    return {"channel": channel.id, "ts": message["ts"], "text": message["text"], "message": message}


def delete(call: Call) -> Answer:
    channel = call.channel()
    message = _own_message(call, channel, "cant_delete_message")
    channel.messages.remove(message)
    channel.pins = [ts for ts in channel.pins if ts != message["ts"]]
    return {"channel": channel.id, "ts": message["ts"]}


def ephemeral(call: Call) -> Answer:
    channel = call.joined()
    _content(call, {})
    if call.text("user") not in channel.members:
        raise SlackError("user_not_in_channel")
    return {"message_ts": call.workspace.new_ts()}


def permalink(call: Call) -> Answer:
    channel = call.channel()
    ts = call.text("message_ts")
    if channel.message(ts) is None:
        raise SlackError("message_not_found")
    return {
        "channel": channel.id,
        "permalink": f"{call.base}/archives/{channel.id}/p{ts.replace('.', '')}",
    }


def _content(call: Call, before: Answer) -> Answer:
    """Text, blocks and metadata of a message to post or to put in another's place."""
    content: Answer = {"text": call.text("text", before.get("text", ""))}
    if call.parameters.get("blocks"):
        content["blocks"] = call.data("blocks")
        problems = blocks.problems(content["blocks"])
        if problems:
            raise SlackError("invalid_blocks", response_metadata={"messages": problems})
    elif "text" in call.parameters:
        content["blocks"] = []
    for name in ("attachments", "metadata"):
        if call.parameters.get(name):
            content[name] = call.data(name)
    if not content["text"] and not content.get("blocks") and not content.get("attachments"):
        raise SlackError("no_text")
    if len(content["text"]) > MAX_TEXT:
        raise SlackError("msg_too_long")
    return content


def _own_message(call: Call, channel: Channel, refusal: str) -> dict[str, Any]:
    message = channel.message(call.text("ts"))
    if message is None:
        raise SlackError("message_not_found")
    if message["user"] != call.user:
        raise SlackError(refusal)
    return message


# --- pins and reactions -----------------------------------------------------------------------------


def pin(call: Call) -> Answer:
    channel = call.joined()
    ts = call.text("timestamp")
    if channel.message(ts) is None:
        raise SlackError("message_not_found")
    if ts in channel.pins:
        raise SlackError("already_pinned")
    channel.pins.append(ts)
    return {}


def unpin(call: Call) -> Answer:
    channel = call.joined()
    if call.text("timestamp") not in channel.pins:
        raise SlackError("no_pin")
    channel.pins.remove(call.text("timestamp"))
    return {}


def list_pins(call: Call) -> Answer:
    channel = call.channel()
    return {
        "items": [
            {"type": "message", "channel": channel.id, "created_by": BOT_USER, "message": channel.message(ts)}
            for ts in reversed(channel.pins)
        ]
    }


def react(call: Call) -> Answer:
    message = call.joined().message(call.text("timestamp"))
    if message is None:
        raise SlackError("message_not_found")
    reactions: list[dict[str, Any]] = message.setdefault("reactions", [])
    for reaction in reactions:
        if reaction["name"] == call.text("name"):
            if call.user in reaction["users"]:
                raise SlackError("already_reacted")
            reaction["users"].append(call.user)
            reaction["count"] += 1
            return {}
    reactions.append({"name": call.text("name"), "users": [call.user], "count": 1})
    return {}


# --- files: ask for an address, send the bytes there, complete ----------------------------------------


def upload_address(call: Call) -> Answer:
    if not call.text("filename"):
        raise SlackError("invalid_arguments")
    if not call.text("length").isdigit() or int(call.text("length")) == 0:
        raise SlackError("file_upload_size_restricted")
    file = File(call.workspace.new_id("F"), call.text("filename"), int(call.text("length")), int(time.time()))
    call.workspace.files[file.id] = file
    return {"upload_url": f"{call.base}/upload/{file.id}", "file_id": file.id}


def complete_upload(call: Call) -> Answer:
    asked = call.data("files") or []
    if not asked:
        raise SlackError("invalid_arguments")
    files = [call.workspace.files.get(entry["id"]) for entry in asked]
    if any(file is None or file.content is None for file in files):
        raise SlackError("file_not_found")
    targets = [name for name in (call.text("channel_id"), *call.items("channels")) if name]
    channels = [call.workspace.find_channel(name, call.user) for name in targets]
    if any(call.user not in channel.members for channel in channels):
        raise SlackError("not_in_channel")
    shared = [file for file in files if file is not None]
    for file, entry in zip(shared, asked, strict=True):
        file.title, file.complete = entry.get("title") or file.name, True
        file.channels = [channel.id for channel in channels]
    for channel in channels:
        message = {
            "type": "message",
            "user": call.user,
            "bot_id": BOT_ID,
            "team": TEAM_ID,
            "ts": call.workspace.new_ts(),
            "text": call.text("initial_comment"),
            "files": [file.public(call.base) for file in shared],
        }
        if call.text("thread_ts"):
            message["thread_ts"] = call.text("thread_ts")
        channel.messages.append(message)
    return {"files": [file.public(call.base) for file in shared]}


def file_info(call: Call) -> Answer:
    file = call.workspace.files.get(call.text("file"))
    if file is None or not file.complete:
        raise SlackError("file_not_found")
    return {"file": file.public(call.base)}


def list_files(call: Call) -> Answer:
    found = [
        file.public(call.base)
        for file in call.workspace.files.values()
        if file.complete and (not call.text("channel") or call.text("channel") in file.channels)
    ]
    files, _ = page(call, found)
    return {"files": files, "paging": {"count": len(found), "total": len(found), "page": 1, "pages": 1}}


METHODS: dict[str, tuple[Callable[[Call], Answer], str]] = {
    "chat.postMessage": (post, "chat:write"),
    "chat.update": (update, "chat:write"),
    "chat.delete": (delete, "chat:write"),
    "chat.postEphemeral": (ephemeral, "chat:write"),
    "chat.getPermalink": (permalink, ""),
    "pins.add": (pin, "pins:write"),
    "pins.remove": (unpin, "pins:write"),
    "pins.list": (list_pins, "pins:read"),
    "reactions.add": (react, "reactions:write"),
    "files.getUploadURLExternal": (upload_address, "files:write"),
    "files.completeUploadExternal": (complete_upload, "files:write"),
    "files.info": (file_info, "files:read"),
    "files.list": (list_files, "files:read"),
}
