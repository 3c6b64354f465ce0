"""What a set of IAM policies says about one request: allowed, explicitly denied, or nothing.

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .conditions import Context, holds, like, with_variables


class Verdict(StrEnum):
    ALLOWED = "allowed"
    DENIED = "explicitly denied"
    SILENT = "not allowed"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as policies see it."""

    action: str  # "s3:GetObject"
    resource: str  # ARN, or "*" for actions without one
    context: Context
    principals: tuple[str, ...] = ()  # the caller's ARNs, for policies that carry a Principal


def judge(documents: Iterable[str | Mapping[str, Any]], ask: Ask) -> Verdict:
    """The verdict of all documents together: a Deny anywhere beats every Allow."""
    verdict = Verdict.SILENT
    for document in documents:
        parsed = json.loads(document) if isinstance(document, str) else document
        for statement in _listed(parsed.get("Statement")):
            if _applies(statement, ask):
                if statement["Effect"] == "Deny":
                    return Verdict.DENIED
                verdict = Verdict.ALLOWED
    return verdict


def _applies(statement: Mapping[str, Any], ask: Ask) -> bool:
    return (
        _named(statement, "Action", ask.action.lower(), lower=True, context=ask.context)
        and _named(statement, "Resource", ask.resource, lower=False, context=ask.context)
        and _principal(statement, ask.principals)
        and holds(statement.get("Condition") or {}, ask.context)
    )


def _named(statement: Mapping[str, Any], element: str, value: str, *, lower: bool, context: Context) -> bool:
    """Whether Action or Resource (or their Not- form) covers the value. A trust policy has no Resource."""
    for name, negated in ((element, False), (f"Not{element}", True)):
        if name in statement:
            patterns = [with_variables(str(pattern), context) for pattern in _listed(statement[name])]
            return negated != any(like(p.lower() if lower else p, value) for p in patterns)
    return element == "Resource"


def _principal(statement: Mapping[str, Any], callers: tuple[str, ...]) -> bool:
    """Identity policies carry no Principal; in resource policies it must name the caller."""
    for name, negated in (("Principal", False), ("NotPrincipal", True)):
        if name in statement:
            named = statement[name]
            patterns = [named] if isinstance(named, str) else _listed(named.get("AWS"))
            return negated != any(_is_caller(str(pattern), callers) for pattern in patterns)
    return True


def _is_caller(pattern: str, callers: tuple[str, ...]) -> bool:
    """A principal is `*`, an exact ARN, an account id, or an account's root: all of its callers."""
    if pattern == "*" or pattern in callers:
        return True
    account = pattern.split(":")[4] if pattern.endswith(":root") else pattern
    return account.isdigit() and any(caller.split(":")[4] == account for caller in callers)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
