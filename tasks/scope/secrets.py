"""Find secrets and personal data in free text: own patterns with check digits, no guessing, no network.

A support case is where people paste keys. What is found is named by kind and place; the value itself stays in
memory, is never shown by `repr`, and cannot be pickled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn

import phonenumbers
from stdnum import iban, luhn
from stdnum.us import ssn


class Kind(StrEnum):
    AWS_KEY = "aws-key"
    VAULT_TOKEN = "vault-token"  # noqa: S105 - the name of a kind
    SLACK_TOKEN = "slack-token"  # noqa: S105
    JWT = "jwt"
    PRIVATE_KEY = "private-key"
    PASSWORD = "password"  # noqa: S105
    CARD = "card"
    IBAN = "iban"
    US_SSN = "us-ssn"
    EMAIL = "e-mail"
    PHONE = "phone"


# The vocabulary of notification_rules.yaml.
CATEGORY: dict[Kind, str] = {
    Kind.AWS_KEY: "auth_tokens",
    Kind.VAULT_TOKEN: "auth_tokens",
    Kind.SLACK_TOKEN: "auth_tokens",
    Kind.JWT: "auth_tokens",
    Kind.PRIVATE_KEY: "private_key",
    Kind.PASSWORD: "credentials",
    Kind.CARD: "pan",
    Kind.IBAN: "fin_account_no_code",
    Kind.US_SSN: "ssn",
    Kind.EMAIL: "contact",
    Kind.PHONE: "contact",
}
CREDENTIALS = frozenset(
    {Kind.AWS_KEY, Kind.VAULT_TOKEN, Kind.SLACK_TOKEN, Kind.JWT, Kind.PRIVATE_KEY, Kind.PASSWORD}
)


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing found in a text. `identifier` may be shown (an AWS key id); `value` never."""

    kind: Kind
    start: int
    identifier: str = ""
    value: str = field(default="", repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A found secret stays in memory: it cannot be pickled.")


# One pass decides whether a text can hold a credential, or anything at all.
_MAY_HOLD_CREDENTIAL = re.compile(
    r"A[KS]IA[A-Z0-9]|\bhv[sbr]\.|\b[sbr]\.[A-Za-z0-9]{20}|xox[a-z]-|xapp-|-----BEGIN|eyJ[A-Za-z0-9_-]{8}"
    r"|pass(?:word|wort|phrase|code)?\b|passwd|\bpwd\b",
    re.IGNORECASE,
)
_MAY_HOLD_PERSONAL = re.compile(r"@|\d(?:[ .()/-]{0,2}\d){6}|[A-Z]{2}\d{2} ?[A-Z0-9]{4}")

_AWS_ID = re.compile(r"(?<![A-Za-z0-9])A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])")
_AWS_SECRET = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_AWS_REACH = 300  # a secret further from its key id belongs to something else
_VAULT = re.compile(r"(?<![A-Za-z0-9_.-])(?:hv[sbr]|[sbr])\.[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9]{5,})?")
_SLACK = re.compile(r"(?<![A-Za-z0-9])(?:xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,})")
_JWT = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{10,}")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL
)
_PASSWORD = re.compile(
    r"\b(?:pass(?:word|wort|phrase|code)|passwd|pwd)\s*(?:is|ist|=|:|:=)\s*[\"']?(?P<value>[^\s\"',;]{4,})",
    re.IGNORECASE,
)
# Without a sign between, only what looks like one: a letter and a digit, as in "the password Sommer8216!".
_BARE_PASSWORD = re.compile(
    r"\b(?:pass(?:word|wort|phrase|code)|passwd|pwd)\s+[\"']?"
    r"(?P<value>(?=[^\s\"',;]*[A-Za-z])(?=[^\s\"',;]*\d)[^\s\"',;]{6,})",
    re.IGNORECASE,
)
_NOT_A_PASSWORD = frozenset(
    {
        "not",
        "wrong",
        "reset",
        "expired",
        "incorrect",
        "invalid",
        "null",
        "none",
        "the",
        "this",
        "still",
        "changed",
    }
)
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_%+-](?:[A-Za-z0-9._%+-]*[A-Za-z0-9_%+-])?"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
_CARD = re.compile(r"(?<![\d.-])(?:\d[ -]?){12,18}\d(?![\d-])")
_CARD_PREFIX = re.compile(
    r"4\d{12}(?:\d{3}){0,2}\Z"  # Visa: 13, 16 or 19 digits
    r"|5[1-5]\d{14}\Z|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}\Z"  # Mastercard
    r"|3[47]\d{13}\Z|6(?:011|4[4-9]\d|5\d\d)\d{12}\Z"  # American Express, Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}\Z|3(?:0[0-5]|[68]\d)\d{11}\Z"  # JCB, Diners
)
_CARD_GROUPS = re.compile(r"\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}")
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){3,8}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
)
_SSN = re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])")


def may_hold_credential(text: str) -> bool:
    """A cheap first look: False means `credentials_in` would find nothing."""
    return _MAY_HOLD_CREDENTIAL.search(text) is not None


def credentials_in(text: str) -> Iterator[Hit]:
    """Keys, tokens and passwords in a text."""
    if not may_hold_credential(text):
        return
    yield from _aws_keys(text)
    for kind, pattern in ((Kind.VAULT_TOKEN, _VAULT), (Kind.SLACK_TOKEN, _SLACK), (Kind.JWT, _JWT)):
        for match in pattern.finditer(text):
            if kind is not Kind.VAULT_TOKEN or _looks_like_token(match[0]):
                yield Hit(kind, match.start(), value=match[0])
    for match in _PRIVATE_KEY.finditer(text):
        yield Hit(Kind.PRIVATE_KEY, match.start(), value=match[0])
    for pattern in (_PASSWORD, _BARE_PASSWORD):
        for match in pattern.finditer(text):
            if match["value"].strip(".!?").casefold() not in _NOT_A_PASSWORD:
                yield Hit(Kind.PASSWORD, match.start(), value=match["value"])


def _aws_keys(text: str) -> Iterator[Hit]:
    """Each key id with the nearest secret after it, else before it; AWS's documented examples are skipped."""
    secrets = list(_AWS_SECRET.finditer(text))
    for match in _AWS_ID.finditer(text):
        if match[0].endswith("EXAMPLE"):
            continue
        near = [s for s in secrets if abs(s.start() - match.start()) <= _AWS_REACH and s[0] != match[0]]
        near.sort(key=lambda s: (s.start() < match.start(), abs(s.start() - match.start())))
        yield Hit(Kind.AWS_KEY, match.start(), match[0], near[0][0] if near else "")


def _looks_like_token(text: str) -> bool:
    """A short-prefix token (`s.`, 24 letters and digits), not a run-together sentence or a file name."""
    body = text.partition(".")[2]
    if text.startswith("hv"):
        return True
    return re.fullmatch(r"[A-Za-z0-9]{24}(?:\.[A-Za-z0-9]{5,})?", body) is not None and bool(
        re.search(r"[A-Z0-9]", body)
    )


def personal_data_in(text: str, region: str | None = None, *, phones: bool = True) -> Iterator[Hit]:
    """Cards, IBANs, US social security numbers, e-mail addresses and phone numbers in a text.

    `region` (ISO alpha-2) lets national phone numbers be read; without it only international ones are.
    """
    if _MAY_HOLD_PERSONAL.search(text) is None:
        return
    taken: list[tuple[int, int]] = []
    for match in _IBAN.finditer(text):
        if iban.is_valid(match[0]):
            taken.append(match.span())
            yield Hit(Kind.IBAN, match.start(), value=match[0])
    for match in _CARD.finditer(text):
        if not _overlaps(match.span(), taken) and _is_card(match[0]):
            taken.append(match.span())
            yield Hit(Kind.CARD, match.start(), value=match[0])
    for match in _SSN.finditer(text):
        if not _overlaps(match.span(), taken) and ssn.is_valid(match[0]):
            taken.append(match.span())
            yield Hit(Kind.US_SSN, match.start(), value=match[0])
    for match in _EMAIL.finditer(text):
        yield Hit(Kind.EMAIL, match.start(), value=match[0])
    if not phones:
        return
    for found in phonenumbers.PhoneNumberMatcher(text, region):
        if not _overlaps((found.start, found.end), taken):
            yield Hit(Kind.PHONE, found.start, value=found.raw_string)


def _is_card(text: str) -> bool:
    """Grouped as cards are printed, an issuer's prefix and length, and a right Luhn digit."""
    digits = re.sub(r"[ -]", "", text)
    return (
        _CARD_GROUPS.fullmatch(text) is not None
        and len(set(digits)) > 1
        and _CARD_PREFIX.match(digits) is not None
        and bool(luhn.is_valid(digits))
    )


def _overlaps(span: tuple[int, int], taken: Iterable[tuple[int, int]]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in taken)


def categories_in(text: str, region: str | None = None) -> frozenset[str]:
    """The data categories that a free text shows."""
    if not text:
        return frozenset()
    found = {CATEGORY[hit.kind] for hit in (*credentials_in(text), *personal_data_in(text, phones=False))}
    # Looking for phone numbers is slow, and needless where an e-mail address has said the same.
    if CATEGORY[Kind.PHONE] not in found:
        found |= {CATEGORY[hit.kind] for hit in personal_data_in(text, region)}
    return frozenset(found)
