"""Where a secret is kept: references such as `vault:kv/leak-response/aws#secret`, never the secret itself.

A setting takes an ordered list of references and the first that answers wins, so that a sealed Vault
does not stop containment: put Vault first and a break-glass file after it.

    vault:MOUNT/PATH#FIELD   a field of a KV version 2 secret
    file:PATH                the content of a file, without the line end
    file:PATH#FIELD          a field of a JSON file
    env:NAME                 an environment variable
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, Self

from pydantic import AfterValidator

from blocks.errors import BadInput, LeakResponseError, SecretUnavailable

SCHEMES = ("vault", "file", "env")


class SecretReader(Protocol):
    """What can read a field out of a KV version 2 secret; `VaultServer` does."""

    def read_secret(self, mount: str, path: str, field: str) -> str:
        """The field's value; raises a LeakResponseError when it cannot be had."""


@dataclass(frozen=True, slots=True)
class SecretRef:
    """One place a secret may be in. Safe to show."""

    scheme: str
    path: str  # for vault: path below the mount
    field: str = ""
    mount: str = ""  # vault only

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference; raises BadInput that shows the syntax.

        A text that is no reference may be a secret pasted by mistake, so it is not repeated.
        """
        scheme, colon, rest = text.strip().partition(":")
        if not colon or scheme not in SCHEMES or not rest:
            raise BadInput(
                "A secret reference is not of a known form (its text is withheld: it may be a secret).",
                "Write vault:MOUNT/PATH#FIELD, file:PATH, file:PATH#FIELD or env:NAME.",
            )
        path, _, field = rest.partition("#")
        if scheme != "vault":
            return cls(scheme, path, field)
        mount, slash, below = path.partition("/")
        if not (mount and slash and below and field):
            raise BadInput(
                f"The secret reference vault:{path} lacks a part.", "Write it as vault:MOUNT/PATH#FIELD."
            )
        return cls(scheme, below, field, mount)

    def __str__(self) -> str:
        path = f"{self.mount}/{self.path}" if self.mount else self.path
        return f"{self.scheme}:{path}#{self.field}" if self.field else f"{self.scheme}:{path}"


def _checked(text: str) -> str:
    try:
        return str(SecretRef.parse(text))
    except BadInput as error:
        raise ValueError(str(error)) from None


# A reference as a block's field: validated when the block is made, shown as it is.
Reference = Annotated[str, AfterValidator(_checked)]


def resolve(references: Iterable[str], vault: SecretReader | None = None) -> str:
    """The secret from the first reference that answers.

    Raises SecretUnavailable that names every reference tried and why it did not answer.
    """
    reasons = []
    for text in references:
        reference = SecretRef.parse(text)
        try:
            return _read(reference, vault)
        except LeakResponseError as error:
            reasons.append(f"{reference} ({error.problem.rstrip('.')})")
    if not reasons:
        raise SecretUnavailable("No secret reference is configured.", "Name a place to read it from.")
    raise SecretUnavailable(
        f"The secret is in none of its places: {'; '.join(reasons)}.",
        "Put it in one of them, or add a place that can be reached, such as a break-glass file.",
    )


def _read(reference: SecretRef, vault: SecretReader | None) -> str:
    match reference.scheme:
        case "vault":
            if vault is None:
                raise SecretUnavailable("no Vault is configured", "Set the block's Vault.")
            value = vault.read_secret(reference.mount, reference.path, reference.field)
        case "file":
            value = _from_file(reference)
        case _:
            value = os.environ.get(reference.path, "")
    if not value:
        raise SecretUnavailable("empty or not set", f"Set {reference}.")
    return value


def _from_file(reference: SecretRef) -> str:
    try:
        content = Path(reference.path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SecretUnavailable(f"cannot be read: {type(error).__name__}", "Check path and mode.") from None
    if not reference.field:
        return content.rstrip("\r\n")
    try:
        value = json.loads(content)[reference.field]
    except (ValueError, KeyError, TypeError):
        raise SecretUnavailable(f"no JSON field {reference.field}", "Check the file's content.") from None
    return str(value)
