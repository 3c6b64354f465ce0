"""What a client may write into a field, checked and turned into what the store keeps."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from deployments.lab.salesforce import ids
from deployments.lab.salesforce.clock import iso
from deployments.lab.salesforce.permissions import Access
from deployments.lab.salesforce.schema import Field, Schema, SObject
from deployments.lab.salesforce.wire import ApiError

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_TRUE, _FALSE = ("true", "1"), ("false", "0", "")


def checked(
    owner: SObject, given: dict[str, Any], access: Access, schema: Schema, *, creating: bool
) -> dict[str, Any]:
    """The record's fields by their own names, as stored. Raises ApiError with Salesforce's code."""
    made: dict[str, Any] = {}
    refused: list[str] = []
    for name, value in given.items():
        if name == "attributes":
            continue
        field = owner.field(name)
        if field is None or field.hidden:
            raise ApiError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {owner.name}")
        writable = field.createable if creating else field.updateable
        if not writable or not access.may_edit_field(owner.name, field.name):
            refused.append(field.name)
            continue
        made[field.name] = stored(owner, field, value, schema)
    if refused:
        raise ApiError(
            400,
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            f"Unable to create/update fields: {', '.join(refused)}. Please check the security settings of "
            "this field and verify that it is read/write for your profile or permission set.",
            refused,
        )
    return made


def require(owner: SObject, record: dict[str, Any]) -> None:
    """Refuse a new record that lacks a required field."""
    missing = [
        f.name
        for f in owner.fields
        if not f.nillable and f.createable and f.type != "boolean" and f.name != "OwnerId"
        if record.get(f.name) in (None, "")
    ]
    if missing:
        raise ApiError(
            400,
            "REQUIRED_FIELD_MISSING",
            f"Required fields are missing: [{', '.join(missing)}]",
            missing,
        )


def stored(owner: SObject, field: Field, value: Any, schema: Schema) -> Any:
    """One value as the store keeps it."""
    if value is None or value == "":
        return 0 if field.type == "boolean" else None
    try:
        match field.type:
            case "boolean":
                return _boolean(value)
            case "int":
                return int(value)
            case "double" | "currency" | "percent":
                return float(value)
            case "date":
                return date.fromisoformat(str(value)[:10]).isoformat()
            case "datetime":
                instant = datetime.fromisoformat(str(value))
                return iso(instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC))
            case "reference" | "id":
                return _reference(field, str(value), schema)
    except (ValueError, TypeError):
        raise ApiError(
            400,
            "JSON_PARSER_ERROR",
            f"Cannot deserialize instance of {field.type} from value {value!r:.60} for field {field.name}",
        ) from None
    return _text(owner, field, str(value))


def _boolean(value: Any) -> int:
    if isinstance(value, bool | int):
        return int(bool(value))
    lowered = str(value).lower()
    if lowered in _TRUE or lowered in _FALSE:
        return int(lowered in _TRUE)
    raise ValueError(value)


def _reference(field: Field, value: str, schema: Schema) -> str:
    full = ids.to_18(value)
    if full is None:
        raise ApiError(
            400, "MALFORMED_ID", f"{field.label}: id value of incorrect type: {value:.40}", [field.name]
        )
    target = schema.by_prefix(full[:3])
    if field.reference_to and (target is None or target.name not in field.reference_to):
        raise ApiError(
            400,
            "FIELD_INTEGRITY_EXCEPTION",
            f"{field.label}: id value of incorrect type: {value}",
            [field.name],
        )
    return full


def _text(owner: SObject, field: Field, value: str) -> str:
    if field.type == "email" and not _EMAIL.fullmatch(value):
        raise ApiError(
            400, "INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {value:.80}", [field.name]
        )
    if field.length and len(value) > field.length:
        raise ApiError(
            400,
            "STRING_TOO_LONG",
            f"{field.label}: data value too large: {value:.40} (max length={field.length})",
            [field.name],
        )
    return value
