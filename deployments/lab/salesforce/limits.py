"""The org's daily limits: counted, shown, and refused when used up."""

from __future__ import annotations

from typing import Any

DAILY_API = 5_000_000


class Limits:
    """Counts calls against the daily API limit; a rehearsal may lower what is left."""

    def __init__(self, daily_api: int = DAILY_API) -> None:
        self.daily_api = daily_api
        self.used_api = 0
        self.bulk_query_jobs = 0
        self.bulk_ingest_jobs = 0
        self.bulk_batches = 0
        self.bulk_storage_mb = 0.0

    @property
    def exhausted(self) -> bool:
        return self.used_api >= self.daily_api

    @property
    def header(self) -> str:
        """For `Sforce-Limit-Info`."""
        return f"api-usage={min(self.used_api, self.daily_api)}/{self.daily_api}"

    def report(self) -> dict[str, Any]:
        """As `/limits` tells it."""
        left = max(self.daily_api - self.used_api, 0)
        fixed = {
            "ActiveScratchOrgs": 40,
            "AnalyticsExternalDataSizeMB": 40960,
            "ConcurrentAsyncGetReportInstances": 200,
            "ConcurrentSyncReportRuns": 20,
            "DailyAsyncApexExecutions": 250000,
            "DailyDurableGenericStreamingApiEvents": 10000,
            "DailyGenericStreamingApiEvents": 10000,
            "DailyScratchOrgs": 80,
            "DailyStreamingApiEvents": 10000,
            "DailyWorkflowEmails": 100000,
            "HourlyAsyncReportRuns": 1200,
            "HourlyDashboardRefreshes": 200,
            "HourlyODataCallout": 20000,
            "HourlySyncReportRuns": 500,
            "HourlyTimeBasedWorkflow": 1000,
            "MassEmail": 5000,
            "SingleEmail": 5000,
            "StreamingApiConcurrentClients": 1000,
        }
        made = {name: {"Max": most, "Remaining": most} for name, most in fixed.items()}
        made |= {
            "DailyApiRequests": {"Max": self.daily_api, "Remaining": left},
            "DailyBulkApiBatches": {"Max": 15000, "Remaining": max(15000 - self.bulk_batches, 0)},
            "DailyBulkV2QueryJobs": {"Max": 10000, "Remaining": max(10000 - self.bulk_query_jobs, 0)},
            "DailyBulkV2QueryFileStorageMB": {
                "Max": 976562,
                "Remaining": max(976562 - round(self.bulk_storage_mb), 0),
            },
            "DataStorageMB": {"Max": 102400, "Remaining": 81920},
            "FileStorageMB": {"Max": 204800, "Remaining": 163840},
        }
        return dict(sorted(made.items()))
