"""Which logged events are the suspects' doing: by app, user, session, login, and address with client.

Not by user alone: one app has a token for each of thousands of users, and a stolen session works from
any address. The marks spread: whoever shares a session, a login or a request with a suspect's event is
the suspect. An address with the same client program spreads too, but weakly: it names a machine, not a
login, so those events count for the upper bound only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import pandas as pd

from tasks.incident import Window
from tasks.scope.logs import column, instants

# What every event is brought to, whatever its type calls it.
COLUMNS: dict[str, tuple[str, ...]] = {
    "request_id": ("REQUEST_ID",),
    "session": ("SESSION_KEY",),
    "login": ("LOGIN_KEY",),
    "user": ("USER_ID_DERIVED", "USER_ID"),
    "user_name": ("USER_NAME",),
    "app": ("CONNECTED_APP_ID",),
    "app_name": ("CONNECTED_APP_NAME",),
    "ip": ("CLIENT_IP", "SOURCE_IP"),
    "agent": ("USER_AGENT", "BROWSER_TYPE", "CLIENT_NAME"),
}
NAMING = frozenset({"RestApi", "API"})  # have a column for the app, empty where there is none
NO_KEYS = frozenset({"", "null", "0000000000000000"})
# Event types that do not name the request they belong to.
NAMELESS = frozenset({"UniqueQuery", "ReportEvent", "ListViewEvent", "BulkApiResultEventStore"})


@dataclass(frozen=True, slots=True)
class Marks:
    """What identifies the suspects in the logs."""

    apps: frozenset[str] = frozenset()  # 0H4 ids
    app_names: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()  # 005 ids
    user_names: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    logins: frozenset[str] = frozenset()
    machines: frozenset[tuple[str, str]] = frozenset()  # address and client program

    @property
    def empty(self) -> bool:
        return not (
            self.apps or self.app_names or self.users or self.user_names or self.sessions or self.logins
        )


@dataclass(frozen=True, slots=True)
class Own:
    """How this product's own calls are told apart: the request id's start and the responder's user, together.

    The start alone would not do: an attacker can send it, too.
    """

    prefix: str
    user: str


@dataclass(frozen=True, slots=True)
class Attribution:
    """The suspects' events, oldest first, and the marks by which they were known.

    `events` has the columns of COLUMNS and `type`, `at`, `why`, `certain`, and `row` (position in that type's
    log). `why` names the mark; `certain` is False where only the machine matched.
    """

    events: pd.DataFrame
    marks: Marks
    ours: int = 0  # events of this product itself, left out
    undated: int = 0  # events whose time could not be read: kept, since they may fall into the window
    log: Mapping[str, pd.DataFrame] = field(default_factory=dict, repr=False)

    def of_type(self, kind: str) -> pd.DataFrame:
        """The suspects' events of one type joined with all columns of its log."""
        chosen = self.events[self.events["type"] == kind]
        if chosen.empty:
            return chosen
        raw = self.log[kind].loc[chosen["row"]].set_axis(chosen.index)
        return pd.concat([chosen, raw], axis=1)


def short_id(ids: pd.Series[str]) -> pd.Series[str]:
    """Ids in the 15-character form: logs carry either, and the first 15 characters identify the record."""
    return ids.str.strip().str.slice(0, 15)


def attribute(
    logs: Mapping[str, pd.DataFrame], marks: Marks, window: Window, *, now: datetime, own: Own | None
) -> Attribution:
    """The events of `logs` (event type -> rows) inside the window that belong to the suspects.

    What this product did itself (`own`) is never the suspects'.
    """
    everything = _normalise(logs)
    ours = _ours(everything, own)
    inside = _inside(everything["at"], window, now)
    candidates = everything[inside & ~ours]
    why, spread = _spread(candidates, marks)
    weak = _same_machine(candidates, why, spread.machines)
    weak = weak.mask((weak == "") & _nameless(candidates, why, marks), "no app named")
    events = candidates.assign(why=why.where(why != "", weak), certain=why != "")
    events = events[events["why"] != ""]
    undated = int(events["at"].isna().sum())
    latest = pd.Timestamp(window.end or now)  # the time by which most records were there
    events = events.assign(at=events["at"].fillna(latest)).sort_values("at", kind="stable", ignore_index=True)
    return Attribution(events, spread, int((ours & inside).sum()), undated, logs)


def _normalise(logs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    frames = []
    for kind, rows in logs.items():
        if rows.empty:
            continue
        frame = pd.DataFrame({name: column(rows, *sources) for name, sources in COLUMNS.items()})
        frame = frame.assign(type=kind, at=instants(rows), row=rows.index)
        frames.append(frame)
    if not frames:
        empty = pd.DataFrame({name: pd.Series(dtype="str") for name in (*COLUMNS, "type")})
        return empty.assign(at=pd.Series(dtype="datetime64[us, UTC]"), row=pd.Series(dtype="int64"))
    return pd.concat(frames, ignore_index=True)


def _ours(events: pd.DataFrame, own: Own | None) -> pd.Series[bool]:
    """Our own calls, and the queries of sessions that hold nothing but our own calls."""
    if own is None:
        return pd.Series(False, index=events.index)
    calls = events["request_id"].str.startswith(own.prefix) & (short_id(events["user"]) == own.user[:15])
    nameless = events["type"].isin(NAMELESS)
    sessions = _keys(events.loc[calls, "session"]) - _keys(events.loc[~calls & ~nameless, "session"])
    return calls | (nameless & events["session"].isin(sessions))


def _inside(at: pd.Series[pd.Timestamp], window: Window, now: datetime) -> pd.Series[bool]:
    end = window.end or now
    return at.isna() | ((at >= window.start) & (at <= end))


def _keys(values: pd.Series[str]) -> frozenset[str]:
    return frozenset(values.unique()) - NO_KEYS


def _spread(events: pd.DataFrame, marks: Marks) -> tuple[pd.Series[str], Marks]:
    """Why each event is a suspect's ("" when it is not), spreading over sessions and logins to the end."""
    apps, users = short_id(events["app"]), short_id(events["user"])
    names = events["user_name"].str.casefold()
    direct = {
        "app": apps.isin({a[:15] for a in marks.apps}) | events["app_name"].isin(marks.app_names),
        "user": users.isin({u[:15] for u in marks.users})
        | names.isin({n.casefold() for n in marks.user_names}),
    }
    why = pd.Series("", index=events.index, dtype="str")
    for reason, matched in direct.items():
        why = why.mask((why == "") & matched, reason)
    sessions, logins = marks.sessions, marks.logins
    while True:
        known = events[why != ""]
        sessions |= _keys(known["session"])
        logins |= _keys(known["login"])
        # One call leaves lines in several logs under one request id; not all of them name app or session.
        requests = _keys(known["request_id"])
        grown = why
        for reason, name, keys in (
            ("session", "session", sessions),
            ("login", "login", logins),
            ("request", "request_id", requests),
        ):
            grown = grown.mask((grown == "") & events[name].isin(keys), reason)
        if grown.equals(why):
            break
        why = grown
    machines = _machines(events[why != ""]) | marks.machines
    return why, replace(marks, sessions=sessions, logins=logins, machines=machines)


def _nameless(events: pd.DataFrame, why: pd.Series[str], marks: Marks) -> pd.Series[bool]:
    """Sessions of which no log says whether an app was at work, where the log that does so for every call is
    missing: any of them may be the suspected app's. The logs in NAMING say it for theirs."""
    if not (marks.apps or marks.app_names) or (events["type"] == "ApiTotalUsage").any():
        return pd.Series(False, index=events.index)
    told = (events["app"].str.strip() != "") | (events["app_name"].str.strip() != "")
    named = events[told | (why != "") | events["type"].isin(NAMING)]
    known = events["session"].isin(_keys(named["session"])) | events["login"].isin(_keys(named["login"]))
    return ~known & ~events["session"].isin(NO_KEYS)


def _machines(events: pd.DataFrame) -> frozenset[tuple[str, str]]:
    """Address and client program of the suspects, where the address names one place on the internet."""
    pairs = events[["ip", "agent"]].drop_duplicates()
    return frozenset(
        (ip, agent) for ip, agent in pairs.itertuples(index=False) if agent.strip() and is_public(ip)
    )


def is_public(ip: str) -> bool:
    try:
        return ipaddress.ip_address(ip.strip()).is_global
    except ValueError:
        return False


def _same_machine(
    events: pd.DataFrame, why: pd.Series[str], machines: Iterable[tuple[str, str]]
) -> pd.Series[str]:
    known = pd.MultiIndex.from_tuples(list(machines), names=["ip", "agent"]) if machines else None
    if known is None or events.empty:
        return pd.Series("", index=events.index, dtype="str")
    matched = pd.MultiIndex.from_frame(events[["ip", "agent"]]).isin(known)
    return pd.Series("", index=events.index, dtype="str").mask(matched, "machine")
