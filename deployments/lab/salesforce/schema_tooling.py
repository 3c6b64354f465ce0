"""What describes the organisation itself: entity and field definitions, and the Tooling API's objects.

EntityDefinition and FieldDefinition are "reified": Salesforce computes their rows from the schema, so a
query must filter on one of the key columns. Here they are tables that the store fills from the schema once.
"""

from __future__ import annotations

from deployments.lab.salesforce.schema_types import (
    SObject,
    area,
    flag,
    pick,
    read_only,
    ref,
    secret,
    sobject,
    text,
    url,
    whole,
)

REIFIED = ("EntityDefinition", "FieldDefinition")

ENTITY_DEFINITION = read_only(
    "EntityDefinition",
    "4ie",
    text("DurableId", 255),
    text("QualifiedApiName", 70, name_field=True),
    text("DeveloperName", 40),
    text("Label", 255),
    text("MasterLabel", 255),
    text("PluralLabel", 255),
    text("KeyPrefix", 3),
    text("NamespacePrefix", 15),
    flag("IsQueryable"),
    flag("IsCustomSetting"),
    flag("IsCustomizable"),
    flag("IsApexTriggerable"),
    flag("IsSearchable"),
    pick("InternalSharingModel", "Private", "Read", "ReadWrite", "ControlledByParent"),
    pick("ExternalSharingModel", "Private", "Read", "ReadWrite", "ControlledByParent"),
    audit=(),
    setup=True,
    null_id=True,
)

FIELD_DEFINITION = read_only(
    "FieldDefinition",
    "4fe",
    text("DurableId", 255),
    ref("EntityDefinitionId", "EntityDefinition", child="Fields"),
    text("QualifiedApiName", 70, name_field=True),
    text("DeveloperName", 70),
    text("Label", 255),
    text("MasterLabel", 255),
    text("DataType", 65),
    text("ValueTypeId", 70),
    text("NamespacePrefix", 15),
    whole("Length"),
    flag("IsNillable"),
    flag("IsCalculated"),
    flag("IsIndexed"),
    flag("IsApiFilterable"),
    text("RelationshipName", 255),
    pick("SecurityClassification", "Public", "Internal", "Confidential", "Restricted", "MissionCritical"),
    text("ComplianceGroup", 255),
    pick("BusinessStatus", "Active", "DeprecateCandidate", "Hidden"),
    ref("BusinessOwnerId", ("User", "Group"), relationship="BusinessOwner"),
    audit=(),
    setup=True,
    null_id=True,
)

APEX_CLASS = sobject(
    "ApexClass",
    "01p",
    text("Name", 255, name_field=True),
    text("NamespacePrefix", 15),
    area("Body", 1000000),
    pick("Status", "Active", "Inactive", "Deleted"),
    whole("ApiVersion"),
    flag("IsValid"),
    tooling=True,
    setup=True,
    required_permission="PermissionsViewSetup",
)

NAMED_CREDENTIAL = sobject(
    "NamedCredential",
    "0XA",
    text("DeveloperName", 80, name_field=True),
    text("MasterLabel", 80),
    url("Endpoint"),
    text("PrincipalType", 40),
    text("NamespacePrefix", 15),
    flag("CalloutOptionsGenerateAuthorizationHeader"),
    secret("Secret"),
    tooling=True,
    setup=True,
    required_permission="PermissionsViewSetup",
)

REAL_TIME_EVENT_SETTINGS = read_only(
    "RealTimeEventSettings",
    "0rt",
    text("DeveloperName", 80, name_field=True),
    text("MasterLabel", 80),
    area("Metadata", 131072),
    tooling=True,
    setup=True,
    required_permission="PermissionsViewSetup",
)

SUBSCRIBER_PACKAGE = read_only(
    "SubscriberPackage",
    "033",
    text("Name", 255, name_field=True),
    text("NamespacePrefix", 15),
    text("Description", 255),
    audit=(),
    tooling=True,
    setup=True,
    required_permission="PermissionsViewSetup",
)

INSTALLED_SUBSCRIBER_PACKAGE = read_only(
    "InstalledSubscriberPackage",
    "0A3",
    ref("SubscriberPackageId", "SubscriberPackage"),
    text("SubscriberPackageVersionId", 18),
    text("MinPackageVersionId", 18),
    audit=(),
    tooling=True,
    setup=True,
    required_permission="PermissionsViewSetup",
)

SANDBOX_INFO = sobject(
    "SandboxInfo",
    "0GQ",
    text("SandboxName", 80, name_field=True),
    pick("LicenseType", "DEVELOPER", "DEVELOPER_PRO", "PARTIAL", "FULL"),
    text("Description", 1000),
    whole("HistoryDays"),
    flag("CopyChatter"),
    flag("AutoActivate"),
    tooling=True,
    setup=True,
    required_permission="PermissionsViewSetup",
)

TOOLING: tuple[SObject, ...] = (
    ENTITY_DEFINITION,
    FIELD_DEFINITION,
    APEX_CLASS,
    NAMED_CREDENTIAL,
    REAL_TIME_EVENT_SETTINGS,
    SUBSCRIBER_PACKAGE,
    INSTALLED_SUBSCRIBER_PACKAGE,
    SANDBOX_INFO,
)
