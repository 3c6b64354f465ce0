"""The small fixed resources: versions, resource maps, limits, record counts."""

from __future__ import annotations

from deployments.lab.salesforce.org import VERSIONS
from deployments.lab.salesforce.wire import ApiError, Call, Reply

_SEASONS = ("Winter", "Spring", "Summer")


def _label(version: str) -> str:
    """v67.0 is Summer '26; three releases a year."""
    behind = 67 - int(version.split(".")[0])
    index = 2 - behind  # counted from Spring '26 - 1
    year = 26 + index // 3
    season = _SEASONS[index % 3]
    return (
        f"{season} '{year + 1 if season == 'Winter' else year:02d}"
        if season != "Winter"
        else f"Winter '{year:02d}"
    )


def versions(call: Call) -> Reply:
    """GET /services/data; needs no login."""
    return Reply.json([{"label": _label(v), "url": f"/services/data/v{v}", "version": v} for v in VERSIONS])


def resource_map(call: Call) -> Reply:
    names = (
        "appMenu", "composite", "jobs/ingest", "jobs/query", "limits", "parameterizedSearch", "query",
        "queryAll", "recent", "search", "sobjects", "tabs", "theme", "tooling",
    )  # fmt: skip
    made = {name: f"{call.root}/{name}" for name in names}
    made["identity"] = f"{call.org.url}/id/{call.org.org_id}/{call.session.user_id}"
    return Reply.json(made)


def composite_map(call: Call) -> Reply:
    base = f"{call.root}/composite"
    return Reply.json({"batch": f"{base}/batch", "sobjects": f"{base}/sobjects", "tree": f"{base}/tree"})


def tooling_map(call: Call) -> Reply:
    base = f"{call.root}/tooling"
    names = ("executeAnonymous", "query", "sobjects")
    return Reply.json({name: f"{base}/{name}" for name in names})


def limits(call: Call) -> Reply:
    if not call.org.permissions.of(call.session.user_id).has("PermissionsViewSetup"):
        raise ApiError(403, "INSUFFICIENT_ACCESS", "insufficient access rights: View Setup and Configuration")
    return Reply.json(call.org.limits.report())


def record_count(call: Call) -> Reply:
    """GET /limits/recordCount?sObjects=Account,Contact"""
    access = call.org.permissions.of(call.session.user_id)
    asked = [name.strip() for name in call.query.get("sObjects", "").split(",") if name.strip()]
    wanted = asked or [n for n, o in call.org.schema.objects.items() if not o.setup and not o.tooling]
    counted = []
    for name in wanted:
        found = call.org.schema.get(name)
        if found is None or not access.can_read(found.name):
            continue
        where = " WHERE IsDeleted=0" if found.soft_delete else ""
        row = call.org.store.read().execute(f'SELECT COUNT(*) FROM "{found.name}"{where}').fetchone()  # noqa: S608
        counted.append({"count": row[0], "name": found.name})
    return Reply.json({"sObjects": counted})


def empty_list(call: Call) -> Reply:
    return Reply.json([])


def execute_anonymous(call: Call) -> Reply:
    """The twin runs no Apex: it says so as a compile problem."""
    access = call.org.permissions.of(call.session.user_id)
    if not access.has("PermissionsAuthorApex"):
        raise ApiError(403, "INSUFFICIENT_ACCESS", "insufficient access rights: Author Apex")
    body = call.query.get("anonymousBody", "").strip()
    return Reply.json(
        {
            "line": -1 if not body else 1,
            "column": -1 if not body else 1,
            "compiled": not body,
            "success": not body,
            "compileProblem": None if not body else "This org runs no Apex.",
            "exceptionMessage": None,
            "exceptionStackTrace": None,
        }
    )
