"""The answer to `query?columns=true`: what each column is, in the shape that the sf command line reads."""

from __future__ import annotations

from typing import Any

from deployments.lab.salesforce.query_functions import NUMERIC, TEXTUAL
from deployments.lab.salesforce.query_groups import Groups
from deployments.lab.salesforce.query_select import Shape, Step
from deployments.lab.salesforce.schema import Field

APEX_TYPES = {
    "id": "Id",
    "reference": "Id",
    "boolean": "Boolean",
    "int": "Integer",
    "double": "Double",
    "currency": "Double",
    "percent": "Double",
    "date": "Date",
    "datetime": "Datetime",
    "base64": "Blob",
    "address": "Address",
}


def _column(name: str, type_: str, display: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "aggregate": False,
        "apexType": APEX_TYPES.get(type_, "String"),
        "booleanType": type_ == "boolean",
        "columnName": name,
        "custom": name.endswith(("__c", "__r")),
        "displayName": display or name,
        "foreignKeyName": None,
        "insertable": False,
        "joinColumns": [],
        "numberType": type_ in NUMERIC,
        "textType": type_ in TEXTUAL or type_ in ("id", "reference"),
        "updatable": False,
        **more,
    }


def _field(found: Field, name: str) -> dict[str, Any]:
    foreign = found.relationship_name if found.type == "reference" else None
    return _column(
        name,
        found.type,
        insertable=found.createable,
        updatable=found.updateable,
        foreignKeyName=foreign,
        custom=found.custom,
    )


def record_columns(shape: Shape, children: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The columns of a record query; a parent's and a child query's columns stand in `joinColumns`."""
    return [_step(step, children) for step in shape.steps]


def _step(step: Step, children: list[list[dict[str, Any]]]) -> dict[str, Any]:
    if step.column is not None:
        return _field(step.column.field, step.key)
    if step.child is not None:
        return _column(step.key, "", aggregate=True, joinColumns=children[step.child], textType=False)
    shapes = [step.inner] if step.inner else [*(step.by_type or {}).values(), step.otherwise]
    joined: dict[str, dict[str, Any]] = {}
    for shape in shapes:
        for inner in shape.steps if shape else ():
            joined.setdefault(inner.key, _step(inner, children))
    return _column(step.key, "", joinColumns=list(joined.values()), foreignKeyName=step.key, textType=False)


def aggregate_columns(groups: Groups) -> list[dict[str, Any]]:
    """The columns of an aggregate query: groups by their field, aggregates by their alias."""
    columns = []
    for output in groups.outputs:
        made = output.term
        is_group = not made.aggregate and output.grouping is None
        type_ = "int" if output.grouping is not None else made.type
        columns.append(_column(output.key, type_, aggregate=not is_group))
    return columns
