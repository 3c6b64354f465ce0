"""Look the suspects up in the org: which app and user ids the logs will show, and how each user reads a
date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from blocks.errors import LeakResponseError
from tasks.incident import Incident, SuspectKind
from tasks.scope.attribution import Marks
from tasks.scope.reader import Reader
from tasks.scope.rerun import Zone

CHUNK = 200


def marks_of(reader: Reader, incident: Incident) -> Marks:
    """The ids and names by which the logs know the incident's Salesforce suspects; empty when it has none."""
    apps = [s.identifier for s in incident.suspects if s.kind is SuspectKind.CONNECTED_APP]
    users = [s.identifier for s in incident.suspects if s.kind is SuspectKind.SALESFORCE_USER]
    ids = [u for u in users if u.startswith("005") and len(u) in (15, 18)]
    names = [u for u in users if u not in ids]
    return Marks(
        apps=frozenset(_ids(reader, "ConnectedApplication", "Name", apps)),
        app_names=frozenset(apps),
        users=frozenset([*ids, *_ids(reader, "User", "Username", names)]),
        user_names=frozenset(names),
    )


def _ids(reader: Reader, object_name: str, field: str, values: Sequence[str]) -> Iterator[str]:
    for chunk in _chunks(values):
        soql = f"SELECT Id FROM {object_name} WHERE {field} IN ({quoted(chunk)})"  # noqa: S608 - SOQL, quoted
        for row in reader.query(soql):
            yield str(row["Id"])


def zones_of(reader: Reader, users: Iterable[str], default: Zone | None = None) -> dict[str, Zone]:
    """How each of these users reads dates, by the user id as given; `default` where that cannot be read."""
    users, default = list(users), default or Zone()
    wanted = {user[:15]: user for user in users if user}
    unknown = dict.fromkeys(users, default)
    if not wanted:
        return unknown
    month = default.fiscal_year_start_month
    with suppress(LeakResponseError):
        for row in reader.query("SELECT FiscalYearStartMonth FROM Organization"):
            month = int(row.get("FiscalYearStartMonth") or 1)
    names: dict[str, str] = {}
    try:
        for chunk in _chunks(sorted(wanted.values())):
            soql = f"SELECT Id, TimeZoneSidKey FROM User WHERE Id IN ({quoted(chunk)})"  # noqa: S608 - SOQL, quoted
            names |= {str(row["Id"])[:15]: str(row["TimeZoneSidKey"] or "") for row in reader.query(soql)}
    except LeakResponseError:
        return unknown
    known = {user: Zone(names[short], month) for short, user in wanted.items() if names.get(short)}
    return {**unknown, **known}


def quoted(values: Iterable[str]) -> str:
    """SOQL text literals, comma-separated."""
    return ", ".join("'" + v.replace("\\", "\\\\").replace("'", "\\'") + "'" for v in values)


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
