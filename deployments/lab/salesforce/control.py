"""The lab's own control of the twin, under /__lab__/: plant records, set the clock, make faults, read
the truth.

No part of Salesforce; needs the bearer token of DIR/admin-token, in a GET also as `?key=`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from deployments.lab.salesforce.clock import iso
from deployments.lab.salesforce.wire import Call, Reply

CHUNK_LINES = 2000


Action = Callable[[Call], Reply | Iterator[bytes]]


class Wrong(Exception):
    """The control call cannot be done; the message says why."""


def handle(call: Call) -> Reply | Iterator[bytes]:
    """Answer one control call; an iterator is streamed as JSON Lines."""
    name = call.path.removeprefix("/__lab__/")
    actions: dict[str, Action] = _GET if call.method == "GET" else _POST
    if name not in actions:
        raise Wrong(f"no such control: {call.method} {name}; there are {', '.join(sorted(actions))}")
    return actions[name](call)


def _health(call: Call) -> Reply:
    org = call.org
    return Reply.json({"ok": True, "now": iso(org.clock.now()), "api_used": org.limits.used_api})


def _truth(call: Call) -> Iterator[bytes]:
    return call.org.truth.lines(call.query.get("credential"), _since(call))


def _since(call: Call) -> datetime | None:
    text = call.query.get("since")
    if not text:
        return None
    try:
        since = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise Wrong(f"since is not ISO 8601: {text}") from None
    if since.tzinfo is None:
        raise Wrong("since needs a time zone")
    return since.astimezone(UTC)


def _persons(call: Call) -> Iterator[bytes]:
    rows = call.org.store.read().execute("SELECT object, record_id, person_id, residence FROM _person")
    while chunk := rows.fetchmany(CHUNK_LINES):
        yield b"".join(
            orjson.dumps({"object": r[0], "record_id": r[1], "person": r[2], "residence": r[3]}) + b"\n"
            for r in chunk
        )


def _requests(call: Call) -> Iterator[bytes]:
    start, credential = _since(call), call.query.get("credential")
    chunk: list[bytes] = []
    for request in list(call.org.requests):
        if (start and request.at < start) or (credential and request.credential != credential):
            continue
        chunk.append(orjson.dumps(request.line()) + b"\n")
        if len(chunk) >= CHUNK_LINES:
            yield b"".join(chunk)
            chunk = []
    if chunk:
        yield b"".join(chunk)


def _object(call: Call, given: dict[str, Any]) -> str:
    found = call.org.schema.get(str(given.get("object", "")))
    if found is None:
        raise Wrong(f"no object {given.get('object')!r}")
    return found.name


def _plant(call: Call) -> Reply:
    """{object, id | match: {field: value}, set: {field: value}, limit?}: change records behind the API."""
    given = call.json_object()
    name, changes = _object(call, given), given.get("set") or {}
    org = call.org
    org.before_reading({name})
    if given.get("id"):
        targets = [str(given["id"])]
    else:
        targets = _matching(call, name, given.get("match") or {}, int(given.get("limit", 1)))
    if not targets:
        raise Wrong(f"no {name} matches")
    try:
        for record_id in targets:
            if not org.store.update(name, record_id, changes):
                raise Wrong(f"no {name} {record_id}")
    except KeyError as error:
        raise Wrong(str(error)) from None
    org.changed(name)
    return Reply.json({"ids": targets})


def _matching(call: Call, name: str, match: dict[str, Any], most: int) -> list[str]:
    found = call.org.schema.get(name)
    if found is None or any(found.field(field) is None for field in match):
        raise Wrong(f"{name} does not have all of {', '.join(match)}")
    where = " AND ".join(f'"{field}"=?' for field in match) or "1"
    live = " AND IsDeleted=0" if found.soft_delete else ""
    rows = call.org.store.read().execute(
        f'SELECT Id FROM "{name}" WHERE {where}{live} ORDER BY Id LIMIT ?',  # noqa: S608 - fields were checked
        (*match.values(), most),
    )
    return [str(row[0]) for row in rows]


def _insert(call: Call) -> Reply:
    """{object, records: [{...}]} or {object, record: {...}}."""
    given = call.json_object()
    name = _object(call, given)
    records = given.get("records") or [given.get("record") or {}]
    try:
        made = call.org.store.insert(name, records)
    except KeyError as error:
        raise Wrong(str(error)) from None
    call.org.changed(name)
    return Reply.json({"ids": made})


def _clock(call: Call) -> Reply:
    """{now: ISO} or {advance_s: n}."""
    given, clock = call.json_object(), call.org.clock
    if "now" in given:
        instant = datetime.fromisoformat(str(given["now"]))
        if instant.tzinfo is None:
            raise Wrong("now needs a time zone")
        clock.set(instant)
    elif "advance_s" in given:
        clock.advance(float(given["advance_s"]))
    else:
        raise Wrong("give now or advance_s")
    return Reply.json({"now": iso(clock.now())})


def _faults(call: Call) -> Reply:
    """[rule, ...] or {rules: [rule, ...]}: these replace the rules in force; [] ends all faults."""
    given = call.json()
    rules = given.get("rules", [given] if given else []) if isinstance(given, dict) else given
    try:
        call.org.faults.set(rules)
    except (ValueError, KeyError, TypeError) as error:
        raise Wrong(f"not a fault rule: {error}") from None
    return Reply.json({"rules": len(rules)})


def _fault_hits(call: Call) -> Reply:
    return Reply.json([{"kind": str(rule.kind), "hits": rule.hits} for rule in call.org.faults.rules])


def _latency(call: Call) -> Reply:
    """{ms?: per call, bulk_rows_per_s?: how fast bulk query jobs run; 0 is as fast as it goes}."""
    given, faults = call.json_object(), call.org.faults
    faults.latency_s = float(given.get("ms", faults.latency_s * 1000)) / 1000
    faults.bulk_rows_per_s = float(given.get("bulk_rows_per_s", faults.bulk_rows_per_s))
    return Reply.json({"ms": faults.latency_s * 1000, "bulk_rows_per_s": faults.bulk_rows_per_s})


def _limits(call: Call) -> Reply:
    """{daily_api?, used_api?}: lower what is left."""
    given, limits = call.json_object(), call.org.limits
    limits.daily_api = int(given.get("daily_api", limits.daily_api))
    limits.used_api = int(given.get("used_api", limits.used_api))
    return Reply.json({"daily_api": limits.daily_api, "used_api": limits.used_api})


def _switches(call: Call) -> Reply:
    """Any of Switches' names, to true or false."""
    switches = call.org.switches
    for name, value in call.json_object().items():
        if name not in type(switches).__slots__:
            raise Wrong(f"no switch {name!r}")
        setattr(switches, name, bool(value))
    return Reply.json({name: getattr(switches, name) for name in type(switches).__slots__})


def _licences(call: Call) -> Reply:
    """{licences?: [of realtime, event-log-objects], ids_per_event?: n}: what the org has from now on."""
    given, stores = call.json_object(), call.org.stores
    try:
        if "licences" in given:
            stores.license(map(str, given["licences"]))
    except ValueError as error:
        raise Wrong(str(error)) from None
    stores.ids_per_event = int(given.get("ids_per_event", stores.ids_per_event))
    return Reply.json({"licences": sorted(stores.licences), "ids_per_event": stores.ids_per_event})


def _flush(call: Call) -> Reply:
    """Write every event noted so far into files at once, whatever the delay."""
    call.org.tick()
    return Reply.json({"files": call.org.events.cut(all_of_it=True)})


_GET: dict[str, Action] = {
    "health": _health,
    "truth": _truth,
    "persons": _persons,
    "requests": _requests,
    "faults": _fault_hits,
}
_POST: dict[str, Action] = {
    "plant": _plant,
    "insert": _insert,
    "clock": _clock,
    "faults": _faults,
    "latency": _latency,
    "limits": _limits,
    "switches": _switches,
    "licences": _licences,
    "flush": _flush,
}
