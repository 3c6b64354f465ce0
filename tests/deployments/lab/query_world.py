"""A small org in a real store, whose every query answer can be worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployments.lab.salesforce.query import Result, execute, read_soql
from deployments.lab.salesforce.schema import SCHEMA
from deployments.lab.salesforce.store import Store

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@dataclass
class Reader:
    """Whose eyes a query is run with; by default they see everything."""

    user_id: str = "0055g00000000ZZAAY"
    objects: frozenset[str] | None = None
    fields: dict[str, frozenset[str]] = field(default_factory=dict)
    permissions: frozenset[str] | None = None

    def can_read(self, name: str) -> bool:
        return self.objects is None or name in self.objects

    def readable_fields(self, name: str) -> frozenset[str] | None:
        return self.fields.get(name)

    def has(self, permission: str) -> bool:
        return self.permissions is None or permission in self.permissions


class World:
    """The org: ids by a short name, and one call to ask."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "org.db", clock=lambda: NOW)
        self.ids: dict[str, str] = {}
        self._people()
        self._records()

    def add(self, key: str, object_name: str, **values: Any) -> str:
        self.ids[key] = self.store.insert(object_name, [values])[0]
        return self.ids[key]

    def _people(self) -> None:
        self.add("admin", "Profile", Name="System Administrator")
        self.add("ada", "User", Username="ada@lab.example", LastName="Adams", FirstName="Ada", Alias="ada",
                 Email="ada@lab.example", IsActive=1, ProfileId=self.ids["admin"])  # fmt: skip
        self.add("ben", "User", Username="ben@lab.example", LastName="Brown", FirstName="Ben", Alias="ben",
                 Email="ben@lab.example", IsActive=0, ManagerId=self.ids["ada"])  # fmt: skip
        self.add("queue", "Group", Name="Support Queue", Type="Queue")

    def _records(self) -> None:
        i = self.ids
        self.add("umbrella", "Account", Name="Umbrella", OwnerId=i["ada"], AnnualRevenue=5e6,
                 Industry="Retail", NumberOfEmployees=10, BillingCity="Köln", BillingCountry="Germany",
                 CreatedDate="2026-11-23T22:59:59.000+0000")  # fmt: skip
        self.add("acme", "Account", Name="acme", OwnerId=i["queue"], AnnualRevenue=100.5, NumberOfEmployees=3,
                 Industry="Services", ParentId=i["umbrella"],
                 CreatedDate="2026-11-23T23:00:00.000+0000")  # fmt: skip
        self.add("zurich", "Account", Name="Zürich 100%", OwnerId=i["ben"], Industry="retail",
                 CreatedDate="2025-12-31T23:30:00.000+0000")  # fmt: skip
        self.add("gone", "Account", Name="Gone", OwnerId=i["ada"], IsDeleted=1)
        self.add("jane", "Contact", LastName="Roe", FirstName="Jane", AccountId=i["umbrella"],
                 OwnerId=i["ada"], Email="Jane.Roe@example.org", Birthdate="1980-02-29",
                 HasOptedOutOfEmail=1)  # fmt: skip
        self.add("john", "Contact", LastName="o'Hara", FirstName="John", AccountId=i["umbrella"],
                 OwnerId=i["ben"], Email="john@example.org", Birthdate="1990-11-24")  # fmt: skip
        self.add("asa", "Contact", LastName="Ångström", AccountId=i["acme"], OwnerId=i["ada"])
        self.add("lone", "Contact", LastName="a_b", OwnerId=i["ada"], Email="lone@example.org")
        self.add("case1", "Case", Subject="Lost parcel", ContactId=i["jane"], AccountId=i["umbrella"],
                 Status="New", Origin="Web", OwnerId=i["queue"],
                 Description='It, "never"\ncame')  # fmt: skip
        self.add("case2", "Case", Subject="Refund", ContactId=i["jane"], AccountId=i["umbrella"],
                 Status="Closed", Origin="Phone", OwnerId=i["ada"], IsClosed=1)  # fmt: skip
        self.add("case3", "Case", Subject="Hello", ContactId=i["john"], Status="New", Origin="Web",
                 OwnerId=i["ada"])  # fmt: skip
        self.add("call", "Task", Subject="Call", WhatId=i["umbrella"], WhoId=i["jane"], OwnerId=i["queue"])
        self.add("mail", "Task", Subject="Mail", WhatId=i["case1"], OwnerId=i["ada"])
        self.add("idle", "Task", Subject="Idle", OwnerId=i["ada"])
        self.add("token", "Payment_Token__c", Contact__c=i["jane"], Token__c="tok_secret", Last4__c="4242",
                 OwnerId=i["ada"])  # fmt: skip

    def ask(self, text: str, viewer: Reader | None = None, **how: Any) -> Result:
        settings = {"now": NOW, "tz": "Europe/Berlin", "text": text, **how}
        return execute(self.store, SCHEMA, read_soql(text), viewer or Reader(), **settings)

    def records(self, text: str, viewer: Reader | None = None, **how: Any) -> list[dict[str, Any]]:
        """The answer's records without their attributes, at every level."""
        result = self.ask(text, viewer, **how)
        rows = [bare(row.record) for row in result.rows]
        assert result.count_only or result.total == len(rows)
        return rows

    def found(self, text: str, viewer: Reader | None = None, **how: Any) -> list[str]:
        """The short names of the records found, in the answer's order; the query must select Id."""
        names = {record_id: name for name, record_id in self.ids.items()}
        return [names[record["Id"]] for record in self.records(text, viewer, **how)]

    def served(self, text: str, viewer: Reader | None = None, **how: Any) -> list[tuple[str, str, str]]:
        """What the answer discloses: object, short name, fields joined by commas."""
        names = {record_id: name for name, record_id in self.ids.items()}
        rows = self.ask(text, viewer, **how).rows
        return [
            (one, names.get(record_id, record_id), ",".join(fields))
            for row in rows
            for one, record_id, fields in row.served
        ]


def bare(value: Any) -> Any:
    """JSON without `attributes`."""
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items() if key != "attributes"}
    return [bare(item) for item in value] if isinstance(value, list) else value
