"""The session under every call: what is tried again, what is not, and what is never told."""

from __future__ import annotations

import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from simple_salesforce.exceptions import SalesforceExpiredSession, SalesforceMalformedRequest

from blocks.errors import LeakResponseError, Refused, Unreachable
from blocks.salesforce.errors import SalesforceRefused, SalesforceUnavailable, salesforce_errors
from blocks.salesforce.org import SalesforceOrg
from blocks.salesforce.session import REQUEST_ID_PREFIX, RetryPolicy
from tests.blocks.salesforce.unruly import Answer, Unruly, error

PATH = "/services/data/v67.0/limits"
RECORD = "/services/data/v67.0/sobjects/Case"


@pytest.mark.parametrize(
    "trouble",
    [
        Answer(500),
        Answer(502, "<html>bad gateway</html>"),
        Answer(503),
        Answer(504),
        Answer(429),
        Answer(reset=True),
        Answer(delay_s=1.6),
        Answer(body={"half": True}, truncate=True),
        error(403, "REQUEST_LIMIT_EXCEEDED"),
        error(400, "UNABLE_TO_LOCK_ROW"),
    ],
    ids=["500", "502", "503", "504", "429", "reset", "slow", "truncated", "limit", "lock"],
)
def test_a_read_survives_trouble(server: Unruly, org: SalesforceOrg, trouble: Answer) -> None:
    server.will(PATH, trouble, trouble)
    assert org.rest("GET", "limits") == {"ok": True}
    assert len(server.calls(PATH)) == 3


@pytest.mark.parametrize(
    "refusal",
    [error(400, "MALFORMED_QUERY"), error(403, "INSUFFICIENT_ACCESS"), error(404, "NOT_FOUND"), Answer(403)],
    ids=["400", "403", "404", "403-bare"],
)
def test_a_refusal_is_final(server: Unruly, org: SalesforceOrg, refusal: Answer) -> None:
    server.will(PATH, refusal)
    with pytest.raises(SalesforceRefused) as caught:
        org.rest("GET", "limits")
    assert caught.value.status == refusal.status
    assert len(server.calls(PATH)) == 1


@pytest.mark.parametrize("trouble", [Answer(500), Answer(503), Answer(reset=True), Answer(delay_s=1.6)])
def test_a_post_whose_reply_is_lost_is_not_repeated(
    server: Unruly, org: SalesforceOrg, trouble: Answer
) -> None:
    server.will(RECORD, trouble)
    with pytest.raises(Unreachable):
        org.rest("POST", "sobjects/Case", json={"Subject": "x"})
    assert len(server.calls(RECORD)) == 1


@pytest.mark.parametrize("trouble", [Answer(500), Answer(503), Answer(reset=True), Answer(delay_s=1.6)])
def test_a_post_the_caller_calls_idempotent_is_repeated(
    server: Unruly, org: SalesforceOrg, trouble: Answer
) -> None:
    server.will(RECORD, trouble)
    assert org.rest("POST", "sobjects/Case", json={"Subject": "x"}, idempotent=True) == {"ok": True}
    assert [one.body for one in server.calls(RECORD)] == ['{"Subject": "x"}'] * 2


@pytest.mark.parametrize(
    "trouble", [Answer(429), error(403, "REQUEST_LIMIT_EXCEEDED"), error(400, "UNABLE_TO_LOCK_ROW")]
)
def test_a_post_the_server_declined_is_repeated(server: Unruly, org: SalesforceOrg, trouble: Answer) -> None:
    server.will(RECORD, trouble)
    assert org.rest("POST", "sobjects/Case", json={"Subject": "x"}) == {"ok": True}
    assert len(server.calls(RECORD)) == 2


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "PUT"])
def test_changes_by_id_are_repeated_after_a_lost_reply(
    server: Unruly, org: SalesforceOrg, method: str
) -> None:
    server.will(f"{RECORD}/500x", Answer(reset=True))
    assert org.rest(method, "sobjects/Case/500x", json={"A": 1}) == {"ok": True}
    assert len(server.calls(f"{RECORD}/500x")) == 2


def test_a_lost_reply_to_a_post_says_that_the_server_may_have_acted(
    server: Unruly, org: SalesforceOrg
) -> None:
    server.will(RECORD, Answer(reset=True))
    with pytest.raises(Unreachable, match="may have acted"):
        org.rest("POST", "sobjects/Case", json={})


def test_a_stream_is_not_sent_twice(server: Unruly, org: SalesforceOrg) -> None:
    server.will(f"{RECORD}/1", Answer(503))
    with pytest.raises(SalesforceUnavailable):
        org.call("PUT", "sobjects/Case/1", data=iter([b"a"]), headers={"Content-Length": "1"})
    assert len(server.calls(f"{RECORD}/1")) == 1


def test_retry_after_is_waited_for(server: Unruly, org: SalesforceOrg) -> None:
    server.will(PATH, Answer(429, headers={"Retry-After": "2"}))
    org.rest("GET", "limits")
    first, second = server.calls(PATH)
    assert second.at - first.at >= 2


def test_a_retry_after_beyond_the_time_allowed_ends_at_once(server: Unruly, org: SalesforceOrg) -> None:
    server.will(PATH, Answer(503, headers={"Retry-After": "3600"}))
    began = time.monotonic()
    with pytest.raises(SalesforceUnavailable):
        org.rest("GET", "limits")
    assert time.monotonic() - began < 2


def test_trouble_that_lasts_is_given_up_in_time(server: Unruly, org: SalesforceOrg) -> None:
    server.will(PATH, *[Answer(503)] * 100)
    began = time.monotonic()
    with pytest.raises(SalesforceUnavailable) as caught:
        org.rest("GET", "limits")
    assert time.monotonic() - began < 8.5
    assert 1 < len(server.calls(PATH)) <= RetryPolicy().attempts
    assert caught.value.status == 503


def test_waits_are_random_up_to_a_doubling_cap() -> None:
    policy, rng = RetryPolicy(base_s=1, cap_s=4), random.Random(1)
    for failures, most in [(1, 1), (2, 2), (3, 4), (9, 4)]:
        waits = [policy.delay(failures, None, rng) for _ in range(500)]
        assert 0 <= min(waits) < most * 0.1 and most * 0.9 < max(waits) <= most
    assert min(policy.delay(1, 7.0, rng) for _ in range(100)) >= 7


def test_an_answer_that_is_not_json_is_asked_for_again(server: Unruly, org: SalesforceOrg) -> None:
    page = Answer(200, "<html>customer-secret-4711</html>")
    server.will(PATH, page, page)
    assert org.rest("GET", "limits") == {"ok": True}
    server.will(RECORD, page)
    with pytest.raises(Unreachable, match="not JSON") as caught:
        org.rest("POST", "sobjects/Case", json={})
    assert len(server.calls(RECORD)) == 1 and "4711" not in str(caught.value)


# --- login and expiry ---


def test_an_expired_session_is_renewed_once_for_all_threads(server: Unruly, org: SalesforceOrg) -> None:
    org.rest("GET", "limits")
    server.expire_all()
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: org.rest("GET", "limits"), range(64)))
    assert answers == [{"ok": True}] * 64
    assert server.logins == 2


def test_a_post_is_repeated_after_a_renewed_login(server: Unruly, org: SalesforceOrg) -> None:
    org.whoami()
    server.expire_all()
    assert org.rest("POST", "sobjects/Case", json={"Subject": "x"}) == {"ok": True}
    assert server.logins == 2


def test_bulk_v1_says_expired_in_its_own_way(server: Unruly, org: SalesforceOrg) -> None:
    server.will(PATH, Answer(400, {"exceptionCode": "InvalidSessionId", "exceptionMessage": "x"}))
    assert org.rest("GET", "limits") == {"ok": True}
    assert server.logins == 2


def test_tokens_that_are_always_refused_end_in_a_clear_error(server: Unruly, org: SalesforceOrg) -> None:
    server.always_expired = True
    with pytest.raises(SalesforceRefused, match="INVALID_SESSION_ID"):
        org.rest("GET", "limits")
    assert server.logins == 2
    for _ in range(10):
        with pytest.raises(Refused):
            org.rest("GET", "limits")
    assert server.logins <= 6
    with pytest.raises(Refused, match="every token was refused"):
        org.rest("GET", "limits")


def test_a_refused_login_is_not_stormed_by_all_threads(server: Unruly, org: SalesforceOrg) -> None:
    server.refuse_logins = True

    def attempt(_: int) -> str:
        with pytest.raises(Refused) as caught:
            org.rest("GET", "limits")
        return str(caught.value)

    with ThreadPoolExecutor(16) as pool:
        texts = set(pool.map(attempt, range(16)))
    assert server.logins == 1
    assert "invalid_grant" in texts.pop()


def test_a_login_survives_trouble(server: Unruly, org: SalesforceOrg) -> None:
    server.will("/services/oauth2/token", Answer(503), Answer(reset=True))
    assert org.whoami().user_id.startswith("005")


# --- what travels ---


def test_every_call_carries_our_marks(server: Unruly, org: SalesforceOrg) -> None:
    server.will(PATH, Answer(503))
    org.rest("GET", "limits")
    ids = [one.headers["x-sfdc-request-id"] for one in server.seen]
    assert len(set(ids)) == len(ids) == 3  # login, first try, second try
    assert all(re.fullmatch(REQUEST_ID_PREFIX + "[0-9a-f]{18}", one) for one in ids)
    assert all(one.headers["user-agent"].startswith("leak-response/") for one in server.seen)


def test_the_environment_changes_nothing(
    server: Unruly, org: SalesforceOrg, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "responder.pem"))
    assert org.rest("GET", "limits") == {"ok": True}


def test_an_untrusted_certificate_is_refused_at_once(server: Unruly, org: SalesforceOrg) -> None:
    stranger = SalesforceOrg(**{**org.model_dump(), "ca_bundle": None})
    began = time.monotonic()
    with pytest.raises(Unreachable, match="certificate") as caught:
        stranger.whoami()
    assert "ca_bundle" in caught.value.fix
    assert time.monotonic() - began < 2
    assert not server.seen


def test_nobody_listening_is_unreachable(server: Unruly, org: SalesforceOrg) -> None:
    server.stop()
    began = time.monotonic()
    with pytest.raises(Unreachable, match="did not answer"):
        org.rest("POST", "sobjects/Case", json={})
    assert time.monotonic() - began < 9


def test_the_token_never_leaves_its_org(server: Unruly, org: SalesforceOrg) -> None:
    org.whoami()
    with pytest.raises(Refused, match="leave its org"):
        org.session.get("https://localhost:1/elsewhere")
    server.will(PATH, Answer(302, headers={"Location": f"{server.url}/elsewhere"}))
    with pytest.raises(LeakResponseError):
        org.rest("GET", "limits")
    assert not server.calls("/elsewhere")


def test_revoke_puts_the_token_in_the_body_without_our_rights(server: Unruly, org: SalesforceOrg) -> None:
    server.tokens.add("stolen-token")
    server.will("/services/oauth2/revoke", Answer(503))
    assert org.revoke("stolen-token") is True
    assert org.revoke("stolen-token") is False  # gone already
    for one in server.calls("/services/oauth2/revoke"):
        assert one.body == "token=stolen-token"
        assert "authorization" not in one.headers and not one.query
    assert server.logins == 0


def test_errors_tell_codes_and_never_what_salesforce_wrote(server: Unruly, org: SalesforceOrg) -> None:
    server.will(PATH, error(400, "MALFORMED_QUERY"), error(403, "INSUFFICIENT_ACCESS"))
    texts = []
    for _ in range(2):
        with pytest.raises(LeakResponseError) as caught:
            org.rest("GET", "limits", params={"q": "SELECT Id FROM Contact WHERE Email='ada@example.com'"})
        texts.append(str(caught.value))
        assert caught.value.__cause__ is None and caught.value.fix
    server.refuse_logins = True
    server.expire_all()
    with pytest.raises(Refused) as caught:
        org.rest("GET", "limits")
    texts.append(str(caught.value))
    assert "MALFORMED_QUERY" in texts[0] and "INSUFFICIENT_ACCESS" in texts[1] and "invalid_grant" in texts[2]
    for text in texts:
        assert "4711" not in text and "ada@" not in text and "token-" not in text


# --- simple-salesforce on top ---


def test_simple_salesforce_lives_through_a_new_login(server: Unruly, org: SalesforceOrg) -> None:
    client = org.get_client()
    query = "/services/data/v67.0/query/"
    page = {"records": [{"Id": "1"}], "done": False, "nextRecordsUrl": "/services/data/v67.0/query/next"}
    server.will(query, Answer(body=page))
    server.will("/services/data/v67.0/query/next", Answer(body={"records": [{"Id": "2"}], "done": True}))
    rows = client.query_all_iter("SELECT Id FROM Case")
    assert next(rows)["Id"] == "1"
    server.expire_all()
    server.script["/services/data/v67.0/query/next"].appendleft(error(401, "INVALID_SESSION_ID"))
    assert [row["Id"] for row in rows] == ["2"]
    bulk = client.bulk2.Case  # captures its headers now
    server.expire_all()
    assert bulk._client.get_job("750x", is_query=True) == {"ok": True}
    assert client.restful("limits") == {"ok": True}


def test_simple_salesforce_calls_may_be_declared_idempotent(server: Unruly, org: SalesforceOrg) -> None:
    server.will(RECORD, Answer(503))
    assert org.get_client().restful("sobjects/Case", method="POST", json={}, idempotent=True) == {"ok": True}


def test_simple_salesforce_errors_become_ours(server: Unruly, org: SalesforceOrg) -> None:
    client = org.get_client()
    server.will(PATH, error(400, "INVALID_FIELD"), error(400, "INVALID_FIELD"))
    with pytest.raises(SalesforceMalformedRequest):
        client.restful("limits")
    with pytest.raises(SalesforceRefused, match="INVALID_FIELD"), salesforce_errors("read limits"):
        client.restful("limits")
    server.will(PATH, Answer(200, "<html>login page</html>"))
    with pytest.raises(Unreachable, match="could not be read"), salesforce_errors("read limits"):
        client.restful("limits")
    server.always_expired = True
    with pytest.raises(SalesforceExpiredSession):
        client.restful("limits")


def test_a_401_with_a_mapping_as_body_is_an_error_like_any_other(server: Unruly, org: SalesforceOrg) -> None:
    server.will(PATH, *[Answer(401, {"error": "nope"})] * 2)
    with pytest.raises(SalesforceRefused, match="nope"):
        org.rest("GET", "limits")


def test_a_proof_with_anothers_token_is_one_plain_call(server: Unruly, org: SalesforceOrg) -> None:
    server.tokens.add("stolen")
    assert org.try_with("stolen").status_code == 200
    server.expire_all()
    assert org.try_with("stolen").status_code == 401
    server.refuse_logins = True
    assert org.try_login({"grant_type": "refresh_token", "refresh_token": "x"}).status_code == 400
    assert [one.headers["authorization"] for one in server.calls(PATH)] == ["Bearer stolen"] * 2


def test_client_credentials_log_in_too(
    server: Unruly, org: SalesforceOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUMER_SECRET", "s3cret")
    values = org.model_dump() | {"auth": "client_credentials", "secret": ["env:CONSUMER_SECRET"]}
    assert SalesforceOrg(**values).rest("GET", "limits") == {"ok": True}
    monkeypatch.setenv("CONSUMER_SECRET", "wrong")
    with pytest.raises(Refused, match="invalid_client") as caught:
        SalesforceOrg(**values).rest("GET", "limits")
    assert "wrong" not in str(caught.value)
    assert "s3cret" not in server.calls("/services/oauth2/token")[0].query


def test_a_key_that_is_no_key_is_said_to_be_so(org: SalesforceOrg, tmp_path: Any) -> None:
    (tmp_path / "bad.pem").write_text("not a key")
    values = org.model_dump() | {"secret": [f"file:{tmp_path / 'bad.pem'}"]}
    with pytest.raises(LeakResponseError, match="private key is not a usable RSA key"):
        SalesforceOrg(**values).whoami()


def test_the_session_is_an_ordinary_requests_session(org: SalesforceOrg) -> None:
    assert isinstance(org.session, requests.Session) and org.session.trust_env is False
    assert org.session.get_adapter("https://x")._pool_maxsize == 32


def test_a_login_whose_answer_cannot_be_read_is_no_refusal(server: Unruly, org: SalesforceOrg) -> None:
    """A gateway's page with status 200 says nothing about the responder: a little later it logs in."""
    server.will("/services/oauth2/token", Answer(200, "<html>please wait</html>"))
    with pytest.raises(Unreachable, match="could not be read"):
        org.rest("GET", "limits")
    time.sleep(1.1)  # a failed login is not repeated within a second
    assert org.rest("GET", "limits") == {"ok": True}
