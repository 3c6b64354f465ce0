"""Where a query reads from: the object in FROM, the parents its paths reach, and who may see which.

Every name is checked against the schema and the viewer's rights before it becomes SQL, so no text of the
statement ever does: names come from the schema, values are bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, Protocol

from blocks.salesforce.soql import ast
from blocks.salesforce.soql.names import Names
from deployments.lab.salesforce import query_errors as errors
from deployments.lab.salesforce.schema import REIFIED, Field, Schema, SObject

BOTH_APIS = frozenset({"ApexClass", "NamedCredential"})  # tooling objects that plain REST knows too
NAME_FIELDS = (
    "Id", "Name", "FirstName", "LastName", "Title", "Email", "Phone", "Alias", "Username", "IsActive",
    "ProfileId", "UserRoleId", "Type",
)  # fmt: skip
NAME_PARENTS = frozenset({"profile", "userrole"})  # what `Owner.` and `Who.` lead on to
TYPE_FIELD = Field("Type", "string", "Type")


class Viewer(Protocol):
    """Whose rights a query runs under."""

    @property
    def user_id(self) -> str: ...
    def can_read(self, name: str, /) -> bool: ...
    def readable_fields(self, name: str, /) -> frozenset[str] | None: ...
    def has(self, permission: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """What a statement is run with, the same for all its parts."""

    schema: Schema
    viewer: Viewer
    now: datetime
    tz: str
    all_rows: bool = False
    tooling: bool = False
    api_version: str = "67.0"
    fiscal_year_start_month: int = 1


@dataclass(slots=True)
class Statement:
    """One SQL statement in the making: the values bound so far and the table aliases handed out."""

    settings: Settings
    params: dict[str, Any] = field(default_factory=dict)
    _tables: count[int] = field(default_factory=count)
    _bound: dict[tuple[type, Any], str] = field(default_factory=dict)

    def bind(self, value: Any) -> str:
        """A parameter for the value; equal values share one, so that equal expressions are equal SQL."""
        key = (type(value), value)
        if key not in self._bound:
            self._bound[key] = f":p{len(self.params)}"
            self.params[self._bound[key][1:]] = value
        return self._bound[key]

    def table(self) -> str:
        return f"t{next(self._tables)}"


@dataclass(frozen=True, slots=True)
class Target:
    """One table that a record may come from."""

    table: str
    object: SObject

    def sql(self, name: str) -> str:
        return f'{self.table}."{name}"'


@dataclass(frozen=True, slots=True)
class Node:
    """A record in the row: the root, or a parent at `path`. Polymorphic parents have several targets."""

    path: ast.Path
    targets: tuple[Target, ...]
    polymorphic: bool = False

    @property
    def entity(self) -> str:
        return "Name" if self.polymorphic else self.targets[0].object.name

    @property
    def id_sql(self) -> str:
        return _first_of([target.sql("Id") for target in self.targets])

    @property
    def type_sql(self) -> str:
        """The name of the object the record is of."""
        cases = " ".join(f"WHEN {t.sql('Id')} IS NOT NULL THEN '{t.object.name}'" for t in self.targets)
        return f"CASE {cases} END" if cases else "NULL"


@dataclass(frozen=True, slots=True)
class Column:
    """One field of one node. `served` tells, for each object it can come from, which field it discloses."""

    sql: str
    field: Field
    node: Node
    served: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        return self.field.name


def find_object(settings: Settings, name: str) -> SObject:
    """The object type of that name, if this API and the viewer's rights show it. Raises INVALID_TYPE."""
    found = settings.schema.get(name)
    if found is None or not _in_api(settings, found) or not settings.viewer.can_read(found.name):
        raise errors.no_type(name)
    if not found.queryable:
        message = f"entity type {found.name} does not support query"
        raise errors.QueryError("INVALID_TYPE_FOR_OPERATION", message, name)
    return found


def _in_api(settings: Settings, found: SObject) -> bool:
    if settings.tooling:
        return found.tooling or found.setup
    return not found.tooling or found.name in BOTH_APIS


def visible_fields(settings: Settings, sobject: SObject) -> list[Field]:
    """The fields of an object that the viewer may read, in the schema's order."""
    readable = settings.viewer.readable_fields(sobject.name)
    return [f for f in sobject.fields if not f.hidden and (readable is None or _open(f, readable))]


def _open(field: Field, readable: frozenset[str]) -> bool:
    return field.type == "id" or field.name in readable


def visible_field(settings: Settings, sobject: SObject, name: str) -> Field | None:
    found = sobject.field(name)
    if found is None or found.hidden:
        return None
    readable = settings.viewer.readable_fields(sobject.name)
    return found if readable is None or _open(found, readable) else None


class Source:
    """FROM: the root object and whatever parents the paths of this query have asked for so far."""

    def __init__(self, statement: Statement, sobject: SObject, names: Names) -> None:
        self.statement = statement
        self.settings = statement.settings
        self.object = sobject
        self.names = names
        self.root = Node((), (Target(statement.table(), sobject),))
        self._nodes: dict[ast.Path, Node] = {(): self.root}
        self._joins: list[str] = []

    @property
    def sql(self) -> str:
        """The FROM clause with its joins, complete once every path has been asked for."""
        root = self.root.targets[0]
        return " ".join([f'FROM "{root.object.name}" AS {root.table}', *self._joins])

    def row_filters(self) -> list[str]:
        """What hides rows of the root: deletion, and ownership where the object shows only one's own."""
        return self._hiding(self.root.targets[0])

    def _hiding(self, target: Target) -> list[str]:
        hidden = []
        if not self.settings.all_rows and target.object.soft_delete:
            hidden.append(f"{target.sql('IsDeleted')} = 0")
        lifting = target.object.own_rows_unless
        if lifting and not self.settings.viewer.has(lifting):
            owner = "UsersId" if target.object.field("UsersId") else "UserId"
            hidden.append(f"{target.sql(owner)} = {self.statement.bind(self.settings.viewer.user_id)}")
        return hidden

    def column(self, path: ast.Path) -> Column:
        """The field a path as written means. Raises INVALID_FIELD."""
        return self.field_of(self.node(self.names.plain(path)[:-1]), self.names.plain(path)[-1])

    def node(self, path: ast.Path) -> Node:
        """The parent a path of relationships leads to, joined if it was not yet."""
        key = tuple(part.lower() for part in path)
        if key not in self._nodes:
            self._nodes[key] = self._join(self.node(path[:-1]), path[-1])
        return self._nodes[key]

    def _join(self, parent: Node, relationship: str) -> Node:
        wanted = relationship.lower()
        if parent.polymorphic and wanted not in NAME_PARENTS:
            raise errors.no_relationship(relationship)
        targets: list[Target] = []
        reference: Field | None = None
        polymorphic = False
        for holder in parent.targets:
            reference = _reference(self.settings, holder.object, wanted)
            if reference is not None:
                polymorphic = len(reference.reference_to) > 1
                targets += self._targets(holder, reference)
        if not targets or (reference is None and not parent.polymorphic):
            raise errors.no_relationship(relationship)
        name = next(
            found.relationship_name or relationship
            for holder in parent.targets
            if (found := _reference(self.settings, holder.object, wanted))
        )
        return Node((*parent.path, name), tuple(targets), polymorphic)

    def _targets(self, holder: Target, reference: Field) -> list[Target]:
        targets = []
        for name in reference.reference_to:
            sobject = self.settings.schema.get(name)
            if sobject is None or not self.settings.viewer.can_read(sobject.name):
                continue
            target = Target(self.statement.table(), sobject)
            conditions = [f"{target.sql('Id')} = {holder.sql(reference.name)}", *self._hiding(target)]
            self._joins.append(f'LEFT JOIN "{sobject.name}" AS {target.table} ON {" AND ".join(conditions)}')
            targets.append(target)
        return targets

    def field_of(self, node: Node, name: str) -> Column:
        """One field of a node. Raises INVALID_FIELD in Salesforce's words."""
        if node.polymorphic:
            return self._name_field(node, name)
        target = node.targets[0]
        found = visible_field(self.settings, target.object, name)
        if found is None:
            raise errors.no_column(name, target.object.name)
        sql = target.sql(found.name) if found.stored else "NULL"
        return Column(sql, found, node, ((target.object.name, found.name),))

    def _name_field(self, node: Node, name: str) -> Column:
        """A field of the `Name` object, which stands for whatever a polymorphic reference points at."""
        canonical = next((known for known in NAME_FIELDS if known.lower() == name.lower()), None)
        if canonical is None:
            raise errors.no_column(name, "Name")
        if canonical == "Type":
            return Column(node.type_sql, TYPE_FIELD, node, ())
        parts: list[str] = []
        served: list[tuple[str, str]] = []
        kind = "string"
        for target in node.targets:
            found = _named(self.settings, target.object, canonical)
            if found is not None:
                parts.append(target.sql(found.name))
                served.append((target.object.name, found.name))
                kind = found.type
        shown = Field(canonical, kind, canonical, reference_to=("Name",) if kind == "id" else ())
        return Column(_first_of(parts), shown, node, tuple(served))


def _named(settings: Settings, sobject: SObject, name: str) -> Field | None:
    if name == "Name":
        title = next((f for f in sobject.fields if f.name_field), None)
        return visible_field(settings, sobject, title.name if title else "Name")
    return visible_field(settings, sobject, name)


def _reference(settings: Settings, sobject: SObject, relationship: str) -> Field | None:
    for candidate in sobject.fields:
        if (candidate.relationship_name or "").lower() == relationship:
            return visible_field(settings, sobject, candidate.name)
    return None


def _first_of(parts: list[str]) -> str:
    if not parts:
        return "NULL"
    return parts[0] if len(parts) == 1 else f"COALESCE({', '.join(parts)})"


def check_reified(sobject: SObject, query: ast.Query) -> None:
    """EntityDefinition and FieldDefinition answer only when filtered by a key column."""
    if sobject.name not in REIFIED or sobject.name == "EntityDefinition":
        return
    for leaf in ast.leaves(query.where):
        left = leaf.field if isinstance(leaf, ast.SemiJoin) else leaf.left
        if isinstance(left, ast.FieldRef) and {part.lower() for part in left.path} & {
            "entitydefinition",
            "entitydefinitionid",
            "durableid",
        }:
            return
    raise errors.bad_query(
        f"{sobject.name}: a filter on a reified column is required [EntityDefinitionId,DurableId]"
    )
