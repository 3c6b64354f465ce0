"""Whether a rule's condition holds: true, false, or unknown with the facts that would decide it.

Three-valued logic: a missing fact never counts as no. Counts are bounds, so a threshold between the lower and
the upper count is unknown too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.notify.facts import AFFECTED, UNKNOWN, Facts
from tasks.notify.vocabulary import vocabulary

Verdict = bool | None  # None: unknown


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One condition, what became of it, and what it was made of."""

    text: str
    verdict: Verdict
    missing: frozenset[str] = frozenset()
    parts: tuple[Evaluation, ...] = ()

    def lines(self, indent: int = 0) -> Iterable[str]:
        """The evaluation as an indented tree for a person."""
        word = {True: "yes", False: "no", None: "unknown"}[self.verdict]
        yield f"{'  ' * indent}{word:<8}{self.text}"
        for part in self.parts:
            yield from part.lines(indent + 1)

    def deciding(self, verdict: Verdict) -> Iterable[str]:
        """The innermost conditions that came out this way: why the whole did."""
        matching = [part for part in self.parts if part.verdict is verdict]
        if not matching:
            yield self.text
        for part in matching:
            yield from (
                part.deciding(verdict) if part.parts and not part.text.startswith("not") else [part.text]
            )


@dataclass(frozen=True, slots=True)
class Context:
    """The facts, the categories with all they imply, and the results of other rules."""

    facts: Facts
    result_of: Callable[[str], Verdict]
    categories: frozenset[str] | None = field(init=False)

    def __post_init__(self) -> None:
        named = self.facts.get("incident.data_categories")
        known = None if named is UNKNOWN else vocabulary().implied(named)
        object.__setattr__(self, "categories", known)


def evaluate(node: Mapping[str, Any], context: Context) -> Evaluation:
    """Evaluate one condition of a rule file."""
    if "all" in node:
        return _all([evaluate(child, context) for child in node["all"]])
    if "any" in node:
        return _any([evaluate(child, context) for child in node["any"]])
    if "not" in node:
        inner = evaluate(node["not"], context)
        opposite = None if inner.verdict is None else not inner.verdict
        return Evaluation(f"not: {inner.text}", opposite, inner.missing, (inner,) if inner.parts else ())
    if "count" in node:
        return _count(node["count"], node["op"], node["value"], context.facts)
    if "us_pi" in node:
        return _personal_information(node["us_pi"], context.categories)
    return _fact(node["fact"], node["op"], node["value"], context)


def _all(parts: list[Evaluation]) -> Evaluation:
    verdicts = [part.verdict for part in parts]
    verdict = False if False in verdicts else None if None in verdicts else True
    return Evaluation("all of", verdict, _open(parts) if verdict is None else frozenset(), tuple(parts))


def _any(parts: list[Evaluation]) -> Evaluation:
    verdicts = [part.verdict for part in parts]
    verdict = True if True in verdicts else None if None in verdicts else False
    return Evaluation("any of", verdict, _open(parts) if verdict is None else frozenset(), tuple(parts))


def _open(parts: list[Evaluation]) -> frozenset[str]:
    return frozenset().union(*(part.missing for part in parts if part.verdict is None))


def _fact(key: str, op: str, wanted: Any, context: Context) -> Evaluation:
    shown = ", ".join(map(str, wanted)) if isinstance(wanted, list) else str(wanted)
    text = f"{key} {op} {shown}"
    if key == "rule_result":
        rule, _, status = str(wanted).partition(":")
        verdict = context.result_of(rule)
        holds = None if verdict is None else verdict == (status == "due")
        missing = frozenset() if holds is not None else frozenset({f"result of {rule}"})
        return Evaluation(f"{rule} is {status}", holds, missing)
    actual = context.facts.get(key)
    if key == "incident.data_categories" and context.categories is not None:
        actual = context.categories
    if actual is UNKNOWN:
        return Evaluation(text, None, frozenset({key}))
    return Evaluation(text, _compare(actual, op, wanted))


def _compare(actual: Any, op: str, wanted: Any) -> bool:
    if op == "eq":
        return bool(actual == wanted)
    if op == "in":
        return actual in wanted
    if op == "contains":
        return wanted in actual
    if op == "intersects":
        return not actual.isdisjoint(wanted)
    return bool({"gte": actual >= wanted, "gt": actual > wanted, "lt": actual < wanted}[op])


def _count(who: str, op: str, threshold: int, facts: Facts) -> Evaluation:
    lower, upper = people(who, facts)
    verdict: Verdict
    if op == "lt":
        verdict = False if lower >= threshold else True if upper is not None and upper < threshold else None
    else:
        enough = threshold if op == "gte" else threshold + 1
        verdict = True if lower >= enough else False if upper is not None and upper < enough else None
    sign = {"gte": ">=", "gt": ">", "lt": "<"}[op]
    known = str(lower) if lower == upper else f"{lower} to {'unknown' if upper is None else upper}"
    missing = frozenset() if verdict is not None else _uncounted(who, facts)
    return Evaluation(
        f"people affected in {who.removeprefix('any_of:')} {sign} {threshold} ({known})", verdict, missing
    )


def people(who: str, facts: Facts) -> tuple[int, int | None]:
    """Lower and upper count of one jurisdiction or of a group of them; an open upper count is None."""
    if who == "any_single_us_state":
        counts = [facts.count(code) for code in {*_members("any_of:US", facts), "US-CA"} - {"US"}]
        lower = max((bounds.lower for bounds in counts if bounds), default=0)
        if None in counts:
            return lower, None
        return lower, max(bounds.upper for bounds in counts if bounds)
    if who.startswith("any_of:") or who in ("us_consumers", "hipaa_individuals"):
        return facts.sum(_members(who, facts))
    bounds = facts.count(who)
    return (0, None) if bounds is None else (bounds.lower, bounds.upper)


def _members(who: str, facts: Facts) -> list[str]:
    affected = sorted(facts.affected or ())
    if who == "any_of:EEA":
        return [code for code in affected if code.partition("-")[0] in vocabulary().eea]
    country = "CA" if who == "any_of:CA" else "US"
    return [code for code in affected if code.partition("-")[0] == country]


def _uncounted(who: str, facts: Facts) -> frozenset[str]:
    """The counts that would decide a threshold."""
    if facts.affected is None:
        return frozenset({AFFECTED})
    grouped = who.startswith("any_of:") or who in ("us_consumers", "hipaa_individuals", "any_single_us_state")
    codes = _members(who, facts) if grouped else [who, who.partition("-")[0]]
    open_ended = {code for code in codes if code in facts.affected and _is_open(code, facts)}
    if facts.unplaced:
        open_ended.add("unknown")
    return frozenset(f"{AFFECTED}.{code}" for code in open_ended or {who})


def _is_open(code: str, facts: Facts) -> bool:
    bounds = facts.affected.get(code) if facts.affected else None
    return bounds is None or bounds.lower != bounds.upper or (code in ("US", "CA") and bounds.upper > 0)


def _personal_information(state: str, categories: frozenset[str] | None) -> Evaluation:
    text = f"personal information as {state} defines it"
    if categories is None:
        return Evaluation(text, None, frozenset({"incident.data_categories"}))
    definition = vocabulary().us_personal_information[state]
    alone = categories & definition.standalone
    named = categories & definition.name_plus_any_of if "name" in categories else frozenset()
    found = sorted(alone | named)
    return Evaluation(f"{text}: {', '.join(found) if found else 'none of it'}", bool(found))
