"""What the Vault kinds ask of the server: tokens by accessor, AppRoles, and which leases there are.

Vault's API does not say which token a lease belongs to. What a token could have leased follows from the
paths its policies open; which of those leases were its own shows when it is revoked, because Vault then ends
exactly those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from blocks.vault import VaultRefused, VaultServer, vault_errors

T = TypeVar("T")
_POLICY_PATH = re.compile(r'^\s*path\s+"([^"]+)"', re.MULTILINE)
LOOKUP = "auth/token/lookup-accessor"
# Engines that hand out no leases: what a token may read there is not a credential made for it.
_LEASELESS = frozenset({"kv", "generic", "transit", "cubbyhole", "system", "identity", "totp"})
_NOT_LEASED = ("auth/", "sys/", "identity/", "cubbyhole/")


class Vault:
    """A thin face over hvac with this product's errors. Thread-safe."""

    def __init__(self, server: VaultServer) -> None:
        self._server = server

    def token(self, accessor: str) -> Mapping[str, Any] | None:
        """What Vault knows of a live token; None when it is gone."""
        try:
            return _or_none(lambda: self._client().auth.token.lookup_accessor(accessor)["data"], LOOKUP)
        except VaultRefused as error:
            # Servers differ in how they say "no such accessor": 400, 404, or 403 like a missing permission.
            if error.status == 403 and self._may_look_up():
                return None
            raise

    def _may_look_up(self) -> bool:
        with vault_errors("sys/capabilities-self"):
            granted = self._client().sys.get_capabilities(paths=[LOOKUP])["data"][LOOKUP]
        return bool({"update", "root"} & set(granted))

    def revoke_token(self, accessor: str) -> None:
        """Revoke with all children; a token that is already gone is fine."""
        _or_none(lambda: self._client().auth.token.revoke_accessor(accessor), "auth/token/revoke-accessor")

    def accessors(self) -> list[str]:
        """Every live token's accessor."""
        with vault_errors("list auth/token/accessors", "Grant list and sudo on auth/token/accessors."):
            return list(self._client().list("auth/token/accessors")["data"]["keys"])

    def refuses(self, token: str) -> bool:
        """Use a token on itself; True when Vault no longer knows it. Raises Unreachable if it cannot say."""
        try:
            with vault_errors("auth/token/lookup-self with the old token"):
                self._server.client_with(token).auth.token.lookup_self()
        except VaultRefused as error:
            return error.status in (400, 401, 403)
        return False

    def own_names(self) -> list[str]:
        """The responder's own accessor, AppRole and entity."""
        with vault_errors("auth/token/lookup-self"):
            token = self._client().auth.token.lookup_self()["data"]
        role = (token.get("meta") or {}).get("role_name")
        return [str(name) for name in (token["accessor"], role, token.get("entity_id")) if name]

    # --- AppRole ---

    def secret_ids(self, role: str) -> list[str]:
        """Accessors of the role's secret ids."""
        found = _or_none(
            lambda: self._client().auth.approle.list_secret_id_accessors(role, mount_point=self._mount)[
                "data"
            ]["keys"],
            "list auth/approle/role/.../secret-id",
        )
        return list(found or [])

    def destroy_secret_id(self, role: str, accessor: str) -> None:
        """Destroy a secret id; one that is already gone is fine."""
        _or_none(
            lambda: self._client().auth.approle.destroy_secret_id_accessor(
                role, accessor, mount_point=self._mount
            ),
            "auth/approle/role/.../secret-id-accessor/destroy",
        )

    def tokens_of_role(self, role: str) -> list[str]:
        """Accessors of the live tokens that came from logins of this AppRole."""
        found = []
        for accessor in self.accessors():
            token = self.token(accessor)
            if token and (token.get("meta") or {}).get("role_name") == role:
                found.append(accessor)
        return found

    # --- leases ---

    def lease_prefixes(self, policies: list[str]) -> list[str]:
        """Where a token with these policies may have leases, as prefixes for `leases`."""
        mounts = self._mounts()
        prefixes: dict[str, None] = {}
        for policy in policies:
            if policy == "root":
                return [mount for mount, kind in mounts.items() if kind not in _LEASELESS]
            rules = str((self._policy(policy) or {}).get("policy") or "")
            for path in _POLICY_PATH.findall(rules):
                prefix = re.split(r"[*+]", path)[0]
                engine = next((kind for mount, kind in mounts.items() if prefix.startswith(mount)), "")
                if not prefix.startswith(_NOT_LEASED) and engine not in _LEASELESS:
                    prefixes[prefix] = None
        return list(prefixes)

    def _policy(self, name: str) -> Mapping[str, Any] | None:
        return _or_none(lambda: self._client().sys.read_acl_policy(name)["data"], "sys/policies/acl")

    def _mounts(self) -> dict[str, str]:
        """Path of each secrets engine -> its type."""
        with vault_errors("sys/mounts"):
            answer = self._client().sys.list_mounted_secrets_engines()["data"]
        return {path: str(mount["type"]) for path, mount in answer.items()}

    def leases(self, prefix: str) -> Iterator[str]:
        """Ids of all leases below a prefix, tokens' own left out."""
        folder = prefix if prefix.endswith("/") or not prefix else prefix + "/"
        listed = _or_none(lambda: self._client().sys.list_leases(folder)["data"]["keys"], "sys/leases/lookup")
        for name in listed or []:
            if name.endswith("/"):
                if not (folder + name).startswith(_NOT_LEASED):
                    yield from self.leases(folder + name)
            else:
                yield folder + name

    def lease(self, lease_id: str) -> Mapping[str, Any] | None:
        """Issue time, expiry and `ttl` in seconds; None when the lease is gone."""
        return _or_none(lambda: self._client().sys.read_lease(lease_id)["data"], "sys/leases/lookup")

    def revoke_lease(self, lease_id: str) -> None:
        """Revoke now; a lease that is already gone is fine. Raises when the system behind Vault refuses."""
        with vault_errors("sys/leases/revoke"):
            self._client().sys.revoke_lease(lease_id)

    def force_lease(self, lease_id: str) -> None:
        """Make Vault forget a lease it cannot revoke. The credential behind it may still work."""
        with vault_errors("sys/leases/revoke-force"):
            self._client().sys.revoke_force(lease_id)

    @property
    def _mount(self) -> str:
        return self._server.approle_mount

    def _client(self) -> Any:
        return self._server.get_client()


def _or_none(call: Callable[[], T], what: str) -> T | None:
    """`call()`, or None when Vault has no such thing: it says 404, or 400 for accessors and leases."""
    try:
        with vault_errors(what):
            return call()
    except VaultRefused as error:
        if error.status in (400, 404):
            return None
        raise
