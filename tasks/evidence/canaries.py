"""Search all of run history for strings that must not be in it: planted secrets and personal data.

Everything a reader of the Prefect API or UI can see is searched: flow and task runs with their parameters,
states, logs, inputs, artifacts, events, deployments, flows, variables and automations, and stored results.
Block documents are not: they are where configuration belongs, hold references to secrets and no personal
data, and have a test of their own.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from prefect.settings import get_current_settings

from tasks.evidence.ledger import Clock, utc_now
from tasks.evidence.run_history import LISTS, RunHistory, run_history

LOOK_BACK = timedelta(days=180)  # the API's own default for events


@dataclass(frozen=True, slots=True)
class Hit:
    """One needle in one record. Never the needle itself: only its place in the list that was given."""

    where: str  # e.g. "logs"
    record: str  # the record's id, or the result file's name
    needle: int


def search_history(needles: Iterable[str], *, clock: Clock = utc_now, settle_s: float = 15) -> int:
    """How many (record, needle) pairs there are in run history; 0 is what a rehearsal requires.

    Waits up to `settle_s` seconds until events stop arriving, since Prefect stores them a little later.
    Raises Unreachable when the API does not answer.
    """
    return len(find_in_history(needles, clock=clock, settle_s=settle_s))


def find_in_history(needles: Iterable[str], *, clock: Clock = utc_now, settle_s: float = 15) -> list[Hit]:
    """Where the needles are. As `search_history` otherwise."""
    forms = [(i, _forms(needle)) for i, needle in enumerate(needles) if needle]
    if not forms:
        return []
    with run_history() as history:
        _settle(history, clock, settle_s)
        return [
            Hit(where, record, needle)
            for where, record, text in _everything(history, clock)
            for needle, spellings in forms
            if any(spelling in text for spelling in spellings)
        ]


def _forms(needle: str) -> set[str]:
    """The needle as it is, and as JSON inside of JSON spells it."""
    forms = {needle}
    for ascii_only in (True, False):
        once = json.dumps(needle, ensure_ascii=ascii_only)[1:-1]
        forms |= {once, json.dumps(once, ensure_ascii=ascii_only)[1:-1]}
    return forms


def _settle(history: RunHistory, clock: Clock, settle_s: float) -> None:
    deadline = time.monotonic() + settle_s
    before = -1
    while time.monotonic() < deadline:
        count = history.event_count(clock() - LOOK_BACK, clock() + timedelta(minutes=5))
        if count == before:
            return
        before = count
        time.sleep(1.5)


def _everything(history: RunHistory, clock: Clock) -> Iterator[tuple[str, str, str]]:
    """Every record: what it is, its id, its text."""
    flow_runs, task_runs = [], []
    for what in LISTS:
        for record in history.listed(what):
            if what == "flow_runs":
                flow_runs.append(record["id"])
            elif what == "task_runs":
                task_runs.append(record["id"])
            yield what, str(record.get("id", "")), _text(record)
    for kind, ids in (("flow_run", flow_runs), ("task_run", task_runs)):
        for run_id in ids:
            for state in history.states(kind, run_id):
                yield f"{kind}_states", str(state["id"]), _text(state)
    for run_id in flow_runs:
        for answer in history.inputs(run_id):
            yield "inputs", f"{run_id}/{answer.get('key')}", _text(answer)
    for event in history.events(clock() - LOOK_BACK, clock() + timedelta(minutes=5)):
        yield "events", str(event["id"]), _text(event)
    yield from _stored_results()


def _text(record: Any) -> str:
    return json.dumps(record, ensure_ascii=False)


def _stored_results() -> Iterator[tuple[str, str, str]]:
    """Results that tasks persisted on this machine, decoded: by default base64 of a pickle inside JSON."""
    root = Path(get_current_settings().results.local_storage_path)
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        content = path.read_bytes()
        text = content.decode("utf-8", "replace")
        try:
            record = json.loads(content)
            packed = record.get("result") if isinstance(record, dict) else None
            if isinstance(packed, str):
                text += base64.b64decode("".join(packed.split()), validate=True).decode("utf-8", "replace")
        except (ValueError, binascii.Error):
            pass  # not base64 in JSON: what was read as text is all there is
        yield "results", path.name, text
