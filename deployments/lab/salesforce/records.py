"""Single records: create, read, update, upsert, delete, and the two resources that hang on a record."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from blocks.salesforce.soql.ast import Comparison, FieldRef, Op, Query, Text
from deployments.lab.salesforce import effects, ids
from deployments.lab.salesforce.clock import iso, parse_iso
from deployments.lab.salesforce.describe import readable
from deployments.lab.salesforce.permissions import Access
from deployments.lab.salesforce.querying import run_query, serve
from deployments.lab.salesforce.schema import SObject
from deployments.lab.salesforce.values import checked, require, stored
from deployments.lab.salesforce.wire import ApiError, Call, Reply, not_found

_FORBIDDEN = ("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")


def access_of(call: Call) -> Access:
    return call.org.permissions.of(call.session.user_id)


# --- reading -------------------------------------------------------------------------------------


def get(call: Call, name: str, record_id: str) -> Reply:
    """GET /sobjects/{name}/{id}?fields=."""
    found = readable(call, name)
    return Reply.json(read_one(call, found, record_id, call.query.get("fields")))


def read_one(call: Call, found: SObject, record_id: str, fields: str | None) -> dict[str, Any]:
    """One record as the caller may see it; it counts as served."""
    full = record_id_of(found, record_id)
    call.org.before_reading({found.name})
    selected = fields.split(",") if fields else _visible(call, found)
    by_id = Comparison(FieldRef(("Id",)), Op.EQ, Text(full))
    query = Query(
        tuple(FieldRef(tuple(name.strip().split("."))) for name in selected), found.name, where=by_id
    )
    result = run_query(call.org, call.session, query, call.version, all_rows=True, tooling=found.tooling)
    rows = list(result.rows)
    if not rows:
        raise not_found()
    stored_row = call.org.store.get(found.name, full)
    if stored_row is not None and stored_row.get("IsDeleted"):
        raise ApiError(404, "ENTITY_IS_DELETED", "entity is deleted")
    call.notes.rows += 1
    call.notes.fields = len(rows[0].record) - 1
    serve(call, rows)
    record: dict[str, Any] = rows[0].record
    return record


def _visible(call: Call, found: SObject) -> list[str]:
    allowed = access_of(call).readable_fields(found.name)
    return [f.name for f in found.fields if not f.hidden and (allowed is None or f.name in allowed)]


def record_id_of(found: SObject, text: str) -> str:
    """The canonical id; 404 for one of another type, 400 MALFORMED_ID for none at all."""
    full = ids.to_18(text)
    if full is None:
        raise ApiError(400, "MALFORMED_ID", f"malformed id {text:.40}")
    if full[:3] != found.key_prefix:
        raise not_found("Provided external ID field does not exist or is not accessible: " + text)
    return full


def existing(call: Call, found: SObject, record_id: str) -> dict[str, Any]:
    """The stored record; 404 NOT_FOUND or ENTITY_IS_DELETED when it is gone."""
    call.org.before_reading({found.name})
    full = record_id_of(found, record_id)
    row = call.org.store.get(found.name, full)
    if row is None:  # perhaps inserted by the transaction this thread is in, which readers do not see yet
        with call.org.store.write() as db:
            fresh = db.execute(f'SELECT * FROM "{found.name}" WHERE Id=?', (full,)).fetchone()  # noqa: S608
        row = dict(fresh) if fresh else None
    if row is None:
        raise not_found()
    if row.get("IsDeleted"):
        raise ApiError(404, "ENTITY_IS_DELETED", "entity is deleted")
    return row


def get_by_external(call: Call, name: str, field: str, value: str) -> Reply:
    """GET /sobjects/{name}/{external id field}/{value}."""
    found = readable(call, name)
    matches = _by_external(call, found, field, value)
    if not matches:
        raise not_found()
    if len(matches) > 1:
        return Reply.json([f"{call.root}/sobjects/{found.name}/{one}" for one in matches], 300)
    return Reply.json(read_one(call, found, matches[0], call.query.get("fields")))


def _by_external(call: Call, found: SObject, field: str, value: str) -> list[str]:
    column = found.field(field)
    if column is None or column.hidden or not (column.external_id or column.name == "Id" or column.unique):
        raise not_found("Provided external ID field does not exist or is not accessible: " + field)
    live = " AND IsDeleted=0" if found.soft_delete else ""
    rows = call.org.store.read().execute(
        f'SELECT Id FROM "{found.name}" WHERE "{column.name}"=?{live} LIMIT 100',  # noqa: S608
        (stored(found, column, value, call.org.schema),),
    )
    return [row[0] for row in rows]


# --- writing -------------------------------------------------------------------------------------


def create(call: Call, name: str) -> Reply:
    """POST /sobjects/{name}."""
    found = readable(call, name)
    made = insert_one(call, found, call.json_object())
    return Reply.json({"id": made, "success": True, "errors": []}, 201)


def insert_one(call: Call, found: SObject, given: dict[str, Any]) -> str:
    """Insert one record as the caller; returns its id."""
    access = access_of(call)
    if not access.can_create(found):
        raise ApiError(
            403, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be inserted: {found.label}"
        )
    record = checked(found, given, access, call.org.schema, creating=True)
    if found.field("OwnerId") and not record.get("OwnerId"):
        record["OwnerId"] = call.session.user_id
    require(found, record)
    _unique(call, found, record, None)
    effects.before_insert(call, found.name, record)
    for audit in ("CreatedById", "LastModifiedById"):
        if found.field(audit):
            record[audit] = call.session.user_id
    (made,) = call.org.store.insert(found.name, [record])
    call.notes.rows += 1
    effects.after(call, "insert", found.name, made, None, record | {"Id": made})
    return made


def update(call: Call, name: str, record_id: str) -> Reply:
    """PATCH /sobjects/{name}/{id}."""
    found = readable(call, name)
    update_one(call, found, record_id, call.json_object())
    return Reply.nothing()


def update_one(call: Call, found: SObject, record_id: str, given: dict[str, Any]) -> str:
    """Change one record as the caller; returns its id."""
    access = access_of(call)
    if not access.can_edit(found):
        raise ApiError(403, *_FORBIDDEN)
    given = {k: v for k, v in given.items() if k.lower() not in ("id", "attributes")}
    changes = checked(found, given, access, call.org.schema, creating=False)
    old = existing(call, found, record_id)
    _unique(call, found, changes, old["Id"])
    effects.before_update(call, found.name, old, changes)
    if found.field("LastModifiedById"):
        changes["LastModifiedById"] = call.session.user_id
    call.org.store.update(found.name, old["Id"], changes)
    call.notes.rows += 1
    effects.after(call, "update", found.name, old["Id"], old, changes)
    return str(old["Id"])


def _unique(call: Call, found: SObject, record: dict[str, Any], own_id: str | None) -> None:
    for field in found.fields:
        value = record.get(field.name)
        if value is None or not (field.unique or field.external_id) or field.name == "Username":
            continue
        row = call.org.store.read().execute(
            f'SELECT Id FROM "{found.name}" WHERE "{field.name}"=? AND Id IS NOT ?',  # noqa: S608
            (value, own_id),
        )
        taken = row.fetchone()
        if taken and field.unique:
            raise ApiError(
                400,
                "DUPLICATE_VALUE",
                f"duplicate value found: {field.name} duplicates value on record with id: {taken[0][:15]}",
            )


def delete(call: Call, name: str, record_id: str) -> Reply:
    """DELETE /sobjects/{name}/{id}."""
    found = readable(call, name)
    delete_one(call, found, record_id)
    return Reply.nothing()


def delete_one(call: Call, found: SObject, record_id: str) -> str:
    """Delete one record as the caller; returns its id."""
    if found.name == "AuthSession":
        return _end_session(call, found, record_id)
    access = access_of(call)
    logs = found.name == "EventLogFile" and call.org.switches.event_logs_deletable
    if not logs and not found.deletable:
        raise ApiError(
            400, "INSUFFICIENT_ACCESS_OR_READONLY", f"entity type {found.label} does not support delete"
        )
    if not logs and not access.can_delete(found):
        raise ApiError(403, *_FORBIDDEN)
    old = existing(call, found, record_id)
    effects.before_delete(call, found.name, old)
    call.org.store.delete(found.name, old["Id"])
    call.notes.rows += 1
    effects.after(call, "delete", found.name, old["Id"], old, {})
    return str(old["Id"])


def _end_session(call: Call, found: SObject, record_id: str) -> str:
    """Deleting an AuthSession ends that session; one's own, or with Manage Users anybody's."""
    full = record_id_of(found, record_id)
    session = call.org.sessions.by_id(full)
    if session is None:
        if call.org.store.delete("AuthSession", full):  # a row that was planted: nobody is behind it
            return full
        raise not_found()
    if session.user_id != call.session.user_id and not access_of(call).has("PermissionsManageUsers"):
        raise ApiError(403, *_FORBIDDEN)
    call.org.sessions.end(session)
    call.org.note_logout(session, call.ip)
    call.notes.rows += 1
    return full


def upsert(call: Call, name: str, field: str, value: str) -> Reply:
    """PATCH /sobjects/{name}/{external id field}/{value}."""
    found = readable(call, name)
    matches = _by_external(call, found, field, value)
    if len(matches) > 1:
        return Reply.json([f"{call.root}/sobjects/{found.name}/{one}" for one in matches], 300)
    made, created = upsert_one(call, found, field, value, call.json_object(), matches)
    return Reply.json(
        {"id": made, "success": True, "errors": [], "created": created}, 201 if created else 200
    )


def upsert_one(
    call: Call,
    found: SObject,
    field: str,
    value: Any,
    given: dict[str, Any],
    matches: list[str] | None = None,
) -> tuple[str, bool]:
    """Update the record with this external id, or insert it; returns its id and whether it is new."""
    if matches is None:
        matches = _by_external(call, found, field, str(value)) if value not in (None, "") else []
    if len(matches) > 1:
        raise ApiError(
            400, "DUPLICATE_EXTERNAL_ID", f"{field}: more than one record found for external id field"
        )
    rest = {k: v for k, v in given.items() if k.lower() != field.lower()}
    if matches:
        return update_one(call, found, matches[0], rest), False
    if field.lower() == "id":
        if value:
            raise not_found()
        return insert_one(call, found, rest), True
    return insert_one(call, found, {**rest, field: value}), True


def delete_by_external(call: Call, name: str, field: str, value: str) -> Reply:
    """DELETE /sobjects/{name}/{external id field}/{value}."""
    found = readable(call, name)
    matches = _by_external(call, found, field, value)
    if len(matches) != 1:
        raise not_found()
    delete_one(call, found, matches[0])
    return Reply.nothing()


def changes(call: Call, name: str, what: str) -> Reply:
    """GET /sobjects/{name}/updated|deleted?start=&end=."""
    found = readable(call, name)
    try:
        start, end = (
            parse_iso(call.query["start"].replace(" ", "+")),
            parse_iso(call.query["end"].replace(" ", "+")),
        )
    except (KeyError, ValueError):
        raise ApiError(400, "INVALID_REPLICATION_DATE", "start and end must be ISO 8601 instants") from None
    if end <= start:
        raise ApiError(400, "INVALID_REPLICATION_DATE", "endDate before startDate")
    span = _span(found, start, end)
    db = call.org.store.read()
    if what == "updated":
        rows = db.execute(
            f'SELECT Id FROM "{found.name}" WHERE SystemModstamp>=? AND SystemModstamp<?',  # noqa: S608
            span,
        )
        return Reply.json({"ids": [row[0] for row in rows], "latestDateCovered": iso(end)})
    gone = (
        db.execute(
            f'SELECT Id,SystemModstamp FROM "{found.name}" WHERE IsDeleted=1'  # noqa: S608
            " AND SystemModstamp>=? AND SystemModstamp<?",
            span,
        )
        if found.soft_delete
        else []
    )
    deleted = [{"id": row[0], "deletedDate": row[1]} for row in gone]
    return Reply.json(
        {"deletedRecords": deleted, "earliestDateAvailable": iso(start), "latestDateCovered": iso(end)}
    )


def _span(found: SObject, start: datetime, end: datetime) -> tuple[str, str]:
    if found.field("SystemModstamp") is None:
        raise ApiError(400, "INVALID_TYPE", f"{found.name} is not replicateable")
    return iso(start), iso(end)


# --- resources of one record ---------------------------------------------------------------------


def log_file(call: Call, file_id: str) -> Reply:
    """GET /sobjects/EventLogFile/{id}/LogFile: the CSV."""
    found = readable(call, "EventLogFile")
    full = record_id_of(found, file_id)
    content = call.org.events.content(full)
    if content is None or call.org.store.get("EventLogFile", full) is None:
        raise not_found()
    return Reply(200, content, "text/csv")


def _may_reset(call: Call, user_id: str) -> str:
    full = ids.to_18(user_id) or ""
    if call.org.store.get("User", full) is None:
        raise not_found()
    if full != call.session.user_id and not access_of(call).has("PermissionsResetPasswords"):
        raise ApiError(403, "INSUFFICIENT_ACCESS", "insufficient access rights: Reset User Passwords")
    return full


def password_state(call: Call, user_id: str) -> Reply:
    _may_reset(call, user_id)
    return Reply.json({"isExpired": False})


def set_password(call: Call, user_id: str) -> Reply:
    full = _may_reset(call, user_id)
    new = call.json_object().get("NewPassword")
    if not isinstance(new, str) or len(new) < 8:
        raise ApiError(400, "INVALID_NEW_PASSWORD", "Your password must be at least 8 characters long.")
    call.org.set_password(full, new)
    call.org.audit("changedpassword", "Changed a user's password", "Manage Users", call.session.user_id)
    return Reply.nothing()


def reset_password(call: Call, user_id: str) -> Reply:
    full = _may_reset(call, user_id)
    call.org.set_password(full, None)
    call.org.audit("resetpassword", "Reset a user's password", "Manage Users", call.session.user_id)
    return Reply.json({"NewPassword": secrets.token_urlsafe(9)})
