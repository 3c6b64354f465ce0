"""Check an evidence pack offline, with nothing but the pack and, better, a public key got by another way.

Answers: does the seal hold, is every file the one that was sealed and none missing or added, is the ledger's
chain whole, and has every attempt its result. Each failure is one line. Nothing here needs a network, Vault
or Prefect.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from blocks.errors import BadInput
from tasks.evidence.archive import MANIFEST, SEAL, Members, open_members
from tasks.evidence.chain import Link, canonical, check_line, check_pairs

LEDGER_STATEMENT = "leak-response ledger head"  # what a seal vouches for
PACK_STATEMENT = "leak-response evidence pack"
MAX_LISTED = 20  # problems of one sort shown in full; the rest are counted
_PEM_END = b"-----END PUBLIC KEY-----"


@dataclass(frozen=True, slots=True)
class Verification:
    """What the check found. `verified` is true only with no problem at all."""

    verified: bool
    problems: tuple[str, ...]
    remarks: tuple[str, ...]  # what a reader should know although nothing is wrong
    incident: str
    entries: int
    files: int
    sealed_at: str
    key_sha256: str
    key_pinned: bool


@dataclass(slots=True)
class _Findings:
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, lines: list[str]) -> None:
        self.problems += lines[:MAX_LISTED]
        if len(lines) > MAX_LISTED:
            self.problems.append(f"... and {len(lines) - MAX_LISTED} more of this sort.")


def verify(pack_path: Path, public_key: Path | None = None) -> Verification:
    """Check the pack (zip or unpacked folder) at `pack_path`.

    With `public_key` (PEM, one or more keys) only seals by that key count; without it the pack's own key is
    used, which shows damage but not a forger with another key: compare the fingerprint then.
    Raises BadInput when there is no pack at that path or the key file holds no ed25519 key.
    """
    pinned = _pinned(public_key)
    found = _Findings()
    with open_members(pack_path) as members:
        found.add(list(members.problems))
        manifest = _json(members, MANIFEST, found)
        seal = _json(members, SEAL, found)
        keys = pinned or _keys(members.read("public-key.pem") or b"")
        statement = _check_seal(seal, keys, found, members.sha256(MANIFEST))
        _check_files(members, manifest, found)
        entries = _check_ledger(members, manifest, found)
        if statement:
            _check_same(statement, manifest, found)
        _check_checkpoints(members, entries, keys, found)
        files = len(members.names)
    key = str(seal.get("key_sha256", ""))
    if key and not pinned:
        found.remarks.append(
            f"The key was taken from the pack itself. Compare its fingerprint with your own record: {key}"
        )
    return Verification(
        verified=not found.problems,
        problems=tuple(found.problems),
        remarks=tuple(found.remarks),
        incident=str(manifest.get("incident", "")),
        entries=len(entries),
        files=files,
        sealed_at=str(statement.get("at", "")),
        key_sha256=key,
        key_pinned=bool(pinned),
    )


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the DER public key: what two people compare by telephone."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _pinned(path: Path | None) -> dict[str, Ed25519PublicKey]:
    if path is None:
        return {}
    try:
        keys = _keys(path.read_bytes())
    except OSError:
        raise BadInput(f"The public key file {path} cannot be read.", "Check the path.") from None
    if not keys:
        raise BadInput(
            f"{path} holds no ed25519 public key in PEM.",
            "Use the public-key.pem you kept.",
        )
    return keys


def _keys(content: bytes) -> dict[str, Ed25519PublicKey]:
    """The ed25519 keys in a PEM file, by fingerprint; what is none is passed over."""
    keys = {}
    for block in content.split(_PEM_END)[:-1]:
        try:
            key = serialization.load_pem_public_key(block.lstrip() + _PEM_END + b"\n")
        except ValueError:
            continue
        if isinstance(key, Ed25519PublicKey):
            keys[fingerprint(key)] = key
    return keys


def _json(members: Members, name: str, found: _Findings) -> dict[str, Any]:
    raw = members.read(name)
    if raw is None:
        found.problems.append(f"{name} is missing.")
        return {}
    try:
        value = json.loads(raw)
        if isinstance(value, dict) and canonical(value) == raw:
            return value
    except (ValueError, RecursionError):
        pass
    found.problems.append(f"{name} was edited or damaged: it is not in the form it was written in.")
    return {}


def _signed_statement(
    seal: Mapping[str, Any], keys: Mapping[str, Ed25519PublicKey]
) -> tuple[dict[str, Any], str]:
    """The statement that a seal vouches for, or {} and what is wrong with the seal."""
    statement, value = seal.get("statement"), seal.get("signature")
    if not isinstance(statement, dict) or not isinstance(value, str) or seal.get("algorithm") != "ed25519":
        return {}, "is not complete"
    key = keys.get(str(seal.get("key_sha256")))
    if key is None:
        return {}, "was made by a key that is not the trusted one"
    try:
        key.verify(base64.b64decode(value, validate=True), canonical(statement))
    except (InvalidSignature, binascii.Error, ValueError):
        return {}, "does not match what it signs"
    return statement, ""


def _check_seal(
    seal: Mapping[str, Any], keys: Mapping[str, Ed25519PublicKey], found: _Findings, manifest_sha256: str
) -> dict[str, Any]:
    if "unsealed" in seal:
        found.problems.append(f"The pack is not sealed: {seal['unsealed']} Build it again with Vault up.")
        return {}
    if not seal:
        return {}
    statement, problem = _signed_statement(seal, keys)
    if problem:
        found.problems.append(f"The pack's signature {problem}.")
    elif statement.get("what") != PACK_STATEMENT:
        found.problems.append("The pack's signature was made for something else.")
    elif statement.get("manifest_sha256") != manifest_sha256:
        found.problems.append("The manifest is not the one that was signed.")
    return statement


def _check_same(statement: Mapping[str, Any], manifest: Mapping[str, Any], found: _Findings) -> None:
    found.add(
        [
            f"Seal and manifest disagree about {name}."
            for name in ("incident", "entries", "head", "at")
            if statement.get(name) != manifest.get(name)
        ]
    )


def _check_files(members: Members, manifest: Mapping[str, Any], found: _Findings) -> None:
    """Every listed file is there and the same; no other file is there."""
    listed = manifest.get("files")
    if not isinstance(listed, dict):
        if manifest:
            found.problems.append("The manifest lists no files.")
        return
    problems = []
    for name, expected in sorted(listed.items()):
        if name not in members.names:
            problems.append(f"{name} is missing.")
        elif members.sha256(name) != expected.get("sha256") or members.size(name) != expected.get("bytes"):
            problems.append(f"{name} was changed: it is not the file that was sealed.")
    extra = sorted(set(members.names) - set(listed) - {MANIFEST, SEAL})
    problems += [f"{name} was added: the manifest does not list it." for name in extra]
    found.add(problems)
    if manifest.get("absent"):
        found.remarks.append("Not in the pack when it was built: " + ", ".join(manifest["absent"]))
    if manifest.get("left_out"):
        found.remarks.append("Left out of the pack: " + ", ".join(manifest["left_out"]))


def _check_ledger(members: Members, manifest: Mapping[str, Any], found: _Findings) -> list[dict[str, Any]]:
    raw = members.read("ledger.jsonl")
    if raw is None:
        if not isinstance(manifest.get("files"), dict):
            found.problems.append("ledger.jsonl is missing.")
        return []
    lines = raw.split(b"\n")
    problems, entries, link = [], [], Link()
    if lines.pop() != b"":
        problems.append("The ledger's last line is cut off.")
    for number, line in enumerate(lines, 1):
        entry, link, broken = check_line(number, line, link)
        problems += [f"Ledger line {b.line} {b.problem}." for b in broken]
        entries += [entry] if entry else []
    if manifest and (link.seq, link.head) != (manifest.get("entries"), manifest.get("head")):
        problems.append(
            f"The ledger ends at entry {link.seq}, the manifest says {manifest.get('entries')}: "
            "entries were removed, added or changed."
        )
    found.add(problems)
    found.add(check_pairs(entries))
    for entry in entries:
        if entry["action"] in ("ledger-torn-line", "ledger-damage"):
            found.remarks.append(f"Entry {entry['seq']} records {entry['action']}: {entry['target']}")
    return entries


def _check_checkpoints(
    members: Members,
    entries: list[dict[str, Any]],
    keys: Mapping[str, Ed25519PublicKey],
    found: _Findings,
) -> None:
    """Every checkpoint that the ledger names is there, holds, and speaks of this very chain."""
    heads = {entry["seq"]: entry["hash"] for entry in entries}
    named = {str(e["details"].get("file")) for e in entries if e["action"] == "sealed"}
    names = {name for name in members.names if name.startswith("seals/")}
    problems = [f"The checkpoint {name} that the ledger names is missing." for name in sorted(named - names)]
    for name in sorted(names):
        try:
            seal = json.loads(members.read(name) or b"")
        except ValueError:
            seal = None
        statement, problem = _signed_statement(seal if isinstance(seal, dict) else {}, keys)
        if problem:
            problems.append(f"The checkpoint {name} {problem}.")
        elif statement.get("what") != LEDGER_STATEMENT:
            problems.append(f"The checkpoint {name} was made for something else.")
        elif heads.get(statement.get("entries")) != statement.get("head"):
            problems.append(f"The checkpoint {name} signs another ledger than this one.")
    found.add(problems)
