"""All access kinds, in the order in which their first calls should go out within a system.

Salesforce: abort jobs, tokens, sessions, freeze, permissions. The order is that of the first call alone:
no kind waits for another to finish, unless it says so by `after`.
"""

from __future__ import annotations

from tasks.contain.aws.access_key import AccessKey
from tasks.contain.aws.bucket_policy import BucketPolicy
from tasks.contain.aws.console_login import ConsoleLogin
from tasks.contain.aws.live_sessions import LiveSessions
from tasks.contain.aws.role_trust import RoleTrust
from tasks.contain.kinds import AccessKind
from tasks.contain.salesforce.registered import SALESFORCE_KINDS
from tasks.contain.vault.approle import AppRole
from tasks.contain.vault.database import DatabaseRoot, StaticRole
from tasks.contain.vault.entity import EntityTokens, VaultEntity
from tasks.contain.vault.leases import TokenLeases
from tasks.contain.vault.token import VaultToken
from tasks.incident import System

KINDS: tuple[type[AccessKind], ...] = (
    *SALESFORCE_KINDS,
    AccessKey,
    RoleTrust,
    LiveSessions,
    ConsoleLogin,
    BucketPolicy,
    VaultEntity,
    VaultToken,
    AppRole,
    EntityTokens,
    TokenLeases,
    StaticRole,
    DatabaseRoot,
)


def kinds_of(system: System) -> tuple[type[AccessKind], ...]:
    """The kinds of one system, in order."""
    return tuple(kind for kind in KINDS if kind.system is system)


def kind_named(system: System, name: str) -> type[AccessKind]:
    """The class of a recorded access; raises KeyError when this version has no such kind."""
    return {(kind.system, kind.name): kind for kind in KINDS}[system, name]
