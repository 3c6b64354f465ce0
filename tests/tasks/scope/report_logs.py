"""Logs that tell of one run over the API and one export, as a real org writes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pandas as pd

from tasks.incident import Window
from tasks.scope.attribution import Marks, attribute
from tasks.scope.report_runs import ReportRun, report_runs

USER, SESSION = "005000000000001AAA", "session-1"
RUN, EXPORT = "00Ora0000000001AAA", "00Ora0000000002AAA"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def _line(request: str, second: int, **more: str) -> dict[str, str]:
    at = f"2026-03-01T10:00:{second:02d}.000Z"
    common = {"REQUEST_ID": request, "USER_ID_DERIVED": USER, "SESSION_KEY": SESSION}
    return common | {"TIMESTAMP_DERIVED": at} | more


def logs() -> dict[str, pd.DataFrame]:
    api, export = "ReportRunUsingSynchronousAnalyticsAPI", "ReportExported"
    by_type = {
        "Report": [
            _line("r1", 1, REPORT_ID_DERIVED=RUN, ORIGIN=api, ROW_COUNT="10"),
            _line("r2", 2, REPORT_ID_DERIVED=EXPORT, ORIGIN=export, ROW_COUNT="20"),
        ],
        "ReportExport": [_line("r2", 2, URI=f"/{EXPORT[:15]}?export=1")],
        "RestApi": [_line("r1", 1, URI=f"/services/data/v67.0/analytics/reports/{RUN}", ROWS_PROCESSED="10")],
        "UniqueQuery": [
            {"SESSION_KEY": SESSION, "TIMESTAMP_DERIVED": f"2026-03-01T10:00:0{n}.100Z",
             "QUERY_IDENTIFIER": report, "QUERY_TYPE": "report"}
            for n, report in ((1, RUN), (2, EXPORT))
        ],
    }  # fmt: skip
    return {kind: pd.DataFrame(rows) for kind, rows in by_type.items()}


def runs_in(found: Mapping[str, pd.DataFrame]) -> list[ReportRun]:
    marks = Marks(users=frozenset({USER}))
    attribution = attribute(found, marks, Window(datetime(2026, 3, 1, tzinfo=UTC)), now=NOW, own=None)
    return list(report_runs(attribution, []))
