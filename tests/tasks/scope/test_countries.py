"""Country and state under the spellings people type."""

from __future__ import annotations

import pytest

from tasks.scope.countries import country_code, us_state_code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("DE", "DE"), ("de", "DE"), ("DEU", "DE"), ("Germany", "DE"), ("Deutschland", "DE"),
        (" GERMANY ", "DE"),
        ("USA", "US"), ("U.S.A.", "US"), ("United States of America", "US"), ("United States", "US"),
        ("UK", "GB"), ("Great Britain", "GB"), ("England", "GB"), ("GB", "GB"),
        ("Korea, Republic of", "KR"), ("South Korea", "KR"), ("Côte d'Ivoire", "CI"), ("Türkiye", "TR"),
        ("España", "ES"), ("Österreich", "AT"), ("日本", "JP"), ("The Netherlands", "NL"),
        ("Czech Republic", "CZ"),
        ("Georgia", "GE"), ("CA", "CA"), ("Canada", "CA"), ("Brasil", "BR"), ("Hong Kong SAR", "HK"),
        ("Atlantis", None), ("", None), ("n/a", None), ("XX", None),
    ],
)  # fmt: skip
def test_country(text: str, code: str | None) -> None:
    assert country_code(text) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("CA", "CA"), ("ca", "CA"), ("California", "CA"), ("new york", "NY"), ("US-TX", "TX"),
        ("Washington, D.C.", "DC"), ("Washington", "WA"), ("Puerto Rico", "PR"), ("Bavaria", None),
        ("", None),
    ],
)  # fmt: skip
def test_state(text: str, code: str | None) -> None:
    assert us_state_code(text) == code
