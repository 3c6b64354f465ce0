"""Runs generated attacks against one small twin and holds the scoping's answer against what was served."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from blocks.salesforce.session import REQUEST_ID_PREFIX
from tasks.incident import Bounds, Incident, IncidentFolder, Suspect, SuspectKind, Window
from tasks.scope.attribution import Own
from tasks.scope.directory import marks_of
from tasks.scope.exposure import exposures
from tasks.scope.markers import place_markers
from tasks.scope.reader import OrgReader
from tasks.scope.run import Evidence, population_of, work_out
from tasks.scope.salt import salt_in
from tasks.scope.sources import Logs, collect
from tests.tasks.scope.attack import Notes, Thief, Twin
from tests.truth.attacks import Attack, Attacker, vocabulary

BATCH = 12
APP = Suspect(SuspectKind.CONNECTED_APP, "Support Chat")
SOURCES = ("UniqueQuery", "BulkApi2", "RestApi", "ApiTotalUsage", "Login")
Pair = tuple[str, str]


@dataclass
class Tally:
    """How many there were, were found, and were both."""

    truth: int = 0
    found: int = 0
    both: int = 0

    def add(self, truth: set[Any], found: set[Any]) -> None:
        self.truth += len(truth)
        self.found += len(found)
        self.both += len(truth & found)

    @property
    def recall(self) -> float:
        return self.both / self.truth if self.truth else 1.0

    @property
    def precision(self) -> float:
        return self.both / self.found if self.found else 1.0


@dataclass
class Score:
    """The tallies of one group of attacks, and every attack whose truth was not inside the bounds."""

    attacks: int = 0
    records: Tally = field(default_factory=Tally)
    fields: Tally = field(default_factory=Tally)
    subjects: Tally = field(default_factory=Tally)
    certain: Tally = field(default_factory=Tally)
    outside: list[str] = field(default_factory=list)
    wide: list[str] = field(default_factory=list)  # where more was named than left

    def line(self, name: str) -> str:
        parts = [f"{name:<34} {self.attacks:>4} attacks"]
        for what in ("records", "fields", "subjects"):
            tally: Tally = getattr(self, what)
            parts.append(f"{what} {tally.truth:>7} recall {tally.recall:.4f} precision {tally.precision:.4f}")
        parts.append(f"certain ones true {self.certain.precision:.4f}")
        parts.append(f"truth inside bounds {self.attacks - len(self.outside)}/{self.attacks}")
        return "  ".join(parts)


class World:
    """One twin, its clock, and who may be impersonated."""

    def __init__(self, twin: Twin, seed: int, home: Path) -> None:
        self.twin, self.random, self.home = twin, Random(seed), home
        self.users = self._users()
        self.scores: dict[str, Score] = defaultdict(Score)

    def _users(self) -> list[str]:
        """The integration user, and some others who may call the API, with other rights and time zones."""
        import json

        stolen = self.twin.told["stolen"]
        tokens = json.loads(Path(stolen["refresh_tokens_file"]).read_text(encoding="utf-8"))
        found = [stolen["integration_username"]]
        for user in sorted(tokens):
            if len(found) == 6:
                break
            with contextlib.suppress(Exception):
                if (
                    Thief(self.twin, user)
                    .call("GET", "query", params={"q": "SELECT Id FROM Contact LIMIT 1"})
                    .ok
                ):
                    found.append(user)
        return list(dict.fromkeys(found))

    def now(self) -> datetime:
        return datetime.fromisoformat(self.twin.lab("health").json()["now"]).astimezone(UTC)

    def run(self, attacks: int) -> None:
        """All of it, batch by batch: attack, change data, move the clock, scope."""
        done = 0
        while done < attacks:
            size = min(BATCH, attacks - done)
            self._batch(done, size)
            done += size

    def _batch(self, first: int, size: int) -> None:
        began = self.now()
        words = vocabulary(self.twin, began)
        made = []
        for number in range(first, first + size):
            made.append(self._attack(number, words))
            if self.random.random() < 0.3:
                self._change()
            # A jump ends every session: not more often than the responder may log in.
            if number % (3 * BATCH) == BATCH // 2:
                self._move_clock()
        self.twin.lab("flush", json={})
        now = self.now()
        reader = OrgReader(self.twin.org)
        window = Window(began - timedelta(seconds=1))
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        logs = collect(
            reader, window, self.home / "logs", place_markers(reader), now=now, wait_s=30, sleep=self._flush
        )
        assert logs.complete
        self._score(made, reader, logs)

    def _flush(self, _seconds: float) -> None:
        self.twin.lab("flush", json={})
        time.sleep(0.05)

    def _attack(self, number: int, words: Any) -> Attack:
        time.sleep(0.003)
        user = self.random.choice((self.users[0], self.random.choice(self.users)))
        since = self.now()
        attack = Attack(number, user, since, since)
        if self.random.random() < 0.25:
            attack.missing = self.random.choice(SOURCES)
        Attacker(self.twin, user, self.random, replace(words, around=since), attack).run(
            self.random.randint(1, 5)
        )
        time.sleep(0.003)
        attack.until = self.now()
        return attack

    # --- what else happens in an org ----------------------------------------------------------------

    def _change(self) -> None:
        """Somebody edits, deletes or merges records, behind the thief's back."""
        org, random = self.twin.org, self.random
        name = random.choice(("Contact", "Lead", "Case"))
        rows = list(org.query(f"SELECT Id FROM {name} ORDER BY Id LIMIT 200", what="test"))
        one = str(random.choice(rows)["Id"])
        match random.choice(("edit", "delete", "merge")):
            case "edit":
                values = {"Contact": "LastName", "Lead": "Company", "Case": "Subject"}
                self.twin.lab(
                    "plant", json={"object": name, "id": one, "set": {values[name]: f"Changed{one[-5:]}"}}
                )
            case "delete":
                self.twin.lab("plant", json={"object": name, "id": one, "set": {"IsDeleted": 1}})
            case "merge":
                self._merge()

    def _merge(self) -> None:
        """Two contacts of the same person become one: children move, the loser is deleted."""
        org = self.twin.org
        by_person: dict[str, list[str]] = defaultdict(list)
        for line in self.twin.lines("persons"):
            if line["object"] == "Contact":
                by_person[line["person"]].append(line["record_id"])
        doubles = [ids for ids in by_person.values() if len(ids) > 1]
        if not doubles:
            return
        winner, loser = self.random.choice(doubles)[:2]
        for row in list(org.query(f"SELECT Id FROM Case WHERE ContactId = '{loser}'", what="test")):
            changes = {"ContactId": winner}
            self.twin.lab("plant", json={"object": "Case", "id": row["Id"], "set": changes})
        gone = {"IsDeleted": 1}
        self.twin.lab("plant", json={"object": "Contact", "id": loser, "set": gone})

    def _move_clock(self) -> None:
        """To just before midnight in some time zone, or to a day on which clocks change."""
        now = self.now()
        zone = ZoneInfo(self.random.choice(("America/Los_Angeles", "Europe/Berlin", "Asia/Kolkata", "UTC")))
        local = now.astimezone(zone)
        target = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        if self.random.random() < 0.3:
            days = [datetime(2027, 3, 14, 1, 59, 58, tzinfo=ZoneInfo("America/Los_Angeles"))]
            days += [datetime(2027, 3, 28, 1, 59, 58, tzinfo=ZoneInfo("Europe/Berlin"))]
            days += [datetime(2027, 11, 7, 1, 59, 58, tzinfo=ZoneInfo("America/Los_Angeles"))]
            ahead = [day for day in days if day > now]
            target = ahead[0] if ahead else target
        self.twin.lab("clock", json={"now": (target - timedelta(seconds=1)).astimezone(UTC).isoformat()})

    # --- scoring ---------------------------------------------------------------------------------

    def _score(self, attacks: Iterable[Attack], reader: OrgReader, logs: Logs) -> None:
        people = population_of(reader)
        persons = {(p["object"], p["record_id"]): p["person"] for p in self.twin.lines("persons")}
        attacks = list(attacks)
        served = self.twin.truth(attacks[0].since)
        own = Own(REQUEST_ID_PREFIX, reader.org.whoami().user_id)
        for attack in attacks:
            truth = [
                line for line in served if attack.since <= datetime.fromisoformat(line["at"]) <= attack.until
            ]
            events = {kind: rows for kind, rows in logs.events.items() if kind != attack.missing}
            window = Window(attack.since, attack.until)
            incident = Incident(
                f"attack-{attack.number}", "test", (APP,), window, attack.until, attack.until, "lab"
            )
            folder = IncidentFolder.of(incident.id, self.home)
            salt = salt_in(folder.sub("exposure"))
            evidence = Evidence(reader, replace(logs, events=events), marks_of(reader, incident), own, salt)
            summary = work_out(incident, evidence, lambda: people, folder, Notes(), now=attack.until)
            attack.notes = [c.statement for c in summary.coverage if c.source == "queries run again"]
            self._compare(attack, truth, folder, persons, (summary.records, summary.subjects))

    def _compare(
        self,
        attack: Attack,
        truth: list[dict[str, Any]],
        folder: IncidentFolder,
        persons: dict[Pair, str],
        bounds: tuple[Bounds, Bounds],
    ) -> None:
        table = exposures(folder)
        records = {(line["object"], line["record_id"]) for line in truth}
        found = set(zip(table["object"], table["record_id"], strict=True))
        sure = table[table["certain"].astype(bool)]
        certain = set(zip(sure["object"], sure["record_id"], strict=True))
        fields = {(*key, f) for line in truth for f, key in _fields(line)}
        found_fields = {
            (str(name), str(record), one.casefold())
            for name, record, text in zip(table["object"], table["record_id"], table["fields"], strict=True)
            for one in str(text).split(",")
            if one.casefold() != "id"
        }
        people = {persons[r] for r in records if r in persons}
        named = table[table["subject"] != ""]
        subjects = {
            persons.get((str(name), str(record)), f"nobody {subject}")
            for name, record, subject in zip(
                named["object"], named["record_id"], named["subject"], strict=True
            )
        }
        for group in _groups(attack):
            score = self.scores[group]
            score.attacks += 1
            score.records.add(records, found)
            score.fields.add(fields, found_fields)
            score.subjects.add(people, subjects)
            score.certain.add(records, certain)
            if found - records:
                text = f"attack {attack.number} ({', '.join(attack.steps)})"
                more = f"{len(found - records)} of {len(found)} named did not leave"
                score.wide.append(f"{text}: {more}; {' '.join(attack.notes)}")
            if not (
                _inside(len(records), bounds[0]) and _inside(len(people), bounds[1]) and certain <= records
            ):
                score.outside.append(
                    f"attack {attack.number} ({attack.user}, {', '.join(attack.steps)}; "
                    f"missing {attack.missing or 'nothing'}): {len(records)} records in {bounds[0]}, "
                    f"{len(people)} people in {bounds[1]}, {len(records - found)} not found, "
                    f"{len(certain - records)} wrongly certain; {' '.join(attack.notes)}"
                )


def _fields(line: dict[str, Any]) -> Iterator[tuple[str, Pair]]:
    for name in line["fields"]:
        if name.casefold() != "id":
            yield name.casefold(), (line["object"], line["record_id"])


def _groups(attack: Attack) -> list[str]:
    if attack.missing:
        return ["all", f"without {attack.missing}"]
    if "part of bulk" in attack.ambiguous:
        return ["bulk results fetched in part"]
    if attack.ambiguous:
        return ["all", "all sources, rows not told by logs"]
    return ["all", "all sources"]


def _inside(count: int, bounds: Bounds) -> bool:
    return bounds.lower <= count <= bounds.upper
