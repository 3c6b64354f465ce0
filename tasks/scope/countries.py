"""Countries and US states as people type them: codes, names in many languages, common short forms.

Country names come from the locale data that `phonenumbers` ships (Unicode CLDR); the aliases below are what
CRM users type and CLDR does not list.
"""

from __future__ import annotations

import unicodedata
from functools import cache

from phonenumbers.geodata.locale import LOCALE_DATA

_ALIASES = {
    "usa": "US", "u s a": "US", "u s": "US", "united states of america": "US", "america": "US",
    "the united states": "US",
    "uk": "GB", "u k": "GB", "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB",
    "northern ireland": "GB", "britain": "GB", "united kingdom of great britain and northern ireland": "GB",
    "holland": "NL", "the netherlands": "NL", "czech republic": "CZ", "czechia": "CZ",
    "slovak republic": "SK",
    "republic of ireland": "IE", "eire": "IE", "korea": "KR", "south korea": "KR", "republic of korea": "KR",
    "korea republic of": "KR", "north korea": "KP", "russia": "RU", "russian federation": "RU",
    "viet nam": "VN", "vietnam": "VN", "turkey": "TR", "turkiye": "TR", "uae": "AE", "u a e": "AE",
    "emirates": "AE", "hong kong": "HK", "hong kong sar": "HK", "macau": "MO", "taiwan": "TW",
    "ivory coast": "CI", "cote d ivoire": "CI", "swaziland": "SZ", "eswatini": "SZ", "burma": "MM",
    "cape verde": "CV", "macedonia": "MK", "north macedonia": "MK", "bolivia": "BO", "venezuela": "VE",
    "iran": "IR", "syria": "SY", "tanzania": "TZ", "moldova": "MD", "brunei": "BN", "laos": "LA",
    "palestine": "PS", "kosovo": "XK", "vatican": "VA", "vatican city": "VA", "brasil": "BR",
    "peoples republic of china": "CN", "pr china": "CN", "prc": "CN", "mainland china": "CN",
    "deutschland": "DE", "osterreich": "AT", "schweiz": "CH", "suisse": "CH", "espana": "ES", "italia": "IT",
}  # fmt: skip
_STATES = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "DE": "Delaware", "DC": "District of Columbia", "FL": "Florida", "GA": "Georgia",
    "HI": "Hawaii", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas",
    "KY": "Kentucky", "LA": "Louisiana", "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts",
    "MI": "Michigan", "MN": "Minnesota", "MS": "Mississippi", "MO": "Missouri", "MT": "Montana",
    "NE": "Nebraska", "NV": "Nevada", "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico",
    "NY": "New York", "NC": "North Carolina", "ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma",
    "OR": "Oregon", "PA": "Pennsylvania", "RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota",
    "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VT": "Vermont", "VA": "Virginia", "WA": "Washington",
    "WV": "West Virginia", "WI": "Wisconsin", "WY": "Wyoming", "PR": "Puerto Rico", "GU": "Guam",
    "VI": "U.S. Virgin Islands", "AS": "American Samoa", "MP": "Northern Mariana Islands",
}  # fmt: skip
_STATE_ALIASES = {"washington dc": "DC", "washington d c": "DC", "d c": "DC", "new york state": "NY"}
ISO_3 = {
    "USA": "US", "GBR": "GB", "DEU": "DE", "FRA": "FR", "ITA": "IT", "ESP": "ES", "NLD": "NL", "BEL": "BE",
    "AUT": "AT", "CHE": "CH", "SWE": "SE", "NOR": "NO", "DNK": "DK", "FIN": "FI", "IRL": "IE", "PRT": "PT",
    "POL": "PL", "CZE": "CZ", "SVK": "SK", "HUN": "HU", "ROU": "RO", "BGR": "BG", "GRC": "GR", "HRV": "HR",
    "SVN": "SI", "EST": "EE", "LVA": "LV", "LTU": "LT", "LUX": "LU", "MLT": "MT", "CYP": "CY", "ISL": "IS",
    "CAN": "CA", "MEX": "MX", "BRA": "BR", "ARG": "AR", "CHL": "CL", "COL": "CO", "PER": "PE", "AUS": "AU",
    "NZL": "NZ", "JPN": "JP", "KOR": "KR", "CHN": "CN", "HKG": "HK", "TWN": "TW", "SGP": "SG", "MYS": "MY",
    "THA": "TH", "VNM": "VN", "PHL": "PH", "IDN": "ID", "IND": "IN", "PAK": "PK", "ARE": "AE", "SAU": "SA",
    "ISR": "IL", "TUR": "TR", "ZAF": "ZA", "KEN": "KE", "NGA": "NG", "EGY": "EG", "MAR": "MA", "UKR": "UA",
}  # fmt: skip


def _plain(text: str) -> str:
    """Lower case, no accents, single spaces, no punctuation."""
    spread = unicodedata.normalize("NFKD", text.casefold())
    letters = (c if c.isalnum() else " " for c in spread if not unicodedata.combining(c))
    return " ".join("".join(letters).split())


@cache
def _names() -> dict[str, str]:
    """Every known country name; a name that two countries share in some language belongs to neither there."""
    english: dict[str, str] = {}
    others: dict[str, set[str]] = {}
    for code, names in LOCALE_DATA.items():
        for language, name in names.items():
            text = _plain(names[name[1:]] if name.startswith("*") else name)
            if language == "en":
                english[text] = code
            else:
                others.setdefault(text, set()).add(code)
    foreign = {text: next(iter(codes)) for text, codes in others.items() if len(codes) == 1}
    return foreign | english | _ALIASES


@cache
def _states() -> dict[str, str]:
    return {_plain(name): code for code, name in _STATES.items()} | _STATE_ALIASES


@cache
def country_code(text: str) -> str | None:
    """ISO 3166-1 alpha-2 of a country as somebody wrote it; None when it is not recognised."""
    plain = _plain(text)
    if not plain:
        return None
    upper = text.strip().upper()
    if upper in LOCALE_DATA and upper != "UK":
        return upper
    return ISO_3.get(upper) or _names().get(plain)


@cache
def us_state_code(text: str) -> str | None:
    """Two-letter code of a US state or territory from its code or name; None when it is not one."""
    upper = text.strip().upper().removeprefix("US-")
    if upper in _STATES:
        return upper
    return _states().get(_plain(text))
