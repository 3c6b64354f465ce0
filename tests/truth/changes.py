"""What else happens in an org behind a thief's back: edits, moves, deletions, restorations, merges."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import Any

from tests.tasks.scope.attack import Twin

EDITED = {
    "Contact": "LastName", "Lead": "Company", "Case": "Subject", "Account": "Name",
    "CaseComment": "CommentBody",
}  # fmt: skip


class Changes:
    """Changes by others, from a seed."""

    def __init__(self, twin: Twin, random: Random) -> None:
        self.twin, self.random = twin, random
        self.made: list[str] = []  # leads about one newcomer, whom the twin's own truth does not know

    def some(self) -> None:
        self.random.choice((self._edit, self._edit, self._close, self._delete, self._restore, self._merge,
                            self._move, self._make))()  # fmt: skip

    def _set(self, name: str, record: str, **values: Any) -> None:
        self.twin.lab("plant", json={"object": name, "id": record, "set": values})

    def _one(self, name: str, where: str = "", *, all_rows: bool = False) -> str:
        soql = f"SELECT Id FROM {name} {where} ORDER BY Id LIMIT 200"
        rows = list(self.twin.org.query(soql, what="test", all_rows=all_rows))
        return str(self.random.choice(rows)["Id"]) if rows else ""

    def _edit(self) -> None:
        name = self.random.choice(tuple(EDITED))
        if record := self._one(name):
            self._set(name, record, **{EDITED[name]: f"Changed{record[-5:]}"})

    def _close(self) -> None:
        if record := self._one("Case", "WHERE IsClosed = FALSE"):
            self._set("Case", record, Status="Closed", IsClosed=True)

    def _delete(self) -> None:
        name = self.random.choice(("Contact", "Lead", "Case", "CaseComment", "OrderItem", "Account"))
        if record := self._one(name):
            self._set(name, record, IsDeleted=True)

    def _restore(self) -> None:
        name = self.random.choice(("Contact", "Lead", "Case"))
        if record := self._one(name, "WHERE IsDeleted = TRUE", all_rows=True):
            self._set(name, record, IsDeleted=False)

    def _move(self) -> None:
        """To another account: which keeps who is about whom."""
        record, other = self._one("Contact"), self._one("Account")
        if record and other:
            self._set("Contact", record, AccountId=other)

    def _make(self) -> None:
        values = {"LastName": "Newcomer", "Company": "New Ltd", "Email": "newcomer@lab.example"}
        self.made += self.twin.lab("insert", json={"object": "Lead", "record": values}).json()["ids"]

    def _merge(self) -> None:
        """Two contacts of the same person become one: children move, the loser is deleted."""
        by_person: dict[str, list[str]] = defaultdict(list)
        for line in self.twin.lines("persons"):
            if line["object"] == "Contact":
                by_person[line["person"]].append(line["record_id"])
        doubles = [ids for ids in by_person.values() if len(ids) > 1]
        if not doubles:
            return
        winner, loser = self.random.choice(doubles)[:2]
        soql = f"SELECT Id FROM Case WHERE ContactId = '{loser}'"
        for row in list(self.twin.org.query(soql, what="test")):
            self._set("Case", row["Id"], ContactId=winner)
        self._set("Contact", loser, IsDeleted=True)
