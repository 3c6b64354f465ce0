"""Seals: the ledger's head, and later the whole pack, signed by a key that never leaves Vault.

A statement says what is vouched for; Vault transit signs its canonical bytes (ed25519). The public key goes
into the pack. While Vault is down there is no seal, which is said, and sealing again later makes up for it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from blocks.errors import LeakResponseError, Refused
from blocks.vault import VaultServer, vault_errors
from tasks.evidence.chain import canonical
from tasks.evidence.ledger import Clock, FileLedger, utc_now
from tasks.evidence.verify import LEDGER_STATEMENT, fingerprint
from tasks.incident import Incident, IncidentFolder, Phase

CREATE_KEY = "Create an ed25519 key of that name in Vault's transit engine."


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature and what is needed to check it."""

    value: bytes
    public_key: Ed25519PublicKey
    key_name: str
    key_version: int


class Signer(Protocol):
    """Something that signs bytes with a key it does not hand out."""

    def sign(self, message: bytes) -> Signature:
        """Sign; raises a LeakResponseError when that is not possible now."""

    def key(self) -> Ed25519PublicKey:
        """The public key that `sign` would use now; raises like `sign`."""


@dataclass(frozen=True, slots=True)
class VaultSigner:
    """Signs with the transit key that the Vault block names."""

    vault: VaultServer

    def sign(self, message: bytes) -> Signature:
        """Sign, and check the signature by the key that Vault publishes. Raises Unreachable or Refused."""
        name, mount = self.vault.transit_key, self.vault.transit_mount
        text = base64.b64encode(message).decode()
        with vault_errors(f"signing with {mount}/{name}", CREATE_KEY):
            transit = self.vault.get_client().secrets.transit
            answer = transit.sign_data(name=name, hash_input=text, mount_point=mount)
            _, version, value = answer["data"]["signature"].split(":", 2)
        number = int(version.removeprefix("v"))
        key = self._public_key(number)
        signature = Signature(base64.b64decode(value), key, name, number)
        try:
            key.verify(signature.value, message)
        except InvalidSignature:
            raise Refused("Vault's signature does not match its key.", "Look at the transit key.") from None
        return signature

    def key(self) -> Ed25519PublicKey:
        """The latest version's public key."""
        return self._public_key(None)

    def _public_key(self, version: int | None) -> Ed25519PublicKey:
        name, mount = self.vault.transit_key, self.vault.transit_mount
        with vault_errors(f"reading {mount}/keys/{name}", CREATE_KEY):
            data = self.vault.get_client().secrets.transit.read_key(name=name, mount_point=mount)["data"]
            raw = data["keys"][str(version or data["latest_version"])]
        if data["type"] != "ed25519":
            raise Refused(f"The transit key {name} is of type {data['type']}, not ed25519.", CREATE_KEY)
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(raw["public_key"]))


def pem(key: Ed25519PublicKey) -> str:
    """The public key as anybody's tools read it."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def sealed(signer: Signer, statement: Mapping[str, Any]) -> tuple[dict[str, Any], Ed25519PublicKey]:
    """A seal: the statement, its signature, and which key made it; with the key."""
    signature = signer.sign(canonical(dict(statement)))
    seal = {
        "statement": dict(statement),
        "signature": base64.b64encode(signature.value).decode(),
        "algorithm": "ed25519",
        "key_name": signature.key_name,
        "key_version": signature.key_version,
        "key_sha256": fingerprint(signature.public_key),
    }
    return seal, signature.public_key


def remember_key(folder: IncidentFolder, key: Ed25519PublicKey) -> Path:
    """Keep the public key in the incident's folder; keys of earlier versions stay beside it."""
    path = folder.path / "public-key.pem"
    known = path.read_text(encoding="ascii") if path.exists() else ""
    if pem(key) not in known:
        path.write_text(known + pem(key), encoding="ascii")
    return path


@dataclass(frozen=True, slots=True)
class SealResult:
    """What became of one sealing. `sealed` False always comes with the reason."""

    sealed: bool
    entries: int
    head: str
    key_sha256: str = ""
    reason: str = ""


def seal_ledger(
    incident: Incident, folder: IncidentFolder, ledger: FileLedger, signer: Signer, *, clock: Clock = utc_now
) -> SealResult:
    """Sign the ledger's present head: a checkpoint that later entries cannot undo.

    Never raises because Vault is down: the result and the ledger say that it is unsealed.
    """
    link = ledger.head()
    at: datetime = clock()
    statement = {
        "what": LEDGER_STATEMENT,
        "incident": incident.id,
        "entries": link.seq,
        "head": link.head,
        "at": at.isoformat(),
    }
    try:
        seal, key = sealed(signer, statement)
    except LeakResponseError as error:
        ledger.note(Phase.CLOSE, "unsealed", f"entry {link.seq}", head=link.head, error=type(error).__name__)
        return SealResult(False, link.seq, link.head, reason=error.problem)
    remember_key(folder, key)
    path = folder.sub("seals") / f"{link.seq:06d}.json"
    folder.write(path, seal)
    ledger.note(
        Phase.CLOSE,
        "sealed",
        f"entry {link.seq}",
        head=link.head,
        key=seal["key_name"],
        sha256=seal["key_sha256"],
        file=f"seals/{path.name}",
    )
    return SealResult(True, link.seq, link.head, seal["key_sha256"])
