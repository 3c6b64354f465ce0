"""What the AWS kinds ask of an account: who owns a key, which keys a user has, which inline policies stand.

Sources: IAM API Reference (GetAccessKeyLastUsed answers the owner of a key), CloudTrail LookupEvents.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from blocks.aws import AwsAccount, AwsRefused, aws_errors
from blocks.errors import Refused
from tasks.contain.jar import Credentials
from tasks.contain.world import World
from tasks.incident import SuspectKind

MISSING = frozenset({"NoSuchEntity", "NoSuchEntityException", "NotFound", "404"})
ASSUMED = 500  # role assumptions looked through for one whose session has not been used yet
GLOBAL_EVENTS = "us-east-1"  # where CloudTrail puts the events of IAM and other global services
SESSION = "aws-session"  # kind in the jar: JSON with secret_access_key and session_token
TEMPORARY = "ASIA"  # key ids of temporary credentials begin so; they have no status to set


class Aws:
    """A thin face over boto3 with this product's errors. Thread-safe."""

    def __init__(self, account: AwsAccount) -> None:
        self._account = account

    @property
    def iam(self) -> Any:
        return self.client("iam")

    def client(self, service: str) -> Any:
        """A client with the responder's key, in the home region."""
        with aws_errors(f"making a client for {service}"):
            return self._account.client(service)

    def arn(self, principal: Mapping[str, str]) -> str:
        """The ARN of {"user": name} or {"role": name}."""
        with aws_errors("iam:GetUser or iam:GetRole"):
            if "user" in principal:
                return str(self.iam.get_user(UserName=principal["user"])["User"]["Arn"])
            return str(self.iam.get_role(RoleName=principal["role"])["Role"]["Arn"])

    def simulated(self, principal: Mapping[str, str], action: str, context: Mapping[str, datetime]) -> str:
        """How AWS would decide on an action: "allowed", "implicitDeny" or "explicitDeny"."""
        with aws_errors("iam:SimulatePrincipalPolicy"):
            answer = self.iam.simulate_principal_policy(
                PolicySourceArn=self.arn(principal),
                ActionNames=[action],
                ContextEntries=[
                    {
                        "ContextKeyName": name,
                        "ContextKeyType": "date",
                        "ContextKeyValues": [value.strftime("%Y-%m-%dT%H:%M:%SZ")],
                    }
                    for name, value in context.items()
                ],
            )
        return str(answer["EvaluationResults"][0]["EvalDecision"])

    def owner_of_key(self, key_id: str) -> str | None:
        """The IAM user a long-term key belongs to; None when this account has no such key."""
        try:
            with aws_errors("iam:GetAccessKeyLastUsed"):
                name = self.iam.get_access_key_last_used(AccessKeyId=key_id).get("UserName")
            if name:
                return str(name)
        except AwsRefused as error:
            if error.code not in MISSING and error.code != "AccessDenied":
                raise
        return self._search(key_id)

    def _search(self, key_id: str) -> str | None:
        """Go through every user: slow, but needs no more than listing."""
        with aws_errors("iam:ListUsers and iam:ListAccessKeys"):
            for page in self.iam.get_paginator("list_users").paginate():
                for user in page["Users"]:
                    if key_id in self.keys_of(user["UserName"]):
                        return str(user["UserName"])
        return None

    def keys_of(self, user: str) -> dict[str, str]:
        """Key id -> Active or Inactive."""
        with aws_errors("iam:ListAccessKeys"):
            pages = self.iam.get_paginator("list_access_keys").paginate(UserName=user)
            return {k["AccessKeyId"]: k["Status"] for page in pages for k in page["AccessKeyMetadata"]}

    def set_key(self, user: str, key_id: str, status: str) -> None:
        with aws_errors("iam:UpdateAccessKey"):
            self.iam.update_access_key(UserName=user, AccessKeyId=key_id, Status=status)

    def inline_policy(self, principal: Mapping[str, str], name: str) -> dict[str, Any] | None:
        """The document of an inline policy of {"user": name} or {"role": name}; None when not there."""
        try:
            with aws_errors("iam:GetUserPolicy or iam:GetRolePolicy"):
                if "user" in principal:
                    answer = self.iam.get_user_policy(UserName=principal["user"], PolicyName=name)
                else:
                    answer = self.iam.get_role_policy(RoleName=principal["role"], PolicyName=name)
        except AwsRefused as error:
            if error.code in MISSING:
                return None
            raise
        document = answer["PolicyDocument"]
        return dict(json.loads(document) if isinstance(document, str) else document)

    def put_inline_policy(self, principal: Mapping[str, str], name: str, document: dict[str, Any]) -> None:
        with aws_errors("iam:PutUserPolicy or iam:PutRolePolicy"):
            text = json.dumps(document)
            if "user" in principal:
                self.iam.put_user_policy(UserName=principal["user"], PolicyName=name, PolicyDocument=text)
            else:
                self.iam.put_role_policy(RoleName=principal["role"], PolicyName=name, PolicyDocument=text)

    def delete_inline_policy(self, principal: Mapping[str, str], name: str) -> None:
        try:
            with aws_errors("iam:DeleteUserPolicy or iam:DeleteRolePolicy"):
                if "user" in principal:
                    self.iam.delete_user_policy(UserName=principal["user"], PolicyName=name)
                else:
                    self.iam.delete_role_policy(RoleName=principal["role"], PolicyName=name)
        except AwsRefused as error:
            if error.code not in MISSING:
                raise

    def principal_of_session(self, key_id: str, regions: Iterable[str] = ()) -> dict[str, str] | None:
        """Who holds a temporary key, from CloudTrail in every region that the block or the caller names: by
        its use, else by the call that handed it out. None when unseen."""
        places = tuple(dict.fromkeys([*self._account.all_regions(), *regions, GLOBAL_EVENTS]))
        for region in places:
            for record in self._looked_up(region, "AccessKeyId", key_id, most=5):
                if principal := _principal(record.get("userIdentity", {})):
                    return principal
        for region in places:
            for record in self._looked_up(region, "EventName", "AssumeRole", most=ASSUMED):
                issued = ((record.get("responseElements") or {}).get("credentials") or {}).get("accessKeyId")
                asked = {k.casefold(): v for k, v in (record.get("requestParameters") or {}).items()}
                if issued == key_id and "rolearn" in asked:
                    return {"role": str(asked["rolearn"]).rsplit("/", 1)[-1]}
        return None

    def _looked_up(self, region: str, attribute: str, value: str, most: int) -> Iterator[dict[str, Any]]:
        """The newest records of CloudTrail's event history with this attribute."""
        with aws_errors("cloudtrail:LookupEvents"):
            pages = (
                self._account.client("cloudtrail", region)
                .get_paginator("lookup_events")
                .paginate(
                    LookupAttributes=[{"AttributeKey": attribute, "AttributeValue": value}],
                    PaginationConfig={"MaxItems": most, "PageSize": min(most, 50)},
                )
            )
            for page in pages:
                yield from (json.loads(event["CloudTrailEvent"]) for event in page["Events"])

    def own_names(self) -> list[str]:
        """The responder's own IAM user or role name and key id."""
        with aws_errors("sts:GetCallerIdentity"):
            arn = str(self._account.client("sts").get_caller_identity()["Arn"])
            credentials = self._account.get_client().get_credentials()
        name = arn.split(":", 5)[5].split("/")  # user/path/name, assumed-role/role/session, or root
        return [name[1] if name[0] == "assumed-role" else name[-1], str(credentials.access_key)]

    def now(self) -> datetime:
        """The time by AWS's own clock, to the second."""
        with aws_errors("sts:GetCallerIdentity"):
            answer = self._account.client("sts").get_caller_identity()
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])

    def holder(self, key_id: str, secret: str, token: str) -> dict[str, str] | None:
        """The user or role of a temporary key in hand, by its own word; None when AWS knows it no more.

        sts:GetCallerIdentity is answered whatever the policies say, also to a session that is denied all.
        """
        probe = self._account.client_with(
            "sts", access_key_id=key_id, secret_access_key=secret, session_token=token
        )
        try:
            with aws_errors("sts:GetCallerIdentity with the found session"):
                arn = str(probe.get_caller_identity()["Arn"])
        except AwsRefused:
            return None
        kind, *name = arn.split(":", 5)[5].split("/")
        return {"role": name[0]} if kind == "assumed-role" else {"user": name[-1]}

    def refusal_of(self, key_id: str, secret: str, token: str | None = None) -> str | None:
        """Use a key on an action that policies govern; AWS's error code, or None when it was let in.

        sts:GetCallerIdentity would not do: it is answered whatever the policies say.
        """
        probe = self._account.client_with(
            "s3", access_key_id=key_id, secret_access_key=secret, session_token=token
        )
        try:
            with aws_errors("s3:ListAllMyBuckets with the old key"):
                probe.list_buckets()
        except AwsRefused as error:
            return error.code
        return None


def _principal(identity: Mapping[str, Any]) -> dict[str, str] | None:
    if identity.get("type") == "AssumedRole":
        issuer = identity.get("sessionContext", {}).get("sessionIssuer", {}).get("userName")
        name = issuer or str(identity.get("arn", "")).partition(":assumed-role/")[2].split("/")[0]
        return {"role": name} if name else None
    name = identity.get("userName")
    return {"user": str(name)} if name else None


def principals(world: World) -> list[dict[str, str]]:
    """The IAM users and roles behind all AWS suspects, each once.

    Raises Refused for a key that nothing in this account explains: a suspect must not vanish silently.
    """
    found = [{"user": name} for name in world.named(SuspectKind.AWS_USER)]
    found += [{"role": name} for name in world.named(SuspectKind.AWS_ROLE)]
    found += [owner(world, key_id) for key_id in world.named(SuspectKind.AWS_ACCESS_KEY)]
    return [p for i, p in enumerate(found) if p not in found[:i]]


def sessions_in(jar: Credentials) -> dict[str, tuple[str, str]]:
    """Temporary keys in hand: key id -> secret and session token. The jar keeps them as one JSON text."""
    found = {}
    for key_id, text in jar.of_kind(SESSION).items():
        held = json.loads(text)
        found[key_id] = (str(held["secret_access_key"]), str(held["session_token"]))
    return found


def owner(world: World, key_id: str) -> dict[str, str]:
    """The user or role behind a key id, asked once per run."""

    def ask() -> dict[str, str]:
        if key_id.startswith(TEMPORARY):
            held = sessions_in(world.jar).get(key_id)
            principal = world.aws.holder(key_id, *held) if held else None
            principal = principal or world.aws.principal_of_session(key_id, world.plan.policies.regions)
        else:
            name = world.aws.owner_of_key(key_id)
            principal = {"user": name} if name else None
        if principal is None:
            raise Refused(
                f"No user or role of this AWS account is known to hold the key {key_id}.",
                "Check the key id and the account; for a temporary key name its aws-role or aws-user.",
            )
        return principal

    return world.once(("aws-owner", key_id), ask)
