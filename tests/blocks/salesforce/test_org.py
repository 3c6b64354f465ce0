"""The org block against the lab's twin: login, preflight, paging, bulk export, proofs, faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest

from blocks.check import failed
from blocks.errors import Refused, Unreachable
from blocks.salesforce.bulk import bulk_query, read_csv
from blocks.salesforce.errors import SalesforceRefused, SalesforceUnavailable
from blocks.salesforce.org import SalesforceOrg
from blocks.salesforce.session import REQUEST_ID_PREFIX
from deployments.lab.twin import Twin


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    server = Twin.start(tmp_path_factory.mktemp("twin"), contacts=300)
    yield server
    server.process.stop()


@pytest.fixture
def org(twin: Twin) -> Iterator[SalesforceOrg]:
    own = twin.org["responder"]
    yield SalesforceOrg(
        instance_url=twin.url,
        auth="jwt",
        consumer_key=own["consumer_key"],
        username=own["username"],
        secret=[f"file:{own['private_key_file']}"],
        audience=twin.url,
        ca_bundle=str(twin.ca),
        timeout_s=3,
        retry_s=10,
    )
    twin.control("faults", {"rules": []})


@pytest.fixture
def admin(twin: Twin, org: SalesforceOrg) -> SalesforceOrg:
    """Somebody who may create and change records."""
    own = twin.org["admin"]
    values = {"consumer_key": own["consumer_key"], "username": own["username"]}
    return SalesforceOrg(**{**org.model_dump(), **values, "secret": [f"file:{own['private_key_file']}"]})


@pytest.fixture
def erp(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> SalesforceOrg:
    """Somebody without the responder's permissions."""
    monkeypatch.setenv("TEST_ERP_SECRET", twin.org["erp"]["consumer_secret"])
    return SalesforceOrg(
        instance_url=twin.url,
        auth="client_credentials",
        consumer_key=twin.org["erp"]["consumer_key"],
        secret=["env:TEST_ERP_SECRET"],
        ca_bundle=str(twin.ca),
    )


def test_the_responder_of_the_lab_has_what_it_needs(org: SalesforceOrg) -> None:
    checks = org.check()
    assert failed(checks) == [] and len(checks) >= 15
    assert not [check for check in checks if check.note]


def test_missing_permissions_are_listed_by_their_label(erp: SalesforceOrg) -> None:
    bad = {check.name: check for check in failed(erp.check())}
    for label in ("Customize Application", "Manage Users", "Assign Permission Sets", "View Event Log Files"):
        check = bad[f"Salesforce: permission {label}"]
        assert label in check.problem and f"permission set with {label}" in check.fix
    assert "Salesforce: permission API Enabled" not in bad and "Salesforce: log in" not in bad


def test_an_api_version_the_org_does_not_serve_is_named(org: SalesforceOrg) -> None:
    bad = failed(SalesforceOrg(**{**org.model_dump(), "api_version": "99.0"}).check())
    version = next(check for check in bad if check.name == "Salesforce: API version 99.0")
    assert "does not serve API version 99.0" in version.problem and "Set api_version to" in version.fix


def test_a_drained_limit_is_seen_before_it_starves_the_response(twin: Twin, org: SalesforceOrg) -> None:
    twin.control("limits", {"daily_api": 10_000, "used_api": 9_900})
    try:
        bad = failed(org.check())
    finally:
        twin.control("limits", {"daily_api": 10_000_000, "used_api": 0})
    assert [check.name for check in bad] == ["Salesforce: API calls left today"]


def test_wrong_names_and_keys_are_refused_with_what_to_do(
    twin: Twin, org: SalesforceOrg, tmp_path: Path
) -> None:
    values = org.model_dump()
    other = str(twin.org["admin"]["private_key_file"])
    for wrong in (
        {"username": "nobody@lab.example"},
        {"audience": "https://elsewhere.example"},
        {"secret": [f"file:{other}"]},
        {"consumer_key": "3MVG9wrong"},
    ):
        check = SalesforceOrg(**{**values, **wrong}).check()
        assert len(check) == 1 and not check[0].ok and check[0].fix, wrong
        assert "refused the responder's login: invalid" in check[0].problem


def test_grants_of_one_user_and_their_count(org: SalesforceOrg) -> None:
    total = org.count("SELECT COUNT() FROM OauthToken WHERE AppName = 'Support Chat'")
    rows = list(org.query("SELECT UserId, AppName FROM OauthToken WHERE AppName = 'Support Chat'"))
    assert total > 2500 == len(rows)  # the org stops at 2,500, over five pages
    assert list(org.query(f"SELECT AppName FROM OauthToken WHERE UserId = '{rows[0]['UserId']}'"))


def test_bulk_pages_hold_every_row_once_as_text(org: SalesforceOrg) -> None:
    pages = list(bulk_query(org, "SELECT Id, LastName, MailingPostalCode FROM Contact", page_size=100))
    ids = [value for page in pages for value in page["Id"]]
    assert len(pages) >= 3 and len(set(ids)) == len(ids)
    assert len(ids) == org.count("SELECT COUNT() FROM Contact")
    assert all(isinstance(value, str) for page in pages for column in page for value in page[column])


def test_simple_salesforce_works_on_the_session(admin: SalesforceOrg) -> None:
    client = admin.get_client()
    assert client.query("SELECT COUNT() FROM Contact")["totalSize"] > 0
    assert len(list(client.query_all_iter("SELECT Id FROM Contact"))) == len(
        client.query_all("SELECT Id FROM Contact")["records"]
    )
    assert client.restful("limits")["DailyApiRequests"]["Max"] > 0
    assert "Id" in next(iter(client.bulk2.Contact.query("SELECT Id FROM Contact LIMIT 5")))
    made = client.Case.create({"Subject": "made by a test"})["id"]
    assert client.Case.get(made)["Subject"] == "made by a test"
    assert client.Case.delete(made) == 204
    with pytest.raises(SalesforceMalformedRequest):
        client.query("SELECT Nope FROM Contact")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "503", "count": 2},
        {"kind": "500", "count": 2},
        {"kind": "429", "count": 1, "retry_after": 1},
        {"kind": "request-limit", "count": 2},
        {"kind": "lock-row", "count": 2},
        {"kind": "reset-before", "count": 1},
        {"kind": "reset-after", "count": 1},
        {"kind": "malformed", "count": 1},
        {"kind": "expired-session", "count": 1},
    ],
    ids=lambda fault: str(fault["kind"]),
)
def test_changes_by_id_converge_under_trouble(twin: Twin, org: SalesforceOrg, fault: dict[str, Any]) -> None:
    login = next(org.query("SELECT Id FROM UserLogin WHERE IsFrozen = false LIMIT 1"))["Id"]
    twin.control("faults", {"rules": [{**fault, "match": {"path": "/sobjects/UserLogin/"}}]})
    org.rest("PATCH", f"sobjects/UserLogin/{login}", json={"IsFrozen": True})
    assert twin.control("faults", method="GET")[0]["hits"] == fault["count"]
    twin.control("faults", {"rules": []})
    assert org.count(f"SELECT COUNT() FROM UserLogin WHERE Id = '{login}' AND IsFrozen = true") == 1
    org.rest("PATCH", f"sobjects/UserLogin/{login}", json={"IsFrozen": False})


def test_a_create_whose_reply_is_lost_happens_once(twin: Twin, admin: SalesforceOrg) -> None:
    subject = "created once"
    rule = {"kind": "reset-after", "match": {"path": "/sobjects/Case$", "method": "POST"}}
    twin.control("faults", {"rules": [rule]})
    with pytest.raises(Unreachable, match="may have acted"):
        admin.rest("POST", "sobjects/Case", json={"Subject": subject})
    twin.control("faults", {"rules": []})
    assert admin.count(f"SELECT COUNT() FROM Case WHERE Subject = '{subject}'") == 1


def test_half_an_answer_is_asked_for_again(twin: Twin, org: SalesforceOrg) -> None:
    whole = len(list(org.query("SELECT Id, Name FROM Contact")))
    twin.control("faults", {"rules": [{"kind": "malformed", "count": 2, "match": {"path": "/query"}}]})
    assert len(list(org.query("SELECT Id, Name FROM Contact"))) == whole
    twin.control("faults", {"rules": [{"kind": "malformed", "match": {"path": "/query"}}]})
    with pytest.raises(Unreachable):
        list(org.query("SELECT Id, Name FROM Contact"))


def test_trouble_that_lasts_is_unavailable(twin: Twin, org: SalesforceOrg) -> None:
    twin.control("faults", {"rules": [{"kind": "503", "match": {"path": "/query"}}]})
    quick = SalesforceOrg(**{**org.model_dump(), "retry_s": 1})
    with pytest.raises(SalesforceUnavailable) as caught:
        quick.count("SELECT COUNT() FROM Contact")
    assert caught.value.status == 503


def test_many_threads_through_many_expiries(twin: Twin, org: SalesforceOrg) -> None:
    org.whoami()
    rule = {"kind": "expired-session", "count": 3, "match": {"path": "/limits"}}
    twin.control("faults", {"rules": [rule]})
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: org.rest("GET", "limits"), range(200)))
    assert all("DailyApiRequests" in answer for answer in answers)


def test_a_stolen_refresh_token_dies_by_revoking_it(twin: Twin, org: SalesforceOrg) -> None:
    stolen = twin.org["stolen"]
    tokens: dict[str, str] = json.loads(Path(stolen["refresh_tokens_file"]).read_text())
    refresh = tokens[stolen["integration_username"]]
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh,
        "client_id": stolen["consumer_key"],
        "client_secret": stolen["consumer_secret"],
    }
    access = org.try_login(form).json()["access_token"]
    assert org.try_with(access, "sobjects").status_code == 200
    assert org.revoke(refresh) is True
    assert org.revoke(refresh) is False
    assert org.try_login(form).status_code == 400
    assert org.try_with(access, "sobjects").status_code == 401


def test_a_frozen_responder_is_told_so(twin: Twin, org: SalesforceOrg) -> None:
    own = {"object": "UserLogin", "match": {"UserId": org.whoami().user_id}}
    twin.control("plant", {**own, "set": {"IsFrozen": True}})
    try:
        with pytest.raises(Refused) as caught:
            SalesforceOrg(**org.model_dump()).whoami()
    finally:
        twin.control("plant", {**own, "set": {"IsFrozen": False}})
    assert caught.value.fix and not isinstance(caught.value, SalesforceRefused)


def test_our_calls_can_be_told_from_the_attackers_in_the_event_log(twin: Twin, org: SalesforceOrg) -> None:
    org.rest("GET", "limits")
    twin.control("flush")
    newest = "SELECT Id FROM EventLogFile WHERE EventType = 'RestApi' ORDER BY CreatedDate DESC LIMIT 1"
    log = next(org.query(newest))["Id"]
    page = read_csv(org.call("GET", f"sobjects/EventLogFile/{log}/LogFile").content, "event log")
    assert page is not None
    ours = page[page["REQUEST_ID"].str.startswith(REQUEST_ID_PREFIX)]
    assert len(ours) and set(ours["USER_AGENT"].str.partition("/")[0]) == {"leak-response"}
