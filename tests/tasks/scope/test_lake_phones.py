"""The quick way to E.164 gives what `phone_key` gives, for every country and every way people write."""

from __future__ import annotations

import random

import duckdb
import pandas as pd
import phonenumbers
import pytest

from tasks.scope.keys import phone_key, phone_region
from tasks.scope.lake_phones import phone_keys

pytestmark = pytest.mark.slow  # kills and populations


def keys(pairs: list[tuple[str, str]]) -> pd.DataFrame:
    frame = pd.DataFrame(pairs, columns=["number", "region"]).astype("str").drop_duplicates(ignore_index=True)
    db = duckdb.connect()
    db.register("source", frame)
    phone_keys(db, "source", "target")
    found = db.execute("SELECT * FROM target").df()
    return frame.merge(found, on=["number", "region"], how="left")


def written(region: str, pick: random.Random) -> list[str]:
    """One valid number of a country in many spellings, and numbers near it that are mostly wrong."""
    number = phonenumbers.example_number_for_type(
        region, pick.choice([phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE])
    ) or phonenumbers.example_number(region)
    formats = [
        phonenumbers.format_number(number, form)
        for form in (
            phonenumbers.PhoneNumberFormat.E164,
            phonenumbers.PhoneNumberFormat.INTERNATIONAL,
            phonenumbers.PhoneNumberFormat.NATIONAL,
        )
    ]
    significant = phonenumbers.national_significant_number(number)
    code = str(number.country_code)
    near = significant[:-3] + "".join(pick.choice("0123456789") for _ in range(3))
    wild = "".join(pick.choice("0123456789") for _ in range(pick.randint(3, 13)))
    return [
        *formats, significant, code + significant, f"00{code}{significant}", f"0{significant}", near,
        f"+{code} (0) {near}", f"+{code}{near}", f"8{near}", f"1{near}", wild, f"+{wild}", f"0{wild}",
        f"({significant[:3]}) {significant[3:]}", f"{formats[2]} x12", f" {formats[1]} ", significant[:-1],
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_every_country_and_spelling_agrees_with_the_careful_way(seed: int) -> None:
    pick = random.Random(seed)
    pairs = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        pairs += [(text, region) for text in written(region, pick)]
        other = pick.choice(["US", "DE", "CA", "GB", "IT", ""])
        pairs += [(text, other) for text in written(region, pick)[:6]]
    found = keys(pairs)
    expected = [phone_key(n, r or None) for n, r in found[["number", "region"]].itertuples(index=False)]
    wrong = found[
        [(k if isinstance(k, str) else None) != e for k, e in zip(found["key"], expected, strict=True)]
    ]
    assert wrong.empty, wrong.head(20).to_string()
    assert found["key"].notna().sum() > 2000
    held = found[found["key"].notna()]
    held = held[held["home"].notna()]
    assert len(held) > 1000
    assert held["home"].tolist() == [phone_region(key) for key in held["key"]]


def test_placeholders_identify_nobody() -> None:
    found = keys(
        [("0000000000", "US"), ("1234567890", "DE"), ("+49 0000000", "DE"), ("", "US"), ("---", "US")]
    )
    assert found["key"].isna().all()
