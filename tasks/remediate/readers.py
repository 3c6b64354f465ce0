"""Who could read a new secret where it is written: leaked accesses to that store, not proven closed.

A replacement waits for them, a bounded time. One that may yet be closed holds it back: a secret that is
handed out at once replaces nothing. One that will not be closed (a guard forbids it, or closing it failed)
does not keep the business standing still: the secret is written, and it is said that it must be replaced once
more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tasks.incident import (
    AccessStatus,
    Containment,
    Incident,
    IncidentFolder,
    Ledger,
    Phase,
    System,
)

WAITED, EXPOSED = "waited for leaked readers", "replacement can be read"
LONGEST_S = 30.0
POLL_S = 0.5
# Kinds of a store's accesses that open something else than its secrets.
_ELSEWHERE = frozenset({"vault-leases", "vault-static-role", "vault-db-root", "bucket-policy"})
_STORES = {"vault": System.VAULT, "aws": System.AWS}
# Not closed so far, though a person's answer or another run may still close it.
_UNDECIDED = frozenset({AccessStatus.OPEN, AccessStatus.ASKED, AccessStatus.FAILED})


@dataclass(frozen=True, slots=True)
class Readers:
    """Leaked accesses of one store that are not proven closed, by `Access.key`."""

    waiting: tuple[str, ...] = ()  # may yet be closed, if somebody agrees
    lasting: tuple[str, ...] = ()  # will not be closed from here

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(sorted((*self.waiting, *self.lasting)))


def readers_of(places: Iterable[str], contained: Iterable[Containment]) -> Readers:
    """Who could read a secret in these places of the plan (`vault:...`, `aws:...`)."""
    stores = {_STORES[scheme] for place in places if (scheme := place.partition(":")[0]) in _STORES}
    still = [
        one
        for one in contained
        if one.access.system in stores
        and one.access.kind not in _ELSEWHERE
        and one.status not in (AccessStatus.CLOSED, AccessStatus.MANUAL)
    ]
    asked = tuple(sorted(one.access.key for one in still if one.status is AccessStatus.ASKED))
    return Readers(asked, tuple(sorted(one.access.key for one in still if one.access.key not in asked)))


def wait_for_readers(
    incident: Incident,
    folder: IncidentFolder,
    ledger: Ledger,
    places: Sequence[str],
    *,
    longest_s: float = LONGEST_S,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Containment]:
    """The containments, once every leaked reader of these places is proven closed or `longest_s` is over.

    Another run may close them meanwhile: the incident's folder is read again. Writes into the ledger whether
    it waited, and in vain.
    """
    began = time.monotonic()
    contained = folder.read(folder.containment, list[Containment]) or []
    first = _undecided(places, contained)
    while _undecided(places, contained) and time.monotonic() - began < longest_s:
        sleep(POLL_S)
        contained = folder.read(folder.containment, list[Containment]) or []
    if first:
        left = _undecided(places, contained)
        ledger.note(
            Phase.REMEDIATE,
            WAITED,
            incident.id,
            count=len(first),
            remaining=len(left),
            seconds=round(time.monotonic() - began, 3),
        )
    return contained


def _undecided(places: Sequence[str], contained: Sequence[Containment]) -> list[str]:
    by_key = {one.access.key: one for one in contained}
    return [key for key in readers_of(places, contained).all if by_key[key].status in _UNDECIDED]


def say_exposed(ledger: Ledger, phase: Phase, target: str, principal: str, readers: Sequence[str]) -> None:
    """Write that a new secret of `principal` can be read by these accesses; each new set is written once."""
    if readers and list(readers) != exposed(ledger).get(principal):
        ledger.note(phase, EXPOSED, target, principal=principal, refs=sorted(readers))


def exposed(ledger: Ledger) -> dict[str, list[str]]:
    """By principal, who could read its new secret when it was written: it has to be replaced once more."""
    return {
        str(entry["details"].get("principal")): [str(one) for one in entry["details"].get("refs", ())]
        for entry in ledger.entries()
        if entry["action"] == EXPOSED
    }
