"""Which secrets were read with the suspected Vault tokens, and when: each has to be replaced.

Vault writes its audit log before it answers: what is not in it was not answered, so that it has neither lag
nor bound. Only whether this worker can read the whole log decides.
Source: Vault documentation, Audit Devices ("if a request cannot be logged, it is not served").
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from blocks.vault import VaultServer
from blocks.vault_audit import Reader
from tasks.incident import Coverage, Incident, SuspectKind
from tasks.scope.stated import Source, absent, minute, present
from tasks.scope.vault_leads import VaultLeads, vault_leads

KINDS = frozenset({SuspectKind.VAULT_ACCESSOR, SuspectKind.VAULT_APPROLE, SuspectKind.VAULT_ENTITY})
LOG = Source(
    "Vault audit log",
    "reads of secrets with the suspected tokens and those made from them",
    "which secrets were read with the suspected tokens is not known: all that they may read count as read",
    timedelta(0),
)


def vault_reads(incident: Incident, server: VaultServer, now: datetime) -> tuple[Coverage, ...]:
    """The log's line, and one for each secret that was read. Raises what Vault raises when it cannot be
    asked."""
    if not any(suspect.kind in KINDS for suspect in incident.suspects):
        text = "No Vault token, AppRole or entity is suspected: its audit log was not needed."
        return (Coverage(LOG.name, True, None, None, 0, text),)
    leads = vault_leads(incident, server)
    if not leads.told:
        return (absent(LOG, "cannot be read here (the Vault block names no file of it)"),)
    return tuple(_told(leads, incident, now))


def _told(leads: VaultLeads, incident: Incident, now: datetime) -> Iterator[Coverage]:
    said = [f"{len(leads.made)} tokens made from them live"] if leads.made else []
    if leads.unread:
        said.append(f"what is in {', '.join(sorted(leads.unread))} could not be searched for credentials")
    times = [one.at for one in leads.read]
    yield present(LOG, times, incident.window, now, said="; ".join(said))
    by_path: dict[str, list[Reader]] = {}
    for one in leads.read:
        by_path.setdefault(one.path, []).append(one)
    for path, reads in sorted(by_path.items()):
        yield _secret(path, reads)


def _secret(path: str, reads: list[Reader]) -> Coverage:
    first, last = reads[0].at, reads[-1].at
    who = sorted({one.role or one.entity or one.display_name or "a token without a name" for one in reads})
    text = (
        f"{_named(path)} was read {len(reads)} times, first at {minute(first)} UTC by {', '.join(who)}: "
        "it has to be replaced."
    )
    return Coverage(f"vault:{path}", True, first, last, len(reads), text)


def _named(path: str) -> str:
    mount, data, name = path.partition("/data/")
    return f"The secret {mount}/{name}" if data else f"A credential from {path}"
