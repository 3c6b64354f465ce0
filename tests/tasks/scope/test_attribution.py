"""Who did it: app, session, login and machine, whatever form the ids have; never our own calls."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pandas as pd

from tasks.incident import Window
from tasks.scope.attribution import Attribution, Marks, Own, attribute

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WINDOW = Window(datetime(2026, 11, 24, 9, tzinfo=UTC), datetime(2026, 11, 24, 11, tzinfo=UTC))
NUMBERS = itertools.count()
APP = Marks(apps=frozenset({"0H4000000000001AAA"}))


def rest(**values: str) -> dict[str, str]:
    return {
        "EVENT_TYPE": "RestApi",
        "TIMESTAMP_DERIVED": "2026-11-24T10:00:00.000Z",
        "REQUEST_ID": values.get("REQUEST_ID", f"{next(NUMBERS):022d}"),
        "SESSION_KEY": "",
        "LOGIN_KEY": "",
        "CONNECTED_APP_ID": "",
        "USER_ID": "",
        "USER_AGENT": "Browser/1",
        "CLIENT_IP": "8.8.4.4",
        **values,
    }


def who(**logs: list[dict[str, str]]) -> Attribution:
    frames = {kind: pd.DataFrame(rows) for kind, rows in logs.items()}
    return attribute(frames, APP, WINDOW, now=NOW, own=Own("lkr-", "005000000000009AAA"))


def test_an_app_is_known_by_its_id_in_the_short_form_and_its_queries_by_the_session() -> None:
    found = who(
        RestApi=[
            rest(CONNECTED_APP_ID="0H4000000000001", SESSION_KEY="S1"),
            rest(SESSION_KEY="S2", CLIENT_IP="1.1.1.1"),
        ],
        UniqueQuery=[
            {"TIMESTAMP_DERIVED": "2026-11-24T10:00:01Z", "SESSION_KEY": "S1", "QUERY_IDENTIFIER": "a"},
            {"TIMESTAMP_DERIVED": "2026-11-24T10:00:01Z", "SESSION_KEY": "S2", "QUERY_IDENTIFIER": "b"},
        ],
    )
    assert found.events["type"].tolist() == ["RestApi", "UniqueQuery"]
    assert found.events["why"].tolist() == ["app", "session"]
    assert found.of_type("UniqueQuery")["QUERY_IDENTIFIER"].tolist() == ["a"]


def test_marks_spread_from_a_login_to_its_other_sessions() -> None:
    found = who(
        RestApi=[
            rest(CONNECTED_APP_ID="0H4000000000001AAA", SESSION_KEY="S1", LOGIN_KEY="L1"),
            rest(SESSION_KEY="S2", LOGIN_KEY="L1", REQUEST_ID="no app id: the token was already active"),
            rest(SESSION_KEY="S2", REQUEST_ID="no login key"),
        ]
    )
    assert len(found.events) == 3
    assert found.marks.sessions == {"S1", "S2"}


def test_a_bulk_export_is_reached_through_the_request_that_only_names_the_app_elsewhere() -> None:
    found = who(
        ApiTotalUsage=[
            {
                "TIMESTAMP_DERIVED": "2026-11-24T10:00:00Z",
                "REQUEST_ID": "r1",
                "CONNECTED_APP_ID": "0H4000000000001",
            }
        ],
        BulkApi2=[
            {"TIMESTAMP_DERIVED": "2026-11-24T10:00:00Z", "REQUEST_ID": "r1", "SESSION_KEY": "S1"},
            {"TIMESTAMP_DERIVED": "2026-11-24T10:00:00Z", "REQUEST_ID": "r2", "SESSION_KEY": "S2"},
        ],
        UniqueQuery=[{"TIMESTAMP_DERIVED": "2026-11-24T10:00:01Z", "SESSION_KEY": "S1"}],
    )
    assert found.events["why"].tolist() == ["app", "request", "session"]


def test_empty_keys_join_nobody() -> None:
    found = who(
        RestApi=[rest(CONNECTED_APP_ID="0H4000000000001"), rest(REQUEST_ID="stranger", CLIENT_IP="1.1.1.1")]
    )
    assert len(found.events) == 1


def test_the_same_machine_counts_for_the_upper_bound_only() -> None:
    found = who(
        RestApi=[
            rest(CONNECTED_APP_ID="0H4000000000001", USER_AGENT="Fetcher/1", CLIENT_IP="8.8.8.8"),
            rest(REQUEST_ID="other user", USER_AGENT="Fetcher/1", CLIENT_IP="8.8.8.8"),
            rest(REQUEST_ID="other client", USER_AGENT="Browser/2", CLIENT_IP="8.8.8.8"),
        ]
    )
    assert found.events["certain"].tolist() == [True, False]
    assert found.events["why"].tolist() == ["app", "machine"]


def test_a_private_address_names_no_machine() -> None:
    found = who(
        RestApi=[
            rest(CONNECTED_APP_ID="0H4000000000001", USER_AGENT="Fetcher/1", CLIENT_IP="10.0.0.7"),
            rest(REQUEST_ID="colleague", USER_AGENT="Fetcher/1", CLIENT_IP="10.0.0.7"),
        ]
    )
    assert len(found.events) == 1


def test_our_own_calls_and_queries_are_left_out() -> None:
    found = who(
        RestApi=[
            rest(CONNECTED_APP_ID="0H4000000000001", SESSION_KEY="S1"),
            rest(REQUEST_ID="lkr-0123456789abcdef01", USER_ID="005000000000009", SESSION_KEY="OURS"),
        ],
        UniqueQuery=[{"TIMESTAMP_DERIVED": "2026-11-24T10:00:01Z", "SESSION_KEY": "OURS"}],
    )
    assert found.ours == 2  # the call, and the query of its session
    assert found.events["session"].tolist() == ["S1"]


def test_an_attacker_who_copies_our_request_ids_does_not_vanish() -> None:
    found = who(
        RestApi=[
            rest(CONNECTED_APP_ID="0H4000000000001", SESSION_KEY="S1", REQUEST_ID="lkr-0123456789abcdef01"),
            # A proof of ours with the stolen session, after it was closed.
            rest(SESSION_KEY="S1", REQUEST_ID="lkr-0123456789abcdef02", USER_ID="005000000000009"),
        ],
        UniqueQuery=[{"TIMESTAMP_DERIVED": "2026-11-24T10:00:01Z", "SESSION_KEY": "S1"}],
    )
    assert found.events["type"].tolist() == ["RestApi", "UniqueQuery"]


def test_the_window_is_kept_and_an_unreadable_time_counts_as_inside() -> None:
    times = ["2026-11-24T08:59:59.999Z", "2026-11-24T09:00:00.000Z", "2026-11-24T11:00:00.001Z", "?"]
    found = who(RestApi=[rest(CONNECTED_APP_ID="0H4000000000001", TIMESTAMP_DERIVED=at) for at in times])
    assert len(found.events) == 2
    assert found.undated == 1


def test_no_logs_at_all_is_an_answer() -> None:
    assert who().events.empty


def test_where_no_log_names_the_app_of_a_session_it_may_be_the_suspects() -> None:
    bulk = {"TIMESTAMP_DERIVED": "2026-11-24T10:00:00Z", "JOB_ID": "750", "CONNECTED_APP_ID": ""}
    jobs = [bulk | {"SESSION_KEY": session} for session in ("S1", "S2", "S3")]
    calls = [rest(SESSION_KEY="S2"), rest(SESSION_KEY="S3", CONNECTED_APP_ID="0H4000000000002AAA")]
    usage = {"TIMESTAMP_DERIVED": "2026-11-24T10:00:00Z", "CONNECTED_APP_ID": "0H4000000000002AAA"}
    found = who(BulkApi2=jobs, RestApi=calls).events
    assert (found["session"].tolist(), found["certain"].tolist()) == (["S1"], [False])
    assert who(BulkApi2=jobs, RestApi=calls, ApiTotalUsage=[usage]).events.empty
