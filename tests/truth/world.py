"""Runs generated attacks against one small twin and holds the scoping's answer against what was served."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from blocks.salesforce.session import REQUEST_ID_PREFIX
from tasks.incident import Incident, IncidentFolder, Suspect, SuspectKind, Window
from tasks.scope.attribution import Own
from tasks.scope.directory import marks_of
from tasks.scope.exposure import exposures
from tasks.scope.gather import with_stores
from tasks.scope.markers import place_markers
from tasks.scope.reader import OrgReader
from tasks.scope.realtime import record_ids
from tasks.scope.run import Evidence, others_of, population_of, work_out
from tasks.scope.salt import salt_in
from tasks.scope.sources import Logs, collect
from tests.tasks.scope.attack import Notes, Thief, Twin
from tests.truth.attacks import Attack, vocabulary
from tests.truth.changes import Changes
from tests.truth.elsewhere import Wanderer
from tests.truth.score import Outcome, Person, Score, add

BATCH = 12
APP = Suspect(SuspectKind.CONNECTED_APP, "Support Chat")
SOURCES = ("UniqueQuery", "BulkApi2", "RestApi", "ApiTotalUsage", "Login", "Report", "ReportExport")


class World:
    """One twin, its clock, and who may be impersonated."""

    def __init__(self, twin: Twin, seed: int, home: Path) -> None:
        self.twin, self.random, self.home = twin, Random(seed), home
        self.users = self._users()
        self.changes = Changes(twin, self.random)
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
        licensed = first // BATCH % 3 == 2
        self.twin.lab("licences", json={"licences": ["realtime"] if licensed else []})
        for number in range(first, first + size):
            made.append(self._attack(number, words))
            made[-1].licensed = licensed
            if self.random.random() < 0.3:
                self.changes.some()
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
        self._score(made, reader, with_stores(reader, logs, window, now, self.home / "logs"))

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
        all_seeing = user == self.users[0]
        words = replace(words, around=since)
        Wanderer(self.twin, user, self.random, words, attack, all_seeing=all_seeing).run(
            self.random.randint(1, 5)
        )
        time.sleep(0.003)
        attack.until = self.now()
        return attack

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
        persons = {
            (p["object"], p["record_id"]): Person(p["person"], p["residence"])
            for p in self.twin.lines("persons")
        }
        persons |= {("Lead", record): Person("newcomer", "unknown") for record in self.changes.made}
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
            evidence = Evidence(
                reader,
                replace(logs, events=events),
                marks_of(reader, incident),
                own,
                salt,
                records=partial(record_ids, reader),
                others=partial(others_of, reader, window, attack.until),
            )
            summary = work_out(incident, evidence, lambda: people, folder, Notes(), now=attack.until)
            attack.notes = [c.statement for c in summary.coverage if c.source == "queries run again"]
            add(self.scores, attack, Outcome.of(truth, exposures(folder), persons, summary))
