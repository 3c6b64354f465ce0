"""Bulk 2.0 query: jobs that run in the background and whose results are paged by `Sforce-Locator`."""

from __future__ import annotations

import threading
import time
from typing import Any

from deployments.lab.salesforce.clock import iso
from deployments.lab.salesforce.jobs import (
    DELIMITERS,
    ENDED,
    RUNNING,
    Job,
    Output,
    emit,
    listing,
    remember_caller,
    set_state,
)
from deployments.lab.salesforce.org import Org
from deployments.lab.salesforce.query import QueryError
from deployments.lab.salesforce.query_csv import Export, to_csv
from deployments.lab.salesforce.querying import before_running, parsed
from deployments.lab.salesforce.schema_events import REALTIME
from deployments.lab.salesforce.wire import ApiError, Call, Reply, not_found

OPERATIONS = ("query", "queryAll")
PAGE_ROWS = 50_000
PROGRESS_ROWS = 100_000  # one "processing update" event for so many rows


def create(call: Call) -> Reply:
    """POST /jobs/query."""
    given = call.json_object()
    operation, text = str(given.get("operation", "")), str(given.get("query") or "").strip()
    if operation not in OPERATIONS:
        raise ApiError(400, "INVALIDJOB", f"Unsupported operation: {operation}. Use query or queryAll.")
    if not text:
        raise ApiError(400, "INVALIDJOB", "query must not be empty")
    delimiter, ending = format_of(given)
    job = _new_job(call, operation, text)
    job.delimiter, job.line_ending = delimiter, ending
    export(call.org, job)  # refuse at once what cannot run
    told = job.info()  # before the job moves on
    start(call.org, job)
    return Reply.json(told)


def format_of(given: dict[str, Any]) -> tuple[str, str]:
    """Column delimiter and line ending of a job; 400 for one there is not."""
    delimiter, ending = str(given.get("columnDelimiter") or "COMMA"), str(given.get("lineEnding") or "LF")
    if delimiter not in DELIMITERS or ending not in ("LF", "CRLF"):
        raise ApiError(400, "INVALIDJOB", f"Unsupported columnDelimiter or lineEnding: {delimiter}, {ending}")
    if str(given.get("contentType") or "CSV") != "CSV":
        raise ApiError(400, "INVALIDJOB", "Only contentType CSV is supported")
    return delimiter, ending


def _new_job(call: Call, operation: str, text: str) -> Job:
    query = parsed(text)
    found = call.org.schema.get(query.object)
    job = Job(
        call.org.store.new_id("750"),
        "V2Query",
        operation,
        found.name if found else query.object,
        call.session,
        iso(call.org.clock.now()),
        call.version,
        state="UploadComplete",
        query=text,
        pk_chunking=query.limit is None and not query.order_by,
    )
    remember_caller(job, call)
    call.notes.entity = job.object
    return job


def start(org: Org, job: Job) -> None:
    """Take a query job up and run it in the background."""
    org.jobs.add(job)
    org.limits.bulk_query_jobs += 1
    emit(org, job, "Created")
    emit(org, job, "UploadComplete")
    threading.Thread(target=_run, args=(org, job), name=f"bulk-{job.id}", daemon=True).start()


def export(org: Org, job: Job) -> Export:
    """The job's statement, checked and compiled on this thread as its owner's."""
    before_running(org, job.query)
    user_id = job.session.user_id
    try:
        return to_csv(
            org.store,
            org.schema,
            parsed(job.query),
            org.permissions.of(user_id),
            now=org.clock.now(),
            tz=org.time_zone_of(user_id),
            all_rows=job.operation == "queryAll",
            api_version=job.version,
            delimiter=DELIMITERS[job.delimiter],
            line_ending="\r\n" if job.line_ending == "CRLF" else "\n",
            batch_rows=1,  # so that a page may end at any row
            text=job.query,
        )
    except QueryError as error:
        raise ApiError(400, error.error_code, error.message) from None


def _run(org: Org, job: Job) -> None:
    began = time.monotonic()
    try:
        set_state(org, job, "InProgress")
        org.note_unique_query(job.session, job.query, request_id=job.request_id)
        _collect(org, job)
    except ApiError as error:
        job.error = f"{error.code}: {error.message}"
        job.milliseconds = int((time.monotonic() - began) * 1000)
        set_state(org, job, "Failed")
        return
    if job.abort.is_set():
        return  # whoever aborted it has set the state
    job.milliseconds = int((time.monotonic() - began) * 1000)
    job.size = job.output.size if job.output else 0
    org.limits.bulk_storage_mb += job.size / 1_000_000
    _store(org, job)
    set_state(org, job, "JobComplete")


def _store(org: Org, job: Job) -> None:
    """The rows of the job as ApiEvents, where these are kept."""
    if REALTIME not in org.stores.licences or job.output is None:
        return
    step = org.stores.ids_per_event
    for begin in range(0, max(job.output.rows, 1), step):
        end = min(begin + step, job.output.rows)
        served = list(job.output.served(begin, end))
        org.stores.queried(
            job.session,
            {
                "CLIENT_IP": job.ip,
                "USER_AGENT": job.agent,
                "REQUEST_ID": job.request_id,
            },
            job.query,
            [record_id for name, record_id, _ in served if name == job.object],
            operation="QueryAll" if job.operation == "queryAll" else "Query",
            total=job.output.rows,
            entities={job.object, *(one[0] for one in served)},
            api_type="Bulk",
            version=job.version,
            returned=end - begin,
        )


def _collect(org: Org, job: Job) -> None:
    made = export(org, job)
    job.output = output = Output(org.folder / "bulk", job.id, made.header.encode())
    began = time.monotonic()
    for batch in made.batches:
        if job.abort.is_set():
            return
        output.add(batch.text.encode(), batch.served)
        job.processed += 1
        if job.processed % PROGRESS_ROWS == 0:
            emit(org, job, "InProgress")
        rate = org.faults.bulk_rows_per_s
        if rate:
            job.abort.wait(max(0.0, began + job.processed / rate - time.monotonic()))


# --- a job that is there -------------------------------------------------------------------------


def the_job(call: Call, job_id: str, kind: str = "V2Query") -> Job:
    """The job; 404 NOT_FOUND when it is deleted or never was."""
    job = call.org.jobs.find(job_id, kind)
    if job is None:
        raise not_found()
    call.notes.entity = job.object
    return job


def own_job(call: Call, job: Job) -> None:
    """Only its creator, or who may see all data, gets at a job's rows."""
    access = call.org.permissions.of(call.session.user_id)
    if job.session.user_id != call.session.user_id and not access.has("PermissionsModifyAllData"):
        raise ApiError(403, "INSUFFICIENT_ACCESS", "insufficient access rights on object id")


def list_jobs(call: Call) -> Reply:
    """GET /jobs/query?jobType=&concurrencyMode=&isPkChunkingEnabled=&queryLocator=."""
    asked = call.query.get("jobType", "")
    kinds = (asked,) if asked else ("V2Query", "V2Ingest", "Classic")
    return Reply.json(listing(call, kinds, "query"))


def get(call: Call, job_id: str) -> Reply:
    return Reply.json(the_job(call, job_id).full())


def patch(call: Call, job_id: str) -> Reply:
    """PATCH {state: Aborted}: any user who may use the API may abort a job."""
    job = the_job(call, job_id)
    if call.json_object().get("state") != "Aborted":
        raise ApiError(400, "INVALIDJOBSTATE", "A query job can only be set to Aborted")
    if job.state == "Aborted":
        return Reply.json(job.full())
    if job.state not in RUNNING:
        raise ApiError(400, "INVALIDJOBSTATE", f"Aborting already {job.state} Job not allowed")
    job.abort.set()
    remember_caller(job, call)
    job.state = "Aborted"
    job.modified = iso(call.org.clock.now())
    emit(call.org, job, "Aborted", call.session)
    return Reply.json(job.full())


def delete(call: Call, job_id: str) -> Reply:
    """DELETE: takes the results and every trace in the job list with it; the event logs remember."""
    job = the_job(call, job_id)
    own_job(call, job)
    if job.state not in ENDED:
        raise ApiError(400, "INVALIDJOBSTATE", f"Deleting {job.state} Job not allowed")
    call.org.jobs.remove(job)
    remember_caller(job, call)
    emit(call.org, job, "Deleted", call.session)
    return Reply.nothing()


def results(call: Call, job_id: str) -> Reply:
    """GET …/results?locator=&maxRecords=: one page of CSV; what it holds counts as served now."""
    job = the_job(call, job_id)
    own_job(call, job)
    if job.state != "JobComplete" or job.output is None:
        raise ApiError(400, "INVALIDJOBSTATE", f"Results of a job in state {job.state} are not available")
    locator, most = call.query.get("locator", ""), call.query.get("maxRecords", "")
    if (locator and not locator.isalnum()) or (most and not most.isdigit()):
        raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid locator or maxRecords")
    begin = _from_locator(locator)
    if begin > job.output.rows:
        raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    body, end = job.output.page(begin, max(1, int(most)) if most else PAGE_ROWS)
    call.org.truth.add(call.org.clock.now(), call.session.credential, job.output.served(begin, end))
    call.notes.rows = end - begin
    call.org.stores.downloaded(call.session, call.org.caller(call), job.query)
    reply = Reply(200, body, "text/csv")
    reply.headers["Sforce-Locator"] = _to_locator(end) if end < job.output.rows else "null"
    reply.headers["Sforce-NumberOfRecords"] = str(end - begin)
    return reply


def _to_locator(row: int) -> str:
    return f"MT{row:x}"


def _from_locator(locator: str) -> int:
    try:
        return int(locator.removeprefix("MT"), 16) if locator else 0
    except ValueError:
        raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator") from None
