"""Access kinds `named-credential` (secrets with which Salesforce itself logs in elsewhere, replaced) and
`named-credential-login` (those that only a person can renew).

The plan names them beside an integration's other secrets, as `salesforce:EXTERNAL_CREDENTIAL/PRINCIPAL`.
Values can be written and never read back; each has a revision that grows with every change, which is the
proof.
Source: Connect REST API Developer Guide, "Credential" (v56; PATCH since v59, custom protocol only).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from blocks.plan import Integration
from tasks.contain.kinds import AccessKind, ManualKind, Reopened
from tasks.contain.salesforce.replacements import keep, kept, place_of, vault_path
from tasks.contain.world import World
from tasks.incident import Access, Proof, System

PREFIX = "salesforce:"
PATH = "named-credentials/credential"
CUSTOM = "Custom"  # the only protocol whose secrets we can make up ourselves


def leaked_credentials(world: World) -> Iterator[tuple[Integration, str, Mapping[str, Any]]]:
    """Credentials of the integrations that suspects belong to: integration, reference, what the org tells."""
    suspects = {(str(one.kind), one.identifier) for one in world.incident.suspects}
    for integration in world.plan.integrations:
        if suspects.isdisjoint((one.kind, one.identifier) for one in integration.principals):
            continue
        for place in integration.secret_at:
            if place.startswith(PREFIX):
                ref = place.removeprefix(PREFIX)
                yield integration, ref, credential(world, ref)


def credential(world: World, ref: str) -> Mapping[str, Any]:
    """What the org tells of a credential: protocol, and the revision of each value. Raises Gone."""
    external, _, principal = ref.partition("/")
    told: Mapping[str, Any] = world.salesforce.api(
        "GET", PATH, externalCredential=external, principalName=principal, principalType="NamedPrincipal"
    )
    return told


def _by_api(integration: Integration, told: Mapping[str, Any]) -> bool:
    return told["authenticationProtocol"] == CUSTOM and vault_path(integration) is not None


class NamedCredential(AccessKind):
    """A custom credential: each encrypted value is replaced by a new one, which is kept in Vault first."""

    system = System.SALESFORCE
    name = "named-credential"
    action = "replace the secret with which Salesforce logs in elsewhere"
    reversible = False
    credential = True
    replaces = True

    def observe(self) -> list[Access]:
        found = []
        for integration, ref, told in leaked_credentials(self.world):
            values = {k: v for k, v in told["credentials"].items() if v.get("encrypted")}
            access = self.access(
                integration.name,
                ref,
                integration=integration.name,
                fields=sorted(values),
                revisions=[int(values[name].get("revision", 0)) for name in sorted(values)],
            )
            past = self.world.history.get(access.key)
            if values and _by_api(integration, told) and not (past and past.closed):
                found.append(access)
        return found

    def close(self, access: Access) -> None:
        integration = self._integration(access)
        place, name = place_of(self.world, integration), access.ref.replace("/", "_")
        values = kept(self.world, place, name)
        if values is None:
            values = {field: secrets.token_urlsafe(32) for field in access.before["fields"]}
            keep(self.world, place, name, values)
        external, _, principal = access.ref.partition("/")
        self.world.salesforce.api(
            "PATCH",
            PATH,
            {
                "externalCredential": external,
                "authenticationProtocol": CUSTOM,
                "principalName": principal,
                "principalType": "NamedPrincipal",
                "credentials": {
                    field: {"value": values[field], "encrypted": True} for field in access.before["fields"]
                },
            },
        )

    def prove(self, access: Access) -> Proof:
        told = credential(self.world, access.ref)["credentials"]
        old = zip(access.before["fields"], access.before["revisions"], strict=True)
        same = [field for field, number in old if int(told.get(field, {}).get("revision", 0)) <= number]
        return self.recount(
            not same, f"{len(same)} of {len(access.before['fields'])} values have their old revision."
        )

    def reopen(self, access: Access) -> Reopened:
        return Reopened(False, "A replaced secret cannot be read back: set it again on both sides.")

    def _integration(self, access: Access) -> Integration | None:
        wanted = access.before["integration"]
        return next((one for one in self.world.plan.integrations if one.name == wanted), None)


class NamedCredentialLogin(ManualKind):
    """A credential that a person must renew: OAuth wants a click on Authenticate, AWS keys come from AWS."""

    system = System.SALESFORCE
    name = "named-credential-login"
    action = "authenticate the named credential anew"
    due_hours = 4.0

    def observe(self) -> list[Access]:
        return [
            self.access(
                integration.name,
                ref,
                owner=integration.owner,
                protocol=told["authenticationProtocol"],
                due_at=self.due().isoformat(),
            )
            for integration, ref, told in leaked_credentials(self.world)
            if not _by_api(integration, told)
        ]

    def instructions(self, access: Access) -> str:
        external, _, principal = access.ref.partition("/")
        url = f"{self.world.salesforce.url}/lightning/setup/NamedCredential/home"
        how = "Authenticate" if access.before.get("protocol") == "Oauth" else "Edit, and enter the new secret"
        return (
            f"{access.before.get('owner')}, by {self.due():%d %b %H:%M} UTC: have the other side revoke "
            f"the old login, open {url}, External Credentials, {external}, principal {principal}, {how}."
        )
