"""Bulk 2.0 ingest: CSV uploaded, closed, processed in the background, with three lists of outcomes."""

from __future__ import annotations

import csv
import io
import threading
import time
from typing import Any

from deployments.lab.salesforce import records
from deployments.lab.salesforce.bulk import format_of, own_job, the_job
from deployments.lab.salesforce.clock import iso
from deployments.lab.salesforce.describe import readable
from deployments.lab.salesforce.jobs import DELIMITERS, ENDED, Job, emit, listing, remember_caller, set_state
from deployments.lab.salesforce.wire import ApiError, Call, Reply

OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")
MOST_BYTES = 150_000_000


def create(call: Call) -> Reply:
    """POST /jobs/ingest."""
    given = call.json_object()
    operation = str(given.get("operation", ""))
    if operation not in OPERATIONS:
        raise ApiError(400, "INVALIDJOB", f"Unsupported operation: {operation}")
    found = readable(call, str(given.get("object", "")))
    delimiter, ending = format_of(given)
    external = str(given.get("externalIdFieldName") or "")
    if operation == "upsert" and not external:
        raise ApiError(400, "INVALIDJOB", "externalIdFieldName is required for upsert")
    access = call.org.permissions.of(call.session.user_id)
    if operation == "hardDelete" and not access.has("PermissionsBulkApiHardDelete"):
        raise ApiError(403, "FEATURENOTENABLED", "hardDelete needs the Bulk API Hard Delete permission")
    job = Job(
        call.org.store.new_id("750"),
        "V2Ingest",
        operation,
        found.name,
        call.session,
        iso(call.org.clock.now()),
        call.version,
        delimiter,
        ending,
        external_id=external,
    )
    remember_caller(job, call)
    call.org.jobs.add(job)
    call.org.limits.bulk_ingest_jobs += 1
    emit(call.org, job, "Created")
    return Reply.json(job.info())


def upload(call: Call, job_id: str) -> Reply:
    """PUT …/batches: the CSV; once for each job."""
    job = the_job(call, job_id, "V2Ingest")
    own_job(call, job)
    if job.state != "Open" or job.uploaded:
        raise ApiError(400, "INVALIDJOBSTATE", "Cannot upload: the job is not open, or has its data already")
    if len(call.body) > MOST_BYTES:
        raise ApiError(400, "INVALIDBATCH", "CSV content exceeds 150 MB")
    job.upload, job.uploaded = call.body, True
    return Reply(201, b"", "")


def patch(call: Call, job_id: str) -> Reply:
    """PATCH {state: UploadComplete | Aborted}."""
    job = the_job(call, job_id, "V2Ingest")
    state = call.json_object().get("state")
    remember_caller(job, call)
    if state == "Aborted":
        if job.state in ENDED:
            raise ApiError(400, "INVALIDJOBSTATE", f"Aborting already {job.state} Job not allowed")
        job.abort.set()
        job.state = "Aborted"
        job.modified = iso(call.org.clock.now())
        emit(call.org, job, "Aborted", call.session)
    elif state == "UploadComplete":
        own_job(call, job)
        if job.state != "Open" or not job.uploaded:
            raise ApiError(400, "INVALIDJOBSTATE", "The job has no data, or is not open")
        set_state(call.org, job, "UploadComplete")
        told = job.info()  # before the job moves on
        threading.Thread(target=run, args=(call, job), name=f"bulk-{job.id}", daemon=True).start()
        return Reply.json(told)
    else:
        raise ApiError(400, "INVALIDJOBSTATE", "state must be UploadComplete or Aborted")
    return Reply.json(job.info())


def get(call: Call, job_id: str) -> Reply:
    return Reply.json(the_job(call, job_id, "V2Ingest").full())


def list_jobs(call: Call) -> Reply:
    """GET /jobs/ingest."""
    return Reply.json(listing(call, ("V2Ingest", "Classic"), "ingest"))


def delete(call: Call, job_id: str) -> Reply:
    job = the_job(call, job_id, "V2Ingest")
    own_job(call, job)
    if job.state not in ENDED:
        raise ApiError(400, "INVALIDJOBSTATE", f"Deleting {job.state} Job not allowed")
    call.org.jobs.remove(job)
    remember_caller(job, call)
    emit(call.org, job, "Deleted", call.session)
    return Reply.nothing()


def results(call: Call, job_id: str, what: str) -> Reply:
    """GET …/successfulResults, …/failedResults, …/unprocessedrecords."""
    job = the_job(call, job_id, "V2Ingest")
    own_job(call, job)
    if job.state not in ENDED:
        raise ApiError(400, "INVALIDJOBSTATE", f"Results of a job in state {job.state} are not available")
    return Reply(200, job.outcomes.get(what, b""), "text/csv")


# --- running -------------------------------------------------------------------------------------


def run(call: Call, job: Job) -> None:
    """Process the uploaded rows as the job's user."""
    org, began = call.org, time.monotonic()
    set_state(org, job, "InProgress")
    # Rows are written by calls of the job's owner; they are not API calls, so no event log sees them.
    as_owner = call.part("POST", call.path, {}, b"")
    as_owner.maybe_session = job.session
    try:
        header, rows = _read(job)
    except (UnicodeDecodeError, csv.Error, StopIteration) as error:
        job.error = f"InvalidBatch : {type(error).__name__}"
        set_state(org, job, "Failed")
        return
    done, failed, left = (_Writer(job, columns) for columns in _columns(header))
    for row in rows:
        if job.abort.is_set():
            left.add(row)
            continue
        try:
            record_id, created = _apply(as_owner, job, header, row)
            done.add([record_id, str(created).lower(), *row])
        except ApiError as error:
            job.failed += 1
            failed.add(
                [
                    _given_id(header, row),
                    f"{error.code}:{error.message}:{','.join(error.fields or [])}--",
                    *row,
                ]
            )
        job.processed += 1
    job.outcomes = {
        "successfulResults": done.bytes(),
        "failedResults": failed.bytes(),
        "unprocessedrecords": left.bytes(),
    }
    job.milliseconds = int((time.monotonic() - began) * 1000)
    if not job.abort.is_set():
        set_state(org, job, "JobComplete")


def _read(job: Job) -> tuple[list[str], list[list[str]]]:
    text = job.upload.decode("utf-8-sig")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[job.delimiter], strict=True)
    header = next(reader)
    return header, [row for row in reader if row]


def _columns(header: list[str]) -> tuple[list[str], list[str], list[str]]:
    return ["sf__Id", "sf__Created", *header], ["sf__Id", "sf__Error", *header], header


def _given_id(header: list[str], row: list[str]) -> str:
    return next((v for n, v in zip(header, row, strict=False) if n.lower() == "id"), "")


def _apply(call: Call, job: Job, header: list[str], row: list[str]) -> tuple[str, bool]:
    if len(row) != len(header):
        raise ApiError(400, "INVALID_CSV", f"The row has {len(row)} columns, the header {len(header)}")
    found = readable(call, job.object)
    # An empty cell leaves the field as it is; #N/A sets it to null.
    given: dict[str, Any] = {
        n: None if v == "#N/A" else v for n, v in zip(header, row, strict=True) if v != ""
    }
    record_id = _given_id(header, row)
    match job.operation:
        case "insert":
            return records.insert_one(call, found, given), True
        case "update":
            return records.update_one(call, found, record_id, given), False
        case "upsert":
            value = next((v for n, v in given.items() if n.lower() == job.external_id.lower()), None)
            return records.upsert_one(call, found, job.external_id, value, given)
        case _:
            return records.delete_one(call, found, record_id), False


class _Writer:
    """One list of outcomes as CSV, every value quoted as Salesforce does."""

    def __init__(self, job: Job, header: list[str]) -> None:
        self._out = io.StringIO()
        ending = "\r\n" if job.line_ending == "CRLF" else "\n"
        self._csv = csv.writer(
            self._out, delimiter=DELIMITERS[job.delimiter], quoting=csv.QUOTE_ALL, lineterminator=ending
        )
        self._csv.writerow(header)

    def add(self, row: list[str]) -> None:
        self._csv.writerow(row)

    def bytes(self) -> bytes:
        return self._out.getvalue().encode()
