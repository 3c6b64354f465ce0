"""What all access kinds of one run share: clients, resolved principals, found secrets, memory of past runs.

Everything is looked up when first asked for and kept; a failure is not kept, so that a system that comes
back is used again. A kind of one system never makes another system's client.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, cast

from blocks.plan import Plan
from blocks.systems import Systems
from tasks.contain.confirmations import Confirmation
from tasks.contain.history import Past, Replacement
from tasks.contain.jar import Credentials
from tasks.incident import Access, Incident, Mode, SuspectKind, System

if TYPE_CHECKING:
    from tasks.contain.aws.account import Aws
    from tasks.contain.salesforce.org import Org
    from tasks.contain.vault.server import Vault

T = TypeVar("T")

SYSTEM_OF: Mapping[SuspectKind, System] = {
    SuspectKind.CONNECTED_APP: System.SALESFORCE,
    SuspectKind.SALESFORCE_USER: System.SALESFORCE,
    SuspectKind.AWS_ACCESS_KEY: System.AWS,
    SuspectKind.AWS_USER: System.AWS,
    SuspectKind.AWS_ROLE: System.AWS,
    SuspectKind.VAULT_ACCESSOR: System.VAULT,
    SuspectKind.VAULT_APPROLE: System.VAULT,
    SuspectKind.VAULT_ENTITY: System.VAULT,
}


def utc_now() -> datetime:
    """The one place where containment reads the time."""
    return datetime.now(UTC)


class World:
    """Built once per run. Thread-safe."""

    def __init__(
        self,
        incident: Incident,
        systems: Systems,
        *,
        jar: Credentials | None = None,
        history: Mapping[str, Past] | None = None,
        replaced: Mapping[str, Replacement] | None = None,
        confirmations: Mapping[str, Confirmation] | None = None,
        force: bool = False,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.incident = incident
        self.systems = systems
        self.jar = jar if jar is not None else Credentials()
        self.history = dict(history or {})
        self.replaced = dict(replaced or {})  # credentials of our own issue are no suspects
        self.confirmations = dict(confirmations or {})
        self.force = force  # disruptive last resorts were approved
        self.now = now
        self._kept: dict[Hashable, object] = {}
        self._making: dict[Hashable, Future[object]] = {}
        self._lock = threading.Lock()

    @property
    def plan(self) -> Plan:
        return self.systems.plan

    @property
    def salesforce(self) -> Org:
        from tasks.contain.salesforce.org import Org

        return self.once("salesforce", lambda: Org(self.systems.salesforce))

    @property
    def aws(self) -> Aws:
        from tasks.contain.aws.account import Aws

        return self.once("aws", lambda: Aws(self.systems.aws))

    @property
    def vault(self) -> Vault:
        from tasks.contain.vault.server import Vault

        return self.once("vault", lambda: Vault(self.systems.vault))

    def named(self, kind: SuspectKind) -> tuple[str, ...]:
        """Identifiers of the suspects of one kind, in the order they were named."""
        return tuple(s.identifier for s in self.incident.suspects if s.kind is kind)

    def suspects(self, system: System) -> tuple[str, ...]:
        """Identifiers of all suspects of one system."""
        return tuple(s.identifier for s in self.incident.suspects if SYSTEM_OF[s.kind] is system)

    def past(self, system: System, kind: str) -> tuple[Access, ...]:
        """Accesses of one kind that this incident has attempted before, with their first before-state."""
        return tuple(
            p.access for p in self.history.values() if p.access.system is system and p.access.kind == kind
        )

    def remember(self, access: Access, at: datetime) -> Access:
        """Keep an access's first before-state; returns the access with the one that counts."""
        with self._lock:
            past = self.history.setdefault(access.key, Past(access, at, False, 0.0))
        return past.access

    def unproven(self, access: Access) -> bool:
        """Whether this incident still owes a proof for an access that may be shut already."""
        if self.incident.mode is Mode.PLAN:
            return False
        past = self.history.get(access.key)
        return past is None or not past.closed

    def proven(self, access: Access, seconds: float) -> None:
        """Remember that an access was closed and proven in this incident."""
        with self._lock:
            self.history[access.key] = replace(self.history[access.key], closed=True, seconds=seconds)

    def settled(self, access: Access) -> None:
        """Forget the unfinished attempts of an access: their results have been written."""
        with self._lock:
            self.history[access.key] = replace(self.history[access.key], open_attempts=())

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()` run once per key, however many threads ask. An error reaches all who waited for it, so
        that they do not wait for the same failure one after the other; it is not kept."""
        with self._lock:
            if key in self._kept:
                return cast(T, self._kept[key])
            making, mine = self._making.get(key), Future[object]()
            if making is None:
                self._making[key] = mine
        return cast(T, making.result()) if making is not None else self._make(key, make, mine)

    def _make(self, key: Hashable, make: Callable[[], T], told: Future[object]) -> T:
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            told.set_exception(error)
            raise
        with self._lock:
            self._kept[key] = value
            del self._making[key]
        told.set_result(value)
        return value
