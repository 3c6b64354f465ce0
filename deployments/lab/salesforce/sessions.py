"""Sessions and OAuth grants: who is logged in, by which app, until when, and how it ends.

Tokens live in memory; the rows that a client can query (`AuthSession`, `OauthToken`, `LoginHistory`) are
written in batches, before any query that could see them and at least every second.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from deployments.lab.salesforce.apps import App
from deployments.lab.salesforce.clock import Clock, iso
from deployments.lab.salesforce.store import Store

SECONDS_VALID = 7200
SESSIONS_PER_GRANT = 50
_PLAIN = str.maketrans("-_", "xy")
SESSION_OBJECTS = frozenset({"AuthSession", "OauthToken", "LoginHistory", "User"})

_SUBTYPE = {
    "refresh": "OauthRefreshToken",
    "jwt": "OauthJwtBearer",
    "client_credentials": "OauthClientCredentials",
    "password": "OauthUsernamePassword",
}


@dataclass(slots=True, eq=False)
class Grant:
    """One row of OauthToken: what a user allowed an app. Its refresh token is empty for JWT and the like."""

    row_id: str
    app: App
    user_id: str
    kind: str
    refresh_token: str
    delete_token: str
    use_count: int = 0
    dead: bool = False
    sessions: deque[Session] = field(default_factory=deque)


@dataclass(slots=True, eq=False)
class Session:
    """One access token and the session behind it."""

    token: str
    id: str
    user_id: str
    username: str
    app: App | None
    grant: Grant | None
    ip: str
    created: datetime
    expires: datetime
    session_key: str
    login_key: str
    credential: str
    login_history_id: str
    scopes: str = "api"
    touched: float = 0.0


def credential_name(app: App | None, user_id: str, session_id: str) -> str:
    """What truth and the request log call a caller: `oauth:<app label>:<user id>` or `session:<id>`."""
    return f"oauth:{app.name}:{user_id}" if app else f"session:{session_id}"


def who(session: Session) -> dict[str, Any]:
    """The columns that name a session's user, app and keys."""
    made = {
        "USER_ID": session.user_id[:15],
        "USER_ID_DERIVED": session.user_id,
        "SESSION_KEY": session.session_key,
        "LOGIN_KEY": session.login_key,
    }
    if session.app is not None:
        made |= {"CONNECTED_APP_ID": session.app.id[:15], "CONNECTED_APP_NAME": session.app.name}
    return made


def _key() -> str:
    """Sixteen letters and digits, like `GeJCsym5eyvtEK2I`."""
    return secrets.token_urlsafe(12).translate(_PLAIN)


class Sessions:
    """All sessions and grants of the org. Thread-safe."""

    def __init__(self, store: Store, clock: Clock, org_id: str) -> None:
        self._store = store
        self._clock = clock
        self._org_id = org_id
        self._lock = threading.RLock()
        self._flushing = threading.Lock()
        self._reserve_lock = threading.Lock()
        self._live: dict[str, Session] = {}
        self._by_id: dict[str, Session] = {}
        self._refresh: dict[str, Grant] = {}
        self._delete: dict[str, Grant] = {}
        self._others: dict[tuple[str, str, str], Grant] = {}  # JWT and client credentials
        self._names: dict[str, str] = {}  # every token ever issued -> its credential name, also when dead
        self._new_sessions: dict[str, dict[str, Any]] = {}
        self._gone_sessions: set[str] = set()
        self._new_logins: list[dict[str, Any]] = []
        self._new_grants: dict[str, dict[str, Any]] = {}
        self._used_grants: dict[str, tuple[int, str]] = {}
        self._gone_grants: set[str] = set()
        self._last_logins: dict[str, str] = {}
        self._reserve: dict[str, list[str]] = {}

    def _new_id(self, prefix: str) -> str:
        """An id from a reserve: one write for many logins. Not to be called with `_lock` held."""
        with self._reserve_lock:
            reserve = self._reserve.setdefault(prefix, [])
            if not reserve:
                reserve += reversed(self._store.reserve_ids(prefix, 500))
            return reserve.pop()

    # --- grants ----------------------------------------------------------------------------------

    def grant(self, app: App, user_id: str, kind: str = "refresh", created: datetime | None = None) -> Grant:
        """A new refresh-token grant, or the one grant an app has for a user by another flow."""
        row_id = self._new_id("0CQ")
        with self._lock:
            key = (app.id, user_id, kind)
            if kind != "refresh" and key in self._others:
                return self._others[key]
            made = Grant(
                row_id,
                app,
                user_id,
                kind,
                "5Aep861" + secrets.token_urlsafe(60) if kind == "refresh" else "",
                "5Aep8d" + secrets.token_urlsafe(60),
            )
            if kind == "refresh":
                self._refresh[made.refresh_token] = made
            else:
                self._others[key] = made
            self._delete[made.delete_token] = made
            self._names[made.refresh_token] = self._names[made.delete_token] = f"oauth:{app.name}:{user_id}"
            if app.external:
                return made  # OauthToken lists the grants of connected apps alone
            self._new_grants[made.row_id] = {
                "Id": made.row_id,
                "AppName": app.name,
                "AppMenuItemId": None,
                "DeleteToken": made.delete_token,
                "UserId": user_id,
                "UseCount": 0,
                "ConnectedAppId": app.id,
                "CreatedDate": iso(created or self._clock.now()),
                "LastUsedDate": None,
            }
            return made

    def by_refresh_token(self, token: str) -> Grant | None:
        """The living grant of a refresh token."""
        return self._refresh.get(token)

    def grants_of(self, app_id: str) -> list[Grant]:
        """The living grants of an app, by whatever flow."""
        with self._lock:
            return [grant for grant in self._delete.values() if grant.app.id == app_id]

    def has_grant(self, app: App, user_id: str) -> bool:
        """Whether the user has approved the app by a refresh-token grant that still lives."""
        with self._lock:
            return any(g.app.id == app.id and g.user_id == user_id for g in self._refresh.values())

    # --- sessions --------------------------------------------------------------------------------

    def open(
        self,
        user_id: str,
        username: str,
        ip: str,
        *,
        app: App | None = None,
        grant: Grant | None = None,
        agent: str = "",
        api_version: str = "",
        scopes: str = "api",
    ) -> Session:
        """Log a user in; writes AuthSession, LoginHistory and the grant's use."""
        now = self._clock.now()
        session_id = self._new_id("0Ak")
        login_id = self._new_id("0Ya")
        made = Session(
            token=f"{self._org_id[:15]}!AQ{secrets.token_urlsafe(70).replace('-', '.')}",
            id=session_id,
            user_id=user_id,
            username=username,
            app=app,
            grant=grant,
            ip=ip,
            created=now,
            expires=now + timedelta(seconds=SECONDS_VALID),
            session_key=_key(),
            login_key=_key(),
            credential=credential_name(app, user_id, session_id),
            login_history_id=login_id,
            scopes=scopes,
        )
        with self._lock:
            if grant is not None:
                if grant.dead:
                    raise LookupError("the grant was revoked meanwhile")
                self._use(grant, made, now)
            self._live[made.token] = made
            self._by_id[session_id] = made
            self._names[made.token] = made.credential
            self._new_sessions[session_id] = self._session_row(made, now)
            self._last_logins[user_id] = iso(now)
            self._note_login(made, agent, api_version, now)
        return made

    def _use(self, grant: Grant, session: Session, now: datetime) -> None:
        grant.use_count += 1
        grant.sessions.append(session)
        self._used_grants[grant.row_id] = (grant.use_count, iso(now))
        while len(grant.sessions) > SESSIONS_PER_GRANT:
            self._end(grant.sessions.popleft())

    def _session_row(self, session: Session, now: datetime) -> dict[str, Any]:
        return {
            "Id": session.id,
            "UsersId": session.user_id,
            "SessionType": "Oauth2" if session.app else "API",
            "LoginType": "Remote Access 2.0" if session.app else "Other Apex API",
            "LoginSubType": _SUBTYPE.get(session.grant.kind) if session.grant else None,
            "SourceIp": session.ip,
            "LoginHistoryId": session.login_history_id,
            "NumSecondsValid": SECONDS_VALID,
            "SessionSecurityLevel": "STANDARD",
            "UserType": "Standard",
            "IsCurrent": 0,
            "IsAssociatedWithJwtAccessToken": 0,
            "ConnectedAppId": session.app.id if session.app else None,
            "OauthTokenId": session.grant.row_id if session.grant else None,
            "SessionKey": session.session_key,
            "LoginKey": session.login_key,
            "CreatedDate": iso(now),
            "LastModifiedDate": iso(now),
        }

    def _note_login(self, session: Session, agent: str, api_version: str, now: datetime) -> None:
        self._new_logins.append(
            self.login_row(
                session.user_id,
                session.ip,
                "Success",
                app=session.app,
                kind=session.grant.kind if session.grant else "",
                agent=agent,
                api_version=api_version,
                now=now,
                row_id=session.login_history_id,
            )
        )

    def login_row(
        self,
        user_id: str,
        ip: str,
        status: str,
        *,
        app: App | None,
        kind: str = "",
        agent: str = "",
        api_version: str = "",
        now: datetime | None = None,
        row_id: str = "",
    ) -> dict[str, Any]:
        """A row of LoginHistory."""
        return {
            "Id": row_id or self._new_id("0Ya"),
            "UserId": user_id,
            "LoginTime": iso(now or self._clock.now()),
            "LoginType": "Remote Access 2.0" if app else "Other Apex API",
            "LoginSubType": _SUBTYPE.get(kind),
            "SourceIp": ip,
            "LoginUrl": "login.salesforce.com",
            "Browser": agent[:64] or "Unknown",
            "Platform": "Unknown",
            "Status": status,
            "Application": app.name if app else "N/A",
            "ApiType": "N/A" if app else "SOAP Partner",
            "ApiVersion": api_version or "N/A",
            "ClientVersion": "N/A",
            "CountryIso": None,
            "TlsProtocol": "TLS 1.3",
            "OptionsIsGet": 0,
            "OptionsIsPost": 1,
        }

    def note_failed_login(self, row: dict[str, Any]) -> None:
        with self._lock:
            self._new_logins.append(row)

    def find(self, token: str) -> Session | None:
        """The living session of an access token; one whose time is over is ended here."""
        session = self._live.get(token)
        if session is not None and session.expires < self._clock.now():
            self.end(session)
            return None
        return session

    def name_of(self, token: str) -> str:
        """The credential name of any token ever issued, else `unknown`."""
        return self._names.get(token, "unknown")

    def by_id(self, session_id: str) -> Session | None:
        return self._by_id.get(session_id)

    def of_user(self, user_id: str) -> list[Session]:
        return [s for s in list(self._live.values()) if s.user_id == user_id]

    def end(self, session: Session) -> None:
        with self._lock:
            self._end(session)

    def _end(self, session: Session) -> None:
        self._live.pop(session.token, None)
        if self._by_id.pop(session.id, None) is None:
            return
        if self._new_sessions.pop(session.id, None) is None:
            self._gone_sessions.add(session.id)
        if session.grant is not None and session in session.grant.sessions:
            session.grant.sessions.remove(session)

    def end_all(self, sessions: Iterable[Session]) -> None:
        with self._lock:
            for session in list(sessions):
                self._end(session)

    # --- revocation ------------------------------------------------------------------------------

    def revoke(self, token: str) -> list[Session] | None:
        """Revoke an access, refresh or delete token. Returns the ended sessions; None for no such token.

        A refresh or delete token takes the grant and all its access tokens with it, an access token only
        itself.
        """
        with self._lock:
            grant = self._refresh.get(token) or self._delete.get(token)
            if grant is not None:
                return self._kill(grant)
            session = self._live.get(token)
            if session is None:
                return None
            self._end(session)
            return [session]

    def _kill(self, grant: Grant) -> list[Session]:
        grant.dead = True
        self._refresh.pop(grant.refresh_token, None)
        self._delete.pop(grant.delete_token, None)
        self._others.pop((grant.app.id, grant.user_id, grant.kind), None)
        ended = list(grant.sessions)
        for session in ended:
            self._end(session)
        self._used_grants.pop(grant.row_id, None)
        if self._new_grants.pop(grant.row_id, None) is None:
            self._gone_grants.add(grant.row_id)
        return ended

    # --- rows ------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Bring the tables up to date with memory."""
        with self._flushing:
            with self._lock:
                sessions, self._new_sessions = list(self._new_sessions.values()), {}
                gone, self._gone_sessions = self._gone_sessions, set()
                logins, self._new_logins = self._new_logins, []
                grants, self._new_grants = list(self._new_grants.values()), {}
                used, self._used_grants = self._used_grants, {}
                dead, self._gone_grants = self._gone_grants, set()
                last, self._last_logins = self._last_logins, {}
            if grants:
                self._store.insert("OauthToken", grants)
            if sessions:
                self._store.insert("AuthSession", sessions)
            if logins:
                self._store.insert("LoginHistory", logins)
            if used or gone or dead or last:
                with self._store.write() as db:
                    db.executemany(
                        "UPDATE OauthToken SET UseCount=?, LastUsedDate=? WHERE Id=?",
                        [(count, when, row_id) for row_id, (count, when) in used.items()],
                    )
                    db.executemany("DELETE FROM AuthSession WHERE Id=?", [(i,) for i in gone])
                    db.executemany("DELETE FROM OauthToken WHERE Id=?", [(i,) for i in dead])
                    db.executemany(
                        "UPDATE User SET LastLoginDate=? WHERE Id=?", [(when, i) for i, when in last.items()]
                    )
