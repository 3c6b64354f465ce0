"""Credentials in the free text that the suspects could read, found within seconds, for containment to
close.

Reads cases, comments, e-mails and tasks before any log has arrived: what an attacker could read is
searched, not only what is known to have left. The secret stays in memory.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NoReturn

import hvac.exceptions
import pandas as pd

from blocks.errors import LeakResponseError
from blocks.salesforce.bulk import bulk_query
from blocks.systems import Systems
from blocks.vault import VaultServer, vault_errors
from tasks.incident import Incident, Suspect, SuspectKind
from tasks.scope.reader import BULK_FROM, OrgReader, flat
from tasks.scope.secrets import Hit, Kind, credentials_in, may_hold_credential

log = logging.getLogger(__name__)

TEXTS: dict[str, tuple[str, ...]] = {
    "Case": ("Subject", "Description", "Comments"),
    "CaseComment": ("CommentBody",),
    "EmailMessage": ("Subject", "TextBody", "HtmlBody"),
    "Task": ("Subject", "Description"),
}


@dataclass(frozen=True, slots=True)
class FoundCredential:
    """A credential in exposed text. `identifier` and `where` may be shown, `secret` never."""

    kind: SuspectKind
    identifier: str
    where: str  # for example "Case 500...: Description"
    secret: str = field(repr=False)

    @property
    def suspect(self) -> Suspect:
        return Suspect(self.kind, self.identifier, self.where)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A found credential stays in memory: it cannot be pickled.")


@dataclass(frozen=True, slots=True)
class TextScan:
    """What a scan of free text found. `kinds` counts all secrets, also those no system of ours can close."""

    credentials: tuple[FoundCredential, ...]
    kinds: dict[Kind, int]
    texts: int
    unread: tuple[str, ...] = ()  # objects that could not be read
    unresolved: int = 0  # Vault tokens whose accessor could not be learnt


def found_credentials(incident: Incident, systems: Systems) -> list[FoundCredential]:
    """AWS keys and Vault tokens in the org's free text, each once; not those the incident names already.

    An object that cannot be read is logged and left out. Raises what reading raises if none can be read.
    """
    known = {(suspect.kind, suspect.identifier) for suspect in incident.suspects}
    scan = scan_texts(systems)
    if scan.unread:
        log.warning("Free text of %s could not be searched for credentials", ", ".join(scan.unread))
    if scan.unresolved:
        log.warning("%d Vault tokens were found whose accessor Vault does not tell", scan.unresolved)
    return [found for found in scan.credentials if (found.kind, found.identifier) not in known]


def scan_texts(systems: Systems, objects: Sequence[str] = tuple(TEXTS)) -> TextScan:
    """Search the free text of these objects for credentials."""
    reader = OrgReader(systems.salesforce)
    with ThreadPoolExecutor(len(objects), thread_name_prefix="text-scan") as pool:
        results = list(pool.map(lambda name: _scan_object(reader, name), objects))
    failed = {name: part for name, part in zip(objects, results, strict=True) if isinstance(part, Exception)}
    if len(failed) == len(objects):
        raise next(iter(failed.values()))
    parts = [part for part in results if not isinstance(part, Exception)]
    hits = [hit for part in parts for hit in part.hits]
    return resolved_hits(hits, systems.vault, sum(part.texts for part in parts), tuple(failed))


@dataclass(slots=True)
class _Part:
    texts: int = 0
    hits: list[tuple[Hit, str]] = field(default_factory=list)


def _scan_object(reader: OrgReader, name: str) -> _Part | LeakResponseError:
    part = _Part()
    try:
        shape = reader.shape.get(name)
        fields = [f for f in TEXTS[name] if shape is not None and shape.field(f) is not None]
        if not fields:
            return part
        for page in _pages(reader, name, ["Id", *fields]):
            for column in fields:
                _scan_column(page, name, column, part)
    except LeakResponseError as error:
        return error
    return part


def _scan_column(page: pd.DataFrame, name: str, column: str, part: _Part) -> None:
    part.texts += int((page[column] != "").sum())
    suspicious = page.loc[page[column].map(may_hold_credential), ["Id", column]]
    for record_id, text in suspicious.itertuples(index=False):
        where = f"{name} {record_id}: {column}"
        part.hits.extend((hit, where) for hit in credentials_in(text))


def _pages(reader: OrgReader, name: str, fields: list[str]) -> Iterator[pd.DataFrame]:
    """The object's texts in pages, deleted records too: a recycle bin is readable."""
    soql = f"SELECT {', '.join(fields)} FROM {name}"  # noqa: S608 - names come from describe
    if reader.count(name) > BULK_FROM:
        yield from bulk_query(reader.org, soql, what="scan of free text", all_rows=True, page_size=20_000)
    else:
        yield flat(reader.query(soql, all_rows=True), fields)


# --- from a hit to something that can be closed ----------------------------------------------------


def resolved_hits(
    hits: list[tuple[Hit, str]], vault: VaultServer, texts: int = 0, unread: tuple[str, ...] = ()
) -> TextScan:
    """What was found, each once, as something that can be closed. `hits`: each with where it was."""
    found: dict[tuple[SuspectKind, str], FoundCredential] = {}
    tokens: dict[str, str] = {}
    for hit, where in hits:
        if hit.kind is Kind.AWS_KEY:
            key = (SuspectKind.AWS_ACCESS_KEY, hit.identifier)
            if key not in found or (hit.value and not found[key].secret):
                found[key] = FoundCredential(*key, where, hit.value)
        elif hit.kind is Kind.VAULT_TOKEN:
            tokens.setdefault(hit.value, where)
    unresolved = 0
    for token, where in tokens.items():
        accessor = accessor_of(vault, token)
        if accessor is None:
            unresolved += 1
        elif accessor:
            key = (SuspectKind.VAULT_ACCESSOR, accessor)
            found.setdefault(key, FoundCredential(*key, where, token))
    kinds = Counter(hit.kind for hit, _ in hits)
    return TextScan(tuple(found.values()), dict(kinds), texts, unread, unresolved)


def accessor_of(vault: VaultServer, token: str) -> str | None:
    """The accessor of a token; "" when Vault does not know it (it is dead), None when Vault cannot be
    asked.

    Asked with the responder's own credential (`auth/token/lookup`); where its policy does not allow
    that, by the token's own right to look itself up, which reads nothing else.
    """
    try:
        with vault_errors("look up a found token"):
            return _lookup(vault, token)
    except LeakResponseError:
        return None


def _lookup(vault: VaultServer, token: str) -> str:
    try:
        answer: Any = vault.get_client().auth.token.lookup(token)
    except hvac.exceptions.Forbidden:
        # Vault answers a dead token and a missing right alike: let the token speak for itself.
        try:
            answer = vault.client_with(token).auth.token.lookup_self()
        except (hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest):
            return ""
    except (hvac.exceptions.InvalidRequest, hvac.exceptions.InvalidPath):
        return ""
    return str(answer["data"]["accessor"] or "")
