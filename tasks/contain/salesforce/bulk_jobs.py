"""Access kind `bulk-job`: running bulk jobs that a suspect may have started. Aborted, never deleted.

Deleting a job removes its data and its trace (Bulk API 2.0, "Delete a Query Job"); aborting keeps both. A
job belongs to the suspects when a suspect user created it, or when its creator holds a grant of a suspect
app or logged in through it within the incident's window. Jobs of the older Bulk API (jobType Classic) are
listed with the others and aborted at their own address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from blocks.salesforce.errors import SalesforceRefused
from tasks.contain.kinds import AccessKind, Reopened
from tasks.contain.salesforce.org import Gone, quote
from tasks.contain.salesforce.principals import suspect_apps, suspect_users
from tasks.incident import Access, Proof, System

# The list of query jobs may name jobs of every type; the type says where a job is asked and aborted.
FAMILY = {"V2Query": "query", "V2Ingest": "ingest", "Classic": "classic"}
LISTS = ("query", "ingest")
RUNNING = frozenset({"Open", "UploadComplete", "InProgress"})


class BulkJobs(AccessKind):
    """One access per running query or ingest job."""

    system = System.SALESFORCE
    name = "bulk-job"
    action = "abort the job"
    reversible = False

    def observe(self) -> list[Access]:
        apps, users = suspect_apps(self.world), {user.id for user in suspect_users(self.world)}
        if not apps and not users:
            return []
        return [
            self.access(str(job["createdById"]), f"{family}/{job['id']}", **self._before(job))
            for family, job in self._running()
            if job["createdById"] in users or any(self._used(app, job) for app in apps)
        ]

    def close(self, access: Access) -> None:
        try:
            family, _, job_id = access.ref.partition("/")
            if family == "classic":
                self.world.salesforce.abort_classic(job_id)
            else:
                self.world.salesforce.abort_job(access.ref)
        except SalesforceRefused:
            if self._state(access) in RUNNING:  # else it ended by itself in between
                raise

    def prove(self, access: Access) -> Proof:
        state = self._state(access)
        return self.recount(state not in RUNNING, f"The job's state is {state}.")

    def reopen(self, access: Access) -> Reopened:
        return Reopened(False, "An aborted job cannot go on: its owner starts it again.")

    def _running(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        seen: set[str] = set()
        for listed in LISTS:
            for job in self.world.salesforce.jobs(listed):
                family = FAMILY.get(str(job.get("jobType")), listed)
                if job.get("state") in RUNNING and job["id"] not in seen:
                    seen.add(job["id"])
                    yield family, job

    def _used(self, app: str, job: Mapping[str, Any]) -> bool:
        """Whether the job's creator came in through the app, as far as grants and logins show."""
        since = self.world.incident.window.start
        if datetime.fromisoformat(job["createdDate"]) < since:
            return False
        user, name, org = quote(str(job["createdById"])), quote(app), self.world.salesforce
        logins = f"Application = {name} AND UserId = {user} AND LoginTime >= {since:%Y-%m-%dT%H:%M:%SZ}"
        return bool(
            org.count("OauthToken", f"AppName = {name} AND UserId = {user}")
            or org.count("LoginHistory", logins)
        )

    def _before(self, job: Mapping[str, Any]) -> dict[str, Any]:
        return {"state": job["state"], "object": job.get("object"), "created": job.get("createdDate")}

    def _state(self, access: Access) -> str:
        family, _, job_id = access.ref.partition("/")
        org = self.world.salesforce
        try:
            job = org.classic_job(job_id) if family == "classic" else org.job(access.ref)
            return str(job["state"])
        except Gone:
            return "deleted"
