"""The organisation's response plan: one readable YAML file, read into frozen dataclasses.

The file, key by key (`?` = may be left out; a role reference is a key of `roles`):

    version: 1
    organisation:
      name: Acme Retail SE
      role: controller                 # controller | processor | joint_controller
      time_zone: Europe/Berlin         # IANA name
      sectors?: [ecomm_platform]       # these and the following are the org.* facts of the duty rules
      nis2?: important                 # none | important | essential
      listed?: [eu_issuer]
      eu_main_establishment?: DE       # ISO 3166-1; absent: none
      art27_representative?: IE
      established_in?: [DE, GB, US]
      annual_turnover_aud?: 25000000
      israel_db_level?: medium         # basic | medium | high
      accepts_amex?: true              # likewise each of FLAGS below
    roles:                             # the six of REQUIRED_ROLES; more may be added
      incident_commander:
        name: Ada Example
        email: ada@acme.example
        slack?: "@ada"                 # handle or member id
        deputy?: legal                 # role reference: escalation goes there
    systems?:                          # salesforce, aws, vault
      salesforce: {owner: salesforce_admin, max_closes: 6000}
    integrations?:
      - name: Support Chat
        owner: integration_engineer    # role reference
        vendor?: Chatty Inc            # name of a vendor below
        purpose?: Chat with customers inside Salesforce
        principals:                    # as suspects are named
          - {kind: connected-app, identifier: Support Chat}
        secret_at?: [kv/integrations/support-chat]   # where its secret is written, never the secret
        consumers?:                    # who must take a new secret, in this order
          - {name: chat-gateway, order?: 1, owner: integration_engineer, check?: how to see that it works}
    vendors?:
      - name: Chatty Inc
        kind?: package                 # one of VENDOR_KINDS
        contact: {name: Trust desk, email: trust@chatty.example, phone?: "+1 555 0100"}
        notice?: {from_vendor_hours?: 24, to_vendor_hours?: 48, clause?: "DPA 7.2"}
    policies?:
      dangerous_permissions?: [PermissionsViewAllData]   # default: DANGEROUS_PERMISSIONS
      protected?: [{kind: salesforce-user, identifier: breakglass@acme.example}]
      break_glass_admin?: breakglass@acme.example        # Salesforce user name, never closed
      deactivate_users?: false         # freeze only, unless true
      evidence_retention_days?: 365
      regions?: [eu-central-1, us-east-1]                # AWS regions to look in
      approval?: {default?: proceed, timeout_minutes?: 15, required_for?: [deactivate-user]}
      watch?: {remind_at?: [0.5, 0.25, 0.1], escalate_after_minutes?: 30}
      channel_prefix?: inc-
      enable_proposed_rules?: false

`load_plan` raises PlanError that names file, line and key. `validate_plan` returns all complaints.
"""

from __future__ import annotations

from pathlib import Path

from blocks.errors import PlanError
from blocks.plan_model import (
    DANGEROUS_PERMISSIONS,
    FLAGS,
    LISTED,
    PRINCIPAL_KINDS,
    REQUIRED_ROLES,
    SECTORS,
    SYSTEMS,
    VENDOR_KINDS,
    Approval,
    Consumer,
    Integration,
    Organisation,
    Plan,
    Policies,
    Principal,
    Role,
    SystemEntry,
    Vendor,
    Watch,
    system_of,
)
from blocks.plan_parts import read_plan

__all__ = [
    "DANGEROUS_PERMISSIONS",
    "FLAGS",
    "LISTED",
    "PRINCIPAL_KINDS",
    "REQUIRED_ROLES",
    "SECTORS",
    "SYSTEMS",
    "VENDOR_KINDS",
    "Approval",
    "Consumer",
    "Integration",
    "Organisation",
    "Plan",
    "Policies",
    "Principal",
    "Role",
    "SystemEntry",
    "Vendor",
    "Watch",
    "load_plan",
    "parse_plan",
    "read_text",
    "system_of",
    "validate_plan",
]


def load_plan(path: str | Path) -> Plan:
    """Read a plan file; raises PlanError that names file, line and key of the first complaint."""
    path = Path(path)
    return parse_plan(read_text(path), str(path))


def parse_plan(text: str, file: str = "plan.yaml") -> Plan:
    """Read a plan from its text; `file` is what complaints call it. Raises PlanError."""
    plan, problems = read_plan(text, file)
    problems.raise_first()
    return plan


def validate_plan(path: str | Path) -> list[PlanError]:
    """All complaints about a plan file; none when it can be used."""
    try:
        _, problems = read_plan(read_text(Path(path)), str(path))
    except PlanError as error:
        return [error]
    return problems.all()


def read_text(path: Path) -> str:
    """A plan file's text; raises PlanError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(
            f"The plan {path} cannot be read: {type(error).__name__}.", "Give the path of a UTF-8 YAML file."
        ) from None
