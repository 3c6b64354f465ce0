"""What a logged API call was: a query, a page of one, one record, a bulk job, reconnaissance, or
something else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import parse_qs, unquote, urlsplit

import pandas as pd

from tasks.scope.attribution import Attribution
from tasks.scope.logs import column

_ID = r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?"
_DATA = re.compile(r"^/services/data/v\d+\.\d+/(?P<rest>.*?)/?$")
_QUERY = re.compile(r"^(?:tooling/)?(?P<verb>query|queryAll)$")
_PAGE = re.compile(r"^(?:tooling/)?(?:query|queryAll)/(?P<locator>[^/]+)$")
_LOCATOR = re.compile(r"^\w+-\d+$")
_RECORD = re.compile(rf"^sobjects/(?P<object>\w+)/(?P<id>{_ID})(?:/(?P<tail>[^/]+))?$")
_BY_KEY = re.compile(r"^sobjects/(?P<object>\w+)/(?P<field>\w+)/(?P<value>[^/]+)$")
_NO_RECORDS = re.compile(
    r"^(?:sobjects(?:/\w+(?:/describe.*)?)?|limits.*|query/explain|tooling/sobjects.*|tooling/describe.*|"
    r"actions.*|tabs|theme|appMenu.*|jobs/.*|support.*|wsdl.*|)$"
)
_RESULTS = r"jobs/query/([A-Za-z0-9]{15})\w*/results"
_BULK = re.compile(r"^jobs/(?:query|ingest)(?:/.*)?$")
WRITES = frozenset({"POST", "PATCH", "PUT", "DELETE"})


class CallKind(StrEnum):
    QUERY = "query"
    PAGE = "page of a query"
    RECORD = "one record"
    BULK = "bulk job"
    RECON = "shows no record"
    WRITE = "write"
    FAILED = "refused"
    OTHER = "cannot be resolved"


@dataclass(slots=True)
class Call:
    """One API call or bulk job of the suspects. `rows` is what the log observed; None when it does not
    say."""

    kind: CallKind
    at: datetime
    why: str
    certain: bool
    session: str
    user: str
    app: str
    entity: str = ""
    rows: int | None = None
    all_rows: bool = False
    job: str = ""
    record: str = ""  # record id, or FIELD=VALUE of an external key
    fields: tuple[str, ...] = ()  # asked for by name; empty means all
    status: str = ""
    path: str = ""  # shape of the address, without ids or values
    doubt: str = ""  # why it is not certain that the rows left
    partly: str = ""  # why at least a row left, but not which and how many; empty when that is known
    locator: str = ""  # of a page: the query's locator and the offset at which the page begins

    @property
    def credential(self) -> str:
        """Who called, as a reference: app and user ids."""
        return "/".join(part for part in (self.app, self.user) if part) or f"session:{self.session[:6]}"


def rest_calls(attribution: Attribution) -> Iterator[Call]:
    """Calls in the RestApi log, oldest first."""
    rows = attribution.of_type("RestApi")
    if rows.empty:
        return
    table = zip(
        _base(rows),
        column(rows, "URI"),
        column(rows, "METHOD"),
        column(rows, "STATUS_CODE"),
        column(rows, "ENTITY_NAME"),
        column(rows, "ROWS_PROCESSED"),
        strict=True,
    )
    for call, uri, method, status, entity, processed in table:
        call.entity = entity.partition(",")[0].strip()
        call.rows = _number(processed)
        call.status = status
        _classify(call, uri, (method or "GET").upper(), _number(status))
        yield call


def bulk_calls(attribution: Attribution) -> Iterator[Call]:
    """One call for each bulk query job, at the time it was first seen."""
    rows = attribution.of_type("BulkApi2")
    if rows.empty:
        return
    rows = rows.assign(job=column(rows, "JOB_ID").str.slice(0, 15), operation=column(rows, "OPERATION_TYPE"))
    fetched = _fetched_jobs(attribution)
    for job, events in rows.groupby("job", sort=False):
        call = next(iter(_base(events.iloc[:1])))
        statuses = set(column(events, "JOB_STATUS").str.casefold())
        operation = str(events["operation"].iloc[0])
        call.kind = CallKind.BULK if operation.casefold().startswith("query") else CallKind.WRITE
        call.job = str(job)
        call.all_rows = operation.casefold() == "queryall"
        call.entity = next((e for e in column(events, "ENTITY_TYPE") if e), "")
        counts = [n for n in map(_number, column(events, "RECORDS_PROCESSED")) if n is not None]
        done = bool(statuses & {"jobcomplete", "complete", "completed"})
        call.rows = max(counts) if counts and done else None
        if not done:
            call.certain, call.doubt = False, "the bulk job is not known to have completed"
        elif fetched is None:
            call.certain, call.doubt = False, "no log tells whether the bulk job's results were fetched"
        elif str(job) not in fetched:
            call.certain, call.doubt = False, "the bulk job's results were not seen to be fetched"
        else:
            call.partly = (
                f"the bulk job's results were fetched in {fetched[str(job)]} calls: no log tells how many of "
                f"the {call.rows} rows each of them took"
            )
        call.status = ", ".join(sorted(statuses - {""}))
        call.path = "jobs/query"
        if not done and "failed" in statuses and not call.rows:
            call.kind = CallKind.FAILED
        yield call


def usage_calls(attribution: Attribution) -> Iterator[Call]:
    """REST calls that only the usage log holds: where the RestApi log is missing, not licensed or late.

    They name no session and no rows, so that nothing of them is certain; bulk calls have their own log.
    """
    rows = attribution.of_type("ApiTotalUsage")
    if rows.empty:
        return
    known = attribution.log.get("RestApi")
    seen = frozenset() if known is None else frozenset(column(known, "REQUEST_ID"))
    family = column(rows, "API_FAMILY").str.casefold()
    rows = rows[~column(rows, "REQUEST_ID").isin(seen) & family.isin(["rest", ""])]
    table = zip(
        _base(rows),
        column(rows, "API_RESOURCE"),
        column(rows, "HTTP_METHOD"),
        column(rows, "STATUS_CODE"),
        column(rows, "ENTITY_NAME"),
        strict=True,
    )
    for call, resource, method, status, entity in table:
        call.entity, call.status, call.session = entity.partition(",")[0].strip(), status, ""
        call.certain, call.doubt = False, "only the usage log names this call: its rows are not known"
        path = resource if resource.startswith("/services/") else f"/services/data{resource}"
        _classify(call, path, (method or "GET").upper(), _number(status))
        yield call


def _fetched_jobs(attribution: Attribution) -> dict[str, int] | None:
    """The jobs (15-character ids) whose results were fetched, at least in part, and in how many calls; None
    where no log tells. `maxRecords` cuts a page to any size and is in no log."""
    usage = attribution.of_type("ApiTotalUsage")
    if usage.empty:
        return None
    got = usage[column(usage, "STATUS_CODE").isin(["200", ""])]
    jobs = column(got, "API_RESOURCE").str.extract(_RESULTS, expand=False).dropna()
    return {str(job): int(count) for job, count in jobs.value_counts().items()}


def _base(rows: pd.DataFrame) -> Iterator[Call]:
    names = ("at", "why", "certain", "session", "user", "app")
    for at, why, certain, session, user, app in rows[list(names)].itertuples(index=False):
        yield Call(CallKind.OTHER, at, str(why), bool(certain), str(session), str(user), str(app))


def _classify(call: Call, uri: str, method: str, status: int | None) -> None:
    parts = urlsplit(uri)
    match = _DATA.match(parts.path)
    rest = unquote(match["rest"]) if match else parts.path
    call.path = _shape(rest)
    if status is not None and status >= 400:
        call.kind = CallKind.FAILED
    elif found := _QUERY.match(rest):
        call.kind, call.all_rows = CallKind.QUERY, found["verb"] == "queryAll"
    elif found := _PAGE.match(rest):
        call.kind = CallKind.PAGE
        call.locator = found["locator"] if _LOCATOR.match(found["locator"]) else ""
    elif method in WRITES and not rest.startswith("composite"):
        call.kind = CallKind.RECON if _BULK.match(rest) else CallKind.WRITE
    elif found := _RECORD.match(rest):
        call.kind, call.entity, call.record = CallKind.RECORD, found["object"], found["id"]
        call.fields = _asked_fields(parts.query)
        _tail(call, found["tail"])
    elif _NO_RECORDS.match(rest):
        call.kind = CallKind.RECON
    elif found := _BY_KEY.match(rest):
        call.kind, call.entity = CallKind.RECORD, found["object"]
        call.record, call.fields = f"{found['field']}={found['value']}", _asked_fields(parts.query)
    elif not call.rows and rest.startswith(("composite", "recent", "ui-api")) and method in WRITES:
        call.kind = CallKind.WRITE


def _tail(call: Call, tail: str | None) -> None:
    """`/sobjects/Contact/003.../Account` reads the parent; a blob field of the record reads that field."""
    if tail and tail.casefold() in {"describe", "layouts"}:
        call.kind = CallKind.RECON
    elif tail:
        call.fields = (tail,)


def _asked_fields(query: str) -> tuple[str, ...]:
    values = parse_qs(query).get("fields", [])
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


def _shape(rest: str) -> str:
    """The address without ids, locators and values: safe to show."""
    if _BY_KEY.match(rest) and not _RECORD.match(rest):
        return "/".join([*rest.split("/")[:3], "..."])
    return re.sub(rf"(?<=/)(?:{_ID}|01g[^/]*)(?=/|$)", "...", rest)


def _number(text: str) -> int | None:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None
