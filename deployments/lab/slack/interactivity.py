"""Callbacks that Slack sends when a person clicks or submits, signed as Slack signs them.

https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import requests

from .people import TEAM_ID, TEAM_NAME
from .state import SlackError, Workspace

APP_ID = "A0LEAKRESP"


def sign(secret: str, body: str, timestamp: int) -> str:
    """The value of X-Slack-Signature."""
    base = f"v0:{timestamp}:{body}".encode()
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


def send(url: str, secret: str, body: str, *, age_s: float = 0.0, tampered: bool = False) -> dict[str, Any]:
    """POST a signed form body; `age_s` makes the signature old, `tampered` makes it wrong."""
    timestamp = int(time.time() - age_s)
    signature = sign(secret, body, timestamp)
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.post(
                url,
                data=body,
                headers={
                    "Content-Type": "application/x-www-form-urlencoded",
                    "X-Slack-Request-Timestamp": str(timestamp),
                    "X-Slack-Signature": signature[:-4] + "0000" if tampered else signature,
                },
                timeout=10,
                verify=False,
            )
        except requests.RequestException as error:
            return {"ok": False, "error": type(error).__name__}
    return {"ok": True, "status": answer.status_code, "body": answer.text}


def click(workspace: Workspace, asked: Mapping[str, Any], base: str) -> str:
    """The form body of a `block_actions` callback for a button on a message.

    `asked`: channel, ts, action_id, and optionally user (id or handle) and value.
    """
    channel = workspace.find_channel(asked["channel"], "")
    message = channel.message(asked["ts"])
    if message is None:
        raise SlackError("message_not_found")
    block, element = _element(message, asked["action_id"])
    user = _user(workspace, asked.get("user"))
    response = f"{len(workspace.responses) + 1}"
    workspace.responses[response] = (channel.id, message["ts"])
    payload = {
        "type": "block_actions",
        "team": {"id": TEAM_ID, "domain": TEAM_NAME},
        "user": {"id": user["id"], "username": user["name"], "name": user["name"], "team_id": TEAM_ID},
        "api_app_id": APP_ID,
        "container": {"type": "message", "message_ts": message["ts"], "channel_id": channel.id},
        "trigger_id": workspace.new_trigger(user["id"]),
        "channel": {"id": channel.id, "name": channel.name},
        "message": message,
        "response_url": f"{base}/response/{response}",
        "actions": [
            {
                "action_id": element["action_id"],
                "block_id": block.get("block_id", ""),
                "text": element.get("text"),
                "value": asked.get("value", element.get("value")),
                "type": element["type"],
                "action_ts": workspace.new_ts(),
            }
        ],
    }
    return urlencode({"payload": json.dumps(payload)})


def submit(workspace: Workspace, asked: Mapping[str, Any]) -> str:
    """The form body of a `view_submission` callback. `asked`: view_id, values, and optionally user."""
    view = workspace.views.get(asked["view_id"])
    if view is None:
        raise SlackError("not_found")
    user = _user(workspace, asked.get("user") or view["user"])
    payload = {
        "type": "view_submission",
        "team": {"id": TEAM_ID, "domain": TEAM_NAME},
        "user": {"id": user["id"], "username": user["name"], "name": user["name"], "team_id": TEAM_ID},
        "api_app_id": APP_ID,
        "trigger_id": workspace.new_trigger(user["id"]),
        "view": {**view, "state": {"values": asked.get("values", {})}},
    }
    return urlencode({"payload": json.dumps(payload)})


def respond(workspace: Workspace, response: str, asked: Mapping[str, Any]) -> None:
    """Serve a POST to a `response_url`: replace or delete the message, or add one beside it."""
    if response not in workspace.responses:
        raise SlackError("used_url")
    channel_id, ts = workspace.responses[response]
    channel = workspace.channels[channel_id]
    message = channel.message(ts)
    if asked.get("delete_original") and message is not None:
        channel.messages.remove(message)
    elif asked.get("replace_original") and message is not None:
        message.update({name: asked[name] for name in ("text", "blocks") if name in asked})
    elif asked.get("response_type") == "in_channel":
        channel.messages.append({"type": "message", "ts": workspace.new_ts(), "user": "", **asked})


def _element(message: Mapping[str, Any], action_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    for block in message.get("blocks", []):
        for element in [*block.get("elements", []), block.get("accessory") or {}]:
            if element.get("action_id") == action_id:
                return block, element
    raise SlackError("action_not_found")


def _user(workspace: Workspace, wanted: str | None) -> dict[str, Any]:
    """A member by id, handle or email; the first one when none is named."""
    for user in workspace.users.values():
        if wanted in (None, user["id"], user["name"], user["profile"].get("email")):
            return user
    raise SlackError("user_not_found")
