"""The access kinds of a Salesforce org, in the order in which their first calls should go out.

Jobs, tokens, sessions, login, permissions, secrets; what people must do last.
"""

from __future__ import annotations

from tasks.contain.kinds import AccessKind
from tasks.contain.salesforce.bulk_jobs import BulkJobs
from tasks.contain.salesforce.credentials import NamedCredential, NamedCredentialLogin
from tasks.contain.salesforce.external_apps import ExternalAppTokens, UserExternalTokens
from tasks.contain.salesforce.external_secrets import ExternalAppSecret
from tasks.contain.salesforce.groups import GroupMuting
from tasks.contain.salesforce.login import Deactivation, Login
from tasks.contain.salesforce.manual import AppSecret, BlockApp
from tasks.contain.salesforce.oauth_grants import AppGrants, UserGrants
from tasks.contain.salesforce.permissions import AppAccess, PermissionLockdown
from tasks.contain.salesforce.persistence import PlantedPermissions
from tasks.contain.salesforce.profiles import GuestObjects, ProfileByHand, ProfilePermissions
from tasks.contain.salesforce.security_policies import SecurityPolicy
from tasks.contain.salesforce.sessions import AppSessions, UserSessions

SALESFORCE_KINDS: tuple[type[AccessKind], ...] = (
    BulkJobs,
    AppGrants,
    UserGrants,
    ExternalAppTokens,
    UserExternalTokens,
    UserSessions,
    AppSessions,
    Login,
    PermissionLockdown,
    GroupMuting,
    ProfilePermissions,
    AppAccess,
    PlantedPermissions,
    SecurityPolicy,
    ExternalAppSecret,
    NamedCredential,
    Deactivation,
    BlockApp,
    AppSecret,
    ProfileByHand,
    GuestObjects,
    NamedCredentialLogin,
)
