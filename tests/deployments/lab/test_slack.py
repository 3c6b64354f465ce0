"""The lab's Slack, used with slack_sdk: it remembers, refuses, limits and signs as Slack does."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler, ServerErrorRetryHandler
from slack_sdk.signature import SignatureVerifier

from deployments.lab.errors import LabError
from deployments.lab.slack.people import BOT_USER, PEOPLE
from deployments.lab.slack.server import Slack

BUTTONS = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "Cut the tokens?"}},
    {
        "type": "actions",
        "block_id": "decision",
        "elements": [
            {
                "type": "button",
                "action_id": "approve",
                "value": "sha256:abc",
                "text": {"type": "plain_text", "text": "Approve"},
            }
        ],
    },
]


@pytest.fixture
def client(lab_slack: Slack) -> WebClient:
    return WebClient(token=lab_slack.token, base_url=lab_slack.base_url)


@pytest.fixture
def channel(client: WebClient) -> str:
    created: str = client.conversations_create(name="inc-2026-1")["channel"]["id"]
    return created


def error_of(call: Callable[[], Any]) -> str:
    try:
        call()
    except SlackApiError as error:
        assert error.response.status_code == 200, "Slack reports its errors with HTTP 200"
        return str(error.response["error"])
    return ""


# --- who may call ---------------------------------------------------------------------------------


def test_the_bot_knows_itself_and_a_wrong_token_does_not_pass(client: WebClient, lab_slack: Slack) -> None:
    who = client.auth_test()
    assert who["user_id"] == BOT_USER
    assert "chat:write" in who.headers["x-oauth-scopes"]
    stranger = WebClient(token="xoxb-wrong", base_url=lab_slack.base_url)
    assert error_of(stranger.auth_test) == "invalid_auth"
    assert error_of(WebClient(base_url=lab_slack.base_url).auth_test) == "not_authed"
    assert error_of(lambda: client.api_call("no.suchMethod")) == "unknown_method"


# --- channels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", "invalid_name_required"),
        ("Upper Case", "invalid_name_specials"),
        ("x" * 81, "invalid_name_maxlength"),
        ("general", "name_taken"),
    ],
)
def test_channel_names_are_checked(client: WebClient, name: str, error: str) -> None:
    assert error_of(lambda: client.conversations_create(name=name)) == error


def test_an_incident_channel_lives_through_its_whole_life(
    client: WebClient, lab_slack: Slack, channel: str
) -> None:
    commander, legal = PEOPLE[0], PEOPLE[2]
    assert client.users_lookupByEmail(email=legal.email)["user"]["id"] == legal.id
    assert error_of(lambda: client.users_lookupByEmail(email="no@lab.example")) == "users_not_found"
    client.conversations_invite(channel=channel, users=[commander.id, legal.id])
    again = lambda: client.conversations_invite(channel=channel, users=legal.id)  # noqa: E731
    assert error_of(again) == "already_in_channel"
    assert error_of(lambda: client.conversations_invite(channel=channel, users="U0")) == "user_not_found"
    client.conversations_setTopic(channel=channel, topic="Contained: 0 of 7")
    client.conversations_setPurpose(channel=channel, purpose="Incident 2026-1")
    assert error_of(lambda: client.conversations_setTopic(channel=channel, topic="x" * 251)) == "too_long"
    members = client.conversations_members(channel=channel)["members"]
    assert members == [BOT_USER, commander.id, legal.id]
    seen = lab_slack.channel("inc-2026-1")
    assert (seen["topic"], seen["purpose"]) == ("Contained: 0 of 7", "Incident 2026-1")
    client.conversations_archive(channel=channel)
    assert error_of(lambda: client.chat_postMessage(channel=channel, text="late")) == "is_archived"
    assert error_of(lambda: client.conversations_archive(channel=channel)) == "already_archived"


def test_channels_are_listed_in_pages(client: WebClient, channel: str) -> None:
    names = []
    for answer in client.conversations_list(limit=2, exclude_archived=True):
        assert len(answer["channels"]) <= 2
        names += [found["name"] for found in answer["channels"]]
    assert names == ["general", "security", "customer-support", "inc-2026-1"]
    people = [user["name"] for answer in client.users_list(limit=4) for user in answer["members"]]
    assert len(people) == len(set(people)) == len(PEOPLE) + 1


def test_one_has_to_be_in_a_channel_to_write_to_it(client: WebClient) -> None:
    assert error_of(lambda: client.chat_postMessage(channel="#security", text="x")) == "not_in_channel"
    assert error_of(lambda: client.chat_postMessage(channel="C0NOWHERE", text="x")) == "channel_not_found"
    found = next(c for c in client.conversations_list()["channels"] if c["name"] == "security")
    client.conversations_join(channel=found["id"])
    assert client.chat_postMessage(channel="#security", text="x")["channel"] == found["id"]


def test_a_direct_message_goes_to_one_conversation(client: WebClient, lab_slack: Slack) -> None:
    first = client.conversations_open(users=[PEOPLE[0].id])["channel"]["id"]
    assert client.chat_postMessage(channel=PEOPLE[0].id, text="You are needed.")["channel"] == first
    assert [c["id"] for c in lab_slack.state()["channels"] if c["is_im"]] == [first]


# --- messages, pins, files --------------------------------------------------------------------------


def test_a_status_message_is_pinned_and_updated_in_place(
    client: WebClient, lab_slack: Slack, channel: str
) -> None:
    ts = client.chat_postMessage(channel=channel, text="0 of 7", blocks=BUTTONS)["ts"]
    client.pins_add(channel=channel, timestamp=ts)
    assert error_of(lambda: client.pins_add(channel=channel, timestamp=ts)) == "already_pinned"
    client.chat_update(channel=channel, ts=ts, text="7 of 7", blocks=BUTTONS[:1])
    messages = client.conversations_history(channel=channel)["messages"]
    assert [(message["text"], len(message["blocks"])) for message in messages] == [("7 of 7", 1)]
    assert lab_slack.channel("inc-2026-1")["pins"] == [ts]
    assert client.pins_list(channel=channel)["items"][0]["message"]["text"] == "7 of 7"
    link = client.chat_getPermalink(channel=channel, message_ts=ts)["permalink"]
    assert link.endswith(f"/archives/{channel}/p{ts.replace('.', '')}")
    assert error_of(lambda: client.chat_update(channel=channel, ts="1.0", text="x")) == "message_not_found"


def test_threads_metadata_and_pages_of_history(client: WebClient, channel: str) -> None:
    event = {"event_type": "leak_response", "event_payload": {"key": "k-1"}}
    top = client.chat_postMessage(channel=channel, text="top", metadata=event)["ts"]
    client.chat_postMessage(channel=channel, text="reply", thread_ts=top)
    for number in range(4):
        client.chat_postMessage(channel=channel, text=f"m{number}")
    texts = [
        message["text"]
        for answer in client.conversations_history(channel=channel, limit=2)
        for message in answer["messages"]
    ]
    assert texts == ["m3", "m2", "m1", "m0", "top"]
    thread = client.conversations_replies(channel=channel, ts=top)["messages"]
    assert [message["text"] for message in thread] == ["top", "reply"]
    found = client.conversations_history(
        channel=channel, latest=top, oldest=top, inclusive=True, include_all_metadata=True
    )
    assert found["messages"][0]["metadata"] == event
    assert error_of(lambda: client.conversations_history(channel=channel, cursor="x")) == "invalid_cursor"


@pytest.mark.parametrize(
    "blocks",
    [
        [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}],
        [{"type": "header", "text": {"type": "mrkdwn", "text": "no markdown here"}}],
        [{"type": "nonsense"}],
        [{"type": "divider"}] * 51,
        [{"type": "actions", "elements": []}],
    ],
)
def test_blocks_beyond_slacks_limits_are_refused(
    client: WebClient, channel: str, blocks: list[dict[str, Any]]
) -> None:
    assert (
        error_of(lambda: client.chat_postMessage(channel=channel, text="x", blocks=blocks))
        == "invalid_blocks"
    )


def test_an_empty_message_is_refused(client: WebClient, channel: str) -> None:
    assert error_of(lambda: client.chat_postMessage(channel=channel)) == "no_text"
    assert error_of(lambda: client.chat_postMessage(channel=channel, text="x" * 40_001)) == "msg_too_long"


def test_a_file_is_uploaded_in_three_steps_and_shared(
    client: WebClient, lab_slack: Slack, channel: str
) -> None:
    client.files_upload_v2(
        channel=channel, filename="report.html", content=b"<h1>done</h1>", title="Report", initial_comment="!"
    )
    (file,) = lab_slack.state()["files"]
    assert (file["name"], file["title"], file["channels"]) == ("report.html", "Report", [channel])
    assert base64.b64decode(file["content_base64"]) == b"<h1>done</h1>"
    (message,) = client.conversations_history(channel=channel)["messages"]
    assert message["files"][0]["id"] == file["id"]
    assert client.files_info(file=file["id"])["file"]["size"] == len(b"<h1>done</h1>")


def test_an_upload_of_another_length_than_announced_is_refused(client: WebClient) -> None:
    address = client.files_getUploadURLExternal(filename="a", length=3)
    assert requests.post(address["upload_url"], data=b"too long", timeout=10).status_code == 400
    complete = lambda: client.files_completeUploadExternal(files=[{"id": address["file_id"]}])  # noqa: E731
    assert error_of(complete) == "file_not_found"


# --- interactivity ----------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[dict[str, str], str]]]]:
    """An address that notes what is posted to it: headers in lower case, and the body."""
    got: list[tuple[dict[str, str], str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"thanks")

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/slack", got
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_click_is_sent_signed_and_its_answers_reach_message_and_modal(
    client: WebClient, lab_slack: Slack, channel: str, receiver: tuple[str, list[Any]]
) -> None:
    url, got = receiver
    ts = client.chat_postMessage(channel=channel, text="Decide", blocks=BUTTONS)["ts"]
    click = {"url": url, "channel": channel, "ts": ts, "action_id": "approve", "user": "amara.okafor"}
    assert lab_slack.control("click", click) == {"ok": True, "status": 200, "body": "thanks"}
    headers, body = got[0]
    assert SignatureVerifier(lab_slack.signing_secret).is_valid_request(body, headers)
    payload = json.loads(parse_qs(body)["payload"][0])
    assert payload["user"]["username"] == "amara.okafor"
    assert payload["actions"][0] | {"action_ts": "", "text": ""} == {
        "action_id": "approve",
        "block_id": "decision",
        "type": "button",
        "value": "sha256:abc",
        "action_ts": "",
        "text": "",
    }
    requests.post(payload["response_url"], json={"replace_original": True, "text": "Approved"}, timeout=10)
    assert lab_slack.channel("inc-2026-1")["messages"][0]["text"] == "Approved"
    modal = {"type": "modal", "title": {"type": "plain_text", "text": "Why?"}, "blocks": []}
    view = client.views_open(trigger_id=payload["trigger_id"], view=modal)["view"]
    used = lambda: client.views_open(trigger_id=payload["trigger_id"], view=modal)  # noqa: E731
    assert error_of(used) == "invalid_trigger_id"
    lab_slack.control(
        "submit", {"url": url, "view_id": view["id"], "values": {"why": {"t": {"value": "ok"}}}}
    )
    submitted = json.loads(parse_qs(got[1][1])["payload"][0])
    assert submitted["type"] == "view_submission"
    assert submitted["view"]["state"]["values"]["why"]["t"]["value"] == "ok"


def test_a_trigger_lives_three_seconds(
    client: WebClient, lab_slack: Slack, channel: str, receiver: tuple[str, list[Any]]
) -> None:
    url, got = receiver
    ts = client.chat_postMessage(channel=channel, text="Decide", blocks=BUTTONS)["ts"]
    lab_slack.control("click", {"url": url, "channel": channel, "ts": ts, "action_id": "approve"})
    trigger = json.loads(parse_qs(got[0][1])["payload"][0])["trigger_id"]
    time.sleep(3.1)
    modal = {"type": "modal", "title": {"type": "plain_text", "text": "Why?"}, "blocks": []}
    assert error_of(lambda: client.views_open(trigger_id=trigger, view=modal)) == "expired_trigger_id"


@pytest.mark.parametrize("spoilt", [{"age_s": 400}, {"tampered": True}])
def test_a_spoilt_callback_does_not_verify(
    client: WebClient,
    lab_slack: Slack,
    channel: str,
    receiver: tuple[str, list[Any]],
    spoilt: dict[str, Any],
) -> None:
    url, got = receiver
    ts = client.chat_postMessage(channel=channel, text="Decide", blocks=BUTTONS)["ts"]
    click = {"url": url, "channel": channel, "ts": ts, "action_id": "approve", **spoilt}
    lab_slack.control("click", click)
    headers, body = got[0]
    assert not SignatureVerifier(lab_slack.signing_secret).is_valid_request(body, headers)


def test_a_click_on_what_is_not_there_is_an_error(lab_slack: Slack, channel: str) -> None:
    with pytest.raises(LabError, match="message_not_found"):
        lab_slack.control("click", {"url": "http://x", "channel": channel, "ts": "1.0", "action_id": "a"})


# --- trouble ----------------------------------------------------------------------------------------


def test_a_rate_limit_is_429_with_retry_after_and_is_waited_out(
    client: WebClient, lab_slack: Slack, channel: str
) -> None:
    limit = {"kind": "throttled", "match": {"method": "chat.postMessage"}, "times": 1, "retry_after_s": 1}
    lab_slack.control("faults", limit)
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel=channel, text="once")
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["retry-after"] == "1"
    patient = WebClient(
        token=lab_slack.token,
        base_url=lab_slack.base_url,
        retry_handlers=[RateLimitErrorRetryHandler(max_retry_count=2)],
    )
    lab_slack.control("faults", limit)
    started = time.monotonic()
    patient.chat_postMessage(channel=channel, text="twice")
    assert time.monotonic() - started >= 1
    assert [message["text"] for message in lab_slack.channel("inc-2026-1")["messages"]] == ["twice"]


def test_down_is_down_for_every_method_until_it_is_over(client: WebClient, lab_slack: Slack) -> None:
    lab_slack.control("faults", {"kind": "unavailable"})
    with pytest.raises(SlackApiError) as caught:
        client.auth_test()
    assert caught.value.response.status_code == 503
    persistent = WebClient(
        token=lab_slack.token,
        base_url=lab_slack.base_url,
        retry_handlers=[ServerErrorRetryHandler(max_retry_count=1)],
    )
    with pytest.raises(SlackApiError):
        persistent.auth_test()
    lab_slack.control("faults", method="DELETE")
    assert client.auth_test()["ok"]


def test_a_connection_cut_after_the_act_has_posted_the_message(
    client: WebClient, lab_slack: Slack, channel: str
) -> None:
    lab_slack.control("faults", {"kind": "reset-after", "match": {"method": "chat.postMessage"}, "times": 1})
    bare = WebClient(token=lab_slack.token, base_url=lab_slack.base_url, retry_handlers=[])
    with pytest.raises(Exception, match=r"closed|reset|Remote"):
        bare.chat_postMessage(channel=channel, text="posted all the same")
    assert lab_slack.channel("inc-2026-1")["messages"][0]["text"] == "posted all the same"


def test_the_control_address_needs_its_token(lab_slack: Slack) -> None:
    assert requests.post(f"{lab_slack.url}/__lab__/state", json={}, timeout=10).status_code == 403
    with pytest.raises(LabError, match="unknown fault kind"):
        lab_slack.control("faults", {"kind": "gremlins"})
