"""Preflight of Vault: is it unsealed, does the login work, are the response's paths open to us?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blocks.check import Check, attempt
from blocks.errors import LeakResponseError, Refused

if TYPE_CHECKING:
    from blocks.vault import VaultServer

# Path templates and the capabilities the response needs on them. The segment `preflight` stands for any
# name below: capabilities-self answers for a path whether or not something is there.
NEEDED: tuple[tuple[str, str, str], ...] = (
    ("auth/token/lookup-accessor", "update", "find a token by its accessor"),
    ("auth/token/revoke-accessor", "update", "revoke a token by its accessor"),
    ("auth/token/accessors", "list", "list tokens to find children and siblings"),
    ("sys/leases/lookup", "update", "look up a lease"),
    ("sys/leases/lookup/preflight", "list", "list leases"),
    ("sys/leases/revoke", "update", "revoke a lease"),
    ("sys/mounts", "read", "see which engines there are"),
    ("sys/policies/acl/preflight", "read", "read what a policy opens"),
    ("auth/{approle}/role/preflight", "read", "look up an AppRole"),
    ("auth/{approle}/role/preflight/secret-id", "list", "list an AppRole's secret ids"),
    ("auth/{approle}/role/preflight/secret-id", "update", "issue a secret id"),
    ("auth/{approle}/role/preflight/secret-id-accessor/destroy", "update", "destroy a secret id"),
    ("identity/entity/id/preflight", "update", "disable an entity"),
    ("{transit}/sign/{key}", "update", "sign the ledger"),
    ("{transit}/keys/{key}", "read", "read the ledger's public key"),
)


def check_vault(vault: VaultServer) -> list[Check]:
    """All of Vault's checks; the later ones are left out when an earlier one makes them pointless."""
    from blocks.vault import vault_errors

    def healthy() -> None:
        with vault_errors("health", "Check the address."):
            sys = vault.client_with("").sys  # without login: a sealed Vault grants none
            health: Any = sys.read_health_status(method="GET")
        state = health if isinstance(health, dict) else health.json()
        if state.get("sealed"):
            raise Refused("Vault is sealed.", "Unseal it; meanwhile secrets come from the break-glass files.")

    def logged_in() -> None:
        with vault_errors("looking up our own token"):
            vault.get_client().auth.token.lookup_self()

    checks = [attempt("Vault: reachable and unsealed", healthy)]
    if checks[0].ok:
        checks.append(attempt("Vault: AppRole login", logged_in))
    if checks[-1].ok:
        checks += capabilities(vault)
        checks.append(attempt("Vault: ledger signing key exists", lambda: _read_key(vault)))
    return checks


def _read_key(vault: VaultServer) -> None:
    from blocks.vault import vault_errors

    fix = f"Create it: write {vault.transit_mount}/keys/{vault.transit_key} type=ed25519."
    with vault_errors(f"reading transit key {vault.transit_key}", fix):
        vault.get_client().secrets.transit.read_key(name=vault.transit_key, mount_point=vault.transit_mount)


def capabilities(vault: VaultServer) -> list[Check]:
    """One check per path the response needs; the fix is the stanza to add to our policy."""
    from blocks.vault import vault_errors

    names = {
        "transit": vault.transit_mount,
        "key": vault.transit_key,
        "approle": vault.approle_mount,
    }
    needed = [(path.format(**names), capability, purpose) for path, capability, purpose in NEEDED]
    try:
        with vault_errors("asking for our capabilities", "Attach the policy `default` to our role."):
            answer = vault.get_client().adapter.post(
                "/v1/sys/capabilities-self", json={"paths": [path for path, _, _ in needed]}
            )
    except LeakResponseError as error:
        return [Check("Vault: permissions", ok=False, problem=error.problem, fix=error.fix)]
    granted: dict[str, list[str]] = answer.get("data") or answer
    return [
        _capability(path, capability, purpose, granted.get(path, [])) for path, capability, purpose in needed
    ]


def _capability(path: str, capability: str, purpose: str, granted: list[str]) -> Check:
    name = f"Vault: may {purpose}"
    if "root" in granted or capability in granted:
        return Check(name, ok=True)
    return Check(
        name,
        ok=False,
        problem=f"The responder may not {capability} {path}.",
        fix=f'Add to its policy: path "{path}" {{ capabilities = ["{capability}"] }}.',
    )
