"""Whether a principal may do an operation: all policies that bear on it, judged together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends

from .answers import error
from .operations import Operation
from .policy import Ask, Verdict, judge
from .principals import ACCOUNT, PARTITION, Principal, iam


def authorize(
    principal: Principal, operation: Operation, context: Mapping[str, str], protocol: str, region: str
) -> None:
    """Raise AwsError unless every (action, resource) the operation needs is allowed."""
    if (operation.service, operation.name) == ("sts", "GetCallerIdentity"):
        return  # always allowed, even against an explicit Deny
    for action, resource in operation.grants:
        ask = Ask(action, resource, context, principal.arns)
        verdict = _verdict(principal, operation, ask, region)
        if verdict is not Verdict.ALLOWED:
            raise error(protocol, "denied", _sentence(principal, ask, verdict))
    if operation.service == "sts" and operation.name.startswith("AssumeRole"):
        _check_trust(principal, operation, context, protocol)


def context_of(principal: Principal, environ: Mapping[str, Any], region: str) -> dict[str, str]:
    """The condition keys of a request, in lower case.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    now = datetime.now(UTC)
    context = {
        "aws:sourceip": str(environ.get("REMOTE_ADDR", "127.0.0.1")),
        "aws:useragent": str(environ.get("HTTP_USER_AGENT", "")),
        "aws:currenttime": now.isoformat(),
        "aws:epochtime": str(int(now.timestamp())),
        "aws:securetransport": str(environ.get("wsgi.url_scheme") == "https").lower(),
        "aws:requestedregion": region,
        "aws:principalarn": principal.role_arn or principal.arn,
        "aws:principalaccount": ACCOUNT,
        "aws:principaltype": principal.kind,
        "aws:userid": principal.user_id,
    }
    if principal.kind == "User":
        context["aws:username"] = principal.name
    if principal.session_token is not None:
        context["aws:multifactorauthpresent"] = "false"  # absent, not false, for long-lived keys
    if principal.issued_at is not None:
        context["aws:tokenissuetime"] = principal.issued_at.isoformat()
    for key, value in principal.tags.items():
        context[f"aws:principaltag/{key.lower()}"] = value
    query = parse_qs(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)
    for name in ("prefix", "delimiter", "max-keys", "versionId"):
        if name in query:
            context[f"s3:{name.lower()}"] = query[name][0]
    return context


def add_parameters(context: dict[str, str], operation: Operation) -> None:
    """Condition keys that come from the call's own parameters."""
    parameters = operation.parameters
    for key, name in (
        ("sts:externalid", "ExternalId"),
        ("sts:rolesessionname", "RoleSessionName"),
        ("secretsmanager:versionstage", "VersionStage"),
        ("secretsmanager:versionid", "VersionId"),
        ("iam:policyarn", "PolicyArn"),
        ("iam:permissionsboundary", "PermissionsBoundary"),
    ):
        if name in parameters:
            context[key] = str(parameters[name])


def _verdict(principal: Principal, operation: Operation, ask: Ask, region: str) -> Verdict:
    """Deny anywhere wins; inside one account an identity or a resource policy is enough to allow."""
    of_identity = judge(principal.documents, ask)
    of_resource = judge(_resource_policies(operation, ask, region), ask)
    of_limits = [judge(documents, ask) for documents in principal.limits]
    if Verdict.DENIED in (of_identity, of_resource, *of_limits):
        return Verdict.DENIED
    if all(limit is Verdict.ALLOWED for limit in of_limits) and Verdict.ALLOWED in (of_identity, of_resource):
        return Verdict.ALLOWED
    return Verdict.SILENT


def _resource_policies(operation: Operation, ask: Ask, region: str) -> Iterable[str]:
    if operation.service == "s3" and ask.resource != "*":
        name = ask.resource.removeprefix("arn:aws:s3:::").partition("/")[0]
        bucket = s3_backends[ACCOUNT][PARTITION].buckets.get(name)
        if bucket is not None and bucket.policy:
            yield bucket.policy.decode()
    if operation.service == "secretsmanager" and "SecretId" in operation.parameters:
        secret_id = str(operation.parameters["SecretId"])
        secrets = secretsmanager_backends[ACCOUNT][region].secrets
        secret = secrets.get(secret_id)
        policy: str | None = getattr(secret, "policy", None)
        if policy:
            yield policy


def _check_trust(
    principal: Principal, operation: Operation, context: Mapping[str, str], protocol: str
) -> None:
    arn = operation.parameters.get("RoleArn")
    role = next((role for role in iam().roles.values() if role.arn == arn), None)
    ask = Ask(f"sts:{operation.name}", str(arn), context, principal.arns)
    if role is None or judge([role.assume_role_policy_document], ask) is not Verdict.ALLOWED:
        raise error(protocol, "denied", _sentence(principal, ask, Verdict.SILENT))


def _sentence(principal: Principal, ask: Ask, verdict: Verdict) -> str:
    why = (
        "with an explicit deny in a policy"
        if verdict is Verdict.DENIED
        else f"because no policy allows the {ask.action} action"
    )
    return (
        f"User: {principal.arn} is not authorized to perform: {ask.action} on resource: {ask.resource} {why}"
    )
