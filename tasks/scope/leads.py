"""Where the suspects' keys led: what they made, and what is in the secrets they read. To be closed, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.errors import LeakResponseError
from blocks.systems import Systems
from tasks.incident import Incident, Ledger, Phase, Suspect
from tasks.scope.aws_leads import AwsLeads, aws_leads
from tasks.scope.found import FoundCredential
from tasks.scope.vault_leads import VaultLeads, vault_leads

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Leads:
    """Who is new. `complete` is False when a log could not be asked: then there may be more."""

    suspects: tuple[Suspect, ...]
    credentials: tuple[FoundCredential, ...]
    complete: bool


@task(name="follow-leads", cache_policy=NO_CACHE, persist_result=False)
def follow_leads(incident: Incident, systems: Systems, ledger: Ledger) -> Leads:
    """One step along the trail; the ledger gets paths and counts. Secrets stay in memory."""
    now = datetime.now(UTC)
    vault = _asked(ledger, incident, lambda: vault_leads(incident, systems.vault))
    aws = _asked(ledger, incident, lambda: aws_leads(incident, systems.aws, systems.vault, now))
    if vault is not None:
        _note_vault(ledger, incident, vault)
    if aws is not None:
        _note_aws(ledger, incident, aws)
    found = [one for one in (vault, aws) if one is not None]
    return Leads(
        tuple(suspect for one in found for suspect in one.made),
        tuple(credential for one in found for credential in one.credentials),
        complete=len(found) == 2,
    )


def _asked(ledger: Ledger, incident: Incident, ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except LeakResponseError as error:
        ledger.note(Phase.CONTAIN, "a trail could not be followed", incident.id, problem=error.problem)
        return None


def _note_vault(ledger: Ledger, incident: Incident, leads: VaultLeads) -> None:
    action = "followed in Vault's audit log" if leads.told else "Vault's audit log cannot be read here"
    _note(ledger, incident, action, sorted({one.path for one in leads.read}), leads)


def _note_aws(ledger: Ledger, incident: Incident, leads: AwsLeads) -> None:
    _note(ledger, incident, "followed in CloudTrail", sorted(leads.read), leads)


def _note(
    ledger: Ledger, incident: Incident, action: str, path: list[str], leads: VaultLeads | AwsLeads
) -> None:
    """What is new. A step that leads nowhere new is taken often and said once."""
    names, unread = _names(leads), sorted(set(leads.unread))
    before = [one["details"] for one in ledger.entries() if one["action"] == action]
    told = {text for one in before for text in (*(one.get("path") or ()), *(one.get("unread") or ()))}
    if names or not before or not told.issuperset((*path, *unread)):
        ledger.note(Phase.CONTAIN, action, incident.id, path=path, unread=unread, suspects=names)


def _names(leads: VaultLeads | AwsLeads) -> list[str]:
    return [str(one) for one in leads.made] + [str(one.suspect) for one in leads.credentials]
