"""`iam:SimulatePrincipalPolicy`: what a user's or role's policies would say, asked without acting."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from .answers import AwsError
from .policy import Ask, Verdict, judge
from .principals import Principal, documents_of

DECISIONS = {
    Verdict.ALLOWED: "allowed",
    Verdict.DENIED: "explicitDeny",
    Verdict.SILENT: "implicitDeny",
}


def answer(parameters: Mapping[str, Any], caller: Principal) -> bytes:
    """The answer for the parameters of the call; raises AwsError for a principal that is not there."""
    arn = str(parameters.get("PolicySourceArn", caller.arn))
    documents = documents_of(arn)
    if documents is None:
        raise AwsError("NoSuchEntity", f"The entity {arn} cannot be found.", 404)
    actions = _members(parameters, "ActionNames")
    resources = _members(parameters, "ResourceArns") or ["*"]
    context = {
        str(parameters[f"{entry}.ContextKeyName"]).lower(): parameters[f"{entry}.ContextKeyValues.member.1"]
        for entry in (f"ContextEntries.member.{n}" for n in range(1, 50))
        if f"{entry}.ContextKeyName" in parameters
    }
    results = "".join(
        f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>{resource}</EvalResourceName>"
        f"<EvalDecision>{DECISIONS[judge(documents, Ask(action, resource, context))]}</EvalDecision>"
        "<MatchedStatements/><MissingContextValues/></member>"
        for action in actions
        for resource in resources
    )
    return (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        "<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated>"
        f"<EvaluationResults>{results}</EvaluationResults></SimulatePrincipalPolicyResult>"
        f"<ResponseMetadata><RequestId>{secrets.token_hex(16)}</RequestId></ResponseMetadata>"
        "</SimulatePrincipalPolicyResponse>"
    ).encode()


def _members(parameters: Mapping[str, Any], name: str) -> list[str]:
    """A list as the query protocol writes it: Name.member.1, Name.member.2, ..."""
    found: list[str] = []
    while (key := f"{name}.member.{len(found) + 1}") in parameters:
        found.append(str(parameters[key]))
    return found
