"""Which handler answers which method and path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from deployments.lab.salesforce import (
    bulk,
    bulk_ingest,
    bulk_v1,
    composite,
    connect_apps,
    connect_credentials,
    describe,
    list_views,
    oauth,
    querying,
    records,
    reports,
    resources,
    soap,
)
from deployments.lab.salesforce.wire import ApiError, Call, Reply, not_found


@dataclass(frozen=True, slots=True)
class Route:
    """A handler; `family` is the API family for the event logs ("" for none); a `light` one never blocks."""

    handler: Callable[[Call], Reply]
    family: str = "REST"
    light: bool = False


def _wrong_method(call: Call, *allowed: str) -> ApiError:
    return ApiError(
        405,
        "METHOD_NOT_ALLOWED",
        f"HTTP Method '{call.method}' not allowed. Allowed are {','.join(allowed)}",
    )


def _choose(call: Call, family: str = "REST", **handlers: Callable[[Call], Reply]) -> Route:
    """The handler of this method; 405 names those there are."""
    if call.method not in handlers:
        raise _wrong_method(call, *handlers)
    return Route(handlers[call.method], family)


def find_plain(call: Call) -> Route | None:
    """Paths outside the versioned REST API."""
    match [part for part in call.path.split("/") if part]:
        case ["services", "oauth2", "token"]:
            return _choose(call, "", POST=oauth.token)
        case ["services", "oauth2", "revoke"]:
            return _choose(call, "", GET=oauth.revoke, POST=oauth.revoke)
        case ["services", "oauth2", "introspect"]:
            return _choose(call, "", POST=oauth.introspect)
        case ["services", "oauth2", "userinfo"]:
            return _choose(call, "", GET=oauth.userinfo, POST=oauth.userinfo)
        case ["id", org_id, user_id]:
            return _choose(call, "", GET=partial(oauth.identity, org_id=org_id, user_id=user_id))
        case [report_id] if report_id.startswith("00O") and call.query.get("export") == "1":
            return _choose(call, "", GET=partial(reports.exported, report_id=report_id))
        case ["services", "data"]:
            return Route(resources.versions, "", light=True)
        case ["services", "Soap", "u" | "c", version, *_]:
            return _choose(call, "", POST=partial(soap.partner, version=version))
        case ["services", "Soap", "m", version, *_]:
            return _choose(call, "", POST=partial(soap.metadata, version=version))
        case ["services", "async", version, *rest]:
            call.version = version
            return Route(partial(bulk_v1.handle, rest=rest), "Bulk")
    return None


def find(call: Call, rest: str) -> Route:
    """Paths below `/services/data/vXX.X/`; 404 NOT_FOUND when there is nothing."""
    if call.method == "POST" and "_HttpMethod" in call.query:
        call.method = call.query["_HttpMethod"].upper()
    parts = [part for part in rest.split("/") if part]
    match parts:
        case []:
            return Route(resources.resource_map, light=True)
        case ["query"]:
            return _choose(call, GET=querying.query)
        case ["queryAll"]:
            return _choose(call, GET=partial(querying.query, all_rows=True))
        case ["query" | "queryAll", locator]:
            return _choose(call, GET=partial(querying.more, locator=locator))
        case ["limits"]:
            return _choose(call, GET=resources.limits)
        case ["limits", "recordCount"]:
            return _choose(call, GET=resources.record_count)
        case ["search"]:
            return _choose(call, GET=querying.search)
        case ["parameterizedSearch"]:
            return _choose(call, GET=querying.search, POST=querying.search)
        case ["recent"]:
            return _choose(call, GET=resources.empty_list)
        case ["tabs" | "appMenu" | "theme"]:
            return _choose(call, GET=resources.empty_list)
        case ["sobjects", *more]:
            return _sobjects(call, more)
        case ["composite", *more]:
            return _composite(call, more)
        case ["jobs", *more]:
            return _jobs(call, more)
        case ["tooling", *more]:
            return _tooling(call, more)
        case ["analytics", "reports"]:
            return _choose(call, GET=reports.listed)
        case ["analytics", "reports", report_id]:
            handler = partial(reports.run, report_id=report_id)
            remove = partial(records.delete, name="Report", record_id=report_id)
            return _choose(call, GET=handler, POST=handler, DELETE=remove)
        case ["analytics", "reports", report_id, "describe"]:
            return _choose(call, GET=partial(reports.described, report_id=report_id))
        case ["apps", "oauth", *more]:
            return _apps(call, more)
        case ["named-credentials", "credential"]:
            return _choose(
                call,
                GET=connect_credentials.credential,
                PUT=connect_credentials.credential,
                PATCH=connect_credentials.credential,
            )
    raise not_found()


def _apps(call: Call, parts: list[str]) -> Route:
    match parts:
        case ["usage"]:
            return _choose(call, GET=connect_apps.usage)
        case ["usage", app_id, "users"]:
            return _choose(call, GET=partial(connect_apps.users, app_id=app_id))
        case ["usage", app_id, "tokens"]:
            return _choose(call, DELETE=partial(connect_apps.delete_tokens, app_id=app_id))
        case ["usage", app_id, user_id, "tokens"]:
            return _choose(call, DELETE=partial(connect_apps.delete_tokens, app_id=app_id, user_id=user_id))
        case ["credentials", app_id]:
            return _choose(call, GET=partial(connect_apps.credentials, app_id=app_id))
        case ["credentials", app_id, consumer_id]:
            return _choose(call, GET=partial(connect_apps.consumer, app_id=app_id, consumer_id=consumer_id))
        case ["credentials", app_id, consumer_id, "staged"]:
            handler = partial(connect_apps.staged, app_id=app_id, consumer_id=consumer_id)
            return _choose(call, GET=handler, POST=handler)
        case ["credentials", app_id, consumer_id, "staged", staged_id]:
            one = partial(
                connect_apps.staged_one, app_id=app_id, consumer_id=consumer_id, staged_id=staged_id
            )
            return _choose(call, GET=one, PATCH=one, DELETE=one)
    raise not_found()


def _sobjects(call: Call, parts: list[str]) -> Route:
    match parts:
        case []:
            return _choose(call, GET=describe.list_all)
        case [name]:
            return _choose(
                call, GET=partial(describe.basic, name=name), POST=partial(records.create, name=name)
            )
        case [name, "describe"]:
            return _choose(call, GET=partial(describe.full, name=name))
        case [name, "describe", *_] | [name, "quickActions", *_]:
            return _choose(call, GET=resources.empty_list)
        case [name, "listviews"]:
            return _choose(call, GET=partial(list_views.listed, name=name))
        case [name, "listviews", view_id, "describe" | "results" as what]:
            shown = list_views.described if what == "describe" else list_views.results
            return _choose(call, GET=partial(shown, name=name, view_id=view_id))
        case [name, "updated" | "deleted" as what]:
            return _choose(call, GET=partial(records.changes, name=name, what=what))
        case ["User", user_id, "password"]:
            return _choose(
                call,
                GET=partial(records.password_state, user_id=user_id),
                POST=partial(records.set_password, user_id=user_id),
                DELETE=partial(records.reset_password, user_id=user_id),
            )
        case ["EventLogFile", file_id, "LogFile"]:
            return _choose(call, GET=partial(records.log_file, file_id=file_id))
        case [name, record_id]:
            return _choose(
                call,
                GET=partial(records.get, name=name, record_id=record_id),
                PATCH=partial(records.update, name=name, record_id=record_id),
                DELETE=partial(records.delete, name=name, record_id=record_id),
            )
        case [name, field, value]:
            return _choose(
                call,
                GET=partial(records.get_by_external, name=name, field=field, value=value),
                PATCH=partial(records.upsert, name=name, field=field, value=value),
                DELETE=partial(records.delete_by_external, name=name, field=field, value=value),
            )
    raise not_found()


def _composite(call: Call, parts: list[str]) -> Route:
    match parts:
        case []:
            return _choose(call, GET=resources.composite_map, POST=composite.composite)
        case ["batch"]:
            return _choose(call, POST=composite.batch)
        case ["tree", name]:
            return _choose(call, POST=partial(composite.tree, name=name))
        case ["sobjects"]:
            return _choose(
                call,
                POST=composite.create_many,
                PATCH=composite.update_many,
                DELETE=composite.delete_many,
            )
        case ["sobjects", name]:
            return _choose(
                call,
                GET=partial(composite.retrieve_many, name=name),
                POST=partial(composite.retrieve_many, name=name),
            )
        case ["sobjects", name, field]:
            return _choose(call, PATCH=partial(composite.upsert_many, name=name, field=field))
    raise not_found()


def _jobs(call: Call, parts: list[str]) -> Route:
    match parts:
        case ["query"]:
            return _choose(call, "Bulk", GET=bulk.list_jobs, POST=bulk.create)
        case ["query", job_id]:
            return _choose(
                call,
                "Bulk",
                GET=partial(bulk.get, job_id=job_id),
                PATCH=partial(bulk.patch, job_id=job_id),
                DELETE=partial(bulk.delete, job_id=job_id),
            )
        case ["query", job_id, "results"]:
            return _choose(call, "Bulk", GET=partial(bulk.results, job_id=job_id))
        case ["ingest"]:
            return _choose(call, "Bulk", GET=bulk_ingest.list_jobs, POST=bulk_ingest.create)
        case ["ingest", job_id]:
            return _choose(
                call,
                "Bulk",
                GET=partial(bulk_ingest.get, job_id=job_id),
                PATCH=partial(bulk_ingest.patch, job_id=job_id),
                DELETE=partial(bulk_ingest.delete, job_id=job_id),
            )
        case ["ingest", job_id, "batches"]:
            return _choose(call, "Bulk", PUT=partial(bulk_ingest.upload, job_id=job_id))
        case ["ingest", job_id, "successfulResults" | "failedResults" | "unprocessedrecords" as what]:
            return _choose(call, "Bulk", GET=partial(bulk_ingest.results, job_id=job_id, what=what))
    raise not_found()


def _tooling(call: Call, parts: list[str]) -> Route:
    match parts:
        case []:
            return Route(resources.tooling_map, light=True)
        case ["query"]:
            return _choose(call, GET=partial(querying.query, tooling=True))
        case ["query", locator]:
            return _choose(call, GET=partial(querying.more, locator=locator))
        case ["executeAnonymous"]:
            return _choose(call, GET=resources.execute_anonymous)
        case ["sobjects", *more]:
            return _sobjects(call, more)
    raise not_found()
