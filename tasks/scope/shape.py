"""What the org's objects look like: fields, where a lookup leads, what a child relationship is called."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_PERSON_FIELDS = frozenset({"firstname", "lastname"})


@dataclass(frozen=True, slots=True)
class FieldShape:
    name: str
    type: str
    label: str = ""
    relationship: str | None = None  # what a query calls the parent: Account, Contact__r
    reference_to: tuple[str, ...] = ()
    custom: bool = False
    filterable: bool = True


@dataclass(frozen=True, slots=True)
class ObjectShape:
    name: str
    fields: tuple[FieldShape, ...]
    children: Mapping[str, tuple[str, str]]  # relationship name, lower case -> child object, its lookup field
    key_prefix: str = ""
    queryable: bool = True

    def field(self, name: str) -> FieldShape | None:
        """The field of that name, whatever its case."""
        wanted = name.casefold()
        return next((f for f in self.fields if f.name.casefold() == wanted), None)

    def parent(self, relationship: str) -> FieldShape | None:
        """The lookup that a query reaches by this relationship name."""
        wanted = relationship.casefold()
        return next((f for f in self.fields if (f.relationship or "").casefold() == wanted), None)

    @property
    def is_person(self) -> bool:
        """Whether a record is a person: it has a first and a last name of its own."""
        return {f.name.casefold() for f in self.fields} >= _PERSON_FIELDS


def object_shape(described: Mapping[str, Any]) -> ObjectShape:
    """From the answer of a describe call."""
    fields = tuple(
        FieldShape(
            name=str(f["name"]),
            type=str(f["type"]),
            label=str(f.get("label") or ""),
            relationship=f.get("relationshipName") or None,
            reference_to=tuple(f.get("referenceTo") or ()),
            custom=bool(f.get("custom")),
            filterable=bool(f.get("filterable", True)),
        )
        for f in described["fields"]
    )
    children = {
        str(c["relationshipName"]).casefold(): (str(c["childSObject"]), str(c["field"]))
        for c in described.get("childRelationships") or ()
        if c.get("relationshipName")
    }
    return ObjectShape(
        str(described["name"]),
        fields,
        children,
        str(described.get("keyPrefix") or ""),
        bool(described.get("queryable", True)),
    )


class OrgShape:
    """Shapes by object name, described once each. `None` for an object the org does not have or show us."""

    def __init__(
        self, describe: Callable[[str], Mapping[str, Any] | None], names: Callable[[], list[str]]
    ) -> None:
        self._describe = describe
        self._names = names
        self._known: dict[str, ObjectShape | None] = {}
        self._lock = threading.Lock()

    def preset(self, shapes: Iterable[ObjectShape]) -> None:
        """Shapes that need not be described."""
        with self._lock:
            self._known |= {shape.name.casefold(): shape for shape in shapes}

    def get(self, name: str) -> ObjectShape | None:
        key = name.casefold()
        with self._lock:
            if key in self._known:
                return self._known[key]
        described = self._describe(name)
        shape = object_shape(described) if described is not None else None
        with self._lock:
            self._known[key] = shape
        return shape

    def all(self) -> Iterator[ObjectShape]:
        """Every queryable object."""
        for name in self._names():
            shape = self.get(name)
            if shape is not None and shape.queryable:
                yield shape
