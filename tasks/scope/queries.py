"""What a logged query asked for: objects, returned fields, parents, children, filters, or only an aggregate.

A text that cannot be read is not dropped: it widens to every readable field of the object it names, and is
listed. Aggregates disclose no record; they are kept as reconnaissance.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from blocks.salesforce.soql import Query, SoqlSyntaxError, parse
from blocks.salesforce.soql.ast import Bind, Path, is_aggregate, leaves
from blocks.salesforce.soql.names import function_fields, names_of
from blocks.salesforce.soql.uses import FieldUse, filter_fields, returned_fields
from tasks.scope.shape import ObjectShape, OrgShape

_FROM = re.compile(r"\bFROM\s+([A-Za-z]\w*)", re.IGNORECASE)
# Who made or owns a record: staff, whose names stand beside every record anyway.
_EVERYWHERE = frozenset({"createdby", "lastmodifiedby", "owner", "recordtype", "profile", "userrole"})
_CUSTOM = {"ALL": (True, False), "CUSTOM": (True,), "STANDARD": (False,)}


@dataclass(frozen=True, slots=True)
class Returned:
    """The fields returned of one kind of record: the row itself, a parent (by path) or a child's records."""

    objects: tuple[str, ...]  # several where a lookup may lead to several
    fields: tuple[str, ...]
    path: Path = ()
    children: tuple[str, ...] = ()  # child relationships from the row down to the query that returns it


@dataclass(frozen=True, slots=True)
class Asked:
    """One query text, understood as far as it could be."""

    digest: str  # names the query in tables; the text itself may hold personal data
    object: str  # "" when not even that could be read
    returned: tuple[Returned, ...] = ()
    filters: tuple[str, ...] = ()  # what a WHERE asks can be learnt by asking
    aggregate: bool = False
    grouped: tuple[str, ...] = ()  # GROUP BY fields: their values are shown, though no record is
    widened: str = ""  # why more is assumed than was read; empty when exact
    query: Query | None = field(default=None, repr=False)


def digest(text: str) -> str:
    return hashlib.sha256(text.strip().encode("utf-8", "surrogatepass")).hexdigest()[:16]


def understand(text: str, shape: OrgShape) -> Asked:
    """Read one logged query. Never raises for what the text says."""
    name = digest(text)
    try:
        query = parse(text)
    except SoqlSyntaxError as error:
        why = f"the text could not be read at line {error.line}, column {error.column}"
        return _unread(name, text, why, shape)
    root = shape.get(query.object)
    if root is None:
        return Asked(name, query.object, widened=f"object {query.object} cannot be described", query=query)
    filters = tuple(sorted({".".join((*use.children, *use.path)) for use in filter_fields(query)}))
    if is_aggregate(query):
        return Asked(name, root.name, (), filters, True, _grouped(query), query=query)
    returned, doubts = _returned(query, root, shape)
    if _has_binds(query):
        doubts.append("a bound value is unknown")
    return Asked(name, root.name, returned, filters, widened="; ".join(dict.fromkeys(doubts)), query=query)


def whole_object(object_name: str, why: str, shape: OrgShape, name: str = "") -> Asked:
    """Every readable field of every record of an object: what is assumed where the query is unknown."""
    root = shape.get(object_name) if object_name else None
    if root is None:
        why = f"{why}; object {object_name or 'unknown'} cannot be described"
        return Asked(name, object_name, widened=why)
    returned = [Returned((root.name,), _names(root)), *_parents(root, shape)]
    return Asked(name, root.name, tuple(returned), widened=why)


def _parents(root: ObjectShape, shape: OrgShape, above: Path = ()) -> Iterator[Returned]:
    """What a query that nobody knows may have read of the records that these belong to, two steps up."""
    for lookup in root.fields:
        targets = tuple(t for t in lookup.reference_to if shape.get(t) is not None)
        if not lookup.relationship or not targets or lookup.relationship.casefold() in _EVERYWHERE:
            continue
        path = (*above, lookup.relationship.casefold())
        found = [parent for t in targets if (parent := shape.get(t)) is not None]
        yield Returned(targets, tuple(dict.fromkeys(n for one in found for n in _names(one))), path)
        if not above and len(found) == 1:
            yield from _parents(found[0], shape, path)


def _unread(name: str, text: str, why: str, shape: OrgShape) -> Asked:
    """The first FROM outside of brackets, quotes and comments names the object."""
    outside = re.sub(r"'(?:[^'\\]|\\.)*'", "''", text)
    outside = re.sub(r"/\*.*?\*/|--[^\n]*", " ", outside, flags=re.DOTALL)
    while (shorter := re.sub(r"\([^()]*\)", " ", outside)) != outside:
        outside = shorter
    match = _FROM.search(outside) or _FROM.search(text)
    return whole_object(match[1] if match else "", why, shape, name)


def _returned(query: Query, root: ObjectShape, shape: OrgShape) -> tuple[tuple[Returned, ...], list[str]]:
    """Returned fields grouped by the record that carries them; and what could not be followed."""
    doubts: list[str] = []
    fields: dict[tuple[tuple[str, ...], Path], dict[str, None]] = {((), ()): {}}
    objects: dict[tuple[tuple[str, ...], Path], dict[str, None]] = {((), ()): {root.name: None}}
    for use in returned_fields(query):
        child = _child(root, use.children, shape)
        if child is None:
            doubts.append(f"child relationship {'.'.join(use.children)} of {root.name} cannot be followed")
            continue
        base = tuple(step.casefold() for step in use.path[:-1])
        ends = (use.when,) if use.when else _ends(child, base, shape)
        if not ends:
            doubts.append(f"relationship {'.'.join(use.path[:-1])} of {child.name} cannot be followed")
        key = (tuple(step.casefold() for step in use.children), base)
        fields.setdefault(key, {}).update(dict.fromkeys(_field_names(use, child)))
        objects.setdefault(key, {}).update(dict.fromkeys(ends))
    # Of a row of which only parents or children are shown, no field left.
    shown = [key for key in fields if fields[key] or doubts]
    return tuple(Returned(tuple(objects[k]), tuple(fields[k]), k[1], k[0]) for k in shown), doubts


def _field_names(use: FieldUse, shape: ObjectShape) -> tuple[str, ...]:
    if not use.wildcard:
        return (use.path[-1],)
    wanted = _CUSTOM.get(use.wildcard.upper(), (True, False))
    return tuple(f.name for f in shape.fields if f.custom in wanted)


def _child(root: ObjectShape, relationships: tuple[str, ...], shape: OrgShape) -> ObjectShape | None:
    current: ObjectShape | None = root
    for name in relationships:
        found = current.children.get(name.casefold()) if current else None
        current = shape.get(found[0]) if found else None
    return current


def _ends(start: ObjectShape, path: Path, shape: OrgShape) -> tuple[str, ...]:
    """The objects at the end of a relationship path; several where a lookup may lead to several."""
    names: tuple[str, ...] = (start.name,)
    for step in path:
        lookups = [s.parent(step) for name in names if (s := shape.get(name)) is not None]
        names = tuple(sorted({target for lookup in lookups if lookup for target in lookup.reference_to}))
    return names


def _names(root: ObjectShape) -> tuple[str, ...]:
    return tuple(f.name for f in root.fields)


def _grouped(query: Query) -> tuple[str, ...]:
    names = names_of(query)
    items = query.group_by.items if query.group_by else ()
    return tuple(sorted({".".join(names.plain(f.path)) for item in items for f in function_fields(item)}))


def _has_binds(query: Query) -> bool:
    def bound() -> Iterator[bool]:
        yield isinstance(query.limit, Bind) or isinstance(query.offset, Bind)
        for leaf in leaves(query.where):
            yield isinstance(getattr(leaf, "value", None), Bind)

    return any(bound())
