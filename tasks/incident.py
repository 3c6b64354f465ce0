"""The words every phase shares: incident, suspect, access, proof, exposure, duty, ledger.

Phases do not import each other. What one phase hands to the next is one of these frozen dataclasses,
kept as JSON in the incident's folder, so that each phase can also be run alone and after a crash.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from pydantic import TypeAdapter

from blocks.errors import BadInput


class SuspectKind(StrEnum):
    """What a commander can name as leaked. The identifier is a reference, never the secret itself."""

    CONNECTED_APP = "connected-app"  # the app's label in OauthToken.AppName
    SALESFORCE_USER = "salesforce-user"  # username or 005 id
    AWS_ACCESS_KEY = "aws-access-key"  # AKIA.../ASIA... key id
    AWS_USER = "aws-user"  # IAM user name
    AWS_ROLE = "aws-role"  # IAM role name
    VAULT_ACCESSOR = "vault-accessor"  # a token's accessor
    VAULT_APPROLE = "vault-approle"  # role name
    VAULT_ENTITY = "vault-entity"  # entity name or id


class System(StrEnum):
    SALESFORCE = "salesforce"
    AWS = "aws"
    VAULT = "vault"


class Mode(StrEnum):
    PLAN = "plan"  # show what would be done, change nothing
    CONTAIN = "contain"


class Phase(StrEnum):
    DECLARE = "declare"
    PRESERVE = "preserve"
    CONTAIN = "contain"
    SCOPE = "scope"
    NOTIFY = "notify"
    REMEDIATE = "remediate"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, order=True)
class Suspect:
    kind: SuspectKind
    identifier: str
    found_in: str | None = None  # where a suspect was discovered, e.g. "Case 500...: Description"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `KIND=IDENTIFIER`; raises BadInput that lists the kinds."""
        kind, separator, identifier = text.partition("=")
        if not separator or not identifier.strip():
            raise BadInput(f"Suspect {text!r} is not KIND=IDENTIFIER.", f"Kinds: {', '.join(SuspectKind)}.")
        try:
            return cls(SuspectKind(kind.strip()), identifier.strip())
        except ValueError:
            raise BadInput(
                f"Unknown suspect kind {kind!r}.", f"Use one of: {', '.join(SuspectKind)}."
            ) from None

    def __str__(self) -> str:
        return f"{self.kind}={self.identifier}"


def utc(value: datetime | str, what: str = "time") -> datetime:
    """An aware instant in UTC from a datetime or ISO 8601 text; a naive time is refused (BadInput)."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise BadInput(
                f"The {what} {value!r} is not ISO 8601.", "Write it like 2026-11-24T09:30:00+00:00."
            ) from None
    if value.tzinfo is None:
        raise BadInput(
            f"The {what} {value.isoformat()} has no time zone.",
            f"Add the offset, for example {value.isoformat()}+00:00.",
        )
    return value.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """When the suspects may have been misused. `end` None means: still going on."""

    start: datetime
    end: datetime | None = None

    def __post_init__(self) -> None:
        if self.end is not None and self.end < self.start:
            raise BadInput(
                f"The window ends ({self.end.isoformat()}) before it starts ({self.start.isoformat()}).",
                "Swap --window-start and --window-end, or leave the end open.",
            )


INCIDENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{2,63}")


def new_incident_id(at: datetime) -> str:
    """For example `INC-20261124-093012-7f3a`: sorts by time, and two in one second differ."""
    return f"INC-{at:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@dataclass(frozen=True, slots=True)
class Incident:
    """One suspected leak. Everything here may be shown: no secret, no personal data beyond usernames."""

    id: str
    what_happened: str
    suspects: tuple[Suspect, ...]
    window: Window
    aware_at: datetime
    declared_at: datetime
    plan: str  # name of the response plan block
    mode: Mode = Mode.CONTAIN
    commander: str | None = None

    def __post_init__(self) -> None:
        if not INCIDENT_ID.fullmatch(self.id):
            raise BadInput(f"Incident id {self.id!r} cannot be used.", "Use 3-64 letters, digits and dashes.")
        if not self.suspects:
            raise BadInput("No suspect was named.", "Name at least one, as KIND=IDENTIFIER.")

    def with_suspects(self, found: tuple[Suspect, ...]) -> Incident:
        """The same incident with newly found suspects added once."""
        known = {(s.kind, s.identifier) for s in self.suspects}
        fresh = tuple(s for s in found if (s.kind, s.identifier) not in known)
        return replace(self, suspects=self.suspects + fresh)


# --- containment ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Access:
    """One way a principal gets in. `key` stays the same for ever, also after a crash."""

    system: System
    kind: str  # the access class's own word, e.g. "oauth-grants", "access-key"
    principal: str  # who gets in by it, as a person would say it
    ref: str  # the system's own id for it; never a secret
    before: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)  # what undo restores

    @property
    def key(self) -> str:
        return f"{self.system}/{self.kind}/{self.ref}"


class ProofMethod(StrEnum):
    ATTEMPT = "attempt"  # the old credential was tried and refused
    RECOUNT = "recount"  # the system was asked again and counts zero
    CONFIRMATION = "confirmation"  # a named person says so, where nothing can be tried or asked


@dataclass(frozen=True, slots=True)
class Proof:
    """The answer kept after closing: what was tried, and whether it showed the access to be shut."""

    method: ProofMethod
    passed: bool
    detail: str
    at: datetime


class AccessStatus(StrEnum):
    OPEN = "open"
    PLANNED = "planned"  # mode=plan: would be closed
    CLOSED = "closed"  # closed and proven
    FAILED = "failed"  # tried, not closed or not proven; the incident stays open
    MANUAL = "manual"  # a person must close it and confirm
    REFUSED = "refused"  # protected by a guard
    ASKED = "asked"  # open until a person approves closing it


@dataclass(frozen=True, slots=True)
class Containment:
    """What became of one access. CLOSED without a passed proof cannot be built."""

    access: Access
    status: AccessStatus
    proof: Proof | None
    seconds: float  # from the start of containment until proven closed
    detail: str = ""

    def __post_init__(self) -> None:
        if self.status is AccessStatus.CLOSED and not (self.proof and self.proof.passed):
            raise ValueError(f"{self.access.key} is called closed without a passed proof")


# --- scope ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bounds:
    lower: int
    upper: int

    def __post_init__(self) -> None:
        if not 0 <= self.lower <= self.upper:
            raise ValueError(f"bounds {self.lower}..{self.upper} are not ordered")


@dataclass(frozen=True, slots=True)
class Coverage:
    """One evidence source and what its presence or absence does to the bounds."""

    source: str
    present: bool
    first_event: datetime | None
    last_event: datetime | None
    events: int
    statement: str  # one sentence for a person
    licensed: bool | None = None  # None: needs no licence, or nobody can tell
    gaps: tuple[str, ...] = ()  # what is missing between the first and the last event
    lag_s: int | None = None  # how late its events usually come, in seconds
    effect: str = ""  # what its absence, its gaps or its lag do to the bounds


@dataclass(frozen=True, slots=True)
class ScopeSummary:
    """Whose data left, in counts. Records and subjects themselves stay in the incident folder, hashed."""

    records: Bounds
    subjects: Bounds
    records_by_object: Mapping[str, int]
    by_residence: Mapping[str, Bounds]  # ISO 3166-1 alpha-2, or US-XX; "unknown" is a bucket
    by_category: Mapping[str, Bounds]  # data categories in the vocabulary of notification_rules.yaml
    coverage: tuple[Coverage, ...]
    queries: int
    unparsed_queries: int
    as_of: datetime
    found_suspects: tuple[Suspect, ...] = ()
    # People by residence if bulk results that were fetched were fetched whole, which no log tells: the lower
    # bounds do not rest on it, the notification duties do.
    presumed: Mapping[str, int] = field(default_factory=dict)


# --- notify --------------------------------------------------------------------------------------


class DutyStatus(StrEnum):
    DUE = "due"
    NOT_DUE = "not_due"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class Duty:
    """One notification owed, or not, or not yet known; always with the reason."""

    rule: str
    status: DutyStatus
    recipient: str
    clock_start: datetime | None
    due_at: datetime | None
    policy: bool  # the due time is our policy target, not a statutory figure
    citation: str
    confidence: str
    why: str
    missing: tuple[str, ...] = ()


# --- ledger --------------------------------------------------------------------------------------


class Ledger(Protocol):
    """The append-only, hash-chained record. ATTEMPT before a change, RESULT after it; each call fsyncs.

    `details` are allow-listed by the implementation: references, counts, hashes. Thread-safe.
    """

    def attempt(self, phase: Phase, action: str, target: str, **details: Any) -> str:
        """Write ATTEMPT; returns its id, to be passed to `result`."""

    def result(self, attempt_id: str, outcome: str, **details: Any) -> None:
        """Write RESULT for an attempt: outcome is "ok", "failed" or "unknown, re-checked"."""

    def note(self, phase: Phase, action: str, target: str, **details: Any) -> None:
        """Write something that happened and changes nothing outside."""

    def entries(self) -> Iterator[Mapping[str, Any]]:
        """All entries so far, oldest first."""

    def open_attempts(self) -> list[Mapping[str, Any]]:
        """Attempts without a result: a crash came between. Re-check the world, then write their result."""


@contextmanager
def recorded(
    ledger: Ledger, phase: Phase, action: str, target: str, **details: Any
) -> Iterator[dict[str, Any]]:
    """Write ATTEMPT, run the block, write RESULT. The block may put more details into the yielded dict.

    An exception is recorded by its type alone (messages can carry secrets) and raised again.
    """
    attempt_id = ledger.attempt(phase, action, target, **details)
    more: dict[str, Any] = {}
    try:
        yield more
    except BaseException as error:
        ledger.result(attempt_id, "failed", error=type(error).__name__, **more)
        raise
    ledger.result(attempt_id, "ok", **more)


# --- the incident's folder -----------------------------------------------------------------------

T = TypeVar("T")


def home() -> Path:
    """Where incidents are kept: `LEAK_RESPONSE_HOME`, else `.leak-response` in the current folder."""
    return Path(os.environ.get("LEAK_RESPONSE_HOME", ".leak-response")).absolute()


@dataclass(frozen=True, slots=True)
class IncidentFolder:
    """Files of one incident. Restricted to its owner: scope results hold hashed subjects and record ids."""

    path: Path

    @classmethod
    def of(cls, incident_id: str, root: Path | None = None) -> Self:
        path = (root or home()) / "incidents" / incident_id
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(path)

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.jsonl"

    @property
    def incident(self) -> Path:
        return self.path / "incident.json"

    @property
    def containment(self) -> Path:
        return self.path / "containment.json"

    @property
    def scope(self) -> Path:
        return self.path / "scope.json"

    @property
    def duties(self) -> Path:
        return self.path / "duties.json"

    @property
    def slack(self) -> Path:
        return self.path / "slack.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def sub(self, name: str) -> Path:
        """A sub-folder such as `snapshot`, `logs`, `exposure`; made if missing."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def write(self, path: Path, value: Any) -> None:
        """Store a dataclass, list or mapping as JSON, whole or not at all, readable by the owner only."""
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(to_json(value), out, indent=2, ensure_ascii=False)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)

    def read(self, path: Path, kind: type[T]) -> T | None:
        """What `write` stored, as the dataclass `kind` (or `list[kind]`); None when it is not there."""
        if not path.exists():
            return None
        value: T = from_json(kind, json.loads(path.read_text(encoding="utf-8")))
        return value


def to_json(value: Any) -> Any:
    """Plain JSON data from dataclasses, enums, datetimes, paths, mappings and sequences."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: to_json(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def from_json(kind: Any, value: Any) -> Any:
    """The inverse of `to_json` for the dataclasses of this file (by their type hints)."""
    return TypeAdapter(kind).validate_python(value)
