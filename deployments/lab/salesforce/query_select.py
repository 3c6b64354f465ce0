"""SELECT of records: which SQL columns to fetch, and how one fetched row becomes REST's JSON and its truth.

A shape describes one record in the row, the root or a parent; the shapes of a query form a tree. Building a
row also tells what it discloses: for every record in it the object, the id and the fields.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from blocks.salesforce.soql import ast
from deployments.lab.salesforce import query_errors as errors
from deployments.lab.salesforce.query_functions import DATE_PARTS, LABELS, Term, term
from deployments.lab.salesforce.query_source import (
    Column,
    Node,
    Source,
    visible_fields,
)
from deployments.lab.salesforce.schema import Field, SObject

Served = tuple[str, str, tuple[str, ...]]
Convert = Callable[[Any], Any]
NO_ID = "000000000000000AAA"
ADDRESS_PARTS = ("City", "Country", "CountryCode", "PostalCode", "State", "StateCode", "Street")
MASK = "*" * 16
SEE_ENCRYPTED = "PermissionsViewEncryptedData"


@dataclass(slots=True)
class Shape:
    """One record of the row. `id_at` and `type_at` are column numbers; `type_at` only where it varies.

    `only` limits the shape to records of one object type (TYPEOF); `fields` are what it discloses, by object.
    """

    node: Node
    id_at: int
    type_at: int | None = None
    steps: list[Step] = field(default_factory=list)
    fields: dict[str, dict[str, None]] = field(default_factory=dict)
    disclosed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    null_ids: frozenset[str] = frozenset()

    @property
    def object(self) -> str:
        return self.node.targets[0].object.name


@dataclass(slots=True)
class Step:
    """One key of the record: a column, a parent's shape, alternatives by type, or a child query's number."""

    key: str
    at: int = -1
    convert: Convert | None = None
    inner: Shape | None = None
    by_type: dict[str, Shape] | None = None
    otherwise: Shape | None = None
    child: int | None = None
    column: Column | None = None


class Selection:
    """The columns to fetch and the shapes over them, for the SELECT list of one query."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.columns: list[str] = []
        self._at: dict[str, int] = {}
        self.root = self._shape(source.root)
        self._shapes: dict[ast.Path, Shape] = {(): self.root}
        self.children: list[ast.SubQuery] = []

    def fetch(self, sql: str) -> int:
        """The number of a column, fetched once however often it is asked for."""
        if sql not in self._at:
            self._at[sql] = len(self.columns)
            self.columns.append(sql)
        return self._at[sql]

    def add(self, items: Sequence[ast.SelectItem]) -> None:
        for item in items:
            match item:
                case ast.FieldRef(path):
                    self._column(self.source.column(path), None)
                case ast.Function():
                    self._function(item)
                case ast.Fields(kind):
                    self._wildcard(kind)
                case ast.TypeOf():
                    self._typeof(item)
                case ast.SubQuery(query):
                    name = query.object.rpartition(".")[2]
                    self.root.steps.append(Step(name, child=len(self.children)))
                    self.children.append(item)
        self._settle(self.root)

    def _settle(self, shape: Shape) -> None:
        keys = [step.key.lower() for step in shape.steps]
        for step in shape.steps:
            if keys.count(step.key.lower()) > 1:
                raise errors.bad_query(f"duplicate field selected: {step.key}", step.key)
        shape.disclosed = {name: tuple(fields) for name, fields in shape.fields.items()}
        for step in shape.steps:
            for inner in (step.inner, step.otherwise, *(step.by_type or {}).values()):
                if inner is not None:
                    self._settle(inner)

    # --- the items of the list

    def _function(self, call: ast.Function) -> None:
        name = call.name.upper()
        if name in DATE_PARTS or name == "DAY_ONLY":
            raise errors.bad_query(f"{call.name} can only be selected with GROUP BY", call.name)
        made = term(self.source, call)
        if made.column is None or name not in LABELS:
            raise errors.bad_query(f"unexpected function: {call.name}", call.name)
        self._column(made.column, call.alias, formatter(call, made))

    def _wildcard(self, kind: str) -> None:
        for found in visible_fields(self.source.settings, self.source.object):
            if kind == "ALL" or found.custom == (kind == "CUSTOM"):
                column = self.source.field_of(self.source.root, found.name)
                if not any(step.key == found.name for step in self.root.steps):
                    self._column(column, None)

    def _typeof(self, item: ast.TypeOf) -> None:
        node = self.source.node(self.source.names.plain(item.field))
        if not node.polymorphic:
            raise errors.bad_query("TYPEOF can only be used with polymorphic relationships", item.field[-1])
        by_type: dict[str, Shape] = {}
        for when in item.whens:
            target = next((t for t in node.targets if t.object.name.lower() == when.object.lower()), None)
            if target is None:
                raise errors.no_type(when.object)
            single = Node(node.path, (target,))
            shape = self._shape(single)
            for chosen in when.fields:
                self._into(shape, self.source.field_of(single, _plain(chosen)), None)
            by_type[target.object.name] = shape
        otherwise = None
        if item.otherwise:
            otherwise = self._shape(node)
            for chosen in item.otherwise:
                self._into(otherwise, self.source.field_of(node, _plain(chosen)), None)
        step = Step(node.path[-1], self.fetch(node.type_sql), by_type=by_type, otherwise=otherwise)
        self._parent_of(node).steps.append(step)

    def _column(self, column: Column, alias: str | None, formatted: Convert | None = None) -> None:
        self._into(self._shape_at(column.node), column, alias, formatted)

    def _into(
        self, shape: Shape, column: Column, alias: str | None, formatted: Convert | None = None
    ) -> None:
        sql, convert, discloses = value_sql(self.source, column)
        step = Step(alias or column.name, self.fetch(sql), formatted or convert, column=column)
        shape.steps.append(step)
        for object_name, field_name in column.served if discloses else ():
            shape.fields.setdefault(object_name, {})[field_name] = None

    # --- shapes

    def _shape(self, node: Node) -> Shape:
        type_at = self.fetch(node.type_sql) if node.polymorphic else None
        null_ids = frozenset(t.object.name for t in node.targets if t.object.null_id)
        fields: dict[str, dict[str, None]] = {t.object.name: {} for t in node.targets}
        return Shape(node, self.fetch(node.id_sql), type_at, fields=fields, null_ids=null_ids)

    def _shape_at(self, node: Node) -> Shape:
        key = tuple(part.lower() for part in node.path)
        if key not in self._shapes:
            shape = self._shape(node)
            self._shapes[key] = shape
            self._parent_of(node).steps.append(Step(node.path[-1], inner=shape))
        return self._shapes[key]

    def _parent_of(self, node: Node) -> Shape:
        return self._shape_at(self.source.node(node.path[:-1])) if node.path else self.root


def _plain(chosen: ast.FieldRef) -> str:
    if len(chosen.path) > 1:
        raise errors.no_relationship(chosen.path[0])
    return chosen.path[0]


def value_sql(source: Source, column: Column) -> tuple[str, Convert | None, bool]:
    """SQL of a field's value, its conversion to JSON, and whether the value itself is given away."""
    found = column.field
    match found.type:
        case "boolean":
            return column.sql, bool, True
        case "double" | "currency" | "percent":
            return column.sql, _float, True
        case "address":
            return address_sql(column), _load, True
        case "base64":
            return blob_sql(source, column), None, False  # an address to fetch it from, no content
        case "encryptedstring" if not source.settings.viewer.has(SEE_ENCRYPTED):
            return masked_sql(column), None, False
        case "id" if any(target.object.null_id for target in column.node.targets):
            return "NULL", None, True
        case "textarea" if found.name == "Metadata":
            return column.sql, _load, True
    return column.sql, None, True


def address_sql(column: Column) -> str:
    """A compound address as JSON text, null when every part is empty."""
    target = column.node.targets[0]
    prefix = "" if column.name == "Address" else column.name.removesuffix("Address")
    pairs, parts = [], []
    for part in ADDRESS_PARTS:
        found = target.object.field(prefix + part)
        sql = target.sql(found.name) if found else "NULL"
        pairs.append(f"'{part[0].lower()}{part[1:]}', {sql}")
        parts.append(sql)
    pairs += ["'geocodeAccuracy', NULL", "'latitude', NULL", "'longitude', NULL"]
    return f"CASE WHEN COALESCE({', '.join(parts)}) IS NOT NULL THEN json_object({', '.join(pairs)}) END"


def blob_sql(source: Source, column: Column) -> str:
    """What a query gives for a blob: the address it can be fetched from."""
    target = column.node.targets[0]
    base = f"/services/data/v{source.settings.api_version}/sobjects/{target.object.name}/"
    return f"'{base}' || {target.sql('Id')} || '/{column.name}'"


def masked_sql(column: Column) -> str:
    """An encrypted field for those who may not decrypt it."""
    return f"CASE WHEN {column.sql} IS NOT NULL THEN '{MASK}' END"


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _load(value: Any) -> Any:
    if value is None:
        return None
    try:
        return json.loads(value)
    except ValueError:
        return value


def formatter(call: ast.Function, made: Term) -> Convert | None:
    """FORMAT() as an American user sees it; toLabel and convertCurrency change nothing here."""
    if call.name.upper() != "FORMAT":
        return None
    if made.type in ("int", "double", "currency", "percent"):
        return lambda value: None if value is None else f"{value:,.10f}".rstrip("0").rstrip(".")
    if made.type in ("date", "datetime"):
        return _american
    return None


def _american(value: str | None) -> str | None:
    if not value:
        return None
    day = f"{int(value[5:7])}/{int(value[8:10])}/{value[:4]}"
    if len(value) < 16:
        return day
    hour = int(value[11:13])
    return f"{day}, {hour % 12 or 12}:{value[14:16]} {'PM' if hour >= 12 else 'AM'}"


class Builder:
    """Makes records of fetched rows. Give it the shapes and the address of the API."""

    def __init__(self, selection: Selection, api_version: str) -> None:
        self._root = selection.root
        self._base = f"/services/data/v{api_version}/sobjects/"

    def build(self, row: Sequence[Any], children: Sequence[Any], served: list[Served]) -> dict[str, Any]:
        """One record as JSON; `children` are its child queries' answers, `served` gets what it discloses."""
        record = self._record(self._root, row, served, children)
        assert record is not None  # the root always has an id
        return record

    def _record(
        self, shape: Shape, row: Sequence[Any], served: list[Served], children: Sequence[Any] = ()
    ) -> dict[str, Any] | None:
        record_id = row[shape.id_at]
        if record_id is None:
            return None
        name = shape.object if shape.type_at is None else row[shape.type_at]
        shown = NO_ID if name in shape.null_ids else record_id
        record: dict[str, Any] = {"attributes": {"type": name, "url": f"{self._base}{name}/{shown}"}}
        fields = shape.disclosed.get(name)
        if fields:
            served.append((name, record_id, fields))
        for step in shape.steps:
            if step.at >= 0 and step.by_type is None:
                value = row[step.at]
                record[step.key] = value if step.convert is None else step.convert(value)
            elif step.inner is not None:
                record[step.key] = self._record(step.inner, row, served)
            elif step.child is not None:
                record[step.key] = children[step.child]
            else:
                chosen = (step.by_type or {}).get(row[step.at], step.otherwise)
                record[step.key] = None if chosen is None else self._record(chosen, row, served)
        return record


def child_object(source: Source, query: ast.Query) -> tuple[str, SObject, Field]:
    """The child relationship that a subquery's FROM names: its name, the child object, the child's field."""
    wanted = query.object.rpartition(".")[2].lower()
    settings = source.settings
    for name, child, reference in settings.schema.children(source.object.name):
        if name.lower() == wanted:
            found = settings.schema.get(child)
            if found and settings.viewer.can_read(found.name):
                return name, found, reference
    raise errors.no_child_relationship(query.object)
