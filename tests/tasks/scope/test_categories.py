"""Fields to data categories: the org's word, names and types, then values; encryption changes nothing."""

from __future__ import annotations

import pytest

from tasks.scope.categories import field_categories, words
from tasks.scope.shape import FieldShape, ObjectShape

CONTACT = ObjectShape("Contact", (FieldShape("FirstName", "string"), FieldShape("LastName", "string")), {})
ORDER = ObjectShape("Order", (), {})


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (FieldShape("LastName", "string", "Last Name"), {"name"}),
        (FieldShape("Name", "string", "Full Name"), {"name"}),
        (FieldShape("Email", "email", "Email"), {"contact"}),
        (FieldShape("MailingPostalCode", "string", "Mailing Zip"), {"contact"}),
        (FieldShape("Birthdate", "date", "Birthdate"), {"dob"}),
        (FieldShape("Birth_Date__c", "date", "Birth Date"), {"dob"}),
        (FieldShape("Tax_Id__c", "string", "Tax ID"), {"tax_id"}),
        (FieldShape("SSN__c", "encryptedstring", "Social Security"), {"ssn"}),
        (FieldShape("Passport__c", "encryptedstring", "Passport No"), {"passport"}),
        (FieldShape("Iban_Masked__c", "string", "IBAN (masked)"), {"fin_account_no_code"}),
        (FieldShape("Diagnosis__c", "string", "Diagnosis"), {"medical", "special_category"}),
        (FieldShape("OwnerId", "reference", "Owner"), set()),
        (FieldShape("IsDeleted", "boolean", "Deleted"), set()),
        (FieldShape("Rating", "picklist", "Rating"), set()),
    ],
)
def test_by_name_and_type(field: FieldShape, expected: set[str]) -> None:
    assert field_categories(CONTACT, field) == expected


def test_what_is_in_an_order_is_order_history() -> None:
    assert field_categories(ORDER, FieldShape("Amount__c", "currency", "Amount")) == {"order_history"}


def test_the_orgs_own_word_is_never_dropped() -> None:
    odd = FieldShape("X1__c", "string", "X1")
    assert field_categories(CONTACT, odd) == set()
    assert field_categories(CONTACT, odd, ["PII", "GDPR"]) == {"contact"}
    assert field_categories(CONTACT, odd, ["PCI"]) == {"financial"}
    assert "medical" in field_categories(CONTACT, odd, ["HIPAA"])


def test_values_tell_what_a_name_hides() -> None:
    odd = FieldShape("Notes_2__c", "textarea", "Notes 2")
    assert field_categories(CONTACT, odd, sample=["card 4111 1111 1111 1111"]) == {"pan"}
    assert field_categories(CONTACT, odd, sample=["nothing"] * 50) == set()
    # One personal value in a thousand is a slip; one key is a key.
    assert field_categories(CONTACT, odd, sample=["nothing"] * 999 + ["a@example.com"]) == set()
    key = "AKIA" + "QX7RTP2MNB5VCD3E"
    assert field_categories(CONTACT, odd, sample=["nothing"] * 999 + [f"key {key}"]) == {"auth_tokens"}


def test_encryption_takes_nothing_away() -> None:
    plain = field_categories(CONTACT, FieldShape("Tax_Id__c", "string", "Tax ID"))
    assert field_categories(CONTACT, FieldShape("Tax_Id__c", "encryptedstring", "Tax ID")) == plain


def test_names_are_split_into_words() -> None:
    assert words("MailingPostalCode") == "mailing postal code"
    assert words("Tax_Id__c") == "tax id"
