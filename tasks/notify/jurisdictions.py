"""Which jurisdiction codes exist, which belong together, and in which time zone their days end."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

import phonenumbers

# ISO 3166-1 codes that have no telephone plan of their own and so are missing from phonenumbers.
_UNINHABITED = {"AQ", "BV", "GS", "HM", "PN", "TF", "UM"}
COUNTRIES = frozenset(phonenumbers.SUPPORTED_REGIONS) | _UNINHABITED

US_STATES = frozenset(
    "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC "
    "ND OH OK OR PA PR RI SC SD TN TX UT VT VA WA WV WI WY GU VI AS MP".split()
)
CANADIAN_PROVINCES = frozenset("AB BC MB NB NL NS NT NU ON PE QC SK YT".split())
_SUBDIVISION = re.compile(r"([A-Z]{2})-([A-Z0-9]{1,3})")

# Where a rule names no zone of its own, its days end here. Several-zone countries: that of the regulator.
_ZONES = {
    "EU": "Europe/Brussels",
    "GB": "Europe/London",
    "CH": "Europe/Zurich",
    "CA": "America/Toronto",
    "CA-QC": "America/Montreal",
    "CA-AB": "America/Edmonton",
    "BR": "America/Sao_Paulo",
    "MX": "America/Mexico_City",
    "CL": "America/Santiago",
    "AU": "Australia/Sydney",
    "NZ": "Pacific/Auckland",
    "SG": "Asia/Singapore",
    "JP": "Asia/Tokyo",
    "KR": "Asia/Seoul",
    "IN": "Asia/Kolkata",
    "CN": "Asia/Shanghai",
    "HK": "Asia/Hong_Kong",
    "TH": "Asia/Bangkok",
    "PH": "Asia/Manila",
    "ID": "Asia/Jakarta",
    "MY": "Asia/Kuala_Lumpur",
    "VN": "Asia/Ho_Chi_Minh",
    "AE": "Asia/Dubai",
    "SA": "Asia/Riyadh",
    "TR": "Europe/Istanbul",
    "IL": "Asia/Jerusalem",
    "ZA": "Africa/Johannesburg",
    "NG": "Africa/Lagos",
    "KE": "Africa/Nairobi",
    "US": "America/New_York",
    "XX-CARD": "America/New_York",
    "XX-CONTRACT": "UTC",
}
# fmt: off
_US_ZONES = {
    "America/New_York": "CT DE DC FL GA ME MD MA NH NJ NY NC OH PA RI SC VT VA WV",
    "America/Chicago": "AL AR IL IA KS LA MN MS MO NE ND OK SD TN TX WI",
    "America/Denver": "CO MT NM UT WY",
    "America/Los_Angeles": "CA NV OR WA",
    "America/Indiana/Indianapolis": "IN", "America/Kentucky/Louisville": "KY", "America/Detroit": "MI",
    "America/Phoenix": "AZ", "America/Boise": "ID", "America/Anchorage": "AK", "Pacific/Honolulu": "HI",
    "America/Puerto_Rico": "PR", "Pacific/Guam": "GU", "America/St_Thomas": "VI",
}
# fmt: on
_ZONES |= {f"US-{state}": zone for zone, states in _US_ZONES.items() for state in states.split()}


def is_code(code: str) -> bool:
    """Whether this is an ISO 3166-1 alpha-2 code, or a 3166-2 code; of US and Canada only the real ones."""
    if code in COUNTRIES:
        return True
    match = _SUBDIVISION.fullmatch(code)
    if match is None or match[1] not in COUNTRIES:
        return False
    if match[1] == "US":
        return match[2] in US_STATES
    if match[1] == "CA":
        return match[2] in CANADIAN_PROVINCES
    return True


def zone(jurisdiction: str) -> ZoneInfo:
    """The zone in which a jurisdiction's days end."""
    return ZoneInfo(_ZONES[jurisdiction])
