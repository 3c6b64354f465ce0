"""Describe calls: the list of objects, one object's basics, one object in full."""

from __future__ import annotations

from typing import Any

from deployments.lab.salesforce.permissions import Access
from deployments.lab.salesforce.schema import Field, SObject
from deployments.lab.salesforce.wire import Call, Reply, not_found

_SOAP_TYPES = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int", "double": "xsd:double",
    "currency": "xsd:double", "percent": "xsd:double", "date": "xsd:date", "datetime": "xsd:dateTime",
    "base64": "xsd:base64Binary", "address": "urn:address",
}  # fmt: skip
_NUMBERS = ("double", "currency", "percent")
_UNGROUPED = ("textarea", "double", "currency", "percent", "datetime", "base64", "address", "encryptedstring")


def list_all(call: Call) -> Reply:
    """GET /sobjects."""
    access = call.org.permissions.of(call.session.user_id)
    tooling = "/tooling/" in call.path
    shown = [
        entry(call, found, access)
        for found in call.org.schema.objects.values()
        if found.tooling == tooling or not found.tooling
        if access.can_read(found.name)
    ]
    return Reply.json({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": shown})


def readable(call: Call, name: str) -> SObject:
    """The object of that name; 404 NOT_FOUND when there is none the caller may see."""
    found = call.org.schema.get(name)
    if found is None or not call.org.permissions.of(call.session.user_id).can_read(found.name):
        raise not_found()
    call.notes.entity = found.name
    return found


def basic(call: Call, name: str) -> Reply:
    """GET /sobjects/{name}."""
    found = readable(call, name)
    access = call.org.permissions.of(call.session.user_id)
    return Reply.json({"objectDescribe": entry(call, found, access), "recentItems": []})


def entry(call: Call, found: SObject, access: Access) -> dict[str, Any]:
    """One object as the list shows it."""
    tooling = "/tooling" if found.tooling else ""
    base = f"{call.root}{tooling}/sobjects/{found.name}"
    plural = found.label + ("" if found.label.endswith("s") else "s")
    crm = not found.setup
    return {
        "activateable": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "createable": access.can_create(found),
        "custom": found.custom,
        "customSetting": False,
        "deepCloneable": False,
        "deletable": access.can_delete(found),
        "deprecatedAndHidden": False,
        "feedEnabled": False,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": found.key_prefix,
        "label": found.label,
        "labelPlural": plural,
        "layoutable": crm,
        "mergeable": found.name in ("Account", "Contact", "Lead", "Case"),
        "mruEnabled": crm,
        "name": found.name,
        "queryable": found.queryable,
        "replicateable": crm,
        "retrieveable": found.queryable,
        "searchable": crm,
        "triggerable": crm,
        "undeletable": found.soft_delete and access.can_delete(found),
        "updateable": access.can_edit(found),
        "urls": {
            "sobject": base,
            "describe": f"{base}/describe",
            "rowTemplate": f"{base}/{{ID}}",
        },
    }


def full(call: Call, name: str) -> Reply:
    """GET /sobjects/{name}/describe."""
    found = readable(call, name)
    access = call.org.permissions.of(call.session.user_id)
    allowed = access.readable_fields(found.name)
    shown = [f for f in found.fields if not f.hidden and (allowed is None or f.name in allowed)]
    made = entry(call, found, access)
    made |= {
        "actionOverrides": [],
        "childRelationships": [
            {
                "cascadeDelete": False,
                "childSObject": child,
                "deprecatedAndHidden": False,
                "field": field.name,
                "junctionIdListNames": [],
                "junctionReferenceTo": [],
                "relationshipName": relationship,
                "restrictedDelete": False,
            }
            for relationship, child, field in call.org.schema.children(found.name)
        ],
        "compactLayoutable": not found.setup,
        "defaultImplementation": None,
        "extendedBy": None,
        "extendsInterfaces": None,
        "fields": [field_entry(f, found, access) for f in shown],
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [
            {
                "active": True,
                "available": True,
                "defaultRecordTypeMapping": True,
                "developerName": "Master",
                "master": True,
                "name": "Master",
                "recordTypeId": "012000000000000AAA",
                "urls": {"layout": f"{call.root}/sobjects/{found.name}/describe/layouts/012000000000000AAA"},
            }
        ],
        "searchLayoutable": not found.setup,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": "All records", "name": "everything"}],
    }
    call.notes.fields = len(shown)
    return Reply.json(made)


def field_entry(field: Field, owner: SObject, access: Access) -> dict[str, Any]:
    """One field as describe shows it."""
    editable = access.may_edit_field(owner.name, field.name)
    number = field.type in _NUMBERS
    text_length = field.length or (18 if field.type in ("id", "reference") else 0)
    filterable = field.filterable and field.type != "address"
    return {
        "aggregatable": filterable and field.type not in ("boolean", "textarea", "base64"),
        "aiPredictionField": False,
        "autoNumber": field.auto_number is not None,
        "byteLength": text_length * 3 if field.type not in ("id", "reference") else 18,
        "calculated": field.calculated,
        "calculatedFormula": None,
        "cascadeDelete": False,
        "caseSensitive": False,
        "compoundFieldName": "Name" if field.name in ("FirstName", "LastName", "Salutation") else None,
        "controllerName": None,
        "createable": field.createable and access.can_create(owner) and editable,
        "custom": field.custom,
        "defaultValue": False if field.type == "boolean" else None,
        "defaultValueFormula": None,
        "defaultedOnCreate": field.type == "boolean" or field.name in ("Id", "OwnerId"),
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": 8 if field.type == "int" else 0,
        "displayLocationInDecimal": False,
        "encrypted": field.type == "encryptedstring",
        "externalId": field.external_id,
        "extraTypeInfo": None,
        "filterable": filterable,
        "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": False,
        "groupable": filterable and field.type not in _UNGROUPED,
        "highScaleNumber": False,
        "htmlFormatted": False,
        "idLookup": field.name in ("Id", "Name") or field.external_id or field.type == "email",
        "inlineHelpText": None,
        "label": field.label,
        "length": text_length if not number else 0,
        "mask": None,
        "maskType": None,
        "name": field.name,
        "nameField": field.name_field,
        "namePointing": len(field.reference_to) > 1,
        "nillable": field.nillable,
        "permissionable": field.nillable and not field.calculated,
        "picklistValues": [
            {"active": True, "defaultValue": False, "label": v, "validFor": None, "value": v}
            for v in field.picklist
        ],
        "polymorphicForeignKey": len(field.reference_to) > 1,
        "precision": 18 if number else 0,
        "queryByDistance": False,
        "referenceTargetField": None,
        "referenceTo": list(field.reference_to),
        "relationshipName": field.relationship_name,
        "relationshipOrder": None,
        "restrictedDelete": False,
        "restrictedPicklist": False,
        "scale": 2 if number else 0,
        "searchPrefilterable": field.type == "reference",
        "soapType": _SOAP_TYPES.get(field.type, "xsd:string"),
        "sortable": filterable and field.type != "textarea",
        "type": field.type,
        "unique": field.unique,
        "updateable": field.updateable and access.can_edit(owner) and editable,
        "writeRequiresMasterRead": False,
    }
