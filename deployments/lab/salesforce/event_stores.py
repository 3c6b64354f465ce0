"""What the licensed event objects remember: real-time events with the ids of the records that were read, and
the rows of the event log objects. Nothing is kept for a licence that the org does not have.

How many ids one event may carry is not published: `ids_per_event` is the lab's own choice, and so is one
event for each page of a query, for each `ids_per_event` rows of a bulk query, and for each page of results
that is downloaded.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from deployments.lab.salesforce.clock import Clock, iso
from deployments.lab.salesforce.schema_events import EVENTS, LICENCES, LOG_FIELDS, LOG_OBJECTS, REALTIME
from deployments.lab.salesforce.sessions import Session
from deployments.lab.salesforce.store import Store

NAMES = frozenset(found.name for found in EVENTS)
CHUNK_ROWS = 500  # rows of a report or list view in one event


class EventStores:
    """The licences of an org, and what their objects hold. Thread-safe; rows are written in batches."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.licences: set[str] = set()
        self.ids_per_event = 2000
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._seen: set[str] = set()  # sessions that have had an ApiEvent

    def license(self, names: Iterable[str]) -> None:
        """Have exactly these licences from now on. Raises ValueError for one that there is not."""
        wanted = set(names)
        if unknown := wanted - set(LICENCES):
            raise ValueError(f"no licence {', '.join(sorted(unknown))}; there are {', '.join(LICENCES)}")
        self.licences.clear()  # the same set: whoever checks rights holds it
        self.licences |= wanted

    def flush(self) -> None:
        """Write what has been noted, so that it can be queried."""
        with self._lock:
            waiting, self._waiting = self._waiting, defaultdict(list)
        for name, rows in waiting.items():
            self._store.insert(name, rows)

    def _add(self, name: str, row: dict[str, Any]) -> None:
        with self._lock:
            self._waiting[name].append(row)

    # --- event log objects -----------------------------------------------------------------------

    def log(self, event_type: str, values: Mapping[str, Any], at: datetime) -> None:
        """The row of the event log object that goes with an event of the log files."""
        if LOG_OBJECTS not in self.licences or event_type not in LOG_FIELDS:
            return
        name, _, columns = LOG_FIELDS[event_type]
        row = {field: values.get(column) for field, column in columns if values.get(column) not in ("", None)}
        self._add(name, {"Timestamp": iso(at), **row})

    # --- real-time events ------------------------------------------------------------------------

    def queried(
        self,
        session: Session,
        caller: Mapping[str, Any],
        text: str,
        ids: Sequence[str],
        *,
        operation: str,
        total: int,
        entities: Iterable[str],
        api_type: str = "REST",
        version: str = "67.0",
        returned: int | None = None,
    ) -> None:
        """One ApiEvent: a query, a page of one, or a part of a bulk query."""
        if REALTIME not in self.licences:
            return
        first = session.id not in self._seen
        self._seen.add(session.id)
        kept = list(dict.fromkeys(ids))[: self.ids_per_event]
        shown = {"totalSize": total, "done": True, "records": [], "recordIds": kept}
        self._add(
            "ApiEvent",
            self._who(session, caller)
            | {
                "Query": text,
                "QueriedEntities": ", ".join(sorted(set(entities))),
                "Operation": operation,
                "RowsProcessed": total,
                "RowsReturned": len(ids) if returned is None else returned,
                "Records": json.dumps(shown),
                "RequestIdentifier": caller.get("REQUEST_ID"),
                "UserAgent": caller.get("USER_AGENT"),
                "ApiType": api_type,
                "ApiVersion": float(version),
                "Application": session.app.name if session.app else "N/A",
                "Client": caller.get("CLIENT_NAME"),
                # Null once a token is active, says the reference: only the call that follows a login has it.
                "ConnectedAppId": session.app.id if session.app and first else None,
                "ElapsedTime": 1,
            },
        )

    def downloaded(self, session: Session, caller: Mapping[str, Any], text: str) -> None:
        """One BulkApiResultEventStore row: a page of a bulk query's results was fetched."""
        if REALTIME in self.licences:
            self._add("BulkApiResultEventStore", self._who(session, caller) | {"Query": text})

    def shown(
        self,
        name: str,
        session: Session,
        caller: Mapping[str, Any],
        rows: Sequence[Sequence[str]],
        values: Mapping[str, Any],
    ) -> None:
        """ReportEvent or ListViewEvent: the ids in each row, cut into numbered parts."""
        if REALTIME not in self.licences:
            return
        execution = str(uuid.uuid4())
        for sequence, start in enumerate(range(0, max(len(rows), 1), CHUNK_ROWS), 1):
            part = [{"datacells": list(ids)} for ids in rows[start : start + CHUNK_ROWS]]
            row = self._who(session, caller) | dict(values)
            row |= {"ExecutionIdentifier": execution, "Sequence": sequence}
            self._add(name, row | {"Records": json.dumps({"totalSize": len(part), "rows": part})})

    def _who(self, session: Session, caller: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "EventDate": iso(self._clock.now()),
            "EventIdentifier": str(uuid.uuid4()),
            "UserId": session.user_id,
            "Username": session.username,
            "SessionKey": session.session_key,
            "LoginKey": session.login_key,
            "LoginHistoryId": session.login_history_id,
            "SessionLevel": "STANDARD",
            "SourceIp": caller.get("CLIENT_IP"),
            "PolicyOutcome": "NoAction",
        }
