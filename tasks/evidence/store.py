"""Put a pack under a retention lock, and read back what the store really holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from blocks.errors import LeakResponseError, Refused
from blocks.evidence import EvidenceStore
from tasks.evidence.ledger import Clock, FileLedger, utc_now
from tasks.evidence.pack import PACKS, Pack
from tasks.incident import Incident, IncidentFolder, Phase


@dataclass(frozen=True, slots=True)
class StoredPack:
    """Where a pack lies and until when nobody can change it. `stored` False comes with the reason."""

    stored: bool
    sha256: str
    bucket: str = ""
    key: str = ""
    version_id: str = ""
    retain_until: datetime | None = None
    reason: str = ""


def store_pack(
    pack: Pack,
    incident: Incident,
    folder: IncidentFolder,
    ledger: FileLedger,
    store: EvidenceStore,
    *,
    retention_days: int,
    clock: Clock = utc_now,
) -> StoredPack:
    """Upload under the incident's own key, locked for at least `retention_days`; read back bytes and lock.

    A pack that was stored before is not stored again. Never raises because the store is down: the result
    and the ledger say so, and calling again makes up for it.
    """
    record = folder.path / PACKS / f"{pack.path.stem}.stored.json"
    earlier = folder.read(record, StoredPack)
    if earlier and earlier.stored and earlier.sha256 == pack.sha256:
        return earlier
    days = max(retention_days, store.retention_days)
    store = store.model_copy(update={"retention_days": days})
    attempt = ledger.attempt(
        Phase.CLOSE,
        "store-pack",
        pack.path.name,
        bucket=store.bucket,
        sha256=pack.sha256,
        retention_days=days,
    )
    try:
        result = _put(pack, incident, store, clock())
    except LeakResponseError as error:
        ledger.result(attempt, "failed", error=type(error).__name__, problem=error.problem)
        return StoredPack(False, pack.sha256, store.bucket, reason=error.problem)
    ledger.result(
        attempt,
        "ok",
        object_key=result.key,
        version_id=result.version_id,
        retain_until=result.retain_until,
        verified=True,
    )
    folder.write(record, result)
    return result


def _put(pack: Pack, incident: Incident, store: EvidenceStore, now: datetime) -> StoredPack:
    stored = store.put(f"{incident.id}/{pack.path.name}", pack.path.read_bytes(), now=now)
    store.get(stored)
    until = store.retained_until(stored)
    if until < (now + timedelta(days=store.retention_days)).replace(microsecond=0):
        raise Refused(
            f"The evidence store keeps the pack only until {until.isoformat()}.",
            "Look at the bucket's Object Lock; somebody or something shortened the retention.",
        )
    if stored.sha256 != pack.sha256:
        raise Refused("The pack changed while it was stored.", "Build it again.")
    return StoredPack(True, pack.sha256, stored.bucket, stored.key, stored.version_id, until)
