"""Replace an AppRole's secret id: issue, write where the integration reads it, log in with it.

The place must hold the role id beside the secret id, as the integration needs both to log in. A secret id
that was lost in a crash before it could be written is destroyed, and another one issued.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blocks.errors import LeakResponseError
from blocks.vault import VaultRefused, VaultServer, vault_errors
from tasks.incident import Phase
from tasks.remediate.job import ISSUE, Credential, Job, Outcome
from tasks.remediate.places import Held, Place

KIND = "vault-approle"


@dataclass(frozen=True, slots=True)
class Pair:
    """The two fields of a place by which an integration logs in."""

    place: Place
    held: Held
    role_field: str
    secret_field: str
    staged: bool = False

    @property
    def secret(self) -> str:
        return str(self.held.fields[self.secret_field])


def replace_secret_id(job: Job, role: str) -> Credential:
    """A secret id that logs in, in every place that holds one; again at any time, nothing is done twice.

    Raises LeakResponseError when Vault or a place refuses or does not answer; run it again then.
    """
    vault = job.systems.vault
    pairs = [pair for place in job.places for pair in _pairs(place)]
    mine = [p for p in pairs if _is_of(vault, p, role)]
    if not mine:
        fields = "a role id and a secret id (fields ..._role_id and ..._secret_id)"
        return _person(role, f"Issue a secret id for {role} by hand: no listed place holds {fields} of it.")
    good = next((p for p in mine if logs_in(vault, p.held.fields, p) == role), None)
    kept = False
    if good is not None:
        secret = good.secret
        accessor, kept = _known(job, role)
        if accessor is None:
            return _person(role, f"{role} has several secret ids that nobody here issued: contain it again.")
    else:
        accessor, secret = _issue(job, role)
    for pair in (p for p in mine if not p.staged and p.secret != secret):

        def works(fields: Mapping[str, Any], pair: Pair = pair) -> bool:
            return logs_in(vault, fields, pair) == role

        job.write(pair.place, pair.held, {pair.secret_field: secret}, accessor, works)
    old = {p.secret for p in mine if p.secret != secret}
    refused = not any(logs_in(vault, {**p.held.fields}, p) for p in mine if p.secret in old)
    names = {p.place.name for p in mine}
    now = [p for place in job.places if place.name in names for p in _pairs(place) if not p.staged]
    works_now = all(logs_in(vault, p.held.fields, p) == role for p in now if _is_of(vault, p, role))
    if works_now and refused and old:
        job.retire(frozenset(old))
    return Credential(
        KIND,
        role,
        (Outcome.KEPT if kept else Outcome.REPLACED) if works_now else Outcome.FAILED,
        f"The new secret id was read back from {len(names)} places and logs in; "
        f"{len(old)} old ones were tried and refused.",
        ref=accessor,
        places=tuple(sorted(names)),
        new_works=works_now,
        old_refused=refused,
    )


def _known(job: Job, role: str) -> tuple[str | None, bool]:
    """The accessor of the working secret id, and whether it is somebody else's. None when it cannot be told
    from others."""
    standing = set(accessors(job.systems.vault, role))
    if ours := standing & job.issued(role):
        return sorted(ours)[0], False
    before = {ref for e in job.cut_off(role) for ref in e["details"].get("refs") or ()}
    fresh = standing - before
    if len(fresh) != 1:
        return None, False
    was_cut_off = bool(job.cut_off(role))
    accessor = fresh.pop()
    job.keep(f"vault/approle/{role}", role, accessor)
    return accessor, not was_cut_off


def _issue(job: Job, role: str) -> tuple[str, str]:
    vault = job.systems.vault
    _drop_lost(job, role)
    attempt = job.ledger.attempt(
        Phase.REMEDIATE, ISSUE, f"vault/approle/{role}", principal=role, refs=accessors(vault, role)
    )
    try:
        with vault_errors(f"issuing a secret id of {role}"):
            answer = vault.get_client().auth.approle.generate_secret_id(
                role, mount_point=vault.approle_mount
            )["data"]
    except LeakResponseError as error:
        job.ledger.result(attempt, "failed", error=type(error).__name__)
        raise
    job.ledger.result(attempt, "ok", ref=answer["secret_id_accessor"])
    return str(answer["secret_id_accessor"]), str(answer["secret_id"])


def _drop_lost(job: Job, role: str) -> None:
    """Destroy what this incident issued and no place holds: nobody can log in with it, or only a thief."""
    standing = set(accessors(job.systems.vault, role))
    lost = standing & job.issued(role)
    for entry in job.cut_off(role):
        lost |= standing - set(entry["details"].get("refs") or ())
    for accessor in sorted(lost):
        with vault_errors(f"destroying a lost secret id of {role}"):
            job.systems.vault.get_client().auth.approle.destroy_secret_id_accessor(
                role, accessor, mount_point=job.systems.vault.approle_mount
            )
    job.settle(role)


def _pairs(place: Place) -> list[Pair]:
    found = []
    for held, staged in ((place.read(), False), (place.pending(), True)):
        for name in held.fields if held else ():
            role_field = name.replace("secret_id", "role_id")
            if held and name.endswith("secret_id") and role_field in held.fields:
                found.append(Pair(place, held, role_field, name, staged))
    return found


def _is_of(vault: VaultServer, pair: Pair, role: str) -> bool:
    """Whether the pair's role id is this role's."""
    with vault_errors(f"reading the role id of {role}", "Grant read on auth/approle/role/+/role-id."):
        known = vault.get_client().auth.approle.read_role_id(role, mount_point=vault.approle_mount)
    return bool(known["data"]["role_id"] == pair.held.fields[pair.role_field])


def logs_in(vault: VaultServer, fields: Mapping[str, Any], pair: Pair) -> str | None:
    """The AppRole that a login yields, or None when it is refused. The token is revoked at once."""
    try:
        with vault_errors("AppRole login with a secret id from its place"):
            auth = vault.client_with("").auth.approle.login(
                fields[pair.role_field],
                fields[pair.secret_field],
                use_token=False,
                mount_point=vault.approle_mount,
            )["auth"]
    except VaultRefused:
        return None
    with vault_errors("auth/token/revoke-self of the login just tried"):
        vault.client_with(auth["client_token"]).auth.token.revoke_self()
    return str((auth.get("metadata") or {}).get("role_name"))


def accessors(vault: VaultServer, role: str) -> list[str]:
    """Accessors of the role's secret ids."""
    try:
        with vault_errors(f"listing the secret ids of {role}"):
            answer = vault.get_client().auth.approle.list_secret_id_accessors(
                role, mount_point=vault.approle_mount
            )
    except VaultRefused as error:
        if error.status == 404:
            return []
        raise
    return sorted(answer["data"]["keys"])


def _person(role: str, detail: str) -> Credential:
    return Credential(KIND, role, Outcome.PERSON, detail)
