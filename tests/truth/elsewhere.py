"""The other ways out: reports, list views, calls in a call, collections, searches, and the first Bulk API."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from blocks.salesforce.soql import render
from tests.truth.attacks import Attacker, Untold

DATA = "/services/data/v67.0"


class Wanderer(Attacker):
    """An attacker who knows every door."""

    def moves(self) -> list[Callable[[], str]]:
        return [
            *super().moves(), self.report, self.report, self.export, self.list_view, self.list_view,
            self.part_of_view, self.composite, self.batch, self.collection, self.search, self.again,
        ]  # fmt: skip

    # --- reports and list views --------------------------------------------------------------------

    def _some_report(self) -> str:
        reply = self.thief.call("GET", "analytics/reports")
        listed: list[dict[str, Any]] = reply.json() if reply.ok else []
        return str(self.random.choice(listed)["id"]) if listed else ""

    def report(self) -> str:
        report = self._some_report()
        details = self.random.random() < 0.8
        verb = self.random.choice(("GET", "GET", "GET", "POST"))
        self.attack.untold |= set() if details else {Untold.SUMMARY}
        self.attack.untold |= {Untold.REPORT} if verb == "POST" else set()
        params = {"includeDetails": str(details).lower()}
        reply = self.thief.call(verb, f"analytics/reports/{report}", params=params)
        if reply.ok and not reply.json()["allData"]:
            self.attack.untold.add(Untold.PAGES)  # the first 2,000 rows in an order that is not published
        return f"report{'' if details else ' summary'}"

    def export(self) -> str:
        url = f"{self.twin.told['url']}/{self._some_report()[:15]}"
        self.thief.http.get(url, params={"export": "1", "enc": "UTF-8", "xf": "csv"}, timeout=60)
        return "report export"

    def _some_view(self) -> str:
        name = self.random.choice(("Contact", "Case", "Lead", "Account", "Loyalty_Member__c", "Order"))
        reply = self.thief.call("GET", f"sobjects/{name}/listviews")
        views = reply.json().get("listviews") if reply.ok else None
        return f"sobjects/{name}/listviews/{self.random.choice(views)['id']}/results" if views else ""

    def list_view(self) -> str:
        """All rows of a view: more than its rows are asked for."""
        if not (view := self._some_view()):
            return "no view"
        reply = self.thief.call("GET", view, params={"limit": "2000"})
        if reply.ok and len(reply.json().get("records", ())) == 2000:
            self.attack.untold.add(Untold.VIEW_PAGE)
        return "list view"

    def part_of_view(self) -> str:
        if not (view := self._some_view()):
            return "no view"
        params = {"limit": "10", "offset": str(self.random.choice((0, 10)))}
        self.thief.call("GET", view, params=params)
        self.attack.untold.add(Untold.VIEW_PAGE)
        return "part of a list view"

    # --- calls in a call ---------------------------------------------------------------------------

    def composite(self) -> str:
        """Several statements in one call: the logs hold the outer call alone."""
        texts = [render(self.generator.runnable()) for _ in range(2)]
        parts = [
            {"method": "GET", "referenceId": f"r{n}", "url": f"{DATA}/query?q={quote(text, safe='')}"}
            for n, text in enumerate(texts)
        ]
        self.thief.call("POST", "composite", json={"compositeRequest": parts})
        return "composite"

    def batch(self) -> str:
        """A statement and a single read, whose id is in the body alone."""
        record = self.some_id("Lead")
        text = quote(render(self.generator.runnable()), safe="")
        parts = [{"method": "GET", "url": f"v67.0/query?q={text}"}]
        if record and self.random.random() < 0.5:
            parts.append({"method": "GET", "url": f"v67.0/sobjects/Lead/{record}"})
            self.attack.untold.add(Untold.IDS)
        self.thief.call("POST", "composite/batch", json={"batchRequests": parts})
        return "batch"

    def collection(self) -> str:
        name = self.random.choice(("Contact", "Lead"))
        ids = sorted({self.some_id(name) for _ in range(3)} - {""})
        self.thief.call(
            "GET", f"composite/sobjects/{name}", params={"ids": ",".join(ids), "fields": "Id,Email"}
        )
        self.attack.untold.add(Untold.IDS)
        return f"collection {name}"

    def search(self) -> str:
        term = self.random.choice(("Smith", "an", "er", "support"))
        what = self.random.choice(
            ("Contact(Id, Email)", "Lead(Id, LastName), Contact(Id)", "Account(Id, Name)")
        )
        self.thief.call("GET", "search", params={"q": f"FIND {{{term}}} IN ALL FIELDS RETURNING {what}"})
        self.attack.untold.add(Untold.IDS)
        return "search"

    # --- the same again ----------------------------------------------------------------------------

    def again(self) -> str:
        """One statement twice in one second, with pages of both told apart by their locators alone."""
        name = self.random.choice(("Contact", "Case"))
        text = f"SELECT Id, CreatedDate FROM {name}"
        small = {"Sforce-Query-Options": "batchSize=200"}
        first, second = self.get(text, **small), self.get(text, **small)
        self.drain(second)
        if self.random.random() < 0.5:
            time.sleep(0.002)
            self.drain(first)
        return f"twice {name}"
