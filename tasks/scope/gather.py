"""All sources beside the event log files, brought together: licensed stores, Vault's and AWS's logs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from blocks.errors import LeakResponseError
from blocks.systems import Systems
from tasks.incident import Coverage, Incident, IncidentFolder, Window
from tasks.scope.aws_reads import aws_reads, write_objects
from tasks.scope.event_log_objects import OBJECTS, merged, read_objects
from tasks.scope.kept import with_kept
from tasks.scope.reader import OrgReader
from tasks.scope.realtime import SOURCES as STORES
from tasks.scope.realtime import read_stores
from tasks.scope.sources import Logs
from tasks.scope.vault_reads import vault_reads


def with_stores(reader: OrgReader, logs: Logs, window: Window, now: datetime, folder: Path) -> Logs:
    """The log files' events with those of the event log objects and real-time stores, each event once. What
    these gave is kept below `folder`."""
    objects = read_objects(reader, window, now)
    stores = read_stores(reader, window, now)
    told = {OBJECTS[kind]: rows for kind, rows in objects.events.items()} | dict(stores.events)
    kept = with_kept(folder, told)
    sooner = {kind: kept[name] for kind, name in OBJECTS.items() if name in kept}
    events = {**merged(logs.events, sooner), **{k: rows for k, rows in kept.items() if k in STORES}}
    return replace(logs, events=events, coverage=(*logs.coverage, *objects.coverage, *stores.coverage))


def outside(
    incident: Incident, systems: Systems, folder: IncidentFolder, now: datetime
) -> tuple[Coverage, ...]:
    """What the suspects read outside of Salesforce. A system that cannot be asked is a line that says so."""
    return (*_aws(incident, systems, folder, now), *_vault(incident, systems, now))


def _aws(incident: Incident, systems: Systems, folder: IncidentFolder, now: datetime) -> tuple[Coverage, ...]:
    try:
        reads = aws_reads(incident, systems.aws, now)
        write_objects(reads, folder.sub("exposure"))
    except LeakResponseError as error:
        return (Coverage("CloudTrail", False, None, None, 0, f"AWS could not be asked: {error.problem}"),)
    return tuple(reads.coverage)


def _vault(incident: Incident, systems: Systems, now: datetime) -> tuple[Coverage, ...]:
    try:
        return vault_reads(incident, systems.vault, now)
    except LeakResponseError as error:
        text = f"Vault's audit log could not be followed: {error.problem}"
        return (Coverage("Vault audit log", False, None, None, 0, text),)
