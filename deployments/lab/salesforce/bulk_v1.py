"""Bulk API 1 (/services/async): jobs of batches, in JSON, XML or CSV.

A batch is worked off while it is handed in, so the next question about it already finds it done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deployments.lab.salesforce import bulk_v1_format as form
from deployments.lab.salesforce import records
from deployments.lab.salesforce.bulk import own_job
from deployments.lab.salesforce.clock import iso
from deployments.lab.salesforce.describe import readable
from deployments.lab.salesforce.jobs import Job, remember_caller
from deployments.lab.salesforce.query import Row
from deployments.lab.salesforce.querying import id_of, perform, serve
from deployments.lab.salesforce.wire import ApiError, Call, Reply

OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete", "query", "queryAll")
MOST_RECORDS = 10_000


@dataclass(eq=False, slots=True)
class Batch:
    """One batch: what came in, and what became of it."""

    id: str
    created: str
    request: bytes
    state: str = "Queued"
    message: str = ""
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    processed: int = 0
    failed: int = 0


def error_reply(call: Call, error: ApiError) -> Reply:
    """Bulk 1 errors are one object, and an expired session is a 400."""
    code = {"INVALID_SESSION_ID": "InvalidSessionId", "NOT_FOUND": "InvalidUrl"}.get(error.code, error.code)
    status = 400 if error.code == "INVALID_SESSION_ID" else error.status
    told = {"exceptionCode": code, "exceptionMessage": error.message}
    return form.info("error", told, as_json=_wants_json(call), status=status)


def _wants_json(call: Call) -> bool:
    kind = call.headers.get("content-type", "") + call.headers.get("accept", "")
    return "json" in kind or (call.headers.get("accept", "*/*") == "*/*" and "xml" not in kind)


def handle(call: Call, rest: list[str]) -> Reply:
    """Everything below /services/async/{version}/."""
    match (call.method, *rest):
        case ("POST", "job"):
            return _create(call)
        case ("GET", "job", job_id):
            return _job_info(call, _job(call, job_id, own=False))
        case ("POST", "job", job_id):
            return _set_state(call, _job(call, job_id, own=False))
        case ("POST", "job", job_id, "batch"):
            return _add_batch(call, _job(call, job_id))
        case ("GET", "job", job_id, "batch"):
            job = _job(call, job_id)
            told = [_batch_values(job, batch) for batch in job.batches.values()]
            return form.infos("batchInfoList", "batchInfo", told, as_json=job.content_type == "JSON")
        case ("GET", "job", job_id, "batch", batch_id, *more):
            return _batch_part(call, _job(call, job_id), batch_id, more)
    raise ApiError(404, "InvalidUrl", f"Destination URL not found: {call.path}")


def _job(call: Call, job_id: str, *, own: bool = True) -> Job:
    """The job; its rows are for its creator alone, its state for everybody who may use the API."""
    job = call.org.jobs.find(job_id, "Classic")
    if job is None:
        raise ApiError(404, "InvalidJob", f"Invalid job id: {job_id:.40}")
    if own:
        own_job(call, job)
    return job


def _create(call: Call) -> Reply:
    given = form.read_info(call.body, as_json="json" in call.headers.get("content-type", ""))
    operation, content_type = str(given.get("operation", "")), str(given.get("contentType") or "XML")
    if operation not in OPERATIONS or content_type not in ("JSON", "XML", "CSV"):
        raise ApiError(
            400, "InvalidJob", f"Unsupported operation or contentType: {operation}, {content_type}"
        )
    try:
        found = readable(call, str(given.get("object", "")))
    except ApiError:
        raise ApiError(400, "InvalidJob", f"Unable to find object: {given.get('object')}") from None
    job = Job(
        call.org.store.new_id("750"),
        "Classic",
        operation,
        found.name,
        call.session,
        iso(call.org.clock.now()),
        call.version,
        external_id=str(given.get("externalIdFieldName") or ""),
        content_type=content_type,
    )
    remember_caller(job, call)
    call.org.jobs.add(job)
    return _job_info(call, job, 201)


def _job_info(call: Call, job: Job, status: int = 200) -> Reply:
    done = [b for b in job.batches.values() if b.state == "Completed"]
    failed = [b for b in job.batches.values() if b.state == "Failed"]
    told = {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": job.session.user_id,
        "createdDate": job.created,
        "systemModstamp": job.modified or job.created,
        "state": job.state,
        "externalIdFieldName": job.external_id or None,
        "concurrencyMode": "Parallel",
        "contentType": job.content_type,
        "numberBatchesQueued": 0,
        "numberBatchesInProgress": 0,
        "numberBatchesCompleted": len(done),
        "numberBatchesFailed": len(failed),
        "numberBatchesTotal": len(job.batches),
        "numberRecordsProcessed": job.processed,
        "numberRetries": 0,
        "apiVersion": float(job.version),
        "numberRecordsFailed": job.failed,
        "totalProcessingTime": job.milliseconds,
    }
    return form.info("jobInfo", told, as_json=_wants_json(call), status=status)


def _set_state(call: Call, job: Job) -> Reply:
    state = form.read_info(call.body, as_json="json" in call.headers.get("content-type", "")).get("state")
    if state not in ("Closed", "Aborted"):
        raise ApiError(400, "InvalidJobState", "state must be Closed or Aborted")
    if job.state != "Open":
        raise ApiError(400, "InvalidJobState", f"The job is {job.state} already")
    job.state, job.modified = str(state), iso(call.org.clock.now())
    return _job_info(call, job)


def _add_batch(call: Call, job: Job) -> Reply:
    if job.state != "Open":
        raise ApiError(400, "InvalidJobState", f"The job is {job.state}")
    org = call.org
    batch = Batch(org.store.new_id("751"), iso(org.clock.now()), call.body)
    told = _batch_values(job, batch)
    job.batches[batch.id] = batch
    org.limits.bulk_batches += 1
    try:
        if job.operation in ("query", "queryAll"):
            _query(call, job, batch)
        else:
            _write(call, job, batch)
        batch.state = "Completed"
    except ApiError as error:
        batch.state, batch.message = "Failed", f"InvalidBatch : {error.code}: {error.message}"
    job.processed += batch.processed
    job.failed += batch.failed
    org.events.add(
        "BulkApi",
        org.caller(call)
        | {
            "URI": call.path,
            "JOB_ID": job.id[:15],
            "BATCH_ID": batch.id[:15],
            "OPERATION_TYPE": job.operation,
            "ENTITY_TYPE": job.object,
            "ROWS_PROCESSED": batch.processed,
            "NUMBER_FAILURES": batch.failed,
            "SUCCESS": int(batch.state == "Completed"),
            "MESSAGE": batch.message,
        },
    )
    return form.info("batchInfo", told, as_json=job.content_type == "JSON", status=201)


def _query(call: Call, job: Job, batch: Batch) -> None:
    soql = batch.request.decode("utf-8", "replace").strip()
    result = perform(call.org, job.session, soql, job.version, all_rows=job.operation == "queryAll")
    call.org.note_unique_query(job.session, soql, request_id=call.request_id)
    batch.rows = list(result.rows)
    batch.processed = len(batch.rows)
    call.org.stores.queried(
        job.session,
        call.org.caller(call),
        soql,
        [i for row in batch.rows if (i := id_of(row.record))],
        operation="QueryAll" if job.operation == "queryAll" else "Query",
        total=batch.processed,
        entities={result.entity, *(one[0] for row in batch.rows for one in row.served)},
        api_type="Bulk",
        version=job.version,
    )


def _write(call: Call, job: Job, batch: Batch) -> None:
    given = form.read_records(batch.request, job.content_type)
    if len(given) > MOST_RECORDS:
        raise ApiError(400, "ExceededQuota", f"A batch holds at most {MOST_RECORDS} records")
    inner = call.part("POST", call.path, {}, b"")
    for record in given:
        batch.processed += 1
        try:
            made, created = _apply(inner, job, record)
            batch.outcomes.append({"success": True, "created": created, "id": made, "errors": []})
        except ApiError as error:
            batch.failed += 1
            batch.outcomes.append(
                {"success": False, "created": False, "id": None, "errors": [error.result()]}
            )


def _apply(call: Call, job: Job, record: dict[str, Any]) -> tuple[str, bool]:
    found = readable(call, job.object)
    record_id = str(next((v for k, v in record.items() if k.lower() == "id"), "") or "")
    match job.operation:
        case "insert":
            return records.insert_one(call, found, record), True
        case "update":
            return records.update_one(call, found, record_id, record), False
        case "upsert":
            value = next((v for k, v in record.items() if k.lower() == job.external_id.lower()), None)
            return records.upsert_one(call, found, job.external_id, value, record)
        case _:
            return records.delete_one(call, found, record_id), False


def _batch_values(job: Job, batch: Batch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "jobId": job.id,
        "state": batch.state,
        "stateMessage": batch.message or None,
        "createdDate": batch.created,
        "systemModstamp": batch.created,
        "numberRecordsProcessed": batch.processed,
        "numberRecordsFailed": batch.failed,
        "totalProcessingTime": 0,
        "apiActiveProcessingTime": 0,
        "apexProcessingTime": 0,
    }


def _batch_part(call: Call, job: Job, batch_id: str, more: list[str]) -> Reply:
    batch = job.batches.get(batch_id)
    if batch is None:
        raise ApiError(404, "InvalidBatch", f"Invalid batch id: {batch_id:.40}")
    is_query = job.operation in ("query", "queryAll")
    match more:
        case []:
            return form.info("batchInfo", _batch_values(job, batch), as_json=job.content_type == "JSON")
        case ["request"]:
            return Reply(200, batch.request, "text/csv" if job.content_type == "CSV" else "application/json")
        case ["result"] if is_query:
            return form.result_list(
                [_result_id(batch)] if batch.state == "Completed" else [], job.content_type
            )
        case ["result"]:
            return form.results(batch.outcomes, job.content_type)
        case ["result", result_id] if is_query and result_id == _result_id(batch):
            serve(call, batch.rows)
            call.notes.rows = len(batch.rows)
            return form.records([row.record for row in batch.rows], job.content_type)
    raise ApiError(404, "InvalidUrl", f"Destination URL not found: {call.path}")


def _result_id(batch: Batch) -> str:
    return f"752{batch.id[3:]}"
