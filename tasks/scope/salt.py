"""The salt under which data subjects are hashed: one for the organisation, kept in Vault, made once.

With the salt gone the keys in an exposure file say nothing about who they stand for. Where Vault cannot be
reached, a salt of the incident's own is kept in its folder, so that scoping goes on; that is said.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from blocks.errors import LeakResponseError
from blocks.vault import VaultServer, vault_errors

PATH = "leak-response/scope"
FIELD = "subject_salt"
FILE = "salt"


@dataclass(frozen=True, slots=True)
class Salt:
    value: bytes = field(repr=False)
    kept_in: str

    @property
    def id(self) -> str:
        """Tells one salt from another without telling the salt."""
        return hashlib.sha256(b"salt id " + self.value).hexdigest()[:16]

    def subject(self, key: str) -> str:
        """The hashed key of a data subject."""
        return hmac.new(self.value, key.encode(), hashlib.sha256).hexdigest()[:32]


def salt_of(vault: VaultServer, folder: Path) -> Salt:
    """The organisation's salt from Vault, made there if missing; else the incident's own."""
    try:
        with vault_errors("the salt for data subjects"):
            return Salt(bytes.fromhex(_from_vault(vault)), f"Vault {vault.kv_mount}/{PATH}")
    except (LeakResponseError, ValueError):
        return salt_in(folder)


def salt_in(folder: Path) -> Salt:
    """The salt kept in the incident's own folder, made there if missing."""
    return Salt(_from_folder(folder / FILE), "the incident folder (Vault could not keep it)")


def _from_vault(vault: VaultServer) -> str:
    try:
        return vault.read_secret(vault.kv_mount, PATH, FIELD)
    except LeakResponseError:
        made = secrets.token_hex(32)
        # cas=0: of two first scopings at once only one makes it, and both read that one.
        with suppress(LeakResponseError), vault_errors("make the salt for data subjects"):
            vault.get_client().secrets.kv.v2.create_or_update_secret(
                path=PATH, secret={FIELD: made}, cas=0, mount_point=vault.kv_mount
            )
        return vault.read_secret(vault.kv_mount, PATH, FIELD)


def _from_folder(path: Path) -> bytes:
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(secrets.token_bytes(32))
    return path.read_bytes()
