"""The rows of EntityDefinition and FieldDefinition, computed from the schema."""

from __future__ import annotations

from typing import Any

from deployments.lab.salesforce.schema import Field, Schema, SObject

_DATA_TYPES = {
    "id": "Lookup()",
    "string": "Text({length})",
    "textarea": "Long Text Area({length})",
    "email": "Email",
    "phone": "Phone",
    "picklist": "Picklist",
    "multipicklist": "Picklist (Multi-Select)",
    "reference": "Lookup({targets})",
    "boolean": "Checkbox",
    "int": "Number(8, 0)",
    "double": "Number(16, 2)",
    "currency": "Currency(16, 2)",
    "percent": "Percent(16, 2)",
    "date": "Date",
    "datetime": "Date/Time",
    "url": "URL(255)",
    "encryptedstring": "Text (Encrypted)({length})",
    "base64": "Base64",
    "address": "Address",
}
_PRIVATE = {"Contact", "Lead", "Case", "Loyalty_Member__c", "Payment_Token__c"}

Rows = tuple[tuple[str, ...], list[tuple[Any, ...]]]


def definitions(schema: Schema, name: str) -> Rows:
    """Column names and rows of the named definition object."""
    return _entities(schema) if name == "EntityDefinition" else _fields(schema)


def _entities(schema: Schema) -> Rows:
    columns = (
        "DurableId", "QualifiedApiName", "DeveloperName", "Label", "MasterLabel", "PluralLabel", "KeyPrefix",
        "IsQueryable", "IsCustomizable", "IsApexTriggerable", "IsSearchable", "InternalSharingModel",
        "ExternalSharingModel",
    )  # fmt: skip
    return columns, [_entity(sobject) for sobject in schema.objects.values() if not sobject.licence]


def _entity(sobject: SObject) -> tuple[Any, ...]:
    crm = int(not sobject.setup)
    sharing = "Private" if sobject.name in _PRIVATE else "ReadWrite"
    developer_name = sobject.name.removesuffix("__c")
    return (
        sobject.name, sobject.name, developer_name, sobject.label, sobject.label, _plural(sobject.label),
        sobject.key_prefix, int(sobject.queryable), crm, crm, crm, sharing, "Private",
    )  # fmt: skip


def _plural(label: str) -> str:
    return label[:-1] + "ies" if label.endswith("y") else label if label.endswith("s") else label + "s"


def _fields(schema: Schema) -> Rows:
    columns = (
        "DurableId", "EntityDefinitionId", "QualifiedApiName", "DeveloperName", "Label", "MasterLabel",
        "DataType", "ValueTypeId", "Length", "IsNillable", "IsCalculated", "IsApiFilterable",
        "RelationshipName", "SecurityClassification", "ComplianceGroup",
    )  # fmt: skip
    rows = [
        _field(sobject, field)
        for sobject in schema.objects.values()
        if not sobject.licence
        for field in sobject.fields
        if not field.hidden
    ]
    return columns, rows


def _field(sobject: SObject, field: Field) -> tuple[Any, ...]:
    data_type = _DATA_TYPES[field.type].format(length=field.length, targets=",".join(field.reference_to))
    return (
        f"{sobject.name}.{field.name}", sobject.name, field.name, field.name.removesuffix("__c"), field.label,
        field.label, data_type, field.type, field.length, int(field.nillable), int(field.calculated),
        int(field.filterable), field.relationship_name, field.classification,
        ";".join(field.compliance) or None,
    )  # fmt: skip
