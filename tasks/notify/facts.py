"""What is known about the incident and the organisation, who said it, and what is not known.

A fact that is absent is unknown. Two exceptions keep silence from meaning "maybe": absent `org.*` and
`engine.*` facts are false or empty, and a jurisdiction absent from `incident.affected` counts zero.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from blocks.errors import BadInput
from tasks.incident import Bounds, utc
from tasks.notify.jurisdictions import is_code
from tasks.notify.vocabulary import Vocabulary, vocabulary
from tasks.notify.yaml12 import read_yaml


class _Unknown:
    """Not known; different from null, zero and false."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = _Unknown()
CLOCK = "incident.clocks."
AFFECTED = "incident.affected"


@dataclass(frozen=True, slots=True)
class Fact:
    """One answer, and where it comes from: scope, the plan, or a named person."""

    value: Any
    said_by: str
    said_at: datetime | None = None
    assumed: bool = False  # the earliest possible value, until somebody answers


@dataclass(frozen=True, slots=True)
class Facts:
    """All answers by key. `affected` holds counts as bounds; None is an unknown count.

    `unplaced` people live nobody knows where: they raise the upper bound of every jurisdiction.
    """

    answers: Mapping[str, Fact]
    affected: Mapping[str, Bounds | None] | None = None
    clocks: Mapping[str, Fact] = field(default_factory=dict)
    unplaced: int = 0

    @classmethod
    def of(cls, values: Mapping[str, Any], said_by: str = "facts", said_at: datetime | None = None) -> Self:
        """Check flat `fact_schema` keys and values; BadInput lists what is wrong with the first bad one."""
        answers: dict[str, Fact] = {}
        affected: dict[str, Bounds | None] | None = None
        clocks: dict[str, Fact] = {}
        for key, value in values.items():
            if not isinstance(key, str):
                raise BadInput(f"Fact key {key!r} is not text.", "Use the keys of the fact schema, as text.")
            if key == AFFECTED:
                affected = None if value is None else _affected(value)
            elif key.startswith(AFFECTED + "."):
                affected = (affected or {}) | _affected({key.removeprefix(AFFECTED + "."): value})
            elif key.startswith(CLOCK):
                if value is not None:
                    clocks[_clock(key)] = Fact(_instant(key, value), said_by, said_at)
            else:
                answers[key] = Fact(_checked(key, value), said_by, said_at)
        return cls(answers, affected, clocks)

    def get(self, key: str) -> Any:
        """The value, or UNKNOWN; absent `org.*` and `engine.*` facts are false or empty."""
        fact = self.answers.get(key)
        if fact is not None and fact.value is not None:
            return fact.value
        if key.startswith(("org.", "engine.")):
            return _absent(key)
        return UNKNOWN

    def count(self, jurisdiction: str) -> Bounds | None:
        """People affected in one jurisdiction; None is unknown.

        People counted for a country whose state is not known may live in any of its states: they raise the
        upper bound of each.
        """
        if self.affected is None:
            return None
        known = self.affected.get(jurisdiction, Bounds(0, 0))
        country = jurisdiction.partition("-")[0]
        stateless: Bounds | None = Bounds(0, 0)
        if country in ("US", "CA") and country != jurisdiction:
            stateless = self.affected.get(country, stateless)
        if known is None or stateless is None:
            return None
        return Bounds(known.lower, known.upper + stateless.upper + self.unplaced)

    def clock(self, name: str, jurisdiction: str | None = None) -> Fact | None:
        """When a clock started, for this jurisdiction if it has an instant of its own."""
        return self.clocks.get(f"{name}.{jurisdiction}") or self.clocks.get(name)

    def sum(self, codes: Iterable[str]) -> tuple[int, int | None]:
        """Lower and upper sum over jurisdictions; an unknown one leaves the upper sum open (None)."""
        if self.affected is None:
            return 0, None
        counts = [self.affected.get(code, Bounds(0, 0)) for code in codes]
        lower = sum(bounds.lower for bounds in counts if bounds)
        if None in counts:
            return lower, None
        return lower, sum(bounds.upper for bounds in counts if bounds) + self.unplaced

    def with_answers(self, other: Facts) -> Facts:
        """These facts with another set's answers put over them."""
        return Facts(
            {**self.answers, **other.answers},
            other.affected if other.affected is not None else self.affected,
            {**self.clocks, **other.clocks},
            other.unplaced or self.unplaced,
        )

    def with_answer(self, key: str, value: Any, said_by: str, said_at: datetime | None = None) -> Facts:
        """These facts with one answer put over them; BadInput when it is none.

        A count for one jurisdiction leaves the others as they are; while those are unknown it decides
        nothing, since the rest must not turn into zero. All counts at once leave nobody unplaced.
        """
        stated = Facts.of({key: value}, said_by, said_at)
        if key.startswith(AFFECTED + "."):
            if self.affected is None:
                return self
            return replace(self, affected={**self.affected, **(stated.affected or {})})
        if key == AFFECTED and stated.affected is not None:
            return replace(self, affected=stated.affected, unplaced=0)
        return self.with_answers(stated)


def load_facts(path: Path) -> Facts:
    """Facts from a YAML file of flat keys, dots included; BadInput says which line or key is wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"There is no facts file {path}.", "Check the path after --facts.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"The facts file {path} cannot be read ({type(error).__name__}).", "It must be UTF-8 text."
        ) from None
    values = read_yaml(text, path.name)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise BadInput(
            f"{path.name} is not a mapping of facts.", "Write one `key: value` per line, dots in the key."
        )
    return Facts.of(values, said_by=path.name)


# --- checking one value --------------------------------------------------------------------------

_SETS = {
    "incident.data_categories",
    "incident.effect",
    "incident.us_no_harm_documented",
    "org.sectors",
    "org.listed",
}
_NUMBERS = {"incident.affected_total", "org.annual_turnover_aud"}
_PSEUDO_CATEGORIES = {"BR_LARGE_SCALE", "PH_IDENTITY_FRAUD_ENABLING"}  # named by the rules themselves
_WORDS: Mapping[str, frozenset[str]] = {
    "incident.role": frozenset({"controller", "joint_controller", "processor"}),
    "incident.cn_level": frozenset({"general", "relatively_major", "major", "particularly_major"}),
    "incident.origin": frozenset({"own_system", "salesforce_platform", "third_party_app", "vendor"}),
    "org.nis2": frozenset({"none", "important", "essential"}),
    "org.israel_db_level": frozenset({"basic", "medium", "high"}),
}
_SET_WORDS: Mapping[str, frozenset[str]] = {
    "incident.effect": frozenset(
        {"acquisition", "access", "disclosure", "loss", "alteration", "destruction", "unavailability"}
    ),
    "org.sectors": frozenset(
        "glba_financial_institution nydfs_covered_entity hipaa_covered_entity hipaa_business_associate "
        "dora_financial_entity online_marketplace cii_operator_cn ecomm_platform card_merchant "
        "card_service_provider credit_bureau information_broker public_ecs_provider".split()
    ),
    "org.listed": frozenset({"us_domestic_issuer", "us_foreign_private_issuer", "eu_issuer", "uk_issuer"}),
}
_PREFIXES = ("org.established_in.", "incident.us_cra_condition.")


@cache
def known_keys() -> frozenset[str]:
    """Every plain key of the fact schema."""
    return frozenset(key for key in vocabulary().fact_schema if "<" not in key and key != "rule_result")


def _absent(key: str) -> Any:
    if key in _SETS:
        return frozenset()
    if key in _NUMBERS:
        return 0
    return "none" if key == "org.nis2" else False


def _bad(key: str, value: Any, wanted: str) -> BadInput:
    shown = (
        repr(value) if len(repr(value)) < 60 else f"{type(value).__name__} of {len(repr(value))} characters"
    )
    return BadInput(f"Fact {key} is {shown}.", f"It must be {wanted}.")


def _checked(key: str, value: Any) -> Any:
    prefix = next((prefix for prefix in _PREFIXES if key.startswith(prefix)), None)
    if prefix and not is_code(key.removeprefix(prefix)):
        raise BadInput(f"Fact {key} names no known jurisdiction.", "Use ISO 3166 codes such as DE or US-CA.")
    if not prefix and key not in known_keys():
        near = difflib.get_close_matches(key, known_keys() | {AFFECTED}, 1)
        hint = (
            f"Did you mean {near[0]}?" if near else "The fact schema lists the keys; dots are part of them."
        )
        raise BadInput(f"There is no fact {key!r}.", hint)
    if value is None:
        return None
    return _typed(key, value, vocabulary())


def _typed(key: str, value: Any, words: Vocabulary) -> Any:
    if key in _SETS:
        return _word_set(key, value, words)
    if key in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise _bad(key, value, "a number, zero or more")
        return value
    if key == "incident.le_hold":
        return _holds(value)
    allowed = _WORDS.get(key) or {
        "incident.encryption": words.encryption_states,
        "incident.risk_level": words.risk_levels,
    }.get(key)
    if allowed is not None:
        if not isinstance(value, str) or value not in allowed:
            raise _bad(key, value, f"one of {', '.join(sorted(allowed))}")
        return None if value == "unknown" else value
    if key in ("org.eu_main_establishment", "org.art27_representative"):
        if not isinstance(value, str) or not is_code(value):
            raise _bad(key, value, "an ISO 3166 country code or null")
        return value
    if not isinstance(value, bool):
        raise _bad(key, value, "true, false or null")
    return value


def _word_set(key: str, value: Any, words: Vocabulary) -> frozenset[str]:
    if isinstance(value, str) or not isinstance(value, list | set | frozenset | tuple):
        raise _bad(key, value, "a list")
    if not all(isinstance(item, str) for item in value):
        raise _bad(key, value, "a list of words")
    if key == "incident.us_no_harm_documented":
        wrong = sorted(item for item in value if not (item.startswith("US-") and is_code(item)))
    else:
        allowed = _SET_WORDS.get(key) or (words.data_categories | _PSEUDO_CATEGORIES)
        wrong = sorted(set(value) - allowed)
    if wrong:
        raise BadInput(f"Fact {key} names {wrong[0]!r}.", "That word is not in the rules' vocabulary.")
    return frozenset(value)


def _holds(value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list) or not all(isinstance(hold, dict) for hold in value):
        raise _bad("incident.le_hold", value, "a list of {jurisdiction, agency, in_writing, from, until}")
    holds = []
    for hold in value:
        unknown = set(hold) - {"jurisdiction", "agency", "in_writing", "from", "until"}
        if unknown or not isinstance(hold.get("jurisdiction"), str):
            raise _bad(
                "incident.le_hold", hold, "a mapping with jurisdiction, agency, in_writing, from, until"
            )
        times = {
            name: _instant(f"incident.le_hold {name}", hold[name]) if hold.get(name) is not None else None
            for name in ("from", "until")
        }
        holds.append({**hold, **times})
    return tuple(holds)


def _affected(value: Any) -> dict[str, Bounds | None]:
    if not isinstance(value, Mapping):
        raise _bad(AFFECTED, value, "a mapping such as {DE: 12000, US-CA: 9000}, null where unknown")
    return {_code(code): _count(code, count) for code, count in value.items()}


def _code(code: Any) -> str:
    if not isinstance(code, str) or not is_code(code):
        raise BadInput(
            f"{AFFECTED} names {code!r}, which is no jurisdiction.",
            "Use ISO 3166 codes such as DE, GB, US-CA or CA-ON.",
        )
    return code


def _count(code: Any, count: Any) -> Bounds | None:
    if count is None:
        return None
    if isinstance(count, Bounds):
        return count
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise _bad(f"{AFFECTED} {code}", count, "a whole number of people, zero or more, or null for unknown")
    return Bounds(count, count)


def _clock(key: str) -> str:
    name, _, jurisdiction = key.removeprefix(CLOCK).partition(".")
    if name not in vocabulary().clock_starts:
        near = difflib.get_close_matches(name, vocabulary().clock_starts, 1)
        raise BadInput(
            f"There is no clock {name!r}.",
            f"Did you mean {CLOCK}{near[0]}?"
            if near
            else f"Clocks: {', '.join(sorted(vocabulary().clock_starts))}.",
        )
    if jurisdiction:
        _code(jurisdiction)
    return f"{name}.{jurisdiction}" if jurisdiction else name


def _instant(key: str, value: Any) -> datetime:
    if not isinstance(value, str | datetime):
        raise _bad(key, value, "an instant such as 2026-11-23T09:00:00+01:00")
    return utc(value, key)


def choices(key: str) -> tuple[Any, ...]:
    """The values a fact can be answered with at one click; none when it needs a list, a number or a time."""
    if key in _SETS | _NUMBERS or key.startswith((CLOCK, AFFECTED)) or key == "incident.le_hold":
        return ()
    words = vocabulary()
    listed = {"incident.encryption": words.encryption_states, "incident.risk_level": words.risk_levels}
    allowed = _WORDS.get(key) or listed.get(key)
    if allowed is not None:
        return tuple(sorted(allowed - {"unknown"}))
    if key in ("org.eu_main_establishment", "org.art27_representative"):
        return ()
    return (True, False) if key in known_keys() or key.startswith(_PREFIXES) else ()
