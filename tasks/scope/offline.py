"""Scope without an org: exported event logs and records in two folders, for a team that has only those.

The same work as against an org. What files cannot tell (a column, an object, a time zone) widens the bounds
and is named in the coverage statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from blocks.errors import BadInput
from tasks.incident import Coverage, Incident, IncidentFolder, Ledger, ScopeSummary, SuspectKind
from tasks.scope.attribution import Marks
from tasks.scope.local import LocalReader, Records, read_records
from tasks.scope.local_logs import LocalLogs, read_logs
from tasks.scope.rerun import Zone
from tasks.scope.run import Evidence, population_of, work_out
from tasks.scope.salt import salt_in
from tasks.scope.sources import Logs

_SALESFORCE = frozenset({SuspectKind.CONNECTED_APP, SuspectKind.SALESFORCE_USER})


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the exports are. Raises BadInput when one of them is not there."""

    logs: Path
    records: Path

    def __post_init__(self) -> None:
        for what, path in (("--logs", self.logs), ("--records", self.records)):
            if not path.is_dir():
                raise BadInput(
                    f"{what} {path} is no folder.", "Name the folder that holds the exported files."
                )


def scope_files(
    incident: Incident,
    folders: Folders,
    folder: IncidentFolder,
    ledger: Ledger,
    *,
    now: datetime,
    zone: str = "",
) -> ScopeSummary:
    """Work out whose data left from exported files alone.

    `zone`: IANA name of the zone in which users read dates where their own is not in the export; without it
    conditions with dates such as TODAY are not used, which widens the answer.
    """
    with TemporaryDirectory(prefix="lake-", dir=folder.path) as scratch:
        return _scope(incident, folders, folder, ledger, now, zone, Path(scratch))


def _scope(
    incident: Incident,
    folders: Folders,
    folder: IncidentFolder,
    ledger: Ledger,
    now: datetime,
    zone: str,
    scratch: Path,
) -> ScopeSummary:
    local = read_logs(folders.logs, incident.window, now, scratch)
    records = read_records(folders.records)
    reader = LocalReader(records.tables)
    marks = _marks(incident, local, records)
    logs = replace(
        local.logs, coverage=(*local.logs.coverage, *_coverage(incident, records, marks, local.logs))
    )
    salt = salt_in(folder.sub("exposure"))
    evidence = Evidence(reader, logs, marks, None, salt, Zone(zone))
    return work_out(incident, evidence, lambda: population_of(reader), folder, ledger, now=now)


def _marks(incident: Incident, local: LocalLogs, records: Records) -> Marks:
    """By which ids and names the logs know the suspects, as far as logs and records tell."""
    apps = [s.identifier for s in incident.suspects if s.kind is SuspectKind.CONNECTED_APP]
    users = [s.identifier for s in incident.suspects if s.kind is SuspectKind.SALESFORCE_USER]
    app_ids = {i for name in apps for i in local.apps.get(name, ())} | _by_name(
        records, "ConnectedApplication", "Name", apps
    )
    user_ids = {i for name in users for i in local.users.get(name.casefold(), ())}
    user_ids |= _by_name(records, "User", "Username", users)
    return Marks(
        apps=frozenset(app_ids | {a for a in apps if a.startswith("0H4")}),
        app_names=frozenset(apps),
        users=frozenset(user_ids | {u for u in users if u.startswith("005") and len(u) in (15, 18)}),
        user_names=frozenset(users),
    )


def _by_name(records: Records, table: str, column: str, names: list[str]) -> set[str]:
    rows = records.tables.get(table)
    if rows is None or column not in rows:
        return set()
    wanted = {name.casefold() for name in names}
    return set(rows.loc[rows[column].str.casefold().isin(wanted), "Id"])


def _coverage(incident: Incident, records: Records, marks: Marks, logs: Logs) -> Iterator[Coverage]:
    for name, table in sorted(records.tables.items()):
        text = f"{name}: {len(table)} records with {len(table.columns)} columns; other columns are not known."
        yield Coverage(f"records {name}", True, None, None, len(table), text)
    if not records.tables:
        text = "No file of records could be used: people and residences are not known."
        yield Coverage("records", False, None, None, 0, text)
    for problem in records.problems:
        yield Coverage("record files", True, None, None, 0, problem)
    if "IsDeleted" not in {column for table in records.tables.values() for column in table.columns}:
        text = (
            "No export holds deleted records: what was deleted since is counted only where logs count rows."
        )
        yield Coverage("deleted records", False, None, None, 0, text)
    for suspect in incident.suspects:
        if suspect.kind not in _SALESFORCE:
            text = f"{suspect}: what was read with it is in no Salesforce log and not part of these counts."
            yield Coverage("other suspects", False, None, None, 0, text)
    if not (marks.apps or marks.users):
        named = {c for rows in logs.events.values() for c in rows.columns}
        if not named & {"CONNECTED_APP_NAME", "USER_NAME"}:
            text = "No file tells the ids behind the suspects' names: name them by id (0H4..., 005...)."
            yield Coverage("suspects", False, None, None, 0, text)
