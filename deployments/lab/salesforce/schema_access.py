"""Apps of the newer kind, credentials for callouts, and transaction security policies.

Shapes after the Object Reference (TransactionSecurityPolicy) and the Connect REST API's resources for client
apps and named credentials; the columns that hold secrets are hidden.
"""

from __future__ import annotations

from deployments.lab.salesforce.schema_types import (
    SObject,
    area,
    field,
    pick,
    read_only,
    ref,
    secret,
    sobject,
    text,
)

EXTERNAL_CLIENT_APPLICATION = read_only(
    "ExternalClientApplication",
    "0xI",
    text("DeveloperName", 80, name_field=True),
    text("MasterLabel", 80),
    text("Description", 255),
    text("ContactEmail", 255),
    pick("DistributionState", "Local", "Packaged"),
    text("NamespacePrefix", 15),
    secret("ConsumerId", 18),
    secret("ConsumerKey", 255),
    secret("ConsumerSecret", 255),
    secret("Certificate"),
    secret("Scopes"),
    secret("Flows"),
    secret("RunAsUserId", 18),
    field("IsBlocked", "boolean", hidden=True, nillable=False),
    secret("StagedId", 18),
    secret("StagedKey", 255),
    secret("StagedSecret", 255),
    secret("StagedState", 20),  # staged: not yet valid; rotated: the former pair, still valid
    setup=True,
)

EXTERNAL_CREDENTIAL = read_only(
    "ExternalCredential",
    "0pw",
    text("DeveloperName", 80, name_field=True),
    text("MasterLabel", 80),
    pick("AuthenticationProtocol", "Custom", "Oauth", "AwsSv4"),
    secret("Principals"),  # JSON: principal -> key -> {value, encrypted, revision}
    tooling=True,
    setup=True,
    required_permission="PermissionsViewSetup",
)

TRANSACTION_SECURITY_POLICY = sobject(
    "TransactionSecurityPolicy",
    "0NI",
    text("DeveloperName", 80, nillable=False, name_field=True),
    text("MasterLabel", 80, nillable=False),
    text("Description", 255),
    area("ActionConfig", 32000),
    text("BlockMessage", 1000),
    pick("EventName", "ApiEvent", "BulkApiResultEventStore", "ReportEvent", "ListViewEvent", "LoginEvent"),
    pick("State", "Enabled", "Disabled"),
    pick("Type", "CustomApexPolicy", "CustomConditionBuilderPolicy"),
    ref("ApexPolicyId", "ApexClass", relationship="ApexPolicy"),
    ref("ExecutionUserId", "User", relationship="ExecutionUser"),
    text("NamespacePrefix", 15),
    setup=True,
)

ACCESS: tuple[SObject, ...] = (
    EXTERNAL_CLIENT_APPLICATION,
    EXTERNAL_CREDENTIAL,
    TRANSACTION_SECURITY_POLICY,
)
