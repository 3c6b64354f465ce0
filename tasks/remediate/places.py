"""Where an integration's secret is kept: read it, write its replacement, retire the leaked one.

Two kinds of places, as the plan writes them: `vault:MOUNT/PATH` is a KV version 2 secret,
`aws:secretsmanager/ID` a secret of AWS Secrets Manager. Values stay in memory.
"""

from __future__ import annotations

import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from blocks.aws import AwsAccount, AwsRefused, aws_errors
from blocks.errors import Refused
from blocks.systems import Systems
from blocks.vault import VaultRefused, VaultServer, vault_errors

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
ABSENT = frozenset({"ResourceNotFoundException"})
Works = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Held:
    """One version of a secret. `fields` never leave the process."""

    version: str
    fields: Mapping[str, Any] = field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret stays in memory: it cannot be pickled or copied.")


class Place(ABC):
    """One place. Reading answers None when nothing is there."""

    name: str  # as in the plan; may be shown

    @abstractmethod
    def read(self) -> Held | None:
        """What consumers read now."""

    def pending(self) -> Held | None:
        """What was written but is not yet what consumers read."""
        return None

    @abstractmethod
    def write(self, old: Held, fields: Mapping[str, Any], tag: str, works: Works) -> Held:
        """Make `fields` what consumers read, if `works` says so of what was read back.

        `tag` makes a repeated write the same write. Raises Refused when the place was changed meanwhile or
        the new secret does not work; what consumers read is then as before.
        """

    def leaked(self, values: Collection[str]) -> list[int]:
        """Earlier versions that can still be read and hold one of these values."""
        return []

    def earlier(self) -> Iterator[Held]:
        """Earlier versions that can still be read, newest first."""
        return iter(())

    def retire(self, versions: list[int]) -> None:
        """Make these versions unreadable for ever."""
        raise NotImplementedError(f"{self.name} has no versions to retire")


class KvPlace(Place):
    """A KV version 2 secret: a new version replaces the old, guarded by check-and-set; leaked versions are
    destroyed."""

    def __init__(self, server: VaultServer, mount: str, path: str) -> None:
        self.name = f"vault:{mount}/{path}"
        self._server, self._mount, self._path = server, mount, path

    def read(self) -> Held | None:
        return self._version(None)

    def write(self, old: Held, fields: Mapping[str, Any], tag: str, works: Works) -> Held:
        if not works(fields):
            raise Refused(f"The replacement for {self.name} does not work.", "Run remediate again.")
        with vault_errors(f"writing {self.name}", "Somebody wrote it meanwhile: run remediate again."):
            self._kv.create_or_update_secret(
                self._path, secret=dict(fields), cas=int(old.version), mount_point=self._mount
            )
        written = self.read()
        if written is None or written.fields != fields:
            raise Refused(f"{self.name} does not read back as written.", "Run remediate again.")
        return written

    def leaked(self, values: Collection[str]) -> list[int]:
        held = [
            one
            for one in self.earlier()
            if set(values) & {v for v in one.fields.values() if isinstance(v, str)}
        ]
        return sorted(int(one.version) for one in held)

    def earlier(self) -> Iterator[Held]:
        with vault_errors(f"reading the versions of {self.name}"):
            listed = self._kv.read_secret_metadata(self._path, mount_point=self._mount)["data"]
        newest = int(listed["current_version"])
        kept = (int(number) for number, version in listed["versions"].items() if not version["destroyed"])
        for number in sorted((n for n in kept if n < newest), reverse=True):
            if (held := self._version(number)) is not None:
                yield held

    def retire(self, versions: list[int]) -> None:
        with vault_errors(f"destroying versions of {self.name}"):
            self._kv.destroy_secret_versions(self._path, versions=versions, mount_point=self._mount)

    def _version(self, number: int | None) -> Held | None:
        try:
            with vault_errors(f"reading {self.name}"):
                answer = self._kv.read_secret_version(
                    self._path, version=number, mount_point=self._mount, raise_on_deleted_version=True
                )["data"]
        except VaultRefused as error:
            if error.status == 404:
                return None
            raise
        return Held(str(answer["metadata"]["version"]), answer["data"])

    @property
    def _kv(self) -> Any:
        return self._server.get_client().secrets.kv.v2


class SecretsManagerPlace(Place):
    """A Secrets Manager secret, rotated by version stages: AWSPENDING, tried, AWSCURRENT.

    Never `rotate_secret`: it calls a function of the account's that we know nothing about. Every read names
    its stage. A version cannot be destroyed: without a stage, AWS forgets it by itself, later.
    Source: Secrets Manager User Guide, "Rotation function" (createSecret ... finishSecret).
    """

    def __init__(self, account: AwsAccount, secret_id: str) -> None:
        self.name = f"aws:secretsmanager/{secret_id}"
        self._account, self._id = account, secret_id

    def read(self) -> Held | None:
        return self._stage(CURRENT)

    def pending(self) -> Held | None:
        pending, current = self._stage(PENDING), self._stage(CURRENT)
        return pending if pending and current and pending.version != current.version else None

    def write(self, old: Held, fields: Mapping[str, Any], tag: str, works: Works) -> Held:
        staged = self.pending()
        if staged is None or staged.fields != fields:
            self._put(fields, tag)
            staged = self._stage(PENDING)
        if staged is None or staged.fields != fields or not works(staged.fields):
            raise Refused(f"What is staged in {self.name} does not work.", "Run remediate again.")
        with aws_errors(f"promoting the staged version of {self.name}"):
            self._client.update_secret_version_stage(
                SecretId=self._id,
                VersionStage=CURRENT,
                MoveToVersionId=staged.version,
                RemoveFromVersionId=old.version,
            )
            self._client.update_secret_version_stage(
                SecretId=self._id, VersionStage=PENDING, RemoveFromVersionId=staged.version
            )
        written = self.read()
        if written is None or written.fields != fields:
            raise Refused(f"{self.name} does not read back as written.", "Run remediate again.")
        return written

    def _put(self, fields: Mapping[str, Any], tag: str) -> None:
        with aws_errors(f"staging a version of {self.name}"):
            self._client.put_secret_value(
                SecretId=self._id,
                # The same write has the same id, so that it is made once however often it is asked for.
                ClientRequestToken=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{tag}/{self.name}")),
                SecretString=json.dumps(fields),
                VersionStages=[PENDING],
            )

    def _stage(self, stage: str) -> Held | None:
        try:
            with aws_errors(f"reading {stage} of {self.name}"):
                answer = self._client.get_secret_value(SecretId=self._id, VersionStage=stage)
        except AwsRefused as error:
            if error.code in ABSENT:
                return None
            raise
        try:
            fields = json.loads(answer["SecretString"])
        except (KeyError, ValueError):
            fields = {}
        # A secret that is one bare text holds no field of ours.
        return Held(answer["VersionId"], fields if isinstance(fields, dict) else {})

    @property
    def _client(self) -> Any:
        return self._account.client("secretsmanager")


def is_place(text: str) -> bool:
    """Whether a place of the plan can be written from here."""
    scheme, _, where = text.partition(":")
    kind, _, rest = where.partition("#")[0].partition("/")
    return bool(rest) and (scheme == "vault" or (scheme, kind) == ("aws", "secretsmanager"))


def place(text: str, systems: Systems) -> Place | None:
    """The place that the plan names; None when only a person can write there."""
    if not is_place(text):
        return None
    scheme, _, where = text.partition(":")
    kind, _, rest = where.partition("#")[0].partition("/")
    return KvPlace(systems.vault, kind, rest) if scheme == "vault" else SecretsManagerPlace(systems.aws, rest)
