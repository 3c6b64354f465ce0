"""Which kind of data a field holds, in the vocabulary of the notification rules.

Three looks, each adding to the last: the org's own classification (FieldDefinition), the field's name, label
and type, and a sample of its values. Encryption at rest never takes a category away: whoever may read the
field reads it in clear.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tasks.scope.secrets import CATEGORY, credentials_in, personal_data_in
from tasks.scope.shape import FieldShape, ObjectShape

_NAME_TYPES = frozenset({"string", "textarea", "encryptedstring", "combobox"})
SAMPLED = _NAME_TYPES  # the types whose values are looked at
_PROSE = re.compile(
    r"\b(subject|description|comments?|body|note|notes|message|text|remarks?|reason|feedback)\b"
)

# Pattern on name and label (words split, lower case) -> categories. The first that matches decides.
_PATTERNS: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = tuple(
    (re.compile(pattern), frozenset(categories.split()))
    for pattern, categories in (
        (r"\b(cvv2?|cvc2?|card security code)\b", "card_cvv"),
        (r"\b(ssn|social security)\b", "ssn"),
        (r"\bpassport\b", "passport"),
        (r"\b(driver'?s? ?(licen[cs]e|license)|dl number)\b", "dl_state_id"),
        (
            r"\b(national id|identity card|cpf|curp|nric|aadhaar|personnummer|nin|dni|bsn|pesel)\b",
            "national_id",
        ),
        (r"\b(tax id|tin|steuer ?id|tax number)\b", "tax_id"),
        (r"\b(card number|pan|credit card)\b", "pan"),
        (r"\b(iban|bank account|account no|routing number|sort code)\b", "fin_account_no_code"),
        (r"\b(last ?4|last four|expiry (month|year)|card brand|cardholder)\b", "financial"),
        (r"\b(password|passwd|security (question|answer))\b", "credentials"),
        (r"\b(api key|secret|access token|refresh token|oauth)\b", "auth_tokens"),
        (r"\b(token)\b", "financial"),
        (r"\b(birth ?date|date of birth|dob|birthday)\b", "dob"),
        (r"\bmaiden\b", "maiden_name"),
        (r"\b(diagnos\w+|medical|health|allerg\w+|prescription|disabilit\w+)\b", "medical special_category"),
        (r"\b(religio\w+|ethnic\w+|race|sexual|political|union member\w*)\b", "special_category"),
        (r"\b(fingerprint|biometric|face ?id)\b", "biometric special_category"),
        (r"\b(latitude|longitude|geolocation|geocode)\b", "geolocation"),
        (r"\b(salary|credit (score|limit)|income|annual revenue)\b", "financial"),
    )
)
_CONTACT = re.compile(
    r"\b(e ?mail|phone|mobile|fax|street|city|postal ?code|zip|address|mailing|shipping|billing|country|"
    r"state)\b"
)
_NAMES = re.compile(r"\b(first|last|full|middle|sur|family|given|supplied|web) ?name\b|\bfrom name\b")
_HISTORY = re.compile(
    r"\b(order|purchase|total amount|quantity|unit price|case|subject|description|comment|status|loyalty|"
    r"points|tier|body|activity|product)\b"
)
_HISTORY_OBJECTS = frozenset({"Order", "OrderItem", "Case", "CaseComment", "EmailMessage", "Task", "Event"})
_COMPLIANCE: dict[str, frozenset[str]] = {
    "PCI": frozenset({"financial"}),
    "HIPAA": frozenset({"phi", "medical", "special_category"}),
}


def words(text: str) -> str:
    """`MailingPostalCode` and `Tax_Id__c` as lower-case words."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text.removesuffix("__c").replace("_", " "))
    return " ".join(spaced.split()).casefold()


def is_free_text(shape: ObjectShape, field: FieldShape) -> bool:
    """Whether people write what they like into this field, so that each record's own text must be read."""
    if field.type == "textarea":
        return not _CONTACT.search(words(field.name))
    return field.type in _NAME_TYPES and _PROSE.search(words(field.name)) is not None


def field_categories(
    shape: ObjectShape, field: FieldShape, compliance: Iterable[str] = (), sample: Iterable[str] = ()
) -> frozenset[str]:
    """The data categories of one field; empty when nothing speaks for personal data in it.

    `compliance` are the groups the org gave it (`PII`, `GDPR`, `PCI` ...). A field that the org calls
    personal but no look can place counts as `contact`, the widest plain category: it is never dropped.
    """
    found = _by_name(shape, field) | _by_values(field, sample)
    groups = {group.strip().upper() for group in compliance}
    for group in groups:
        found |= _COMPLIANCE.get(group, frozenset())
    if groups and not found:
        found = frozenset({"contact"})
    return found


def _by_name(shape: ObjectShape, field: FieldShape) -> frozenset[str]:
    text = f"{words(field.name)} | {words(field.label)}"
    if field.type in ("boolean", "id", "reference", "datetime") or field.name == "SystemModstamp":
        return frozenset()
    for pattern, categories in _PATTERNS:
        if pattern.search(text):
            return categories
    if field.type in ("email", "phone", "address"):
        return frozenset({"contact"})
    if _NAMES.search(text) or (field.name == "Name" and shape.is_person):
        return frozenset({"name"})
    if _CONTACT.search(text) and field.type in (*_NAME_TYPES, "picklist"):
        return frozenset({"contact"})
    if shape.name in _HISTORY_OBJECTS or _HISTORY.search(text):
        return frozenset({"order_history"})
    return frozenset()


def _by_values(field: FieldShape, sample: Iterable[str]) -> frozenset[str]:
    """Categories that the values themselves show: any credential, or personal data in one value of twenty."""
    if field.type not in _NAME_TYPES:
        return frozenset()
    counts: dict[str, int] = {}
    total = 0
    certain: set[str] = set()
    for value in sample:
        total += 1
        certain |= {CATEGORY[hit.kind] for hit in credentials_in(value)}
        for category in {CATEGORY[hit.kind] for hit in personal_data_in(value)}:
            counts[category] = counts.get(category, 0) + 1
    return frozenset(certain | {name for name, count in counts.items() if count * 20 >= total})


def categories_by_field(
    shape: ObjectShape,
    compliance: Mapping[str, Iterable[str]],
    samples: Mapping[str, Iterable[str]],
) -> dict[str, frozenset[str]]:
    """Categories of every field of an object. `compliance` and `samples` are keyed by field name."""
    return {
        field.name: field_categories(
            shape, field, compliance.get(field.name, ()), samples.get(field.name, ())
        )
        for field in shape.fields
    }
