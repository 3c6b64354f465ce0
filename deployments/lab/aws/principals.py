"""Who a request's access key belongs to, as AWS sees it: status, secret, policies, session.

Long-lived keys are IAM users'. Temporary keys are a role's (AssumeRole) or a user's (GetSessionToken,
GetFederationToken). A temporary key outlives the deactivation of the key that asked for it: only a Deny on
`aws:TokenIssueTime` stops it, as on AWS.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.iam.models import IAMBackend, iam_backends
from moto.sts.models import sts_backends

ACCOUNT = "123456789012"
PARTITION = "aws"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller behind an access key."""

    key_id: str
    secret: str
    arn: str
    user_id: str
    kind: str  # "User", "AssumedRole", "FederatedUser"
    name: str  # user name, or role/session
    documents: tuple[str, ...]  # identity policies
    limits: tuple[tuple[str, ...], ...] = ()  # each must allow too: boundary, session policy
    active: bool = True
    session_token: str | None = None
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    role_arn: str | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arns(self) -> tuple[str, ...]:
        """The ARNs by which a resource policy may name it."""
        return (self.arn,) if self.role_arn is None else (self.arn, self.role_arn)


@dataclass(frozen=True, slots=True)
class UserSession:
    """A temporary key of an IAM user."""

    key_id: str
    secret: str
    token: str
    user_name: str
    issued_at: datetime
    expires_at: datetime
    federated_name: str | None = None
    policy: str | None = None


# Sessions moto does not keep. Emptied by `reset`.
user_sessions: dict[str, UserSession] = {}
# When each assumed role's key was issued; moto keeps only its end.
issued: dict[str, datetime] = {}


def reset() -> None:
    user_sessions.clear()
    issued.clear()


def iam() -> IAMBackend:
    return iam_backends[ACCOUNT][PARTITION]


def find(key_id: str) -> Principal | None:
    """The principal of an access key; None for a key that does not exist (any more)."""
    if key_id in user_sessions:
        return _user_session(user_sessions[key_id])
    for user in iam().users.values():
        for key in user.access_keys:
            if key.access_key_id == key_id:
                return _user(user, key.access_key_id, key.secret_access_key, key.status == "Active")
    for assumed in sts_backends[ACCOUNT][PARTITION].assumed_roles:
        if assumed.access_key_id == key_id:
            return _assumed_role(assumed)
    return None


def documents_of(arn: str) -> tuple[str, ...] | None:
    """The identity policies of the user or role with this ARN; None when there is none."""
    for user in iam().users.values():
        if user.arn == arn:
            return tuple(_user_documents(user))
    for role in iam().roles.values():
        if role.arn == arn:
            return tuple(_role_documents(role))
    return None


def _user(user: Any, key_id: str, secret: str, active: bool) -> Principal:
    return Principal(
        key_id=key_id,
        secret=secret,
        arn=user.arn,
        user_id=user.id,
        kind="User",
        name=user.name,
        documents=tuple(_user_documents(user)),
        limits=_boundary(user),
        active=active,
        tags={tag["Key"]: tag["Value"] for tag in iam().list_user_tags(user.name)},
    )


def _user_session(session: UserSession) -> Principal | None:
    user = iam().users.get(session.user_name)
    if user is None:
        return None
    base = _user(user, session.key_id, session.secret, True)
    federated = session.federated_name
    limits = base.limits
    if federated is not None:
        # A federated session may do what both the user and the passed policy allow; none passed: nothing.
        limits += ((session.policy,) if session.policy else (),)
    return Principal(
        key_id=base.key_id,
        secret=base.secret,
        arn=f"arn:aws:sts::{ACCOUNT}:federated-user/{federated}" if federated else base.arn,
        user_id=f"{ACCOUNT}:{federated}" if federated else base.user_id,
        kind="FederatedUser" if federated else "User",
        name=federated or base.name,
        documents=base.documents,
        limits=limits,
        session_token=session.token,
        issued_at=session.issued_at,
        expires_at=session.expires_at,
        tags=base.tags,
    )


def _assumed_role(assumed: Any) -> Principal | None:
    role = next((r for r in iam().roles.values() if r.arn == assumed.role_arn), None)
    if role is None:
        return None
    return Principal(
        key_id=assumed.access_key_id,
        secret=assumed.secret_access_key,
        arn=assumed.arn,
        user_id=assumed.user_id,
        kind="AssumedRole",
        name=f"{role.name}/{assumed.session_name}",
        documents=tuple(_role_documents(role)),
        limits=_boundary(role) + (((assumed.policy,),) if assumed.policy else ()),
        session_token=assumed.session_token,
        issued_at=issued.get(assumed.access_key_id),
        expires_at=assumed.expiration.replace(tzinfo=UTC),
        role_arn=role.arn,
    )


def _user_documents(user: Any) -> Iterable[str]:
    yield from map(_text, user.policies.values())
    yield from map(default_document, user.managed_policies.values())
    for group in iam().get_groups_for_user(user.name):
        yield from map(_text, group.policies.values())
        yield from map(default_document, group.managed_policies.values())


def _role_documents(role: Any) -> Iterable[str]:
    yield from map(_text, role.policies.values())
    yield from map(default_document, role.managed_policies.values())


def default_document(policy: Any) -> str:
    """The document of a managed policy's default version."""
    return next(_text(version.document) for version in policy.versions if version.is_default)


def _boundary(owner: Any) -> tuple[tuple[str, ...], ...]:
    arn = getattr(owner, "permissions_boundary_arn", None) or getattr(owner, "permissions_boundary", None)
    if isinstance(arn, dict):
        arn = arn.get("PermissionsBoundaryArn")
    policy = iam().managed_policies.get(arn) if arn else None
    return ((default_document(policy),),) if policy is not None else ()


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)
