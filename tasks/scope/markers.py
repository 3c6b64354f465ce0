"""Leave traces of our own in the logs: once they appear there, everything before them has arrived."""

from __future__ import annotations

import uuid

from blocks.errors import LeakResponseError
from tasks.scope.reader import OrgReader
from tasks.scope.sources import Markers


def place_markers(reader: OrgReader) -> Markers:
    """One REST call, one query and one bulk job, each to be found again. A call that is refused marks
    nothing."""
    values: dict[str, tuple[str, str]] = {}
    name = f"log-marker-{uuid.uuid4().hex}"
    try:
        response = reader.org.call("GET", "limits", what="log marker")
        sent = response.request.headers.get("X-SFDC-REQUEST-ID")
        if sent:
            values["RestApi"] = values["ApiTotalUsage"] = ("REQUEST_ID", str(sent))
    except LeakResponseError:
        pass
    try:
        list(reader.query(f"SELECT Id FROM Organization WHERE Name = '{name}'"))  # noqa: S608 - no input in it
        values["UniqueQuery"] = ("QUERY_IDENTIFIER", name)
    except LeakResponseError:
        pass
    try:
        job = reader.org.rest(
            "POST",
            "jobs/query",
            json={"operation": "query", "query": "SELECT Id FROM Organization"},
            what="log marker",
            idempotent=True,
        )
        values["BulkApi2"] = ("JOB_ID", str(job["id"])[:15])
    except LeakResponseError:
        pass
    return Markers(values)
