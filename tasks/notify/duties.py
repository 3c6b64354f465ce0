"""Which notifications are owed: every rule against the facts, with a due time, or why not, or what to ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from blocks.errors import BadInput
from tasks.incident import Duty, DutyStatus
from tasks.notify.deadlines import due_instant, end_of_year
from tasks.notify.facts import CLOCK, Facts
from tasks.notify.jurisdictions import zone
from tasks.notify.logic import Context, Evaluation, Verdict, evaluate
from tasks.notify.rules import Rule, all_rules
from tasks.notify.vocabulary import vocabulary

LAST = datetime.max.replace(tzinfo=UTC)
ENABLED_ON_REQUEST = ("proposed", "unverified", "not_operational")


@dataclass(frozen=True, slots=True)
class Clock:
    """When a duty's period starts; projected while the notice it waits for has not been sent."""

    start: datetime | None
    missing: str | None = None
    projected_from: str | None = None
    assumed: str | None = None


def duties(facts: Facts, on: date, rules: Mapping[str, Rule] | None = None) -> list[Duty]:
    """All rules evaluated with the law of the day `on`; due first, then undetermined, soonest first."""
    engine = Engine(facts, on, rules or all_rules())
    return in_order(engine.duty(rule) for rule in engine.rules)


def in_order(found: Iterable[Duty]) -> list[Duty]:
    """Due first, then undetermined, then not due; what has no time after what has one."""
    order = {DutyStatus.DUE: 0, DutyStatus.UNDETERMINED: 1, DutyStatus.NOT_DUE: 2}
    return sorted(found, key=lambda d: (order[d.status], d.due_at is None, d.due_at or LAST, d.rule))


def explain(rule_id: str, facts: Facts, on: date, rules: Mapping[str, Rule] | None = None) -> str:
    """How one rule came out, condition by condition; BadInput when there is no such rule."""
    engine = Engine(facts, on, rules or all_rules())
    if rule_id not in engine.rules:
        raise BadInput(
            f"There is no rule {rule_id!r}.", "`leak-response duties --facts FILE` lists them all."
        )
    rule, duty = engine.rules[rule_id], engine.duty(rule_id)
    due = f", due {duty.due_at.isoformat()}" if duty.due_at else ""
    head = [
        f"{rule.id}: {rule.title}",
        f"  {rule.citation} ({rule.status}; source: {rule.source_kind}, confidence {rule.confidence})",
        f"  {duty.status}{due}: {duty.why}",
        f"  clock: {rule.deadline.clock_start}; {rule.deadline.qualitative or 'no wording'}",
        "  condition:",
    ]
    return "\n".join([*head, *engine.condition(rule).lines(2)])


class Engine:
    """One evaluation of all rules; results are kept, since rules refer to each other."""

    def __init__(self, facts: Facts, on: date, rules: Mapping[str, Rule]) -> None:
        self.facts = facts
        self.on = on
        self.rules = rules
        self._done: dict[str, Duty] = {}
        self._under_way: list[str] = []
        self._context = Context(facts, self._result)

    def condition(self, rule: Rule) -> Evaluation:
        return evaluate(rule.when, self._context)

    def duty(self, rule_id: str) -> Duty:
        if rule_id not in self._done:
            if rule_id in self._under_way:
                raise BadInput(
                    f"Rules {' and '.join(self._under_way)} refer to each other.", "Break the circle."
                )
            self._under_way.append(rule_id)
            self._done[rule_id] = self._evaluate(self.rules[rule_id])
            self._under_way.pop()
        return self._done[rule_id]

    def _result(self, rule_id: str) -> Verdict:
        status = self.duty(rule_id).status
        return None if status is DutyStatus.UNDETERMINED else status is DutyStatus.DUE

    def _evaluate(self, rule: Rule) -> Duty:
        if inactive := self._not_in_force(rule):
            return self._duty(rule, DutyStatus.NOT_DUE, inactive)
        outcome = self.condition(rule)
        if outcome.verdict is False:
            return self._duty(
                rule, DutyStatus.NOT_DUE, f"does not hold: {'; '.join(outcome.deciding(False))}"
            )
        for other in rule.displaced_by:
            if self._result(other):
                return self._duty(rule, DutyStatus.NOT_DUE, f"displaced by {other}, which is due")
            if self._result(other) is None and outcome.verdict:
                missing = frozenset(self.duty(other).missing)
                return self._dated(rule, DutyStatus.UNDETERMINED, f"{other} would displace it", missing)
        if outcome.verdict is None:
            why = f"to be answered: {', '.join(sorted(outcome.missing))}"
            return self._dated(rule, DutyStatus.UNDETERMINED, why, outcome.missing)
        return self._dated(rule, DutyStatus.DUE, "; ".join(outcome.deciding(True)), frozenset())

    def _not_in_force(self, rule: Rule) -> str | None:
        if rule.status in ENABLED_ON_REQUEST and not self.facts.get("engine.enable_proposed"):
            return f"the rule is {rule.status.replace('_', ' ')}; engine.enable_proposed includes it"
        if rule.in_force_from and self.on < rule.in_force_from:
            return f"in force from {rule.in_force_from}, after {self.on}"
        return None

    # --- due times --------------------------------------------------------------------------------

    def _dated(self, rule: Rule, status: DutyStatus, why: str, missing: frozenset[str]) -> Duty:
        clock = self._clock(rule)
        due_at, note = self._due(rule, clock)
        due_at, hold = self._held(rule, due_at)
        notes = [why, *(text for text in (note, hold) if text)]
        if clock.missing:
            missing |= {clock.missing}
        return self._duty(rule, status, "; ".join(notes), clock.start, due_at, missing)

    def _clock(self, rule: Rule) -> Clock:
        name = rule.deadline.clock_start
        if name == "end_of_calendar_year_of_discovery":
            found = self.facts.clock("discovery", rule.jurisdiction)
            if found is None:
                return Clock(None, f"{CLOCK}discovery")
            return Clock(end_of_year(found.value, self._zone(rule)))
        own = self.facts.clocks.get(f"{name}.{rule.id}")  # a confirmed notice that this rule waited for
        start = own or self.facts.clock(name, rule.jurisdiction)
        if start is not None:
            missing = f"{CLOCK}{name}" if start.assumed else None
            return Clock(start.value, missing, assumed=start.said_by if start.assumed else None)
        waits_for = rule.individuals_rule or rule.deadline.projected_from
        if waits_for is not None and waits_for in self.rules:
            earlier = self.duty(waits_for)
            if earlier.status is not DutyStatus.NOT_DUE and earlier.due_at:
                return Clock(earlier.due_at, f"{CLOCK}{name}", waits_for)
        return Clock(None, f"{CLOCK}{name}")

    def _due(self, rule: Rule, clock: Clock) -> tuple[datetime | None, str]:
        deadline = rule.deadline
        note = f"projected from the due time of {clock.projected_from}" if clock.projected_from else ""
        if clock.assumed:
            note = f"clock not answered: {clock.assumed}"
        related = self._related_due(rule)
        if deadline.relation in ("concurrent", "concurrent_or_before", "before"):
            sent = self.facts.clock("individual_notice_sent", rule.jurisdiction)
            together = sent.value if sent else related
            own = self._own_due(rule, clock) if deadline.statutory else None
            bound = min((due for due in (together, own) if due), default=None)
            return bound or self._own_due(
                rule, clock
            ), f"{deadline.relation.replace('_', ' ')} {deadline.related_rule}"
        own = self._own_due(rule, clock)
        if deadline.relation == "earliest_of_own_deadline_and_rule":
            return min(
                (due for due in (own, related) if due), default=None
            ), f"or with {deadline.related_rule}"
        return own, note

    def _related_due(self, rule: Rule) -> datetime | None:
        other = rule.deadline.related_rule
        if other is None or self.duty(other).status is DutyStatus.NOT_DUE:
            return None
        return self.duty(other).due_at

    def _own_due(self, rule: Rule, clock: Clock) -> datetime | None:
        deadline = rule.deadline
        if clock.start is None or deadline.span is None:
            return None
        return due_instant(
            clock.start, deadline.span, self._zone(rule), deadline.calendar, deadline.subdivision
        )

    def _zone(self, rule: Rule) -> ZoneInfo:
        return ZoneInfo(rule.deadline.time_zone) if rule.deadline.time_zone else zone(rule.jurisdiction)

    def _held(self, rule: Rule, due_at: datetime | None) -> tuple[datetime | None, str]:
        """A law-enforcement hold moves a duty that the law lets be held, never another one."""
        holds = self.facts.answers.get("incident.le_hold")
        if not rule.hold_allowed or holds is None or not holds.value:
            return due_at, ""
        for hold in holds.value:
            covered = rule.jurisdiction == hold["jurisdiction"] or (
                hold["jurisdiction"] in ("US", "EU", "CA")
                and rule.jurisdiction.startswith(hold["jurisdiction"])
            )
            if covered:
                if hold["until"] is None:
                    return None, "held at the request of law enforcement until released"
                moved = max(due_at, hold["until"]) if due_at else hold["until"]
                return moved, "held at the request of law enforcement; due on release at the latest"
        return due_at, ""

    def _duty(
        self,
        rule: Rule,
        status: DutyStatus,
        why: str,
        clock_start: datetime | None = None,
        due_at: datetime | None = None,
        missing: frozenset[str] = frozenset(),
    ) -> Duty:
        return Duty(
            rule=rule.id,
            status=status,
            recipient=self._recipient(rule),
            clock_start=clock_start,
            due_at=due_at,
            policy=rule.deadline.statutory is None and rule.deadline.policy_target is not None,
            citation=rule.citation,
            confidence=rule.confidence,
            why=why,
            missing=tuple(sorted(missing)),
        )

    def _recipient(self, rule: Rule) -> str:
        """Who gets the notice, with further recipients whose condition holds and the authorities by name."""
        names = [rule.recipient.name]
        if rule.recipient.authority == "eu_supervisory" and (named := self._eu_authorities()):
            names = [f"Supervisory authority: {named}"]
        for name, condition in rule.recipient.also:
            if evaluate(condition, self._context).verdict is not False:
                names.append(name)
        return "; ".join(names)

    def _eu_authorities(self) -> str:
        """That of the main establishment; without one in the EU, that of each member state with people."""
        main = self.facts.get("org.eu_main_establishment")
        members = [main] if main else sorted((self.facts.affected or {}).keys() & vocabulary().eea)
        return ", ".join(f"{vocabulary().authorities.get(code, 'authority')} ({code})" for code in members)
