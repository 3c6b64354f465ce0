"""Everything a draft may draw on, and the paragraph for each field; None where only a person can say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from blocks.plan import Plan
from tasks.incident import AccessStatus, Bounds, Containment, Duty, Incident, ScopeSummary
from tasks.notify.drafts.words import field_words
from tasks.notify.facts import UNKNOWN, Facts
from tasks.notify.logic import people
from tasks.notify.messages import between, masked, stamp
from tasks.notify.rules import Rule
from tasks.notify.sent import Sent
from tasks.notify.vocabulary import vocabulary

PLACES = {"EU": "any_of:EEA", "US": "any_of:US", "CA": "any_of:CA"}  # a jurisdiction of several
KEY_FIELDS = ("nature", "when", "discovered", "data", "people", "records", "measures", "contact")


@dataclass(frozen=True, slots=True)
class Dossier:
    """What is known when the drafts are made. `fills` are texts people wrote for fields, by field name."""

    incident: Incident
    plan: Plan
    facts: Facts
    scope: ScopeSummary | None
    containment: tuple[Containment, ...] | None
    duties: Mapping[str, Duty]
    sent: tuple[Sent, ...]
    fills: Mapping[str, str]
    at: datetime

    def count(self, status: AccessStatus) -> int:
        return sum(one.status is status for one in self.containment or ())

    @property
    def still_open(self) -> int:
        return len(self.containment or ()) - self.count(AccessStatus.CLOSED)

    @property
    def categories(self) -> tuple[str, ...]:
        """The kinds of data as answered, else as scope found them, without what the rules imply."""
        answered = self.facts.get("incident.data_categories")
        return () if answered is UNKNOWN else tuple(sorted(answered))

    def sent_for(self, rule: str) -> list[Sent]:
        return [one for one in self.sent if one.rule == rule]


def paragraph(dossier: Dossier, field: str, rule: Rule | None) -> str | None:
    """The English text of one field; None is a gap."""
    writer = _WRITERS.get(field)
    if writer is not None:
        return writer(dossier, rule)
    return field_words().statics.get(field)


def _nature(d: Dossier, rule: Rule | None) -> str | None:
    suspects = ", ".join(f"{one.kind} {masked(one.identifier)}" for one in d.incident.suspects)
    effects = d.facts.get("incident.effect")
    effect = "" if effects is UNKNOWN else f" Effect on the data: {', '.join(sorted(effects))}."
    return f"{_sentence(d.incident.what_happened)} Access concerned: {suspects}.{effect}"


def _when(d: Dossier, rule: Rule | None) -> str | None:
    window = d.incident.window
    if window.end is None:
        return f"Since {stamp(window.start)}; the end is still being established."
    return f"Between {stamp(window.start)} and {stamp(window.end)}."


def _discovered(d: Dossier, rule: Rule | None) -> str | None:
    jurisdiction = rule.jurisdiction if rule else None
    clock = d.facts.clock("awareness", jurisdiction)
    return stamp(clock.value if clock else d.incident.aware_at)


def _people(d: Dossier, rule: Rule | None) -> str | None:
    if d.scope is None:
        return None
    subjects = d.scope.subjects
    return f"{between(subjects.lower, subjects.upper)} people.{_there(d, rule)}{_why_bounds(d, subjects)}"


def _there(d: Dossier, rule: Rule | None) -> str:
    """How many of them the recipient's own jurisdiction has."""
    if rule is None or rule.jurisdiction.startswith("XX"):
        return ""
    lower, upper = people(PLACES.get(rule.jurisdiction, rule.jurisdiction), d.facts)
    named = {"EU": "the EU and EEA"}.get(rule.jurisdiction, rule.jurisdiction)
    return f" Of these, {between(lower, upper)} live in {named}." if upper is not None else ""


def _records(d: Dossier, rule: Rule | None) -> str | None:
    if d.scope is None:
        return None
    return (
        f"{between(d.scope.records.lower, d.scope.records.upper)} records.{_why_bounds(d, d.scope.records)}"
    )


def _why_bounds(d: Dossier, bounds: Bounds) -> str:
    if d.scope is None or bounds.lower == bounds.upper:
        return ""
    gaps = [one.statement for one in d.scope.coverage if not one.present]
    return f" The figures differ because: {' '.join(gaps)}" if gaps else " The investigation continues."


def _residents(d: Dossier, rule: Rule | None) -> str | None:
    if rule is None:
        return None
    bounds = d.facts.count(rule.jurisdiction)
    return f"{between(bounds.lower, bounds.upper)} ({rule.jurisdiction})." if bounds else None


def _data(d: Dossier, rule: Rule | None) -> str | None:
    names = vocabulary().data_category_texts
    return "\n".join(f"- {names.get(one, one)}" for one in d.categories) or None


def _data_and_numbers(d: Dossier, rule: Rule | None) -> str | None:
    parts = [_data(d, rule), _people(d, rule), _records(d, rule)]
    return None if None in parts else "\n\n".join(part for part in parts if part)


def _subject_kinds(d: Dossier, rule: Rule | None) -> str | None:
    if d.scope is None or not d.scope.records_by_object:
        return None
    objects = field_words().objects
    kinds = {objects.get(name, f"people in {name} records") for name in d.scope.records_by_object} - {""}
    return f"{_capital(', '.join(sorted(kinds)))}." if kinds else None


def _contact(d: Dossier, rule: Rule | None) -> str | None:
    privacy = d.plan.roles["privacy"]
    return f"{privacy.name} (privacy), {d.plan.organisation.name}, {privacy.email}"


def _organisation(d: Dossier, rule: Rule | None) -> str | None:
    return f"{d.plan.organisation.name} ({d.plan.organisation.role.replace('_', ' ')})"


def _measures(d: Dossier, rule: Rule | None) -> str | None:
    if d.containment is None:
        return None
    closed = [one for one in d.containment if one.status is AccessStatus.CLOSED]
    systems = sorted({str(one.access.system) for one in closed})
    lines = []
    if closed:
        lines.append(f"- {len(closed)} accesses in {', '.join(systems)} were closed; for each it was proven "
                     "afterwards that it no longer works.")  # fmt: skip
    if d.still_open:
        lines.append(f"- {d.still_open} further accesses are still being closed or confirmed by hand.")
    lines.append("- The state before the closing and the logs were preserved as evidence.")
    return "\n".join(lines)


def _advice(d: Dossier, rule: Rule | None) -> str | None:
    return _by_risk(d, "advice")


def _consequences(d: Dossier, rule: Rule | None) -> str | None:
    return _by_risk(d, "risks")


def _by_risk(d: Dossier, what: str) -> str | None:
    texts = field_words().by_risk[what]
    return "\n".join(f"- {texts[risk]}" for risk in field_words().risks_of(d.categories)) or None


def _delay(d: Dossier, rule: Rule | None) -> str | None:
    duty = d.duties.get(rule.id) if rule else None
    reasons = [one.late_reason for one in d.sent if rule and one.rule == rule.id and one.late_reason]
    if reasons:
        return _sentence(reasons[0])
    if duty is None or duty.due_at is None or d.at <= duty.due_at:
        return "Not applicable: the notice is made in time."
    return None


def _law_enforcement(d: Dossier, rule: Rule | None) -> str | None:
    holds = d.facts.get("incident.le_hold")
    if holds is UNKNOWN:
        return None
    if not holds:
        return "No authority has asked for notice to be delayed."
    return " ".join(
        f"{hold.get('agency') or 'An authority'} asked for delay ({hold['jurisdiction']})." for hold in holds
    )


def _told(d: Dossier, rule: Rule | None) -> str | None:
    others = [one for one in d.sent if rule is None or one.rule != rule.id]
    if not others:
        return "Nobody else has been notified yet."
    return "\n".join(f"- {one.rule}: {stamp(one.sent_at)}, {one.channel}" for one in others)


def _distribution(d: Dossier, rule: Rule | None) -> str | None:
    told = [one for one in d.sent if rule and one.rule == f"{rule.jurisdiction}-IND"]
    if told:
        return f"Individuals were told on {stamp(told[0].sent_at)} by {told[0].channel}."
    duty = d.duties.get(f"{rule.jurisdiction}-IND") if rule else None
    return f"Individuals will be told by {stamp(duty.due_at)}." if duty and duty.due_at else None


def _copies(d: Dossier, rule: Rule | None) -> str | None:
    return f"Attached: the notice to individuals ({rule.jurisdiction}-IND)." if rule else None


def _cross_border(d: Dossier, rule: Rule | None) -> str | None:
    if d.facts.affected is None:
        return None
    places = sorted(code for code, bounds in d.facts.affected.items() if bounds is None or bounds.upper)
    return f"People affected live in: {', '.join(places)}." if places else None


def _malicious(d: Dossier, rule: Rule | None) -> str | None:
    known = d.facts.get("incident.malicious")
    return None if known is UNKNOWN else "Yes." if known else "No."


def _monitoring(d: Dossier, rule: Rule | None) -> str | None:
    """An offer is the organisation's decision; where no such number leaked, none is required."""
    if set(d.categories) & {"ssn", "tax_id", "dl_state_id", "irs_pin"} or not d.categories:
        return None
    return "Not offered: no Social Security, tax or driver licence number is among the data."


def _everything(d: Dossier, rule: Rule | None) -> str | None:
    titles = field_words().titles
    parts = [(titles[name], paragraph(d, name, rule)) for name in KEY_FIELDS]
    return "\n\n".join(f"**{title}**\n\n{text}" for title, text in parts if text)


def _updates(d: Dossier, rule: Rule | None) -> str | None:
    return "Information that is not yet known will be provided in phases without undue further delay."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_WRITERS = {
    "nature": _nature,
    "when": _when,
    "discovered": _discovered,
    "people": _people,
    "records": _records,
    "residents": _residents,
    "data": _data,
    "data_and_numbers": _data_and_numbers,
    "subject_kinds": _subject_kinds,
    "contact": _contact,
    "organisation": _organisation,
    "measures": _measures,
    "advice": _advice,
    "consequences": _consequences,
    "delay": _delay,
    "law_enforcement": _law_enforcement,
    "told": _told,
    "distribution": _distribution,
    "copies": _copies,
    "cross_border": _cross_border,
    "malicious": _malicious,
    "monitoring": _monitoring,
    "everything": _everything,
    "updates": _updates,
}
