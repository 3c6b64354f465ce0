"""The twin's schema: every object type the stand-in org knows, by name, by id prefix, by relationship."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from deployments.lab.salesforce.schema_access import ACCESS
from deployments.lab.salesforce.schema_crm import CRM
from deployments.lab.salesforce.schema_events import EVENTS
from deployments.lab.salesforce.schema_logs import LOGS
from deployments.lab.salesforce.schema_setup import OBJECT_PERMISSIONS, PERMISSIONS, SETUP
from deployments.lab.salesforce.schema_tooling import REIFIED, TOOLING
from deployments.lab.salesforce.schema_types import Field, SObject

__all__ = ["OBJECT_PERMISSIONS", "PERMISSIONS", "REIFIED", "SCHEMA", "Field", "SObject", "Schema"]

Child = tuple[str, str, Field]


class Schema:
    """A closed set of object types. Names are found whatever their case; id prefixes are exact."""

    def __init__(self, objects: Iterable[SObject]) -> None:
        self.objects: dict[str, SObject] = {o.name: o for o in objects}
        self._by_lower = {name.lower(): o for name, o in self.objects.items()}
        self._by_prefix = {o.key_prefix: o for o in self.objects.values()}
        children: dict[str, list[Child]] = defaultdict(list)
        for source in self.objects.values():
            for field in source.fields:
                if field.child_relationship is None:
                    continue
                for parent in field.reference_to:
                    children[parent].append((field.child_relationship, source.name, field))
        self._children = {name: tuple(found) for name, found in children.items()}

    def get(self, name: str) -> SObject | None:
        """The object type of that name, or None."""
        return self._by_lower.get(name.lower())

    def children(self, name: str) -> tuple[Child, ...]:
        """(relationship name, child object, child's field) for every object that refers to `name`."""
        found = self.get(name)
        return self._children.get(found.name, ()) if found else ()

    def by_prefix(self, prefix: str) -> SObject | None:
        """The object type whose record ids start with these three characters, or None."""
        return self._by_prefix.get(prefix)


SCHEMA = Schema((*CRM, *SETUP, *ACCESS, *LOGS, *EVENTS, *TOOLING))
