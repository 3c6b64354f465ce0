"""The shape of an sObject and its fields, and the short helpers with which the schema files declare them.

Type names are those of Salesforce's describe call. The schema files (`schema_crm`, `schema_setup`,
`schema_logs`, `schema_tooling`) hold declarations only; `schema` puts them together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SECURE = "Confidential"
RESTRICTED = "Restricted"
INTERNAL = "Internal"
PII = ("PII", "GDPR")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an sObject, as describe would tell it.

    `classification` and `compliance` are what `FieldDefinition` shows as SecurityClassification and
    ComplianceGroup. `hidden` fields are stored but can never be read through the API: they hold secrets the
    twin itself needs. A field of type `address` is compound: it has no column of its own.
    """

    name: str
    type: str
    label: str
    length: int = 0
    nillable: bool = True
    createable: bool = True
    updateable: bool = True
    filterable: bool = True
    custom: bool = False
    unique: bool = False
    external_id: bool = False
    reference_to: tuple[str, ...] = ()
    relationship_name: str | None = None
    child_relationship: str | None = None
    picklist: tuple[str, ...] = ()
    calculated: bool = False
    classification: str | None = None
    compliance: tuple[str, ...] = ()
    hidden: bool = False
    name_field: bool = False
    auto_number: str | None = None  # a str.format pattern for the running number, e.g. "{:08d}"

    @property
    def stored(self) -> bool:
        """Whether the table has a column for it."""
        return self.type != "address"


@dataclass(frozen=True, slots=True)
class SObject:
    """One object type.

    `page_size` and `row_limit` are rows per page and rows in total (None: no limit). `null_id`: the API shows
    Id as null. `own_rows_unless` names the permission without which a user sees only the rows that carry its
    own id in UserId/UsersId. `required_permission` is needed to read the object at all. With a `licence` the
    object is there only in an org that has it; a `big` object answers simple queries alone.
    """

    name: str
    label: str
    key_prefix: str
    fields: tuple[Field, ...]
    queryable: bool = True
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    tooling: bool = False
    setup: bool = False
    custom: bool = False
    page_size: int = 2000
    row_limit: int | None = None
    null_id: bool = False
    own_rows_unless: str | None = None
    required_permission: str | None = None
    licence: str | None = None
    big: bool = False

    def field(self, name: str) -> Field | None:
        """The field of that name, whatever its case; None when there is none."""
        wanted = name.lower()
        return next((f for f in self.fields if f.name.lower() == wanted), None)

    @property
    def soft_delete(self) -> bool:
        """Whether deleted rows stay, marked IsDeleted, as queryAll expects."""
        return not self.setup and any(f.name == "IsDeleted" for f in self.fields)


def _label(name: str) -> str:
    words = re.sub(r"__c$", "", name).replace("_", " ")
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", words)
    return re.sub(r" Id$", " ID", words)


def field(name: str, type_: str, **more: Any) -> Field:
    """A field whose label is its name in words unless given."""
    more.setdefault("label", _label(name))
    return Field(name, type_, custom=name.endswith("__c"), **more)


def text(name: str, length: int = 255, **more: Any) -> Field:
    return field(name, "string", length=length, **more)


def area(name: str, length: int = 32000, **more: Any) -> Field:
    """Long text; Salesforce does not filter on text areas above 255 characters."""
    return field(name, "textarea", length=length, filterable=length <= 255, **more)


def email(name: str, **more: Any) -> Field:
    return field(name, "email", length=80, **more)


def phone(name: str, **more: Any) -> Field:
    return field(name, "phone", length=40, **more)


def pick(name: str, *values: str, **more: Any) -> Field:
    return field(name, "picklist", length=255, picklist=values, **more)


def flag(name: str, **more: Any) -> Field:
    return field(name, "boolean", **{**more, "nillable": False})


def whole(name: str, **more: Any) -> Field:
    return field(name, "int", **more)


def number(name: str, **more: Any) -> Field:
    return field(name, "double", **more)


def money(name: str, **more: Any) -> Field:
    return field(name, "currency", **more)


def day(name: str, **more: Any) -> Field:
    return field(name, "date", **more)


def instant(name: str, **more: Any) -> Field:
    return field(name, "datetime", **more)


def url(name: str, **more: Any) -> Field:
    return field(name, "url", length=255, **more)


def blob(name: str, **more: Any) -> Field:
    return field(name, "base64", filterable=False, **more)


def secret(name: str, length: int = 4000) -> Field:
    """A hidden column for what the twin must know and nobody may read."""
    return field(name, "string", length=length, hidden=True, filterable=False)


def ref(name: str, to: str | tuple[str, ...], *, child: str | None = None, **more: Any) -> Field:
    """A reference; the relationship's name is the field's without Id (or with __r), unless given."""
    relationship = more.pop(
        "relationship", name[:-1] + "r" if name.endswith("__c") else name.removesuffix("Id")
    )
    return field(
        name,
        "reference",
        length=18,
        reference_to=(to,) if isinstance(to, str) else to,
        relationship_name=relationship,
        child_relationship=child,
        **more,
    )


def address(prefix: str, name: str | None = None, **more: Any) -> tuple[Field, ...]:
    """The compound address field and its parts."""
    return (
        area(f"{prefix}Street", 255, **more),
        text(f"{prefix}City", 40),
        text(f"{prefix}State", 80),
        text(f"{prefix}PostalCode", 20, **more),
        text(f"{prefix}Country", 80),
        pick(f"{prefix}StateCode"),
        pick(f"{prefix}CountryCode"),
        field(
            name or f"{prefix}Address",
            "address",
            calculated=True,
            createable=False,
            updateable=False,
            filterable=False,
        ),
    )


ID = field("Id", "id", length=18, nillable=False, createable=False, updateable=False, label="Record ID")


def _system(make: Any, name: str, *args: Any, **more: Any) -> Field:
    made: Field = make(name, *args, nillable=False, createable=False, updateable=False, **more)
    return made


CREATED = _system(instant, "CreatedDate")
CREATED_BY = _system(ref, "CreatedById", "User")
MODIFIED = _system(instant, "LastModifiedDate")
MODIFIED_BY = _system(ref, "LastModifiedById", "User")
MODSTAMP = _system(instant, "SystemModstamp")
IS_DELETED = _system(flag, "IsDeleted", label="Deleted")
AUDIT = (CREATED, CREATED_BY, MODIFIED, MODIFIED_BY, MODSTAMP)


def owner(*, child: str | None = None) -> Field:
    return ref("OwnerId", ("User", "Group"), child=child, nillable=False)


def sobject(
    name: str,
    prefix: str,
    *fields: Field | Iterable[Field],
    label: str | None = None,
    audit: tuple[Field, ...] | None = None,
    **more: Any,
) -> SObject:
    """An object type with Id first and the audit fields last; `audit` overrides which ones it has."""
    flat = [f for item in fields for f in ((item,) if isinstance(item, Field) else item)]
    if audit is None:
        audit = AUDIT if more.get("setup") else (IS_DELETED, *AUDIT)
    return SObject(
        name,
        label or _label(name),
        prefix,
        (ID, *flat, *audit),
        custom=name.endswith("__c"),
        **more,
    )


def read_only(name: str, prefix: str, *fields: Field | Iterable[Field], **more: Any) -> SObject:
    """An object that can be queried and nothing else."""
    more = {"createable": False, "updateable": False, "deletable": False, **more}
    return sobject(name, prefix, *fields, **more)
