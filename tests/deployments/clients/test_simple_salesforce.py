"""simple-salesforce logs in by every flow it knows, queries, pages, exports, and gets its own exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

from tests.deployments.lab.twin import Twin, twin

__all__ = ["twin"]


class _ToTheTwin(HTTPAdapter):
    """The client insists on *.salesforce.com: send that to the twin, as a resolver would."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._netloc = urlsplit(url).netloc

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        split = urlsplit(request.url or "")
        request.url = urlunsplit(split._replace(netloc=self._netloc))
        return super().send(request, *args, **more)


@pytest.fixture
def session(twin: Twin) -> Iterator[requests.Session]:
    made = twin.http()
    made.mount("https://", _ToTheTwin(twin.url))
    with made:
        yield made


def test_client_credentials(twin: Twin, session: requests.Session) -> None:
    keys = twin.org["responder"]
    client = Salesforce(
        consumer_key=keys["consumer_key"],
        consumer_secret=keys["client_secret"],
        domain="lab.my",
        session=session,
        version="67.0",
    )
    assert client.query("SELECT COUNT() FROM Contact")["totalSize"] > 0


def test_jwt(twin: Twin, session: requests.Session) -> None:
    keys = twin.org["responder"]
    more = {"username": keys["username"], "consumer_key": keys["consumer_key"], "session": session}
    client = Salesforce(privatekey_file=keys["private_key_file"], version="67.0", **more)
    assert client.restful("limits")["DailyApiRequests"]["Max"] > 0
    with pytest.raises(SalesforceAuthenticationFailed, match="invalid assertion"):
        Salesforce(privatekey_file=twin.org["admin"]["private_key_file"], **more)


def test_soap_login(twin: Twin, session: requests.Session) -> None:
    admin = twin.org["admin"]
    more = {"username": admin["username"], "security_token": "", "session": session}
    client = Salesforce(password=admin["password"], version="59.0", **more)
    assert client.describe()["sobjects"]
    with pytest.raises(SalesforceAuthenticationFailed, match="INVALID_LOGIN"):
        Salesforce(password="wrong", version="59.0", **more)
    with pytest.raises(SalesforceAuthenticationFailed, match="INVALID_OPERATION"):
        Salesforce(password=admin["password"], version="65.0", **more)


def test_pages_bulk_and_refusals(twin: Twin) -> None:
    client = twin.simple_salesforce()
    seen = [row["Id"] for row in client.query_all_iter("SELECT Id FROM Case")]
    assert len(set(seen)) == client.query("SELECT COUNT() FROM Case")["totalSize"]
    exported = "".join(client.bulk2.Contact.query("SELECT Id FROM Contact"))
    assert exported.count("003") >= client.query("SELECT COUNT() FROM Contact")["totalSize"]
    with pytest.raises(SalesforceMalformedRequest):
        client.query("SELECT Nope FROM Contact")
    with pytest.raises(SalesforceResourceNotFound):
        client.Contact.get("003000000000000AAA")
    log = client.query("SELECT Id FROM EventLogFile LIMIT 1")["records"]
    if log:
        assert client.EventLogFile.get_base64(log[0]["Id"], "LogFile").startswith(b'"EVENT_TYPE"')
    gone = Salesforce(session_id="00D!gone", instance_url=twin.url, session=twin.http(), version="67.0")
    with pytest.raises(SalesforceExpiredSession):
        gone.query("SELECT Id FROM Contact")


def test_bulk_one(twin: Twin) -> None:
    client = twin.simple_salesforce("Admin Console")
    made = client.bulk.Account.insert([{"Name": "Bulk 1 one"}, {"Phone": "1"}])
    assert [row["success"] for row in made] == [True, False]
    rows = client.bulk.Account.query("SELECT Id, Name FROM Account WHERE Name = 'Bulk 1 one'")
    assert [row["Name"] for row in rows] == ["Bulk 1 one"]
