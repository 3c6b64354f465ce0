"""Turn what people typed into keys that identify a person: e-mail addresses and phone numbers.

E-mail: trimmed, lower case, a tag from "+" to "@" removed. Addresses of a role (info@, support@ ...) identify
nobody. Phone: E.164, read with the record's own country, valid by the numbering plan; a number that stands in
for "none" (0000000000, 1234567890) identifies nobody.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import phonenumbers

ROLE_ADDRESSES = frozenset(
    {
        "abuse", "accounting", "accounts", "admin", "administrator", "billing", "contact", "customercare",
        "customerservice", "do-not-reply", "donotreply", "enquiries", "feedback", "hello", "help", "helpdesk",
        "hostmaster", "hr", "info", "inquiries", "invoice", "invoices", "jobs", "kontakt", "mail",
        "mailer-daemon", "marketing", "newsletter", "no-reply", "no_reply", "noreply", "office", "orders",
        "postmaster", "press", "privacy", "reception", "sales", "service", "shop", "support", "team",
        "webmaster",
    }
)  # fmt: skip
_RUN = "01234567890123456789"


@lru_cache(maxsize=1_000_000)
def email_key(text: str) -> str | None:
    """The address as a key; None when it is no address or belongs to a role."""
    local, at, domain = text.strip().lower().partition("@")
    local = local.partition("+")[0]
    return f"{local}@{domain}" if at and local and domain and local not in ROLE_ADDRESSES else None


@lru_cache(maxsize=1_000_000)
def phone_key(text: str, region: str | None) -> str | None:
    """The number in E.164; None when it is not valid, unreadable without a country, or a placeholder."""
    if is_placeholder(re.sub(r"\D", "", text)):
        return None
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or is_placeholder(str(number.national_number)):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def is_placeholder(digits: str) -> bool:
    """One digit repeated, or a run such as 1234567890."""
    return len(set(digits)) <= 1 or digits in _RUN


@lru_cache(maxsize=1_000_000)
def phone_region(e164: str) -> str | None:
    """The country of a number in E.164, as ISO alpha-2."""
    region = phonenumbers.region_code_for_number(phonenumbers.parse(e164))
    return None if region in (None, "001", "ZZ") else str(region)


@lru_cache(maxsize=1_000_000)
def name_key(text: str) -> str:
    """A last name without accents and case."""
    spread = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in spread if not unicodedata.combining(c)).strip()
