"""Many records or many calls in one request: collections, composite, batch and tree.

Event logs record only the parent request, as Salesforce's do; ground truth knows every record all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from deployments.lab.salesforce import records
from deployments.lab.salesforce.describe import readable
from deployments.lab.salesforce.schema import SObject
from deployments.lab.salesforce.wire import ApiError, Call, Reply, not_found

MOST_RECORDS = 200
MOST_PARTS = 25


class _Undo(Exception):
    """Carries the results out of a transaction that must not stay."""


Result = dict[str, Any]


def _success(record_id: str, **more: Any) -> Result:
    return {"id": record_id, "success": True, "errors": [], **more}


def _failure(error: ApiError, record_id: str | None = None) -> Result:
    made: Result = {"success": False, "errors": [error.result()]}
    if record_id:
        made = {"id": record_id, **made}
    return made


_ROLLED_BACK = ApiError(
    400,
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)


def _each(call: Call, items: list[Any], all_or_none: bool, act: Callable[[Any], Result]) -> Reply:
    """Act on every item; with `all_or_none` either all stay or none."""
    if len(items) > MOST_RECORDS:
        raise ApiError(
            400,
            "EXCEEDED_MAX_SIZE_REQUEST",
            f"record count: {len(items)} exceeds the maximum of {MOST_RECORDS}",
        )
    if not all_or_none:
        return Reply.json([_tried(act, item) for item in items])
    results: list[Result] = []
    try:
        with call.org.store.write():
            results = [_tried(act, item) for item in items]
            if not all(r["success"] for r in results):
                raise _Undo
    except _Undo:
        results = [r if not r["success"] else _failure(_ROLLED_BACK) for r in results]
    call.org.settled()
    return Reply.json(results)


def _tried(act: Callable[[Any], Result], item: Any) -> Result:
    try:
        return act(item)
    except ApiError as error:
        return _failure(error, item.get("id") or item.get("Id") if isinstance(item, dict) else None)


def _records(call: Call) -> tuple[list[dict[str, Any]], bool]:
    body = call.json_object()
    given = body.get("records")
    if not isinstance(given, list) or not all(isinstance(r, dict) for r in given):
        raise ApiError(400, "JSON_PARSER_ERROR", "records must be an array of objects")
    return given, bool(body.get("allOrNone"))


def _type_of(call: Call, record: dict[str, Any]) -> SObject:
    name = (record.get("attributes") or {}).get("type")
    if not name:
        raise ApiError(400, "INVALID_INPUT", "Include an attributes element with a type in each record")
    return readable(call, str(name))


def create_many(call: Call) -> Reply:
    given, all_or_none = _records(call)
    return _each(
        call,
        given,
        all_or_none,
        lambda r: _success(records.insert_one(call, _type_of(call, r), r)),
    )


def update_many(call: Call) -> Reply:
    given, all_or_none = _records(call)

    def act(record: dict[str, Any]) -> Result:
        record_id = record.get("id") or record.get("Id")
        if not record_id:
            raise ApiError(400, "MISSING_ARGUMENT", "Id not specified in an update call")
        return _success(records.update_one(call, _type_of(call, record), str(record_id), record))

    return _each(call, given, all_or_none, act)


def upsert_many(call: Call, name: str, field: str) -> Reply:
    given, all_or_none = _records(call)
    found = readable(call, name)

    def act(record: dict[str, Any]) -> Result:
        value = next((v for k, v in record.items() if k.lower() == field.lower()), None)
        made, created = records.upsert_one(call, found, field, value, record)
        return _success(made, created=created)

    return _each(call, given, all_or_none, act)


def delete_many(call: Call) -> Reply:
    ids = [one.strip() for one in call.query.get("ids", "").split(",") if one.strip()]
    all_or_none = call.query.get("allOrNone", "").lower() == "true"

    def act(item: dict[str, Any]) -> Result:
        found = call.org.schema.by_prefix(item["id"][:3])
        if found is None:
            raise ApiError(400, "MALFORMED_ID", f"malformed id {item['id']:.40}")
        return _success(records.delete_one(call, readable(call, found.name), item["id"]))

    return _each(call, [{"id": one} for one in ids], all_or_none, act)


def retrieve_many(call: Call, name: str) -> Reply:
    """POST {ids, fields} or GET ?ids=&fields=: the records in the order asked, null where there is none."""
    found = readable(call, name)
    body = call.json_object() if call.method == "POST" else dict(call.query)
    wanted, fields = (
        value.split(",") if isinstance(value, str) else list(value or [])
        for value in (body.get("ids"), body.get("fields"))
    )
    if not wanted or not fields:
        raise ApiError(400, "MISSING_ARGUMENT", "ids and fields must be given")
    made: list[dict[str, Any] | None] = []
    for one in wanted:
        try:
            made.append(records.read_one(call, found, str(one), ",".join(map(str, fields))))
        except ApiError as error:
            if error.status != 404:
                raise
            made.append(None)
    return Reply.json(made)


# --- calls in a call -----------------------------------------------------------------------------

_REFERENCE = re.compile(r"@\{([\w]+)\.?([^}]*)\}")


def composite(call: Call) -> Reply:
    """POST /composite: calls that may refer to the results of earlier ones."""
    body = call.json_object()
    parts = body.get("compositeRequest")
    if not isinstance(parts, list) or not parts:
        raise ApiError(400, "INVALID_INPUT", "compositeRequest must be a list of requests")
    _limit(parts)
    all_or_none = bool(body.get("allOrNone"))
    answers: list[dict[str, Any]] = []
    if not all_or_none:
        for part in parts:
            answers.append(_run_part(call, part, answers))
        return Reply.json({"compositeResponse": answers})
    try:
        with call.org.store.write():
            for part in parts:
                answers.append(_run_part(call, part, answers))
                if answers[-1]["httpStatusCode"] >= 400:
                    raise _Undo
    except _Undo:
        answers = _halted(parts, answers)
    call.org.settled()
    return Reply.json({"compositeResponse": answers})


def _limit(parts: list[Any]) -> None:
    if len(parts) > MOST_PARTS:
        raise ApiError(400, "LIMIT_EXCEEDED", f"Limit exceeded: at most {MOST_PARTS} subrequests are allowed")


def _halted(parts: list[Any], answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    halted = ApiError(
        400,
        "PROCESSING_HALTED",
        "The transaction was rolled back since another operation in the same transaction failed.",
    )
    made = []
    for index, part in enumerate(parts):
        failed = index < len(answers) and answers[index]["httpStatusCode"] >= 400
        made.append(
            answers[index]
            if failed
            else {
                "body": [halted.body()],
                "httpHeaders": {},
                "httpStatusCode": 400,
                "referenceId": part.get("referenceId"),
            }
        )
    return made


def _run_part(call: Call, part: dict[str, Any], answers: list[dict[str, Any]]) -> dict[str, Any]:
    known = {a["referenceId"]: a["body"] for a in answers}
    reply: Reply
    try:
        url = _resolved(str(part.get("url", "")), known)
        body = part.get("body")
        raw = orjson.dumps(_resolved_tree(body, known)) if body is not None else b""
        reply = dispatch(call, str(part.get("method", "GET")).upper(), url, raw)
    except ApiError as error:
        reply = Reply.error(error)
    return {
        "body": orjson.loads(reply.body) if reply.body else None,
        "httpHeaders": reply.headers,
        "httpStatusCode": reply.status,
        "referenceId": part.get("referenceId"),
    }


def dispatch(call: Call, method: str, url: str, body: bytes) -> Reply:
    """Run a nested call by its URL."""
    from deployments.lab.salesforce.routes import find

    split = urlsplit(url)
    match = re.fullmatch(r"/services/data/v(\d+\.\d)/(.*)", split.path.rstrip("/"))
    if match is None:
        raise not_found()
    nested = call.part(method, split.path, dict(parse_qsl(split.query, keep_blank_values=True)), body)
    nested.version = match[1]
    try:
        reply = find(nested, match[2]).handler(nested)
    except ApiError as error:
        return Reply.error(error)
    call.notes.rows += nested.notes.rows
    call.notes.entity = call.notes.entity or nested.notes.entity
    return reply


def _resolved(text: str, known: dict[str, Any]) -> str:
    return _REFERENCE.sub(lambda m: str(_look_up(known, m[1], m[2])), text)


def _resolved_tree(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {k: _resolved_tree(v, known) for k, v in value.items()}
    if isinstance(value, list):
        return [_resolved_tree(v, known) for v in value]
    return _resolved(value, known) if isinstance(value, str) else value


def _look_up(known: dict[str, Any], reference: str, path: str) -> Any:
    value: Any = known.get(reference)
    try:
        for step in re.findall(r"[\w]+", path):
            value = value[int(step)] if step.isdigit() else value[step]
    except (KeyError, IndexError, TypeError):
        value = None
    if value is None:
        raise ApiError(
            400, "PROCESSING_HALTED", f"Invalid reference specified. No value for {reference}.{path} found"
        )
    return value


def batch(call: Call) -> Reply:
    """POST /composite/batch: independent calls."""
    body = call.json_object()
    parts = body.get("batchRequests")
    if not isinstance(parts, list) or not parts:
        raise ApiError(400, "INVALID_INPUT", "batchRequests must be a list of requests")
    _limit(parts)
    halt = bool(body.get("haltOnError"))
    answers: list[dict[str, Any]] = []
    failed = False
    for part in parts:
        if failed and halt:
            stopped = ApiError(412, "BATCH_PROCESSING_HALTED", "Batch processing halted per request.")
            answers.append({"statusCode": 412, "result": [stopped.body()]})
            continue
        url = str(part.get("url", ""))
        path = url if url.startswith("/services/data/") else f"/services/data/{url.lstrip('/')}"
        rich = part.get("richInput")
        reply = dispatch(
            call,
            str(part.get("method", "GET")).upper(),
            path,
            orjson.dumps(rich) if rich is not None else b"",
        )
        failed = failed or reply.status >= 400
        result = orjson.loads(reply.body) if reply.body else None
        answers.append({"statusCode": reply.status, "result": result})
    return Reply.json({"hasErrors": failed, "results": answers})


# --- tree ----------------------------------------------------------------------------------------


def tree(call: Call, name: str) -> Reply:
    """POST /composite/tree/{name}: records with their children, all or none."""
    found = readable(call, name)
    given = call.json_object().get("records")
    if not isinstance(given, list):
        raise ApiError(400, "INVALID_INPUT", "records must be a list")
    results: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    try:
        with call.org.store.write():
            for record in given:
                _plant(call, found, record, None, results, failures)
            if failures:
                raise _Undo
    except _Undo:
        call.org.settled()
        return Reply.json({"hasErrors": True, "results": failures}, 400)
    call.org.settled()
    return Reply.json({"hasErrors": False, "results": results}, 201)


def _plant(
    call: Call,
    found: SObject,
    record: dict[str, Any],
    parent: tuple[str, str] | None,
    results: list[dict[str, Any]],
    failures: list[dict[str, Any]],
) -> None:
    reference = (record.get("attributes") or {}).get("referenceId")
    flat = {k: v for k, v in record.items() if not (isinstance(v, dict) and "records" in v)}
    if parent is not None:
        flat[parent[0]] = parent[1]
    try:
        made = records.insert_one(call, found, flat)
    except ApiError as error:
        failures.append({"referenceId": reference, "errors": [error.result()]})
        return
    results.append({"referenceId": reference, "id": made})
    for relationship, child, field in call.org.schema.children(found.name):
        below = record.get(relationship)
        if isinstance(below, dict) and "records" in below:
            for item in below["records"]:
                _plant(call, readable(call, child), item, (field.name, made), results, failures)
