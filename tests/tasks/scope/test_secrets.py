"""What is found in free text, and what is not mistaken for a secret."""

from __future__ import annotations

import pickle

import pytest

from tasks.scope.secrets import Hit, Kind, categories_in, credentials_in, personal_data_in

AWS_ID, AWS_SECRET = "AKIA" + "QX7RTP2MNB5VCD3E", "kJ8/" + "w" * 30 + "+Zz9Qa"


def kinds(text: str) -> list[Kind]:
    return [hit.kind for hit in credentials_in(text)]


def test_an_aws_key_comes_with_its_secret() -> None:
    (hit,) = credentials_in(f"please use key {AWS_ID} with secret: {AWS_SECRET}. thanks")
    assert (hit.kind, hit.identifier, hit.value) == (Kind.AWS_KEY, AWS_ID, AWS_SECRET)
    assert AWS_SECRET not in repr(hit)


def test_two_pairs_are_not_mixed_up() -> None:
    other_id, other_secret = "AKIA" + "ZZ7RTP2MNB5VCD3E", "B" * 39 + "c"
    hits = list(credentials_in(f"{AWS_ID} / {AWS_SECRET}\n{other_id} / {other_secret}"))
    assert [(h.identifier, h.value) for h in hits] == [(AWS_ID, AWS_SECRET), (other_id, other_secret)]


def test_a_key_without_a_secret_is_still_a_suspect_and_the_documented_example_is_not() -> None:
    assert [h.identifier for h in credentials_in(f"old key was {AWS_ID}")] == [AWS_ID]
    assert kinds("AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY") == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("token s.Zr4kLm8Qw2Xy6Tn9Pb3Vc7Ds works", Kind.VAULT_TOKEN),
        ("token: hvs." + "CAESIJx9QzR3" * 7, Kind.VAULT_TOKEN),
        ("hvb.AAAAAQJ" + "x1Y2" * 20, Kind.VAULT_TOKEN),
        ("xoxb-" + "2172190450-2172190450-abcDEF123456", Kind.SLACK_TOKEN),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", Kind.PRIVATE_KEY),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", Kind.JWT),
        ("my password: Tulip!42", Kind.PASSWORD),
        ("Passwort ist Sommer2026", Kind.PASSWORD),
        ("My login is a@b.com and the password Sommer8216!, please check", Kind.PASSWORD),
    ],
)
def test_found(text: str, kind: Kind) -> None:
    assert kinds(text) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "I forgot my password and need a new one",
        "the password is wrong",
        "the password for order 12345AB",
        "two passwords 2fa",
        "see docs.Anotherlongsentencewithoutspaces",
        "s.theendofthisverylongsentence",
        "order 4f2a9c7e1b8d3f6a5c0e9d8b7a6f5e4d3c2b1a09",
        "Kind regards, A. Kia",
    ],
)
def test_not_mistaken(text: str) -> None:
    assert kinds(text) == []


def personal(text: str, region: str | None = None) -> list[Kind]:
    return [hit.kind for hit in personal_data_in(text, region)]


def test_cards_need_an_issuer_and_a_check_digit() -> None:
    assert personal("card 4111 1111 1111 1111 exp 12/28") == [Kind.CARD]
    assert personal("4111 1111 1111 1112") == []
    assert personal("order 9999999999999995") == []  # passes the check digit, but nobody issues it


def test_ibans_need_their_check_digits() -> None:
    assert personal("DE89 3704 0044 0532 0130 00") == [Kind.IBAN]
    assert personal("DE88 3704 0044 0532 0130 00") == []


def test_addresses_and_phones() -> None:
    assert personal("write to ann.lee+shop@example.org.") == [Kind.EMAIL]
    assert personal("+44 20 7946 0958") == [Kind.PHONE]
    assert personal("(415) 555-2671", "US") == [Kind.PHONE]
    assert personal("please call us") == []


def test_categories_speak_the_rules_vocabulary() -> None:
    text = f"{AWS_ID} password: Tulip!42, card 4111111111111111, SSN 536-90-4399, mail a@example.com"
    assert categories_in(text) == {"auth_tokens", "credentials", "pan", "ssn", "contact"}


def test_a_found_secret_cannot_be_pickled_into_run_history() -> None:
    with pytest.raises(TypeError, match="stays in memory"):
        pickle.dumps(Hit(Kind.PASSWORD, 0, value="Tulip!42"))
