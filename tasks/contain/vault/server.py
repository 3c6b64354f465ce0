"""What the Vault kinds ask of the server: tokens by accessor, AppRoles, and which leases there are.

Vault's API does not say which token a lease belongs to. What a token could have leased follows from the
paths its policies open; which of those leases were its own shows when it is revoked, because Vault then ends
exactly those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from blocks.vault import VaultRefused, VaultServer, vault_errors

T = TypeVar("T")
_RULE = re.compile(r'^\s*path\s+"([^"]+)"\s*\{([^}]*)\}', re.MULTILINE)
_CAPABILITIES = re.compile(r"capabilities\s*=\s*\[([^\]]*)\]")
ROOT = "root"  # the policy that grants everything and has no rules
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

    def live_tokens(self) -> dict[str, Mapping[str, Any]]:
        """Every live token by its accessor; one that ends meanwhile is left out."""
        accessors = self.accessors()
        with ThreadPoolExecutor(8) as pool:
            tokens = list(pool.map(self.token, accessors))
        return {a: token for a, token in zip(accessors, tokens, strict=True) if token is not None}

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

    def role_policies(self, role: str) -> list[str] | None:
        """The policies of the tokens that the role's logins yield; None when there is no such role."""
        found = _or_none(
            lambda: self._client().auth.approle.read_role(role, mount_point=self._mount)["data"],
            "auth/approle/role/...",
        )
        return None if found is None else list(found["token_policies"] or [])

    def tokens_of_role(self, role: str) -> dict[str, Mapping[str, Any]]:
        """Live tokens, by accessor, that came from logins of this AppRole."""
        return {
            accessor: token
            for accessor, token in self.live_tokens().items()
            if (token.get("meta") or {}).get("role_name") == role
        }

    def logs_in(self, role_id: str, secret_id: str) -> bool:
        """Whether an AppRole login still works; the token it yields is revoked at once."""
        try:
            with vault_errors("AppRole login with the old secret id"):
                client = self._server.client_with("")
                answer = client.auth.approle.login(
                    role_id, secret_id, use_token=False, mount_point=self._mount
                )
        except VaultRefused:
            return False
        with vault_errors("auth/token/revoke-self of the login just tried"):
            self._server.client_with(answer["auth"]["client_token"]).auth.token.revoke_self()
        return True

    # --- identities ---

    def entity(self, name_or_id: str) -> Mapping[str, Any] | None:
        """The entity of that id or name; None when there is none."""
        identity = self._client().secrets.identity
        by_id = _or_none(lambda: identity.read_entity(name_or_id)["data"], "identity/entity/id")
        return by_id or _or_none(
            lambda: identity.read_entity_by_name(name_or_id)["data"], "identity/entity/name"
        )

    def set_entity(self, entity_id: str, *, disabled: bool) -> None:
        """A disabled entity's logins are refused and its tokens cannot be used; they are not revoked."""
        with vault_errors("identity/entity/id"):
            self._client().write(f"identity/entity/id/{entity_id}", disabled=disabled)

    def tokens_of_entity(self, entity_id: str) -> dict[str, Mapping[str, Any]]:
        """Live tokens of an entity, by accessor."""
        return {a: t for a, t in self.live_tokens().items() if t.get("entity_id") == entity_id}

    # --- database engine ---

    def names(self, path: str) -> list[str]:
        """What a LIST of the path answers; nothing when there is nothing."""
        # hvac answers None to the 404 that an empty list is.
        found = _or_none(lambda: self._client().list(path), f"list {path}")
        return list(found["data"]["keys"]) if found else []

    def static_role(self, mount: str, role: str) -> Mapping[str, Any] | None:
        """A static role: `username`, `last_vault_rotation`; never its password."""
        found = _or_none(lambda: self._client().read(f"{mount}static-roles/{role}"), "static-roles")
        return found["data"] if found else None

    def connection_user(self, mount: str, name: str) -> str | None:
        """The database user of Vault's own login."""
        found = _or_none(lambda: self._client().read(f"{mount}config/{name}"), "config")
        return str(found["data"]["connection_details"].get("username")) if found else None

    def rotate(self, mount: str, what: str, name: str) -> None:
        """Give a static role (`rotate-role`) or a connection's own login (`rotate-root`) a new password."""
        with vault_errors(f"{mount}{what}"):
            self._client().write(f"{mount}{what}/{name}")

    # --- leases ---

    def lease_prefixes(self, policies: list[str]) -> list[str]:
        """Where a token with these policies may have leases, as prefixes for `leases`."""
        mounts = self.mounts()
        prefixes: dict[str, None] = {}
        for policy in policies:
            if policy == ROOT:
                return [mount for mount, kind in mounts.items() if kind not in _LEASELESS]
            for path in self.rules(policy):
                prefix = re.split(r"[*+]", path)[0]
                engine = next((kind for mount, kind in mounts.items() if prefix.startswith(mount)), "")
                if not prefix.startswith(_NOT_LEASED) and engine not in _LEASELESS:
                    prefixes[prefix] = None
        return list(prefixes)

    def rules(self, policy: str) -> dict[str, frozenset[str]]:
        """Paths of an ACL policy with the capabilities on each; empty when there is none."""
        found = _or_none(lambda: self._client().sys.read_acl_policy(policy)["data"], "sys/policies/acl")
        return read_rules(str((found or {}).get("policy") or ""))

    def may(self, policies: Iterable[str], path: str, capability: str) -> bool:
        """Whether a token with these policies may do this to the path."""
        return any(policy == ROOT or capability in granted(self.rules(policy), path) for policy in policies)

    def mounts(self) -> dict[str, str]:
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


def read_rules(text: str) -> dict[str, frozenset[str]]:
    """The rules of an ACL policy in HCL: path pattern -> capabilities."""
    return {
        path: frozenset(re.findall(r'"([^"]+)"', "".join(_CAPABILITIES.findall(body))))
        for path, body in _RULE.findall(text)
    }


def granted(rules: Mapping[str, frozenset[str]], path: str) -> frozenset[str]:
    """What the rule that Vault gives precedence grants on a path: the one with the longest fixed beginning.

    `+` stands for one segment, a final `*` for any rest.
    Source: Vault documentation, Policies, "Policy syntax".
    """
    matching = [pattern for pattern in rules if _matches(pattern, path)]
    best = max(
        matching, key=lambda p: (len(re.split(r"[*+]", p)[0]), not p.endswith("*"), len(p)), default=""
    )
    found = rules.get(best, frozenset())
    return frozenset() if "deny" in found else found


def _matches(pattern: str, path: str) -> bool:
    fixed = pattern.removesuffix("*")
    expression = "".join("[^/]+" if part == "+" else re.escape(part) for part in re.split(r"(\+)", fixed))
    return re.fullmatch(expression + (".*" if fixed != pattern else ""), path) is not None
