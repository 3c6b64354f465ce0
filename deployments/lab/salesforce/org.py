"""The twin org as one object: its data, clock, sessions, rights, logs, limits, and what they do together."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from deployments.lab.salesforce.apps import App, Apps
from deployments.lab.salesforce.clock import Clock, iso
from deployments.lab.salesforce.cursors import Cursors
from deployments.lab.salesforce.event_stores import NAMES as EVENT_STORES
from deployments.lab.salesforce.event_stores import EventStores
from deployments.lab.salesforce.events import EventLogs
from deployments.lab.salesforce.faults import Faults
from deployments.lab.salesforce.jobs import Jobs
from deployments.lab.salesforce.limits import Limits
from deployments.lab.salesforce.permissions import GOVERNING, Permissions
from deployments.lab.salesforce.schema import SCHEMA, Schema
from deployments.lab.salesforce.sessions import SESSION_OBJECTS, Session, Sessions, who
from deployments.lab.salesforce.store import Store
from deployments.lab.salesforce.truth import Truth
from deployments.lab.salesforce.wire import Call

API_VERSION = "67.0"
VERSIONS = tuple(f"{n}.0" for n in range(31, 69))
REQUESTS_KEPT = 1_000_000


@dataclass(slots=True)
class Switches:
    """Where orgs differ, or sources conflict, the lab chooses by these."""

    password_flow: bool = False  # OAuth username-password: off in orgs made since 2023
    frozen_ends_sessions: bool = False  # does freezing a user end the sessions it has?
    event_logs_deletable: bool = False  # "Delete event monitoring data"


@dataclass(slots=True)
class Request:
    """One line of the request log the scorecard counts."""

    at: datetime
    credential: str
    method: str
    path: str
    status: int

    def line(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(timespec="milliseconds"),
            "credential": self.credential,
            "method": self.method,
            "path": self.path,
            "status": self.status,
        }


@dataclass
class Org:
    """Everything a handler may need."""

    folder: Path
    store: Store
    clock: Clock
    org_id: str
    log_delay_s: float
    url: str = ""
    schema: Schema = SCHEMA
    switches: Switches = field(default_factory=Switches)
    faults: Faults = field(default_factory=Faults)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self.stores = EventStores(self.store, self.clock)
        self.permissions = Permissions(self.store, self.schema, self.stores.licences)
        self.sessions = Sessions(self.store, self.clock, self.org_id)
        self.apps = Apps(self.store)
        self.events = EventLogs(
            self.folder / "event-logs",
            self.store,
            self.org_id,
            self.clock,
            self.log_delay_s,
            self.stores.log,
        )
        self.truth = Truth(self.folder / "truth.db")
        self.cursors = Cursors()
        self.jobs = Jobs()
        self.requests: deque[Request] = deque(maxlen=REQUESTS_KEPT)
        self._frozen: set[str] = set()
        self._inactive: set[str] = set()
        self._audit: list[dict[str, Any]] = []
        self._audit_lock = threading.Lock()
        self.load_users()

    # --- users -----------------------------------------------------------------------------------

    def load_users(self) -> None:
        """Read again who is frozen or inactive."""
        db = self.store.read()
        self._frozen = {r[0] for r in db.execute("SELECT UserId FROM UserLogin WHERE IsFrozen=1")}
        self._inactive = {r[0] for r in db.execute("SELECT Id FROM User WHERE IsActive=0")}

    def is_frozen(self, user_id: str) -> bool:
        return user_id in self._frozen

    def is_inactive(self, user_id: str) -> bool:
        return user_id in self._inactive

    def user_by_name(self, username: str) -> str | None:
        row = self.store.read().execute("SELECT Id FROM User WHERE Username=?", (username,)).fetchone()
        return str(row[0]) if row else None

    def set_password(self, user_id: str, password: str | None) -> None:
        """Store a password's salted hash; None invalidates the old one."""
        made = None
        if password is not None:
            salt = secrets.token_hex(8)
            made = f"{salt}${_stretched(password, salt)}"
        with self.store.write() as db:
            db.execute(
                "UPDATE User SET PasswordHash=?, LastPasswordChangeDate=? WHERE Id=?",
                (made, iso(self.clock.now()), user_id),
            )

    def password_matches(self, user_id: str, password: str) -> bool:
        row = self.store.read().execute("SELECT PasswordHash FROM User WHERE Id=?", (user_id,)).fetchone()
        salt, _, stored = ((row[0] if row else None) or "").partition("$")
        return bool(stored) and hmac.compare_digest(stored, _stretched(password, salt))

    # --- what follows from a change --------------------------------------------------------------

    def changed(self, name: str, user_id: str | None = None) -> None:
        """Rows of this object changed, of that one user where it is known: forget what was computed."""
        if name in GOVERNING:
            self.permissions.forget(name, user_id)
        if name in ("User", "UserLogin"):
            self.load_users()
        if name in ("ConnectedApplication", "ExternalClientApplication"):
            self.apps.reload()

    def settled(self) -> None:
        """A transaction of several records is over, or undone: forget what was computed meanwhile."""
        self.permissions.forget("PermissionSet")
        self.load_users()

    def before_reading(self, names: set[str]) -> None:
        """Bring tables that are written in batches up to date before they are read."""
        if names & SESSION_OBJECTS:
            self.sessions.flush()
        if "SetupAuditTrail" in names:
            self.flush_audit()
        if names & EVENT_STORES:
            self.stores.flush()

    def audit(self, action: str, display: str, section: str, user_id: str) -> None:
        """Note a setup change for SetupAuditTrail."""
        row = {
            "Action": action,
            "Display": display,
            "Section": section,
            "CreatedById": user_id,
            "CreatedDate": iso(self.clock.now()),
        }
        with self._audit_lock:
            self._audit.append(row)

    def flush_audit(self) -> None:
        with self._audit_lock:
            rows, self._audit = self._audit, []
        if rows:  # outside the lock: whoever is in a transaction may be waiting for it
            self.store.insert("SetupAuditTrail", rows)

    def tick(self) -> None:
        """What goes on in the background, once a second."""
        self.sessions.flush()
        self.flush_audit()
        self.stores.flush()
        self.events.cut()

    # --- event logs ------------------------------------------------------------------------------

    def caller(self, call: Call, session: Session | None = None) -> dict[str, Any]:
        """The columns that say who called."""
        session = session or call.maybe_session
        made: dict[str, Any] = {
            "REQUEST_ID": call.request_id,
            "CLIENT_IP": call.ip,
            "USER_AGENT": call.agent,
            "CLIENT_NAME": client_name(call),
            "USER_TYPE": "Standard",
        }
        if session is not None:
            made |= who(session)
        return made

    def note_unique_query(
        self, session: Session, text: str, kind: str = "soql", request_id: str = ""
    ) -> None:
        """A query ran: its text, and nothing but session and login key to tell by whom.

        The event log object has the request's id as well, the log file has not.
        """
        self.events.add(
            "UniqueQuery",
            {
                "QUERY_IDENTIFIER": text,
                "QUERY_TYPE": kind,
                "REQUEST_ID": request_id,
                "SQL_ID": hashlib.sha256(text.encode()).hexdigest()[:13],
                "SESSION_KEY": session.session_key,
                "LOGIN_KEY": session.login_key,
            },
        )

    def note_login(
        self,
        call: Call,
        user_id: str,
        username: str,
        session: Session | None,
        app: App | None,
        kind: str,
        status: str,
    ) -> None:
        made = self.caller(call, session) | {
            "USER_ID": user_id[:15],
            "USER_ID_DERIVED": user_id,
            "USER_NAME": username,
            "URI": call.path,
            "REQUEST_STATUS": "S" if session else "F",
            "LOGIN_TYPE": "i" if app else "0",
            "LOGIN_SUB_TYPE": kind,
            "API_TYPE": "" if app else "SOAP Partner",
            "BROWSER_TYPE": call.agent,
            "LOGIN_STATUS": status,
            "SOURCE_IP": call.ip,
            "TLS_PROTOCOL": "TLSv1.3",
        }
        self.events.add("Login", made)

    def note_logout(self, session: Session, ip: str) -> None:
        self.events.add(
            "Logout",
            who(session)
            | {
                "USER_TYPE": "Standard",
                "USER_INITIATED_LOGOUT": "1",
                "SESSION_TYPE": "O" if session.app else "A",
                "CLIENT_IP": ip,
            },
        )

    def request(self, at: datetime, credential: str, method: str, path: str, status: int) -> None:
        self.requests.append(Request(at, credential, method, path, status))

    def time_zone_of(self, user_id: str) -> str:
        row = self.store.read().execute("SELECT TimeZoneSidKey FROM User WHERE Id=?", (user_id,)).fetchone()
        return str(row[0]) if row and row[0] else "UTC"


def client_name(call: Call) -> str:
    """The `client=` of Sforce-Call-Options."""
    options = call.headers.get("sforce-call-options", "")
    for part in options.split(","):
        name, _, value = part.strip().partition("=")
        if name == "client":
            return value
    return ""


def _stretched(password: str, salt: str) -> str:
    return hashlib.scrypt(password.encode(), salt=salt.encode(), n=1024, r=8, p=1).hex()
