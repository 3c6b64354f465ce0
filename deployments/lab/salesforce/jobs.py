"""Bulk 2.0 jobs: their state, where their rows are kept, and the events each change of state emits."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from deployments.lab.salesforce.clock import iso
from deployments.lab.salesforce.query_csv import ServedIds
from deployments.lab.salesforce.sessions import Session, who
from deployments.lab.salesforce.truth import Served
from deployments.lab.salesforce.wire import Call

if TYPE_CHECKING:
    from deployments.lab.salesforce.bulk_v1 import Batch
    from deployments.lab.salesforce.org import Org

DELIMITERS = {
    "COMMA": ",", "BACKQUOTE": "`", "CARET": "^", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t",
}  # fmt: skip
RUNNING = ("UploadComplete", "InProgress")
ENDED = ("JobComplete", "Aborted", "Failed")


@dataclass(eq=False)
class Job:
    """One bulk job: of Bulk 2.0, query or ingest, or of Bulk API 1."""

    id: str
    kind: str  # V2Query, V2Ingest or Classic
    operation: str
    object: str
    session: Session
    created: str
    version: str
    delimiter: str = "COMMA"
    line_ending: str = "LF"
    state: str = "Open"
    query: str = ""
    external_id: str = ""
    modified: str = ""
    processed: int = 0
    failed: int = 0
    size: int = 0
    milliseconds: int = 0
    error: str = ""
    pk_chunking: bool = False
    ip: str = ""
    agent: str = ""
    request_id: str = ""
    abort: threading.Event = field(default_factory=threading.Event)
    output: Output | None = None
    upload: bytes = b""
    uploaded: bool = False
    outcomes: dict[str, bytes] = field(default_factory=dict)
    content_type: str = "CSV"
    batches: dict[str, Batch] = field(default_factory=dict)  # of Bulk API 1

    def info(self) -> dict[str, Any]:
        """The job as the API tells it. The SOQL is not in it."""
        made: dict[str, Any] = {
            "id": self.id,
            "operation": self.operation,
            "object": self.object,
            "createdById": self.session.user_id,
            "createdDate": self.created,
            "systemModstamp": self.modified or self.created,
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": self.content_type,
            "apiVersion": float(self.version),
            "jobType": self.kind,
            "lineEnding": self.line_ending,
            "columnDelimiter": self.delimiter,
        }
        if self.kind == "V2Ingest":
            made["contentUrl"] = f"services/data/v{self.version}/jobs/ingest/{self.id}/batches"
            if self.external_id:
                made["externalIdFieldName"] = self.external_id
        return made

    def full(self) -> dict[str, Any]:
        """The job with its figures."""
        made = self.info() | {
            "numberRecordsProcessed": self.processed,
            "retries": 0,
            "totalProcessingTime": self.milliseconds,
        }
        if self.kind == "V2Ingest":
            made |= {
                "numberRecordsFailed": self.failed,
                "apexProcessingTime": 0,
                "apiActiveProcessingTime": self.milliseconds,
            }
        else:
            made["isPkChunkingSupported"] = self.pk_chunking
        if self.error:
            made["errorMessage"] = self.error
        return made


class Output:
    """A query job's rows on disk, with what each row discloses, so that any slice can be served."""

    def __init__(self, folder: Path, job_id: str, header: bytes) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.header = header
        self.rows = 0
        self._paths = (folder / f"{job_id}.csv", folder / f"{job_id}.served")
        self._files: tuple[IO[bytes], IO[bytes]] = (self._paths[0].open("w+b"), self._paths[1].open("w+b"))
        self._ends = (array("Q", [0]), array("Q", [0]))
        self._shapes: dict[tuple[str, tuple[str, ...]], int] = {}  # what the rows of an export have in common
        self._lock = threading.Lock()

    def add(self, line: bytes, served: Iterable[ServedIds]) -> None:
        """Add one row and the records it discloses."""
        told = " ".join(
            f"{self._shapes.setdefault((one.object, one.fields), len(self._shapes))}:{record_id}"
            for one in served
            for record_id in one.ids
        )
        with self._lock:
            for file, ends, data in zip(self._files, self._ends, (line, told.encode() + b"\n"), strict=True):
                file.write(data)
                ends.append(ends[-1] + len(data))
            self.rows += 1

    @property
    def size(self) -> int:
        return int(self._ends[0][-1])

    def _slice(self, which: int, start: int, end: int) -> bytes:
        with self._lock:
            file, ends = self._files[which], self._ends[which]
            file.seek(ends[start])
            data = file.read(ends[end] - ends[start])
            file.seek(0, 2)
            return data

    def page(self, start: int, most: int) -> tuple[bytes, int]:
        """Header and rows from `start`; also where the next page starts."""
        end = min(start + most, self.rows)
        return self.header + self._slice(0, start, end), end

    def served(self, start: int, end: int) -> Iterator[Served]:
        """What these rows disclose."""
        shapes = list(self._shapes)
        for one in self._slice(1, start, end).decode().split():
            shape, _, record_id = one.partition(":")
            name, fields = shapes[int(shape)]
            yield name, record_id, fields

    def remove(self) -> None:
        with self._lock:
            for file, path in zip(self._files, self._paths, strict=True):
                file.close()
                path.unlink(missing_ok=True)


class Jobs:
    """All bulk jobs of the org, newest last. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}

    def add(self, job: Job) -> None:
        with self._lock:
            self._jobs[job.id] = job

    def find(self, job_id: str, kind: str | None = None) -> Job | None:
        found = self._jobs.get(job_id) or next(
            (j for j in list(self._jobs.values()) if j.id[:15] == job_id), None
        )
        return found if found is not None and kind in (None, found.kind) else None

    def remove(self, job: Job) -> None:
        with self._lock:
            self._jobs.pop(job.id, None)
        if job.output is not None:
            job.output.remove()

    def all(self) -> list[Job]:
        with self._lock:
            return list(self._jobs.values())


def remember_caller(job: Job, call: Call) -> None:
    """Events of the job carry who last changed it."""
    job.ip, job.agent, job.request_id = call.ip, call.agent, call.request_id


def set_state(org: Org, job: Job, state: str, event: str | None = None) -> None:
    """Change a job's state and emit the event for it; `event` where that has another name."""
    job.state = state
    job.modified = iso(org.clock.now())
    emit(org, job, event or state)


def emit(org: Org, job: Job, status: str, session: Session | None = None) -> None:
    """One BulkApi2 event: of the job's owner, or of whoever acts on the job."""
    org.events.add(
        "BulkApi2",
        who(session or job.session)
        | {
            "REQUEST_ID": job.request_id,
            "URI": f"/services/data/v{job.version}/jobs/{'query' if job.kind == 'V2Query' else 'ingest'}",
            "USER_TYPE": "Standard",
            "JOB_ID": job.id[:15],
            "JOB_STATUS": status,
            "OPERATION_TYPE": job.operation,
            "ENTITY_TYPE": job.object,
            "RECORDS_PROCESSED": job.processed,
            "RECORDS_FAILED": job.failed,
            "RESULT_SIZE_MB": f"{job.size / 1_000_000:.3f}" if job.size else 0,
            "USER_AGENT": job.agent,
            "CLIENT_IP": job.ip,
            "MESSAGE": job.error,
        },
    )


def listing(call: Call, kinds: tuple[str, ...], path: str) -> dict[str, Any]:
    """GET /jobs/query or /jobs/ingest: everyone's jobs, filtered and paged."""
    found = [j for j in call.org.jobs.all() if j.kind in kinds]
    chunked = call.query.get("isPkChunkingEnabled")
    if chunked is not None:
        found = [j for j in found if j.pk_chunking == (chunked.lower() == "true")]
    concurrency = call.query.get("concurrencyMode")
    if concurrency and concurrency.lower() != "parallel":
        found = []
    start = int(call.query["queryLocator"]) if call.query.get("queryLocator", "").isdigit() else 0
    page, after = found[start : start + 1000], start + 1000
    following = f"{call.root}/jobs/{path}?queryLocator={after}" if after < len(found) else None
    return {"done": following is None, "nextRecordsUrl": following, "records": [j.info() for j in page]}
