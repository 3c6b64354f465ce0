"""The Condition block of an IAM policy, evaluated against a request's context.

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
All operators of a block and all keys of an operator must match; one of a key's values is enough (none may
match, for the negated operators). A key missing from the context fails a plain operator and satisfies a
negated one or one with the suffix IfExists.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

Context = Mapping[str, str | Sequence[str]]  # keys in lower case
Matcher = Callable[[str, str], bool]  # (value in the policy, value in the request)


def holds(block: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    """Whether every condition of the block is met."""
    return all(
        _key_holds(operator, key, wanted, context)
        for operator, keys in block.items()
        for key, wanted in keys.items()
    )


def _key_holds(operator: str, key: str, wanted: Any, context: Context) -> bool:
    qualifier, _, name = operator.rpartition(":")
    optional = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    values = [with_variables(str(value), context) for value in _listed(wanted)]
    present = context.get(key.lower())
    if name == "Null":
        return (present is None) == (values[0].lower() == "true")
    if name not in MATCHERS:
        raise ValueError(f"The condition operator {operator} is not known.")
    matcher, negated = MATCHERS[name]
    if present is None:
        return optional or negated or qualifier == "ForAllValues"

    def one(actual: str) -> bool:
        return negated != any(matcher(value, actual) for value in values)

    actuals = [present] if isinstance(present, str) else list(present)
    return any(map(one, actuals)) if qualifier == "ForAnyValue" else all(map(one, actuals))


def like(pattern: str, text: str) -> bool:
    """`*` for any run of characters, `?` for one; case matters."""
    return _glob(pattern).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.compile("".join(parts), re.DOTALL)


def with_variables(text: str, context: Context) -> str:
    """Replace policy variables such as ${aws:username}."""

    def value(found: re.Match[str]) -> str:
        if found[1] in "*?$":
            return found[1]
        known = context.get(found[1].lower())
        return known if isinstance(known, str) else found[0]

    return re.sub(r"\$\{([^}]+)\}", value, text)


def instant(text: str) -> datetime:
    """An ISO 8601 instant or epoch seconds, as the Date operators take both."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return datetime.fromtimestamp(float(text), UTC)
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _dates(compare: Callable[[datetime, datetime], bool]) -> Matcher:
    return lambda wanted, actual: compare(instant(actual), instant(wanted))


def _numbers(compare: Callable[[float, float], bool]) -> Matcher:
    return lambda wanted, actual: compare(float(actual), float(wanted))


def _in_network(wanted: str, actual: str) -> bool:
    return ipaddress.ip_address(actual) in ipaddress.ip_network(wanted, strict=False)


def _listed(value: Any) -> list[Any]:
    # JSON booleans are written as the strings a policy would hold.
    items = value if isinstance(value, list) else [value]
    return [str(item).lower() if isinstance(item, bool) else item for item in items]


# Operator -> how it compares, and whether it is the negated form.
MATCHERS: dict[str, tuple[Matcher, bool]] = {
    "StringEquals": (lambda w, a: a == w, False),
    "StringNotEquals": (lambda w, a: a == w, True),
    "StringEqualsIgnoreCase": (lambda w, a: a.lower() == w.lower(), False),
    "StringNotEqualsIgnoreCase": (lambda w, a: a.lower() == w.lower(), True),
    "StringLike": (like, False),
    "StringNotLike": (like, True),
    "ArnEquals": (like, False),
    "ArnLike": (like, False),
    "ArnNotEquals": (like, True),
    "ArnNotLike": (like, True),
    "Bool": (lambda w, a: a.lower() == w.lower(), False),
    "BinaryEquals": (lambda w, a: a == w, False),
    "IpAddress": (_in_network, False),
    "NotIpAddress": (_in_network, True),
    "DateEquals": (_dates(lambda a, w: a == w), False),
    "DateNotEquals": (_dates(lambda a, w: a == w), True),
    "DateLessThan": (_dates(lambda a, w: a < w), False),
    "DateLessThanEquals": (_dates(lambda a, w: a <= w), False),
    "DateGreaterThan": (_dates(lambda a, w: a > w), False),
    "DateGreaterThanEquals": (_dates(lambda a, w: a >= w), False),
    "NumericEquals": (_numbers(lambda a, w: a == w), False),
    "NumericNotEquals": (_numbers(lambda a, w: a == w), True),
    "NumericLessThan": (_numbers(lambda a, w: a < w), False),
    "NumericLessThanEquals": (_numbers(lambda a, w: a <= w), False),
    "NumericGreaterThan": (_numbers(lambda a, w: a > w), False),
    "NumericGreaterThanEquals": (_numbers(lambda a, w: a >= w), False),
}
