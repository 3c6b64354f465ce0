"""Read everything Prefect keeps about runs, page by page, as the API gives it.

Prefect answers at most 200 records a page (events: 50). Its history can be changed by anybody with API access
and is thinned out with time, which is why it is copied into evidence at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, cast

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client

from blocks.errors import LeakResponseError, Unreachable

PAGE = 200  # 201 is refused
EVENT_PAGE = 50
BATCH = 50  # run ids in one filter
Record = dict[str, Any]
# What the API lists by filter, and the order that makes paging stable.
LISTS: Mapping[str, str | None] = {
    "flow_runs": "START_TIME_ASC",
    "task_runs": "ID_DESC",
    "logs": "TIMESTAMP_ASC",
    "artifacts": "ID_DESC",
    "flows": None,
    "deployments": None,
    "variables": None,
    "automations": None,
}


class RunHistory:
    """Prefect's run history over its API. Use `run_history()` to get one."""

    def __init__(self, client: SyncPrefectClient) -> None:
        self._client = client

    def listed(self, what: str, **filters: Any) -> Iterator[Record]:
        """All records of one of LISTS that match the filters."""
        order = {"sort": LISTS[what]} if LISTS[what] else {}
        offset = 0
        while True:
            body = {**filters, **order, "limit": PAGE, "offset": offset}
            page: list[Record] = self._call("POST", f"/{what}/filter", body)
            yield from page
            if len(page) < PAGE:
                return
            offset += PAGE

    def states(self, kind: str, run_id: str) -> list[Record]:
        """Every state that a run (`flow_run` or `task_run`) went through."""
        return cast(list[Record], self._call("GET", f"/{kind}_states/?{kind}_id={run_id}"))

    def inputs(self, flow_run_id: str) -> list[Record]:
        """What people answered to a run: approvals among them."""
        return cast(
            list[Record],
            self._call("POST", f"/flow_runs/{flow_run_id}/input/filter", {"prefix": "", "limit": PAGE}),
        )

    def events(
        self, since: datetime, until: datetime, resources: list[str] | None = None
    ) -> Iterator[Record]:
        """Events between two instants, oldest first; with `resources`, only those that name one of them."""
        body: Record = {"occurred": {"since": since.isoformat(), "until": until.isoformat()}, "order": "ASC"}
        if resources:
            body["any_resource"] = {"id": resources}
        page = self._call("POST", "/events/filter", {"filter": body, "limit": EVENT_PAGE})
        while True:
            yield from page["events"]
            if not page.get("next_page"):
                return
            page = self._call("GET", "/events/filter/next?" + httpx.URL(page["next_page"]).query.decode())

    def event_count(self, since: datetime, until: datetime) -> int:
        """How many events there are, without reading them."""
        body = {"occurred": {"since": since.isoformat(), "until": until.isoformat()}}
        page = self._call("POST", "/events/filter", {"filter": body, "limit": 1})
        return int(page["total"])

    def runs_of(self, incident_id: str, since: datetime, ids: tuple[str, ...] = ()) -> list[Record]:
        """The incident's flow runs: those whose name, tags or parameters name it, `ids`, and all below."""
        body = {"flow_runs": {"expected_start_time": {"after_": (since - timedelta(hours=1)).isoformat()}}}
        everything = {run["id"]: run for run in self.listed("flow_runs", **body)}
        for batch in batches([i for i in ids if i not in everything]):
            for run in self.listed("flow_runs", flow_runs={"id": {"any_": batch}}):
                everything[run["id"]] = run
        chosen = {i for i, run in everything.items() if i in ids or _names(run, incident_id)}
        edge = sorted(chosen)
        while edge:
            below = [
                run
                for batch in batches(edge)
                for run in self.listed("flow_runs", flow_runs={"parent_flow_run_id": {"any_": batch}})
            ]
            everything |= {run["id"]: run for run in below}
            edge = sorted({run["id"] for run in below} - chosen)
            chosen |= set(edge)
        return sorted((everything[i] for i in chosen), key=lambda run: (run["created"], run["id"]))

    def _call(self, method: str, path: str, body: Record | None = None) -> Any:
        answer = self._client.request(cast(Any, method), cast(Any, path), json=body)
        return answer.json()


@contextmanager
def run_history() -> Iterator[RunHistory]:
    """The history of the Prefect server in use. Raises Unreachable when it does not answer."""
    try:
        with get_client(sync_client=True) as client:
            yield RunHistory(client)
    except LeakResponseError:
        raise
    except httpx.HTTPError as error:
        status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else ""
        raise Unreachable(
            f"Prefect's run history could not be read: {type(error).__name__} {status}".rstrip() + ".",
            "Check that the Prefect server runs and PREFECT_API_URL names it.",
        ) from None


def batches(ids: list[str]) -> Iterator[list[str]]:
    """The ids in lists short enough for one filter."""
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]


def _names(run: Record, incident_id: str) -> bool:
    values = [run.get("name") or "", *(run.get("tags") or ()), *_strings(run.get("parameters") or {})]
    return any(
        value == incident_id or value.endswith((f"-{incident_id}", f":{incident_id}")) for value in values
    )


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
