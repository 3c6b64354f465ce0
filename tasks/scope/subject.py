"""Was this person affected? The answer for one e-mail address or phone number, from hashed keys alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import pandas as pd

from blocks.errors import BadInput
from blocks.vault import VaultServer
from tasks.incident import IncidentFolder, ScopeSummary
from tasks.scope.exposure import KEYS, SALT, exposures
from tasks.scope.keys import email_key, phone_key
from tasks.scope.salt import Salt, salt_in, salt_of


class Affected(StrEnum):
    YES = "yes"
    POSSIBLY = "possibly"
    NOT_FOUND = "not found"


@dataclass(frozen=True, slots=True)
class ObjectShown:
    """What of this person's records of one object was shown."""

    object: str
    records: int
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What can be said to one person. `statement` is one sentence without the address."""

    incident: str
    affected: Affected
    subject: str  # the hashed key; "" when not found
    shown: tuple[ObjectShown, ...]
    categories: tuple[str, ...]
    residence: str
    first_at: datetime | None
    last_at: datetime | None
    as_of: datetime | None
    statement: str


def answer(folder: IncidentFolder, incident: str, contact: str, salt: Salt) -> Answer:
    """Look a person up by e-mail address or international phone number.

    Raises BadInput for a contact that identifies nobody, and where there is no scope yet.
    """
    path = folder.path / "exposure" / KEYS
    if not path.exists():
        raise BadInput(f"Incident {incident} has no scope yet.", "Run the scope first, then ask again.")
    rule, key = _key(contact)
    keys = pd.read_parquet(path)
    wanted = salt.subject(f"{rule}:{key}")
    subjects = set(keys.loc[(keys["key"] == wanted) & (keys["rule"] == rule), "subject"])
    rows = exposures(folder)
    rows = rows[rows["subject"].isin(subjects)]
    summary = folder.read(folder.scope, ScopeSummary)
    as_of = summary.as_of if summary else None
    if rows.empty:
        return Answer(incident, Affected.NOT_FOUND, "", (), (), "", None, None, as_of, _not_found(summary))
    certain = bool(rows["certain"].astype(bool).any())
    affected = Affected.YES if certain else Affected.POSSIBLY
    names = sorted({one for text in rows["categories"] for one in str(text).split(",") if one})
    shown = tuple(_shown(str(name), part) for name, part in rows.groupby("object"))
    at = pd.to_datetime(rows["at"], utc=True)
    count = sum(one.records for one in shown)
    verb = "left" if certain else "may have left"
    statement = f"Data in {count} records about this person {verb}: {', '.join(names) or 'no known kind'}."
    return Answer(
        incident,
        affected,
        str(rows["subject"].iloc[0]),
        shown,
        tuple(names),
        str(rows["residence"].iloc[0]),
        at.min().to_pydatetime(),
        at.max().to_pydatetime(),
        as_of,
        statement,
    )


def _key(contact: str) -> tuple[str, str]:
    text = contact.strip()
    if "@" in text:
        key = email_key(text)
        if key is None:
            raise BadInput(
                "This address belongs to a role or is no address: it identifies no person.",
                "Ask with the person's own e-mail address.",
            )
        return "email", key
    key = phone_key(text, None)
    if key is None:
        raise BadInput("This is no e-mail address.", "Give an address, or a phone number such as +49 30 ...")
    return "phone", key


def _shown(name: str, rows: pd.DataFrame) -> ObjectShown:
    fields = dict.fromkeys(one for text in rows["fields"] for one in str(text).split(",") if one)
    return ObjectShown(name, int(rows["record_id"].nunique()), tuple(fields))


def _not_found(summary: ScopeSummary | None) -> str:
    unnamed = 0
    if summary is not None:
        unnamed = max(0, summary.records.upper - sum(summary.records_by_object.values()))
    rest = (
        f" {unnamed} records of the incident could not be named, so this is not certain." if unnamed else ""
    )
    return f"No record known to have left is about a person with this address.{rest}"


def salt_used(folder: IncidentFolder, vault: VaultServer | None) -> Salt:
    """The salt that the incident's keys were hashed with. Raises BadInput when it cannot be had."""
    exposure = folder.path / "exposure"
    told = _told(exposure / SALT)
    own = salt_in(exposure) if (exposure / "salt").exists() else None
    if own is not None and own.id == told:
        return own
    if vault is not None:
        kept = salt_of(vault, exposure)
        if kept.id == told:
            return kept
    raise BadInput(
        "The salt of this incident's keys cannot be read.",
        "It is kept in Vault: name the lab.json or the plan whose Vault holds it.",
    )


def _told(path: Path) -> str:
    if not path.exists():
        raise BadInput("This incident has no scope yet.", "Run the scope first, then ask again.")
    return str(json.loads(path.read_text(encoding="utf-8"))["id"])
