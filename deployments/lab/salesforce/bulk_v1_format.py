"""The three content types of Bulk API 1: JSON, XML and CSV, read and written."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from deployments.lab.salesforce.wire import JSON, XML, ApiError, Reply, escape

NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _parsed(body: bytes) -> ET.Element:
    try:
        return ET.fromstring(body)  # noqa: S314 - a lab on loopback; expat here expands no external entity
    except ET.ParseError as error:
        raise ApiError(400, "InvalidBatch", f"Failed to parse XML: {error}") from None


def read_info(body: bytes, *, as_json: bool) -> dict[str, Any]:
    """A jobInfo document."""
    if not as_json:
        return {_local(node.tag): (node.text or "").strip() for node in _parsed(body)}
    try:
        value = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise ApiError(400, "InvalidJob", f"Failed to parse JSON: {error}") from None
    if not isinstance(value, dict):
        raise ApiError(400, "InvalidJob", "jobInfo must be an object")
    return value


def read_records(body: bytes, content_type: str) -> list[dict[str, Any]]:
    """The records of a batch. In CSV an empty cell leaves a field as it is, #N/A sets it to null."""
    try:
        if content_type == "JSON":
            given = orjson.loads(body)
            return [dict(record) for record in given]
        if content_type == "CSV":
            rows = csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
            return [{k: None if v == "#N/A" else v for k, v in row.items() if v} for row in rows]
    except (ValueError, TypeError, csv.Error) as error:
        raise ApiError(400, "InvalidBatch", f"Failed to parse {content_type}: {error}") from None
    return [{_local(field.tag): field.text for field in record} for record in _parsed(body)]


def info(root: str, values: Mapping[str, Any], *, as_json: bool, status: int = 200) -> Reply:
    """A jobInfo or batchInfo document."""
    if as_json:
        return Reply.json(dict(values), status)
    return Reply.xml(f"{_HEAD}{_element(root, values, NAMESPACE)}", status)


def infos(root: str, item: str, values: Sequence[Mapping[str, Any]], *, as_json: bool) -> Reply:
    """A list of batchInfo documents."""
    if as_json:
        return Reply.json({item: [dict(one) for one in values]})
    inside = "".join(_element(item, one) for one in values)
    return Reply.xml(f'{_HEAD}<{root} xmlns="{NAMESPACE}">{inside}</{root}>')


def _element(name: str, values: Mapping[str, Any], namespace: str = "") -> str:
    inside = "".join(f"<{k}>{escape(_plain(v))}</{k}>" for k, v in values.items() if v is not None)
    declared = f' xmlns="{namespace}"' if namespace else ""
    return f"<{name}{declared}>{inside}</{name}>"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def results(outcomes: Sequence[Mapping[str, Any]], content_type: str) -> Reply:
    """What became of each record of a batch."""
    if content_type == "JSON":
        return Reply.json(list(outcomes))
    if content_type == "CSV":
        rows = [
            (o["id"] or "", _plain(o["success"]), _plain(o["created"]), _errors(o["errors"]))
            for o in outcomes
        ]
        return _csv([("Id", "Success", "Created", "Error"), *rows])
    parts = []
    for outcome in outcomes:
        errors = "".join(_element("errors", error) for error in outcome["errors"])
        flat = {k: outcome[k] for k in ("id", "success", "created")}
        parts.append(_element("result", flat).replace("<id>", errors + "<id>", 1))
    return Reply.xml(f'{_HEAD}<results xmlns="{NAMESPACE}">{"".join(parts)}</results>')


def _errors(errors: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{e['statusCode']}:{e['message']}:--" for e in errors)


def result_list(ids: Sequence[str], content_type: str) -> Reply:
    """The ids of a query batch's results."""
    if content_type == "JSON":
        return Reply.json(list(ids))
    inside = "".join(f"<result>{one}</result>" for one in ids)
    return Reply.xml(f'{_HEAD}<result-list xmlns="{NAMESPACE}">{inside}</result-list>')


def records(rows: Sequence[Mapping[str, Any]], content_type: str) -> Reply:
    """The rows of a query batch."""
    if content_type == "JSON":
        return Reply(200, orjson.dumps(list(rows)), JSON)
    if content_type == "CSV":
        if not rows:
            return Reply(200, b"Records not found for this query", "text/csv")
        flat = [_flat(row) for row in rows]
        return _csv([tuple(flat[0]), *(tuple(row.values()) for row in flat)])
    inside = "".join(
        f'<records xsi:type="sObject"><type>{row["attributes"]["type"]}</type>'
        + "".join(f"<{k}>{escape(_plain(v))}</{k}>" for k, v in _flat(row).items())
        + "</records>"
        for row in rows
    )
    text = (
        f'{_HEAD}<queryResult xmlns="{NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"{inside}</queryResult>"
    )
    return Reply(200, text.encode(), XML)


def _flat(row: Mapping[str, Any], above: str = "") -> dict[str, str]:
    made: dict[str, str] = {}
    for name, value in row.items():
        if name == "attributes":
            continue
        if isinstance(value, Mapping):
            made |= _flat(value, f"{above}{name}.")
        else:
            made[above + name] = "" if value is None else _plain(value)
    return made


def _csv(rows: Sequence[Sequence[str]]) -> Reply:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return Reply(200, out.getvalue().encode(), "text/csv;charset=UTF-8")
