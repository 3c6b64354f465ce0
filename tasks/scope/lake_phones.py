"""Phone numbers of a whole population to E.164, as `keys.phone_key` does it, thousands of times faster.

Almost all numbers are plain digits in their own country's form or with "+". Those are settled by the
numbering plans' own patterns, run by the engine over each different text once. Whatever is less plain
(letters, extensions, carrier codes, a number that does not fit) goes through `phone_key` itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb
import pandas as pd
import phonenumbers
from phonenumbers.phonemetadata import PhoneMetadata

from tasks.scope.engine import text
from tasks.scope.keys import phone_key, phone_region

_PLAIN = r"\s*\+?[0-9 ()./-]+\s*"
_KINDS = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager",
    "uan", "voicemail",
)  # fmt: skip
_RUN = "01234567890123456789"
NATIONAL = "ltrim(quick, '0')"  # as `phone_key` looks at it


@dataclass(frozen=True, slots=True)
class _Plan:
    """One country's numbering plan, where it is simple enough for the quick way."""

    code: str
    prefix: str  # the national prefix, "" for none
    special: str  # pattern of what only the careful way reads rightly, "" for nothing
    general: str
    kinds: str
    lengths: tuple[int, ...]
    not_ours: str  # leading digits of countries that share the code and come first
    first: bool  # the country that answers for its code


@cache
def _plan(region: str) -> _Plan | None:
    data: Any = PhoneMetadata.metadata_for_region(region) if re.fullmatch("[A-Z]{2}", region) else None
    if data is None or data.national_prefix_transform_rule or data.leading_digits:
        return None
    prefix, *others = (data.national_prefix_for_parsing or "").split("|")
    if not all(part.isdigit() for part in (prefix or "0", *others)):
        return None
    sharing = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[data.country_code]
    before = [PhoneMetadata.metadata_for_region(one) for one in sharing[: sharing.index(region)]]
    kinds = [getattr(data, kind) for kind in _KINDS]
    patterns = [kind.national_number_pattern for kind in kinds if kind and kind.national_number_pattern]
    return _Plan(
        str(data.country_code),
        prefix,
        "|".join(others),
        data.general_desc.national_number_pattern,
        "|".join(f"(?:{pattern})" for pattern in patterns),
        tuple(data.general_desc.possible_length),
        "|".join(f"(?:{m.leading_digits})" for m in before if m is not None and m.leading_digits),
        sharing[0] == region,
    )


def phone_keys(db: duckdb.DuckDBPyConnection, source: str, target: str) -> None:
    """Make table `target` (number, region, key, home) of the different (number, region) of table `source`.

    `key` is the E.164 number or NULL; `home` its country, NULL where several share the
    numbers (see `phone_region`).
    """
    db.execute(
        "CREATE OR REPLACE TEMP TABLE phone_texts AS SELECT number, region, "  # noqa: S608
        f"regexp_full_match(number, {text(_PLAIN)})"
        " AS plain, regexp_replace(number, '[^0-9]', '', 'g') AS digits, starts_with(trim(number), '+') AS "
        "plus "
        f"FROM (SELECT DISTINCT number, region FROM {source} WHERE number <> '')"
    )
    regions = [str(row[0]) for row in db.execute("SELECT DISTINCT region FROM phone_texts").fetchall()]
    idd = ", ".join(text(r) for r in regions if r and _international(r) == "00") or "''"
    db.execute(
        "CREATE OR REPLACE TEMP TABLE phone_parts AS SELECT *, "  # noqa: S608
        f"CASE WHEN plus THEN digits WHEN region IN ({idd}) AND regexp_matches(digits, '^00[1-9]') "
        f"THEN substr(digits, 3) END AS abroad, {_is_placeholder('digits')} AS placeholder FROM phone_texts"
    )
    codes = ", ".join(text(str(code)) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
    db.execute(
        "CREATE OR REPLACE TEMP TABLE phone_homes AS SELECT * EXCLUDE (code), CASE WHEN "  # noqa: S608
        "abroad IS NULL THEN region "
        f"ELSE {_first_regions('code')} END AS home, coalesce(substr(abroad, length(code) + 1), digits) AS "
        "rest "
        "FROM (SELECT *, CASE WHEN abroad IS NULL THEN NULL "
        + "".join(f"WHEN left(abroad, {n}) IN ({codes}) THEN left(abroad, {n}) " for n in (1, 2, 3))
        + "END AS code FROM phone_parts)"
    )
    homes = [
        str(row[0]) for row in db.execute("SELECT DISTINCT home FROM phone_homes WHERE plain").fetchall()
    ]
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE {target} AS SELECT number, region, CASE WHEN NOT "  # noqa: S608
        f"{_is_placeholder(NATIONAL)} THEN '+' || calling || quick END AS key, "
        f"CASE WHEN home IN ({_sure(homes)}) AND quick IS NOT NULL THEN home END AS home, "
        f"NOT placeholder AND quick IS NULL AS careful FROM (SELECT *, {_calling(homes)} AS calling, "
        f"CASE WHEN plain AND NOT placeholder THEN {_quick(homes)} END AS quick FROM phone_homes)"
    )
    _carefully(db, target)
    for table in ("phone_texts", "phone_parts", "phone_homes"):
        db.execute(f"DROP TABLE {table}")


def _international(region: str) -> str:
    data = PhoneMetadata.metadata_for_region(region)
    return str(data.international_prefix) if data is not None else ""


def _is_placeholder(digits: str) -> str:
    return f"(replace({digits}, left({digits}, 1), '') = '' OR contains('{_RUN}', {digits}))"


def _sure(homes: Iterable[str]) -> str:
    """The countries that answer for their code: a number that fits them is theirs."""
    return ", ".join(f"'{h}'" for h in homes if h and (plan := _plan(h)) and plan.first) or "NULL"


def _calling(homes: Iterable[str]) -> str:
    known = [(home, plan.code) for home in homes if home and (plan := _plan(home))]
    return (
        "CASE home " + "".join(f"WHEN '{h}' THEN '{code}' " for h, code in known) + "END" if known else "NULL"
    )


def _first_regions(code: str) -> str:
    pairs = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
    return f"CASE {code} " + "".join(f"WHEN '{c}' THEN '{regions[0]}' " for c, regions in pairs) + "END"


def _quick(homes: Iterable[str]) -> str:
    known = [(home, plan) for home in homes if home and (plan := _plan(home))]
    if not known:
        return "NULL"
    return "CASE home " + "".join(f"WHEN '{h}' THEN {_by_plan(plan)} " for h, plan in known) + "END"


def _by_plan(plan: _Plan) -> str:
    """SQL for the key of `rest`, NULL where it does not surely fit."""
    stripped = f"substr(rest, {len(plan.prefix) + 1})"
    with_prefix = (
        f"WHEN starts_with(rest, '{plan.prefix}') THEN {_fitting(plan, stripped)} " if plan.prefix else ""
    )
    special = f"WHEN regexp_matches(rest, '^(?:{plan.special})') THEN NULL " if plan.special else ""
    plain = _fitting(plan, "rest")
    return f"CASE {special}{with_prefix}ELSE {plain} END" if special or with_prefix else plain


def _fitting(plan: _Plan, number: str) -> str:
    lengths = ", ".join(map(str, plan.lengths))
    ours = f" AND NOT regexp_matches({number}, {text(f'^(?:{plan.not_ours})')})" if plan.not_ours else ""
    return (
        f"CASE WHEN length({number}) IN ({lengths}) AND regexp_full_match({number}, {text(plan.general)}) "
        f"AND regexp_full_match({number}, {text(plan.kinds)}){ours} THEN {number} END"
    )


def _carefully(db: duckdb.DuckDBPyConnection, target: str) -> None:
    rest = db.execute(f"SELECT number, region FROM {target} WHERE careful").df()  # noqa: S608
    if len(rest):
        keys = [phone_key(n, r or None) for n, r in rest.itertuples(index=False)]
        homes = [phone_region(key) if key else None for key in keys]
        found = pd.DataFrame({"number": rest["number"], "region": rest["region"], "key": keys, "home": homes})
        found = found.astype({"key": "str", "home": "str"})
        db.register("found_phones", found)
        db.execute(
            f"UPDATE {target} SET key = f.key, home = f.home FROM found_phones f "  # noqa: S608
            f"WHERE {target}.number = f.number AND {target}.region = f.region"
        )
        db.unregister("found_phones")
    db.execute(f"ALTER TABLE {target} DROP COLUMN careful")
