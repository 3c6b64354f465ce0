"""Where a new secret goes so that nobody loses it: the integration's path in Vault, as the plan names it.

It is written there before the old one is cut off, under the incident's id: a run after a crash finds it
and goes on with it, so that a secret is replaced once per incident. Fields of the path that are not ours
stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from blocks.errors import Refused
from blocks.plan import Integration
from blocks.vault import VaultRefused, vault_errors
from tasks.contain.world import World

PREFIX = "vault:"


def vault_path(integration: Integration | None) -> tuple[str, str] | None:
    """Mount and path of the first Vault place where the plan keeps the integration's secret."""
    for place in integration.secret_at if integration else ():
        if place.startswith(PREFIX) or ":" not in place:
            mount, _, path = place.removeprefix(PREFIX).partition("#")[0].partition("/")
            return mount, path
    return None


def kept(world: World, place: tuple[str, str], name: str) -> dict[str, str] | None:
    """The replacement that this incident has kept under `name`, if any."""
    fields, _ = _read(world, place)
    if fields.get(f"{name}_incident") != world.incident.id:
        return None
    mark = f"{name}_"
    return {key.removeprefix(mark): value for key, value in fields.items() if key.startswith(mark)}


def keep(world: World, place: tuple[str, str], name: str, values: Mapping[str, str]) -> None:
    """Write a replacement beside whatever else is there."""
    fields, version = _read(world, place)
    ours = {f"{name}_{key}": value for key, value in {**values, "incident": world.incident.id}.items()}
    mount, path = place
    with vault_errors(f"writing the replacement to {mount}/{path}"):
        world.systems.vault.get_client().secrets.kv.v2.create_or_update_secret(
            path=path, secret={**fields, **ours}, cas=version, mount_point=mount
        )


def _read(world: World, place: tuple[str, str]) -> tuple[dict[str, str], int]:
    mount, path = place
    try:
        with vault_errors(f"reading {mount}/{path}"):
            answer = world.systems.vault.get_client().secrets.kv.v2.read_secret_version(
                path=path, mount_point=mount, raise_on_deleted_version=False
            )
    except VaultRefused as error:
        if error.status != 404:
            raise
        return {}, 0
    data = answer["data"]
    return dict(data["data"] or {}), int(data["metadata"]["version"])


def place_of(world: World, integration: Integration | None) -> tuple[str, str]:
    """As `vault_path`; raises Refused when the plan names none."""
    place = vault_path(integration)
    if place is None:
        raise Refused(
            "The plan names no Vault path for this integration's secret.",
            "Add `secret_at: [vault:MOUNT/PATH]` to the integration.",
        )
    return place
