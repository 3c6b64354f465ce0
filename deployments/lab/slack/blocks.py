"""The limits Slack puts on a message's blocks; breaking one is `invalid_blocks`.

https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

from typing import Any

MAX_BLOCKS = 50
TYPES = {
    *("actions", "context", "divider", "file", "header", "image", "input", "rich_text", "section", "video"),
    *("markdown", "table", "alert", "context_actions"),
}


def problems(blocks: Any) -> list[str]:
    """What is wrong with the blocks, as Slack's `response_metadata.messages` words it."""
    if not isinstance(blocks, list):
        return ["[ERROR] must be an array [json-pointer:/blocks]"]
    found = []
    if len(blocks) > MAX_BLOCKS:
        found.append(f"[ERROR] no more than {MAX_BLOCKS} items allowed [json-pointer:/blocks]")
    identifiers = [
        block.get("block_id") for block in blocks if isinstance(block, dict) and "block_id" in block
    ]
    if len(identifiers) != len(set(identifiers)):
        found.append("[ERROR] block_id must be unique [json-pointer:/blocks]")
    for number, block in enumerate(blocks):
        found += [f"[ERROR] {what} [json-pointer:/blocks/{number}{where}]" for what, where in _block(block)]
    return found


def _block(block: Any) -> list[tuple[str, str]]:
    if not isinstance(block, dict) or block.get("type") not in TYPES:
        return [("unsupported type", "/type")]
    if block["type"] == "header":
        return _text(block.get("text"), 150, "/text", plain=True)
    if block["type"] == "section":
        return _section(block)
    if block["type"] == "actions":
        return _elements(block.get("elements"), 25, need_action=True)
    if block["type"] == "context":
        return _elements(block.get("elements"), 10, need_action=False)
    return []


def _section(block: dict[str, Any]) -> list[tuple[str, str]]:
    if "text" not in block and "fields" not in block:
        return [("must have text or fields", "")]
    found = _text(block["text"], 3000, "/text") if "text" in block else []
    fields = block.get("fields", [])
    if len(fields) > 10:
        found.append(("no more than 10 items allowed", "/fields"))
    for number, entry in enumerate(fields):
        found += _text(entry, 2000, f"/fields/{number}")
    return found


def _elements(elements: Any, most: int, *, need_action: bool) -> list[tuple[str, str]]:
    if not isinstance(elements, list) or not 1 <= len(elements) <= most:
        return [(f"between 1 and {most} elements are required", "/elements")]
    found = []
    actions = [element.get("action_id") for element in elements if element.get("action_id")]
    if len(actions) != len(set(actions)):
        found.append(("action_id must be unique", "/elements"))
    for number, element in enumerate(elements):
        where = f"/elements/{number}"
        if need_action and element.get("type") == "button":
            found += _text(element.get("text"), 75, f"{where}/text", plain=True)
            if len(str(element.get("value", ""))) > 2000:
                found.append(("must be less than 2001 characters", f"{where}/value"))
    return found


def _text(text: Any, most: int, where: str, *, plain: bool = False) -> list[tuple[str, str]]:
    if not isinstance(text, dict) or text.get("type") not in ("plain_text", "mrkdwn"):
        return [("must be a text object", where)]
    if plain and text["type"] != "plain_text":
        return [("must be plain_text", where)]
    if not 1 <= len(text.get("text", "")) <= most:
        return [(f"must be between 1 and {most} characters", f"{where}/text")]
    return []
