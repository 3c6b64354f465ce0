"""Replace the credentials that were cut: for each integration, in the order that keeps the outage short.

After the cut: issue, write where consumers read, use what reads back, try the old one, and ask the consumers
in their order. A credential is replaced once per incident, however often this runs: the ledger says what was
issued, the places say what works. What cannot be replaced from here is a step for a person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.errors import LeakResponseError
from blocks.plan import Integration
from blocks.systems import Systems
from tasks.incident import AccessStatus, Containment, Incident, IncidentFolder, Ledger, Phase
from tasks.remediate.approle import replace_secret_id
from tasks.remediate.aws_key import replace_key
from tasks.remediate.consumers import ConsumerCheck, ask
from tasks.remediate.job import RECHECKED, RETIRE, WRITE, Clock, Credential, Job, Outcome, utc_now
from tasks.remediate.login_key import KIND as LOGIN_KEY
from tasks.remediate.login_key import login_keys, replace_login_key
from tasks.remediate.places import is_place, place
from tasks.remediate.readers import (
    LONGEST_S,
    Readers,
    exposed,
    readers_of,
    say_exposed,
    wait_for_readers,
)

DONE = (Outcome.REPLACED, Outcome.KEPT)
ISSUED = frozenset(
    {"aws-user", "vault-approle"}
)  # principals whose new credential is issued and written here


@dataclass(frozen=True, slots=True)
class Replaced:
    """One integration: its credentials, its consumers, and what the incident cost it in time."""

    integration: str
    owner: str
    credentials: tuple[Credential, ...]
    consumers: tuple[ConsumerCheck, ...]
    by_hand: tuple[str, ...]  # places in the plan that cannot be written from here
    cut_at: datetime | None  # its first access was closed
    restored_at: datetime | None  # it could work again; None: it still stands still
    seconds_of_access: float  # from the declaration until its last access was proven closed
    seconds_of_outage: float  # from the cut until restored, or until now
    outage_over: bool | None  # None: all is in place, but not every consumer could be asked

    @property
    def done(self) -> bool:
        """Whether nothing is left to a person or to another run."""
        safe = all(one.outcome in DONE and not one.exposed_to for one in self.credentials)
        return safe and bool(self.outage_over)


def replacements_file(folder: IncidentFolder) -> Path:
    """Where the outcome is kept, for the scorecard and the steps."""
    return folder.path / "replacements.json"


def replace_all(
    incident: Incident,
    systems: Systems,
    folder: IncidentFolder,
    ledger: Ledger,
    *,
    now: Clock = utc_now,
    wait_s: float = LONGEST_S,
) -> list[Replaced]:
    """Replace what was cut of every integration in the plan; stored in the incident's folder.

    Waits up to `wait_s` seconds until no leaked access could read what is written (see readers.py). Never
    raises for one system or integration: the credential is FAILED, with the reason, and the next run goes on
    from there.
    """
    contained = folder.read(folder.containment, list[Containment]) or []
    written = [
        text for one in systems.plan.integrations if accesses_of(one, contained) for text in one.secret_at
    ]
    contained = wait_for_readers(incident, folder, ledger, written, longest_s=wait_s)
    earlier = {one.integration: one for one in folder.read(replacements_file(folder), list[Replaced]) or []}
    for entry in ledger.open_attempts():
        if entry["phase"] == Phase.REMEDIATE and entry["action"] in (WRITE, RETIRE):
            ledger.result(entry["id"], RECHECKED)  # what the places hold is read anew below
    found = []
    for integration in systems.plan.integrations:
        hit = accesses_of(integration, contained)
        if not hit:
            continue
        job = _job(incident, systems, ledger, integration)
        before = earlier.get(integration.name)
        readers = readers_of(integration.secret_at, contained)
        credentials = tuple(
            _as_first_seen(_told(job, readers, kind, name, make), before)
            for kind, name, make in _needs(integration, hit)
        )
        found.append(_summed(incident, ledger, integration, hit, credentials, before, now))
    folder.write(replacements_file(folder), found)
    ledger.note(
        Phase.REMEDIATE,
        "replacements",
        incident.id,
        total=sum(len(one.credentials) for one in found),
        succeeded=sum(c.outcome in DONE for one in found for c in one.credentials),
    )
    return found


def accesses_of(integration: Integration, contained: list[Containment]) -> list[Containment]:
    """What containment did to the integration's principals, in the order of the list."""
    names = {principal.identifier for principal in integration.principals}
    return [
        one
        for one in contained
        if names & {one.access.principal, one.access.ref, str(one.access.before.get("user"))}
    ]


Make = Callable[[Job], Credential]


def _needs(integration: Integration, hit: list[Containment]) -> list[tuple[str, str, Make]]:
    """The principals of the integration that lost a credential, each with the way to replace it."""
    found: list[tuple[str, str, Make]] = []
    for principal in integration.principals:
        name = principal.identifier
        mine = [one for one in hit if name in (one.access.principal, one.access.ref)]
        match principal.kind:
            case "aws-user" if keys := [one for one in mine if one.access.kind == "access-key"]:
                found.append((principal.kind, name, _key(name, keys)))
            case "vault-approle" if ids := [one for one in mine if one.access.kind == "approle"]:
                found.append((principal.kind, name, _secret_id(name, ids)))
            case "connected-app" if mine:
                found.append((principal.kind, name, _app(name, integration)))
            case "salesforce-user" | "aws-role" | "vault-entity" if mine:
                found.append((principal.kind, name, _by_hand(principal.kind, name, integration)))
    return found


def _key(user: str, accesses: list[Containment]) -> Make:
    dead = frozenset(one.access.ref for one in accesses)
    return lambda job: replace_key(job, user, dead)


def _secret_id(role: str, accesses: list[Containment]) -> Make:
    if all(one.status is AccessStatus.CLOSED for one in accesses):
        return lambda job: replace_secret_id(job, role)
    waiting = f"The old secret ids of {role} are not proven closed: contain first."
    return lambda job: Credential("vault-approle", role, Outcome.WAITING, waiting)


def _app(name: str, integration: Integration) -> Make:
    """A login by private key is replaced by a person and then proven; any other login is a person's alone."""
    by_hand = _by_hand("connected-app", name, integration)

    def make(job: Job) -> Credential:
        keys = login_keys(job)
        return replace_login_key(job, name, keys) if keys else by_hand(job)

    return make


def _by_hand(kind: str, name: str, integration: Integration) -> Make:
    where = ", ".join(integration.secret_at) or "where its consumers read it"
    text = {
        "connected-app": f"Once {name} is vetted: authorise it again as the integration's user with the "
        f"least scopes, unblock it, and write its new secret to {where}.",
        "salesforce-user": f"Once its app is vetted: undo the freeze and the permissions that {name} needs.",
        "aws-role": f"Once whoever {name} trusts is vetted: undo its trust, then deploy again.",
        "vault-entity": f"Once {name} is vetted: undo its disabling, then log in again.",
    }[kind]
    return lambda job: Credential(kind, name, Outcome.PERSON, text)


def _job(incident: Incident, systems: Systems, ledger: Ledger, integration: Integration) -> Job:
    places = [place(text, systems) for text in integration.secret_at]
    return Job(incident, systems, ledger, tuple(one for one in places if one is not None))


def _guarded(kind: str, name: str, make: Callable[[], Credential]) -> Credential:
    """One failed credential does not hold up another."""
    try:
        return make()
    except LeakResponseError as error:
        return Credential(kind, name, Outcome.FAILED, f"{error.problem} {error.fix}")
    except Exception as error:  # its text may carry a secret
        return Credential(kind, name, Outcome.FAILED, f"Unexpected {type(error).__name__}: please report it.")


def _told(job: Job, readers: Readers, kind: str, name: str, make: Make) -> Credential:
    """Replace one credential, unless who could read the new one may yet be shut out; say who could."""
    if readers.waiting and kind in ISSUED:
        text = (
            f"{', '.join(readers.waiting)} could read the new secret and waits for an approval to be closed: "
            "approve it, then run remediate again."
        )
        return Credential(kind, name, Outcome.WAITING, text)
    made = _guarded(kind, name, partial(make, job))
    if not made.places or made.outcome not in DONE:
        return made
    before = exposed(job.ledger).get(made.ref or name, [])
    say_exposed(job.ledger, Phase.REMEDIATE, f"replacement/{name}", made.ref or name, readers.lasting)
    return replace(made, exposed_to=readers.lasting or tuple(before))


def _as_first_seen(credential: Credential, earlier: Replaced | None) -> Credential:
    """With what the first run could say: by now the old secret is destroyed and cannot be tried again."""
    for known in earlier.credentials if earlier else ():
        refused = credential.old_refused or (credential.kind == LOGIN_KEY and known.old_refused)
        if known.ref and replace(credential, detail=known.detail, old_refused=refused) == known:
            return known
    return credential


def _summed(
    incident: Incident,
    ledger: Ledger,
    integration: Integration,
    hit: list[Containment],
    credentials: tuple[Credential, ...],
    earlier: Replaced | None,
    now: Clock,
) -> Replaced:
    shut = _closings(ledger, {one.access.key for one in hit if one.status is AccessStatus.CLOSED})
    ready = all(one.outcome in DONE for one in credentials)
    checks = ask(integration.consumers) if ready else ()
    over = _over(ready, checks)
    restored = None if over is False else (earlier and earlier.restored_at) or now()
    cut_at = min(shut, default=None)
    until = restored or now()
    return Replaced(
        integration.name,
        integration.owner,
        credentials,
        checks,
        tuple(text for text in integration.secret_at if not is_place(text)),
        cut_at,
        restored,
        _between(incident.declared_at, max(shut, default=None)),
        _between(cut_at, until),
        over,
    )


def _over(ready: bool, checks: tuple[ConsumerCheck, ...]) -> bool | None:
    """Whether the integration works again; None when all is in place and somebody could not be asked."""
    if not ready or any(check.ok is False for check in checks):
        return False
    return True if all(check.ok for check in checks) else None


def _closings(ledger: Ledger, keys: set[str]) -> list[datetime]:
    """When each of these accesses was first proven closed."""
    first: dict[str, datetime] = {}
    for entry in ledger.entries():
        closing = entry["phase"] == Phase.CONTAIN and entry["action"] == "close" and entry["kind"] == "RESULT"
        if closing and entry["target"] in keys and _passed(entry["details"]):
            first.setdefault(entry["target"], datetime.fromisoformat(entry["at"]))
    return list(first.values())


def _passed(details: Mapping[str, Any]) -> bool:
    return details.get("outcome") == "ok" or bool(details.get("passed"))


def _between(start: datetime | None, end: datetime | None) -> float:
    if start is None or end is None:
        return 0.0
    return round(max(0.0, (end - start).total_seconds()), 3)


@task(name="replace credentials", cache_policy=NO_CACHE, persist_result=False)
def replace_credentials(
    incident: Incident, systems: Systems, folder: IncidentFolder, ledger: Ledger
) -> list[Replaced]:
    """`replace_all` as a step of a flow."""
    return replace_all(incident, systems, folder, ledger)
