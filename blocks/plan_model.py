"""The parts of a response plan as frozen dataclasses, and the words its file may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from blocks.errors import BadInput
from blocks.plan_reader import close_to

# The kinds of suspects that an incident can name.
PRINCIPAL_KINDS = (
    "connected-app",
    "salesforce-user",
    "aws-access-key",
    "aws-user",
    "aws-role",
    "vault-accessor",
    "vault-approle",
    "vault-entity",
)
SYSTEMS = ("salesforce", "aws", "vault")
REQUIRED_ROLES = (
    "incident_commander",
    "legal",
    "privacy",
    "salesforce_admin",
    "integration_engineer",
    "comms",
)
VENDOR_KINDS = ("package", "middleware", "processor", "insurer", "customer", "acquirer", "other")
SECTORS = (
    "glba_financial_institution",
    "nydfs_covered_entity",
    "hipaa_covered_entity",
    "hipaa_business_associate",
    "dora_financial_entity",
    "online_marketplace",
    "cii_operator_cn",
    "ecomm_platform",
    "card_merchant",
    "card_service_provider",
    "credit_bureau",
    "information_broker",
    "public_ecs_provider",
)
LISTED = ("us_domestic_issuer", "us_foreign_private_issuer", "eu_issuer", "uk_issuer")
# Facts about the organisation that are true or false; absent means false.
FLAGS = (
    "accepts_amex",
    "accepts_discover",
    "adgm",
    "circia_covered_entity",
    "cn_network_operator",
    "cyber_insurance",
    "difc",
    "kr_ict_service_provider",
    "scc_importer",
    "uk_rdsp",
)
# Names as on PermissionSet in API v67. What lets a stolen integration read everything, take it out,
# or make itself another way in.
DANGEROUS_PERMISSIONS = (
    "PermissionsApiEnabled",
    "PermissionsViewAllData",
    "PermissionsModifyAllData",
    "PermissionsViewAllFieldsGlobal",
    "PermissionsBulkApiHardDelete",
    "PermissionsExportReport",
    "PermissionsDataExport",
    "PermissionsQueryAllFiles",
    "PermissionsViewEncryptedData",
    "PermissionsManageUsers",
    "PermissionsResetPasswords",
    "PermissionsCustomizeApplication",
    "PermissionsAuthorApex",
    "PermissionsManageRemoteAccess",
    "PermissionsManageNamedCredentials",
    "PermissionsManageAuthProviders",
    "PermissionsManageCertificates",
    "PermissionsManageEncryptionKeys",
    "PermissionsViewClientSecret",
    "PermissionsClientSecretRotation",
    "PermissionsUseAnyApiAuth",
    "PermissionsCanApproveUninstalledApps",
    "PermissionsExternalClientAppAdmin",
    "PermissionsExternalClientAppDeveloper",
)
DEFAULT_OWNER = {
    "salesforce": "salesforce_admin",
    "aws": "integration_engineer",
    "vault": "integration_engineer",
}
DEFAULT_MAX_CLOSES = {"salesforce": 10_000, "aws": 50, "vault": 500}


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who the plan belongs to, and what the duty rules ask about it."""

    name: str
    role: str = "controller"
    time_zone: str = "UTC"
    sectors: tuple[str, ...] = ()
    nis2: str = "none"
    listed: tuple[str, ...] = ()
    eu_main_establishment: str | None = None
    art27_representative: str | None = None
    established_in: tuple[str, ...] = ()
    annual_turnover_aud: float | None = None
    israel_db_level: str | None = None
    flags: frozenset[str] = frozenset()  # those of FLAGS that are true


@dataclass(frozen=True, slots=True)
class Role:
    """A person with a part in the response."""

    key: str
    name: str
    email: str
    slack: str | None = None
    deputy: str | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """An identity that can authenticate, named as a suspect is."""

    kind: str
    identifier: str


@dataclass(frozen=True, slots=True)
class Consumer:
    """What reads an integration's secret and must take a new one; low `order` first."""

    name: str
    order: int
    owner: str
    check: str | None = None


@dataclass(frozen=True, slots=True)
class Integration:
    """A connection between Salesforce and something else, and everything needed to rotate it."""

    name: str
    owner: str
    principals: tuple[Principal, ...]
    vendor: str | None = None
    purpose: str = ""
    secret_at: tuple[str, ...] = ()
    consumers: tuple[Consumer, ...] = ()  # in the order of rotation


@dataclass(frozen=True, slots=True)
class SystemEntry:
    """A system the response acts on: who does its manual steps, and how much may be closed unasked."""

    name: str
    owner: str
    max_closes: int


@dataclass(frozen=True, slots=True)
class Vendor:
    """Somebody outside with a contract: whom to tell, and within how many hours either side must."""

    name: str
    kind: str
    contact_name: str
    contact_email: str
    contact_phone: str | None = None
    from_vendor_hours: float | None = None
    to_vendor_hours: float | None = None
    clause: str | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """What happens when an approval is asked for and nobody answers in time."""

    default: str = "proceed"  # proceed | wait | reject
    timeout_minutes: int = 15
    required_for: tuple[str, ...] = ()  # access kinds that always ask


@dataclass(frozen=True, slots=True)
class Watch:
    """When deadlines are called out (shares of the time left), and when the next person is told."""

    remind_at: tuple[float, ...] = (0.5, 0.25, 0.1)
    escalate_after_minutes: int = 30


@dataclass(frozen=True, slots=True)
class Policies:
    """What the organisation decided beforehand."""

    dangerous_permissions: tuple[str, ...] = DANGEROUS_PERMISSIONS
    protected: tuple[Principal, ...] = ()
    break_glass_admin: str | None = None
    deactivate_users: bool = False
    evidence_retention_days: int = 365
    regions: tuple[str, ...] = ()
    approval: Approval = Approval()
    watch: Watch = Watch()
    channel_prefix: str = "inc-"
    enable_proposed_rules: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole plan. References between its parts hold: the reader saw to it."""

    organisation: Organisation
    roles: Mapping[str, Role]
    systems: Mapping[str, SystemEntry]
    integrations: tuple[Integration, ...] = ()
    vendors: tuple[Vendor, ...] = ()
    policies: Policies = Policies()
    file: str = field(default="plan.yaml", compare=False)
    text: str = field(default="", compare=False, repr=False)  # as written, for saving it elsewhere

    def role(self, key: str) -> Role:
        """The person in a role; raises BadInput when the plan has no such role."""
        if key not in self.roles:
            raise BadInput(f"The plan has no role {key!r}.", close_to(key, self.roles))
        return self.roles[key]

    def integration_of(self, kind: str, identifier: str) -> Integration | None:
        """The integration a principal belongs to."""
        wanted = Principal(kind, identifier)
        return next((one for one in self.integrations if wanted in one.principals), None)

    def vendor(self, name: str) -> Vendor | None:
        """The vendor of that name."""
        return next((one for one in self.vendors if one.name == name), None)

    def owner_of(self, kind: str, identifier: str) -> Role:
        """Who does the manual steps for a principal: its integration's owner, else its system's."""
        integration = self.integration_of(kind, identifier)
        return self.roles[integration.owner if integration else self.systems[system_of(kind)].owner]

    def is_protected(self, kind: str, identifier: str) -> bool:
        """Whether closing this principal is refused: on the protected list, or the break-glass admin."""
        admin = self.policies.break_glass_admin
        if kind == "salesforce-user" and admin and identifier.casefold() == admin.casefold():
            return True
        return any(
            one.kind == kind and one.identifier.casefold() == identifier.casefold()
            for one in self.policies.protected
        )

    def facts(self) -> dict[str, Any]:
        """What the plan says in the words of the duty rules: flat `org.*` keys, the role, the engine switch.

        Absent `org.*` facts are left out: the rules read them as false or empty.
        """
        org = self.organisation
        facts: dict[str, Any] = {
            "incident.role": org.role,
            "org.sectors": list(org.sectors),
            "org.nis2": org.nis2,
            "org.listed": list(org.listed),
            "org.eu_main_establishment": org.eu_main_establishment,
            "org.art27_representative": org.art27_representative,
            "engine.enable_proposed": self.policies.enable_proposed_rules,
        }
        facts |= {f"org.established_in.{code}": True for code in org.established_in}
        facts |= {f"org.{name}": name in org.flags for name in FLAGS}
        if org.annual_turnover_aud is not None:
            facts["org.annual_turnover_aud"] = org.annual_turnover_aud
        if org.israel_db_level:
            facts["org.israel_db_level"] = org.israel_db_level
        return facts


def system_of(kind: str) -> str:
    """The system a principal kind belongs to."""
    return "salesforce" if kind in {"connected-app", "salesforce-user"} else kind.partition("-")[0]
