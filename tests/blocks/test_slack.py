"""The Slack block against the lab's workspace: patience with limits, clear refusals, signed callbacks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from blocks.check import failed
from blocks.errors import Unreachable
from blocks.slack import SlackRefused, SlackWorkspace, slack_errors
from deployments.lab.slack.server import Slack


@pytest.fixture
def slack(lab_slack: Slack, monkeypatch: pytest.MonkeyPatch) -> SlackWorkspace:
    monkeypatch.setenv("TEST_SLACK_TOKEN", lab_slack.token)
    monkeypatch.setenv("TEST_SLACK_SECRET", lab_slack.signing_secret)
    return SlackWorkspace(
        base_url=lab_slack.base_url,
        token=["env:TEST_SLACK_TOKEN"],
        signing_secret=["env:TEST_SLACK_SECRET"],
        timeout_s=3,
    )


def test_the_app_of_the_lab_has_what_it_needs(slack: SlackWorkspace) -> None:
    checks = slack.check()
    assert failed(checks) == [] and len(checks) == 3
    assert all(not check.note for check in checks)  # the scopes were told, not guessed


def test_a_wrong_token_is_refused_without_repeating_it(
    slack: SlackWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_SLACK_TOKEN", "xoxb-wr0ng")
    bad = failed(slack.check())
    assert [check.name for check in bad] == ["Slack: reachable, bot token valid"]
    assert "invalid_auth" in bad[0].problem and "xoxb-wr0ng" not in str(bad)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "throttled", "times": 2, "retry_after_s": 1},
        {"kind": "unavailable", "times": 1},
        {"kind": "failed", "times": 2},
        {"kind": "reset", "times": 1},
    ],
    ids=lambda fault: str(fault["kind"]),
)
def test_trouble_is_survived(lab_slack: Slack, slack: SlackWorkspace, fault: dict[str, object]) -> None:
    client = slack.get_client()
    lab_slack.control("faults", fault)
    assert client.auth_test()["ok"]


def test_trouble_that_lasts_is_unreachable(
    lab_slack: Slack, slack: SlackWorkspace, caplog: pytest.LogCaptureFixture
) -> None:
    lab_slack.control("faults", {"kind": "unavailable"})
    with pytest.raises(Unreachable), slack_errors("auth.test"):
        slack.get_client().auth_test()
    lab_slack.control("faults", method="DELETE")
    lab_slack.control("faults", {"kind": "malformed"})
    with pytest.raises(Unreachable) as caught, slack_errors("auth.test"):
        slack.get_client().auth_test()
    assert "<html>" not in str(caught.value) and "<html>" not in caplog.text


def test_a_refusal_has_its_code_and_nothing_of_the_call(slack: SlackWorkspace) -> None:
    with pytest.raises(SlackRefused) as caught, slack_errors("chat.postMessage"):
        slack.get_client().chat_postMessage(channel="C0NOWHERE", text="ada@example.com")
    assert caught.value.code == "channel_not_found" and "ada@" not in str(caught.value)


def test_nobody_listening_is_unreachable(slack: SlackWorkspace) -> None:
    dead = SlackWorkspace(**{**slack.model_dump(), "base_url": "http://127.0.0.1:9/api/"})
    assert not dead.check()[0].ok and "did not answer" in dead.check()[0].problem


def test_no_proxy_is_heeded(slack: SlackWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert slack.check()[0].ok


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[bytes, dict[str, str]]]]]:
    got: list[tuple[bytes, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.rfile.read(int(self.headers["Content-Length"])), dict(self.headers)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", got
    server.shutdown()
    server.server_close()


def test_only_fresh_callbacks_signed_by_slack_count(
    lab_slack: Slack, slack: SlackWorkspace, receiver: tuple[str, list[tuple[bytes, dict[str, str]]]]
) -> None:
    url, got = receiver
    client = slack.get_client()
    channel = client.conversations_create(name=f"inc-{int(time.time() * 1000)}")["channel"]["id"]
    button = {"type": "button", "action_id": "ok", "text": {"type": "plain_text", "text": "OK"}, "value": "1"}
    posted = client.chat_postMessage(
        channel=channel, text="?", blocks=[{"type": "actions", "elements": [button]}]
    )
    click = {"url": url, "channel": channel, "ts": posted["ts"], "action_id": "ok"}
    for extra in ({}, {"tampered": True}, {"age_s": 600}):
        assert lab_slack.control("click", click | extra)["ok"]
    assert [slack.is_signed(body, headers) for body, headers in got] == [True, False, False]
    body, headers = got[0]
    assert not slack.is_signed(body + b"&x=1", headers)
    assert not slack.is_signed(body, {})
