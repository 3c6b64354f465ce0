"""Bulk API 2.0 queries as a stream of pages: every value text, nothing guessed, memory bounded by a page.

Jobs are never deleted afterwards: Salesforce removes job, results and metadata with them, and our own
exports belong to the record as well. They vanish by themselves after seven days.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from typing import Literal

import pandas as pd

from blocks.errors import Refused, Unreachable
from blocks.salesforce.errors import salesforce_errors
from blocks.salesforce.org import SalesforceOrg

PAGE = 50_000  # rows; about 25 MB of a wide object


def bulk_query(
    org: SalesforceOrg,
    soql: str,
    *,
    what: str = "bulk query",
    all_rows: bool = False,
    page_size: int = PAGE,
    timeout_s: float = 900,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[pd.DataFrame]:
    """Run a query as a Bulk 2.0 job and yield its result pages; empty cells are empty strings.

    `all_rows` includes deleted and archived rows (queryAll). No GROUP BY, OFFSET, TYPEOF or aggregates:
    Bulk refuses them. Raises SalesforceRefused, Unreachable (also when the job takes over `timeout_s`
    seconds) and Refused (the job failed).
    """
    # Starting the job twice after a lost reply costs one spare read-only job: safe to repeat.
    job = org.rest(
        "POST",
        "jobs/query",
        json={"operation": "queryAll" if all_rows else "query", "query": soql},
        what=f"{what}: start",
        idempotent=True,
    )["id"]
    wait_for(org, job, what=what, timeout_s=timeout_s, sleep=sleep)
    yield from pages(org, job, what=what, page_size=page_size)


def wait_for(
    org: SalesforceOrg,
    job: str,
    *,
    what: str = "bulk query",
    timeout_s: float = 900,
    sleep: Callable[[float], None] = time.sleep,
    kind: Literal["query", "ingest"] = "query",
) -> None:
    """Wait until a job is complete, asking ever less often (0.1 s to 5 s)."""
    until = time.monotonic() + timeout_s
    pause = 0.1
    while True:
        state = org.rest("GET", f"jobs/{kind}/{job}", what=f"{what}: state of the job")["state"]
        if state == "JobComplete":
            return
        if state in {"Failed", "Aborted"}:
            raise Refused(f"The bulk job for {what} ended as {state}.", "Read its errorMessage in Setup.")
        if time.monotonic() + pause > until:
            raise Unreachable(f"The bulk job for {what} took over {timeout_s:.0f} s.", "Run it again later.")
        sleep(pause)
        pause = min(5.0, pause * 1.5)


def pages(
    org: SalesforceOrg, job: str, *, what: str = "bulk query", page_size: int = PAGE
) -> Iterator[pd.DataFrame]:
    """The result pages of a complete query job."""
    locator = ""
    while True:
        params: dict[str, str | int] = {"maxRecords": page_size} | ({"locator": locator} if locator else {})
        response = org.call(
            "GET",
            f"jobs/query/{job}/results",
            params=params,
            headers={"Accept": "text/csv"},
            what=f"{what}: results",
        )
        page = read_csv(response.content, what)
        if page is not None:
            yield page
        locator = response.headers.get("Sforce-Locator", "null")
        if locator in {"", "null"}:
            return


def read_csv(content: bytes, what: str) -> pd.DataFrame | None:
    """A CSV page with every value as text (`007` stays `007`, `NA` stays `NA`); None when it has no rows."""
    if not content.strip():
        return None
    with salesforce_errors(f"{what}: reading the CSV"):
        page = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False, na_filter=False)
    return page if len(page) else None
