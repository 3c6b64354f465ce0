"""The evidence pack: everything of one incident in one zip that an auditor can check offline.

It holds every file of the incident's folder, a manifest with size and SHA-256 of each, and a seal over the
manifest and the ledger's head. The same folder always gives the same bytes. A pack is never overwritten:
what changes later makes a new one.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from blocks.errors import LeakResponseError
from tasks.evidence.archive import HOW_TO_VERIFY, MANIFEST, SEAL, ZIP_DATE, ZIP_MODE
from tasks.evidence.chain import Link, canonical, check_line
from tasks.evidence.ledger import Clock, FileLedger, utc_now
from tasks.evidence.seal import Signer, remember_key, sealed
from tasks.evidence.verify import PACK_STATEMENT
from tasks.incident import Incident, IncidentFolder, Phase, ScopeSummary

PACKS = "packs"
FORMAT = "leak-response-pack/1"
# What a complete response leaves behind; what is not there is named, so that absence is not overlooked.
EXPECTED = (
    "ledger.jsonl",
    "incident.json",
    "containment.json",
    "scope.json",
    "duties.json",
    "coverage.txt",
    "report.html",
    "snapshot/",
    "logs/",
    "history/",
    "seals/",
)
CHUNK = 1 << 20


class PackError(LeakResponseError):
    """The pack cannot be built."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A built pack. `sealed` False: Vault did not sign it; build again when Vault is back."""

    path: Path
    sha256: str
    bytes: int
    files: int
    entries: int
    head: str
    manifest_sha256: str
    sealed: bool
    absent: tuple[str, ...]
    reason: str = ""


def build_pack(
    incident: Incident, folder: IncidentFolder, ledger: FileLedger, signer: Signer, *, clock: Clock = utc_now
) -> Pack:
    """Write the pack into the folder's `packs/`. Raises PackError when the folder cannot be read or written.

    When Vault does not sign, the pack is built all the same, without a seal, and says so.
    """
    write_coverage(folder)
    at = clock().isoformat()
    ledger.note(Phase.CLOSE, "packing", incident.id, file="ledger.jsonl")
    content = _ledger_bytes(folder.ledger)
    link = _head(content)
    public_key, reason = _public_key(signer, folder)
    listed, left_out = _sources(folder)
    listed |= {"ledger.jsonl": content, "README.txt": HOW_TO_VERIFY.encode()}
    if public_key:
        listed["public-key.pem"] = public_key
    absent = tuple(name for name in EXPECTED if not _present(name, listed))
    measured = {name: _measure(source) for name, source in listed.items()}
    common = {"incident": incident.id, "entries": link.seq, "head": link.head, "at": at}
    files = {name: {"sha256": sha, "bytes": size} for name, (sha, size) in measured.items()}
    manifest = canonical(
        {"format": FORMAT, **common, "files": files, "absent": list(absent), "left_out": left_out}
    )
    manifest_sha256 = hashlib.sha256(manifest).hexdigest()
    statement = {"what": PACK_STATEMENT, **common, "manifest_sha256": manifest_sha256}
    seal, reason = _seal(signer, statement, reason)
    listed |= {MANIFEST: manifest, SEAL: canonical(seal)}
    path = _write(folder, incident.id, link, listed, measured)
    sha256, size = _measure(path)
    pack = Pack(
        path=path,
        sha256=sha256,
        bytes=size,
        files=len(listed),
        entries=link.seq,
        head=link.head,
        manifest_sha256=manifest_sha256,
        sealed=not reason,
        absent=absent,
        reason=reason,
    )
    details = {"sha256": sha256, "bytes": size, "files": pack.files, "sealed": pack.sealed}
    ledger.note(
        Phase.CLOSE, "packed", path.name, manifest_sha256=manifest_sha256, missing=list(absent), **details
    )
    return pack


def write_coverage(folder: IncidentFolder) -> None:
    """The coverage statement in plain words, from the scope; nothing while there is no scope yet."""
    scope = folder.read(folder.scope, ScopeSummary)
    if scope is None:
        return
    lines = [f"Coverage statement, as of {scope.as_of.isoformat()}", ""]
    for item in scope.coverage:
        span = f"{item.first_event or '?'} to {item.last_event or '?'}, {item.events} events"
        lines += [f"- {item.source}: {span if item.present else 'NOT PRESENT'}", f"  {item.statement}"]
    lines += ["", f"Queries: {scope.queries}, of which not understood: {scope.unparsed_queries}.", ""]
    (folder.path / "coverage.txt").write_text("\n".join(lines), encoding="utf-8")


def _public_key(signer: Signer, folder: IncidentFolder) -> tuple[bytes, str]:
    """The public key goes into the manifest before that is signed; without Vault, the one seen last."""
    path = folder.path / "public-key.pem"
    reason = ""
    try:
        remember_key(folder, signer.key())
    except LeakResponseError as error:
        reason = error.problem
    return path.read_bytes() if path.exists() else b"", reason


def _seal(signer: Signer, statement: Mapping[str, Any], reason: str) -> tuple[dict[str, Any], str]:
    """The pack's seal, or a file that says why there is none; and that reason."""
    if not reason:
        try:
            return sealed(signer, statement)[0], ""
        except LeakResponseError as error:
            reason = error.problem
    return {"unsealed": reason, "statement": dict(statement)}, reason


def _ledger_bytes(path: Path) -> bytes:
    """The ledger's whole lines as they are now; others may be writing further ones."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PackError(
            f"The ledger cannot be read ({os.strerror(error.errno or 0)}).", "Look at the incident's folder."
        ) from None
    return content[: content.rfind(b"\n") + 1]


def _head(content: bytes) -> Link:
    link = Link()
    for number, raw in enumerate(content.split(b"\n")[:-1], 1):
        _, link, _ = check_line(number, raw, link)
    return link


def _sources(folder: IncidentFolder) -> tuple[dict[str, Path | bytes], list[str]]:
    """Every regular file of the folder by its name in the pack, and what is left out."""
    files: dict[str, Path | bytes] = {}
    left_out: list[str] = []
    for path in _walk(folder.path):
        name = path.relative_to(folder.path).as_posix()
        if name in ("ledger.jsonl", "README.txt", "public-key.pem", MANIFEST, SEAL):
            continue
        if not stat.S_ISREG(path.lstat().st_mode) or name.endswith(".part"):
            left_out.append(name)
        else:
            files[name] = path
    return files, left_out


def _walk(root: Path) -> Iterator[Path]:
    for path in sorted(root.iterdir()):
        if path.is_dir() and not path.is_symlink():
            if path != root / PACKS:
                yield from _walk(path)
        else:
            yield path


def _present(expected: str, listed: Mapping[str, Any]) -> bool:
    if expected.endswith("/"):
        return any(name.startswith(expected) for name in listed)
    return expected in listed


def _measure(source: Path | bytes) -> tuple[str, int]:
    """SHA-256 and size in bytes."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest(), len(source)
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def _write(
    folder: IncidentFolder,
    incident_id: str,
    link: Link,
    listed: Mapping[str, Path | bytes],
    hashes: Mapping[str, tuple[str, int]],
) -> Path:
    """The zip under a name of its own; it appears whole or not at all."""
    packs = folder.sub(PACKS)
    partial = packs / f".{os.getpid()}.part"
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name in sorted(listed):
                _add(archive, name, listed[name], hashes.get(name))
        partial.chmod(0o600)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        for attempt in range(1, 1000):
            tail = "" if attempt == 1 else f"-{attempt}"
            path = packs / f"evidence-{incident_id}-{link.seq:06d}{tail}.zip"
            with suppress(FileExistsError):
                os.link(partial, path)  # fails where a rename would overwrite
                return path
    except OSError as error:
        raise PackError(
            f"The pack cannot be written ({os.strerror(error.errno or 0)}).",
            "Free disk space and try again.",
        ) from None
    finally:
        partial.unlink(missing_ok=True)
    raise PackError("There are too many packs of this incident.", "Move old ones out of its packs folder.")


def _add(archive: zipfile.ZipFile, name: str, source: Path | bytes, expected: tuple[str, int] | None) -> None:
    info = zipfile.ZipInfo(name, ZIP_DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3
    info.external_attr = ZIP_MODE << 16
    info.file_size = len(source) if isinstance(source, bytes) else source.stat().st_size
    digest = hashlib.sha256()
    with archive.open(info, "w") as out:
        for chunk in _chunks(source):
            out.write(chunk)
            digest.update(chunk)
    if expected and digest.hexdigest() != expected[0]:
        raise PackError(f"{name} changed while it was packed.", "Wait for the running phase, then pack.")


def _chunks(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    stream: IO[bytes]
    with source.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk
