"""What an org tells of its reports and list views: how each is made now, and when that was last changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from blocks.errors import LeakResponseError
from tasks.incident import utc
from tasks.scope.directory import quoted
from tasks.scope.reader import OrgReader, Reader

CHUNK = 200


@dataclass(frozen=True, slots=True)
class Definition:
    """One report or list view. `why` says why `described` is empty, or why it may not be what was shown."""

    id: str  # 15 characters
    described: Mapping[str, Any]
    changed: datetime | None = None
    object: str = ""
    why: str = ""


def reports(reader: Reader, ids: Iterable[str]) -> dict[str, Definition]:
    """Each of these reports by its 15-character id. One that cannot be described is there with the reason."""
    return _all(reader, ids, "Report", "", lambda report, _: f"analytics/reports/{report}/describe")


def list_views(reader: Reader, ids: Iterable[str], objects: Mapping[str, str]) -> dict[str, Definition]:
    """Each of these list views; `objects` is the object of a view's id as far as a log names it."""

    def path(view: str, name: str) -> str:
        name = objects.get(view) or name
        return f"sobjects/{name}/listviews/{view}/describe" if name else ""

    return _all(reader, ids, "ListView", "SobjectType", path)


def _all(
    reader: Reader, ids: Iterable[str], table: str, object_field: str, path: Any
) -> dict[str, Definition]:
    wanted = sorted(set(ids))
    if not isinstance(reader, OrgReader):
        why = "no org is at hand that could tell what it shows"
        return {one: Definition(one, {}, why=why) for one in wanted}
    records = _records(reader, wanted, table, object_field)
    with ThreadPoolExecutor(4, thread_name_prefix="describe") as pool:
        found = pool.map(lambda one: _definition(reader, one, records.get(one), object_field, path), wanted)
        return dict(zip(wanted, found, strict=True))


def _records(
    reader: OrgReader, ids: list[str], table: str, object_field: str
) -> dict[str, Mapping[str, Any]]:
    """Rows by 15-character id, deleted ones too; none where the table cannot be read."""
    found: dict[str, Mapping[str, Any]] = {}
    fields = ", ".join(filter(None, ("Id", "LastModifiedDate", object_field)))
    try:
        for start in range(0, len(ids), CHUNK):
            some = quoted(ids[start : start + CHUNK])
            soql = f"SELECT {fields} FROM {table} WHERE Id IN ({some})"  # noqa: S608 - SOQL, quoted
            found |= {str(row["Id"])[:15]: row for row in reader.query(soql, all_rows=True)}
    except LeakResponseError:
        return {}
    return found


def _definition(
    reader: OrgReader, one: str, record: Mapping[str, Any] | None, object_field: str, path: Any
) -> Definition:
    changed = utc(str(record["LastModifiedDate"])) if record and record.get("LastModifiedDate") else None
    name = str(record.get(object_field) or "") if record and object_field else ""
    where = path(one, name)
    if not where:
        return Definition(one, {}, changed, name, "it is not there any more")
    try:
        described: Mapping[str, Any] = reader.get(where)
    except LeakResponseError as error:
        return Definition(one, {}, changed, name, f"it cannot be described: {error.problem.rstrip('.')}")
    why = "" if changed else "it cannot be told whether it was changed since it was run"
    return Definition(one, described, changed, name, why)
