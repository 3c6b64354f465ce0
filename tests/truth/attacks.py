"""Random attacks on a small twin: what a thief may do with a stolen token, step by step, from a seed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from random import Random
from typing import Any

from blocks.salesforce.soql import Query, ast, render
from tests.blocks.soql.generator import Generator, Vocabulary
from tests.tasks.scope.attack import Thief, Twin

CHANCE = {"date": 0.2, "datetime": 0.2}
TYPES = {
    "string": "text", "email": "text", "phone": "text", "picklist": "text", "textarea": "text", "url": "text",
    "double": "number", "currency": "number", "int": "number", "boolean": "boolean", "date": "date",
    "datetime": "datetime", "id": "id", "reference": "id",
}  # fmt: skip
OBJECTS = ("Contact", "Lead", "Case", "Account", "Order", "Loyalty_Member__c", "CaseComment", "OrderItem")
CHILDREN = {
    "Account": (("Contacts", "Contact"), ("Cases", "Case")), "Contact": (("Cases", "Case"),),
    "Order": (("OrderItems", "OrderItem"),), "Case": (("CaseComments", "CaseComment"),),
}  # fmt: skip
PARENTS = {
    "Contact": {"Account": "Account"}, "Case": {"Contact": "Contact", "Account": "Account"},
    "Order": {"Account": "Account"}, "Loyalty_Member__c": {"Contact__r": "Contact"},
    "CaseComment": {"Parent": "Case"}, "OrderItem": {"Order": "Order"},
}  # fmt: skip


class Untold(StrEnum):
    """What the logs of an attack do not tell, although every source is there."""

    LIMIT = "LIMIT without an order"
    PAGES = "paging that stopped, without an order"
    DOWNLOAD = "how much of a bulk job was downloaded"
    IDS = "the ids in a call's body or query string"
    FIELDS = "the fields asked for in a query string"
    RIGHTS = "which fields a whole record showed to this user"
    VIEW_PAGE = "at which row of a list view a page began"
    SUMMARY = "whether a report's rows were asked for"
    REPORT = "the filters that a call may bring for a report"


@dataclass
class Attack:
    """What was done, from when to when, and what of it no log can say."""

    number: int
    user: str
    since: datetime
    until: datetime
    steps: list[str] = field(default_factory=list)
    untold: set[Untold] = field(default_factory=set)
    missing: str = ""  # the source that is not there
    licensed: bool = False  # the org has the real-time stores
    notes: list[str] = field(default_factory=list)  # what scoping said about its re-runs


def vocabulary(twin: Twin, now: datetime) -> Vocabulary:
    """The fields that may be filtered, with texts and ids that occur."""
    fields: dict[str, dict[str, str]] = {}
    texts: set[str] = set()
    ids: set[str] = set()
    for name in OBJECTS:
        described = twin.org.rest("GET", f"sobjects/{name}/describe", what="test")
        known = {
            f["name"]: TYPES[f["type"]]
            for f in described["fields"]
            if f["type"] in TYPES and f["filterable"] and f["type"] not in ("textarea",)
        }
        fields[name] = {n: t for n, t in known.items() if n not in ("IsDeleted", "MasterRecordId")}
        rows = list(twin.org.query(f"SELECT {', '.join(known)} FROM {name} LIMIT 8", what="test"))
        for row in rows:
            texts |= {str(row[n]) for n, t in known.items() if t == "text" and row.get(n)}
            ids |= {str(row[n]) for n, t in known.items() if t == "id" and row.get(n)}
    numbers = tuple(map(Decimal, ("0", "1", "2", "50", "120.5", "300", "1000")))
    return Vocabulary(fields, PARENTS, tuple(sorted(texts)), numbers, tuple(sorted(ids)), now)


class Attacker:
    """One stolen token and what is done with it by queries, bulk jobs and single reads."""

    def __init__(
        self,
        twin: Twin,
        user: str,
        random: Random,
        vocabulary: Vocabulary,
        attack: Attack,
        *,
        all_seeing: bool,
    ) -> None:
        self.twin, self.thief = twin, Thief(twin, user)
        self.random, self.attack, self.vocabulary = random, attack, vocabulary
        self.generator = Generator(random, vocabulary)
        self.all_seeing = all_seeing  # the user may read every field

    def run(self, steps: int) -> None:
        """So many random moves, one after the other."""
        for _ in range(steps):
            self.attack.steps.append(self.random.choice(self.moves())())

    def moves(self) -> list[Callable[[], str]]:
        often = [self.query, self.bulk, self.single]
        return [
            *often, *often, self.query, self.children, self.limited, self.ordered, self.stopped,
            self.part_of_bulk, self.count, self.refused, self.odd,
        ]  # fmt: skip

    def get(self, soql: str, verb: str = "query", **headers: str) -> dict[str, Any]:
        reply = self.thief.call("GET", verb, params={"q": soql}, headers=headers)
        return reply.json() if reply.ok else {}

    def drain(self, page: dict[str, Any], most: int = 1_000) -> None:
        while page.get("nextRecordsUrl") and most > 1:
            url = page["nextRecordsUrl"]
            page = self.thief.call("GET", url).json()
            most -= 1
            if self.random.random() < 0.05:  # a client that did not get its answer asks again
                page = self.thief.call("GET", url).json()

    # --- moves -------------------------------------------------------------------------------------

    def query(self) -> str:
        query = self.generator.runnable()
        verb = self.random.choice(("query", "query", "queryAll"))
        if self.random.random() < 0.15:
            query = replace(query, for_=("VIEW",))
        headers = {"Sforce-Query-Options": "batchSize=200"} if self.random.random() < 0.4 else {}
        self.drain(self.get(render(query), verb, **headers))
        return f"{verb} {query.object}"

    def children(self) -> str:
        """Child records, some with a filter, some with a limit."""
        name = self.random.choice(tuple(CHILDREN))
        relation, child = self.random.choice(CHILDREN[name])
        path, _ = self.generator.path(child)
        inner = Query((ast.FieldRef(("Id",)), ast.FieldRef(path)), relation)
        if self.random.random() < 0.4:
            inner = replace(inner, where=self.generator.filter(child))
        if self.random.random() < 0.2:
            order = (ast.OrderBy(ast.FieldRef(("Id",))),) if self.random.random() < 0.5 else ()
            inner = replace(inner, limit=1, order_by=order)
            self.attack.untold |= set() if order else {Untold.LIMIT}
        outer = self.generator.runnable(name)
        self.drain(self.get(render(replace(outer, fields=(*outer.fields, ast.SubQuery(inner))))))
        return f"children of {name}"

    def limited(self) -> str:
        query = self.generator.runnable()
        ordered = self.random.random() < 0.5
        order = (ast.OrderBy(ast.FieldRef(("Id",)), self.random.random() < 0.5),) if ordered else ()
        limit = self.random.choice((1, 5, 50, 5000))
        offset = self.random.choice((None, None, 3)) if ordered else None
        self.drain(self.get(render(replace(query, order_by=order, limit=limit, offset=offset))))
        self.attack.untold |= set() if ordered else {Untold.LIMIT}
        return f"limit {limit} {query.object}"

    def ordered(self) -> str:
        """Pages in the order of the id; some of them."""
        name = self.random.choice(("Contact", "Case", "OrderItem"))
        down = self.random.choice(("", " DESC"))
        page = self.get(
            f"SELECT Id, CreatedDate FROM {name} ORDER BY CreatedDate, Id{down}",
            **{"Sforce-Query-Options": "batchSize=200"},
        )
        self.drain(page, self.random.randint(1, 3))
        return f"ordered {name}"

    def stopped(self) -> str:
        """Two pages of many, then no more."""
        name = self.random.choice(("Contact", "Case", "OrderItem"))
        page = self.get(f"SELECT Id, CreatedDate FROM {name}", **{"Sforce-Query-Options": "batchSize=200"})
        self.drain(page, 2)
        if page.get("totalSize", 0) > 400:
            self.attack.untold.add(Untold.PAGES)
        return f"stopped {name}"

    def bulk(self) -> str:
        """A job, downloaded whole and deleted."""
        query = self.generator.runnable()
        with contextlib.suppress(AssertionError, KeyError, TypeError):
            self.thief.export(render(query), self.random.choice(("query", "queryAll")))
        return f"bulk {query.object}"

    def part_of_bulk(self) -> str:
        """The first rows of a job's results; the job is left or deleted, or never fetched at all."""
        name = self.random.choice(("Contact", "Case"))
        text = f"SELECT Id, CreatedDate FROM {name}"
        made = self.thief.call("POST", "jobs/query", json={"operation": "query", "query": text})
        if not made.ok:
            return "bulk refused"
        job = made.json()["id"]
        while self.thief.call("GET", f"jobs/query/{job}").json()["state"] != "JobComplete":
            time.sleep(0.02)
        if self.random.random() < 0.7:
            self.thief.call("GET", f"jobs/query/{job}/results", params={"maxRecords": "100"})
        if self.random.random() < 0.5:
            self.thief.call("DELETE", f"jobs/query/{job}")
        self.attack.untold.add(Untold.DOWNLOAD)
        return f"part of bulk {name}"

    def some_id(self, name: str) -> str:
        page = self.get(f"SELECT Id FROM {name} ORDER BY Id LIMIT 30")
        rows = page.get("records") or []
        return str(self.random.choice(rows)["Id"]) if rows else ""

    def single(self) -> str:
        name = self.random.choice(("Contact", "Case", "Lead", "Loyalty_Member__c"))
        record = self.some_id(name)
        if not record:
            return "nothing to read"
        path, query = f"sobjects/{name}/{record}", {}
        if self.random.random() < 0.3:
            query = {"fields": ",".join(self.random.sample(sorted(self.vocabulary.fields[name]), 3))}
            self.attack.untold.add(Untold.FIELDS)
        elif not self.all_seeing:
            self.attack.untold.add(Untold.RIGHTS)
        self.thief.call("GET", path, params=query)
        return f"read {name}"

    def count(self) -> str:
        name = self.random.choice(OBJECTS)
        self.get(f"SELECT COUNT() FROM {name}")
        self.get(f"SELECT COUNT(Id) n, CreatedById FROM {name} GROUP BY CreatedById")
        return f"count {name}"

    def refused(self) -> str:
        self.get("SELECT Nonsense FROM Contact")
        self.thief.call("GET", "sobjects/Contact/003000000000000AAA")
        return "refused"

    def odd(self) -> str:
        """Spellings that are rare: aliases, FIELDS(), functions, semi-joins, dates by name."""
        text = self.random.choice(ODD)
        if "FIELDS(" in text and not self.all_seeing:
            self.attack.untold.add(Untold.RIGHTS)
        self.drain(self.get(text, self.random.choice(("query", "query", "queryAll"))))
        return "odd"


ODD = (
    "SELECT c.Id, c.Account.Name FROM Contact c WHERE c.LastName > 'M'",
    "SELECT FIELDS(STANDARD) FROM Lead WHERE Company != null",
    "SELECT Id, toLabel(Status) FROM Case WHERE IsClosed = TRUE",
    "SELECT Id FROM Contact WHERE AccountId IN (SELECT Id FROM Account WHERE Name < 'H')",
    "SELECT Id FROM Contact WHERE AccountId NOT IN (SELECT AccountId FROM Order)",
    "SELECT Id FROM Case WHERE ContactId IN (SELECT Id FROM Contact WHERE LastName < 'K') AND Origin != null",
    "SELECT Id, FORMAT(TotalAmount) FROM Order WHERE CreatedDate < TODAY",
    "SELECT Id FROM Lead WHERE CreatedDate = LAST_N_DAYS:400",
    "SELECT Id FROM Case WHERE CreatedDate >= LAST_MONTH",
    "SELECT Id FROM Case WHERE CreatedDate = LAST_N_WEEKS:9 OR CreatedDate = THIS_FISCAL_YEAR",
    "SELECT Id FROM Contact WHERE Birthdate < LAST_YEAR",
    "SELECT Id FROM Contact WHERE SystemModstamp = TODAY",
    "SELECT Id, CreatedBy.Name FROM Case WHERE Contact.Account.Name != null",
    "SELECT Id, Contact.LastName, Contact.Account.Name FROM Case WHERE Contact.LastName LIKE '%e%'",
    "SELECT Id FROM Contact WHERE IsDeleted = FALSE",
    "SELECT Id, Owner.Name FROM Lead WHERE Owner.Name != null",
    "select id , lastname\nfrom contact\twhere lastname = null or ( not lastname like 'A%' ) order by id",
    "SELECT Id, (SELECT Id, CommentBody FROM CaseComments), Contact.Email FROM Case WHERE IsClosed = FALSE",
    "SELECT Account.Name, Contact.Name FROM Case WHERE CreatedDate < YESTERDAY ORDER BY Id DESC",
)
