"""Notices to authorities, controllers, schemes and vendors; the register; texts for people inside."""

from __future__ import annotations

from tasks.incident import DutyStatus
from tasks.notify.drafts.dossier import Dossier
from tasks.notify.drafts.render import Filler, content_of, prohibited, render
from tasks.notify.messages import stamp
from tasks.notify.rules import Rule
from tasks.notify.sent import Sent
from tasks.notify.vendors import QUESTIONS, Touch, answer_rule, systems_named

_CARDS = (
    "We inform you of an incident that may concern payment card data. No card number is in this notice; "
    "lists go through your secure channel only."
)
INTRODUCTIONS = {
    "controller": "We process personal data on your behalf. We inform you of an incident that concerns them, "
    "so that you can meet your own duties.",
    "customer_contract": "We inform you of an incident that concerns data we hold for you.",
    "cra": "We inform you that we are about to notify a large number of people, and of the time, "
    "distribution and content of these notices.",
    "acquirer": _CARDS,
    "card_brand": _CARDS,
    "insurer": "We give notice of an incident under our policy, and ask for your consent before costs arise.",
    "internal_register": "Entry in the internal register.",
}
TITLES = {
    **dict.fromkeys(("acquirer", "card_brand", "insurer", "csirt"), "Notification of a security incident"),
    "internal_register": "Entry in the register of personal data breaches",
}
GENERAL = "We notify you of an incident that concerns personal data."
BRIEF = ("nature", "when", "discovered", "data", "people", "measures", "contact")


def notice(
    dossier: Dossier, rule: Rule, supplements: Sent | None = None, changed: str = ""
) -> tuple[str, Filler]:
    """The notice under one rule, with every field that the rule demands."""
    filler = Filler(dossier, rule, rule.id)
    hidden = prohibited(rule)
    names = [name for name in content_of(rule) if name not in hidden]
    duty = dossier.duties.get(rule.id)
    earlier = supplements and {
        "when": stamp(supplements.sent_at),
        "channel": supplements.channel,
        "reference": supplements.reference,
    }
    text = render(
        "notice",
        {
            "title": TITLES.get(rule.recipient.type, "Notification of a personal data breach"),
            "organisation": dossier.plan.organisation.name,
            "recipient": duty.recipient if duty else rule.recipient.name,
            "citation": rule.citation,
            "incident": dossier.incident.id,
            "intro": INTRODUCTIONS.get(rule.recipient.type, GENERAL),
            "parts": filler.parts(names),
            "earlier": earlier,
            "changed": changed,
        },
    )
    return text, filler


def register_entry(dossier: Dossier) -> tuple[str, Filler]:
    """The entry that GDPR art. 33(5) asks for: facts, effects, remedial action, and the reasoning."""
    filler = Filler(dossier, None, "register")
    decided = [
        f"{duty.rule} ({duty.citation}): {duty.status.replace('_', ' ')}; {duty.why}"
        for duty in dossier.duties.values()
        if duty.rule.startswith(("EU-GDPR-33", "EU-GDPR-34")) or duty.status is DutyStatus.DUE
    ]
    risk = dossier.facts.answers.get("incident.risk_level")
    if risk is None or risk.value is None:
        assessed = filler.text("risk_assessment")
    else:
        when = f" on {stamp(risk.said_at)}" if risk.said_at else ""
        assessed = filler.text("risk_assessment", f"{risk.value} (assessed by {risk.said_by}{when})")
    fields = (
        "nature",
        "when",
        "discovered",
        "subject_kinds",
        "people",
        "data",
        "records",
        "consequences",
        "measures",
    )
    text = render(
        "register",
        {
            "incident": dossier.incident.id,
            "organisation": dossier.plan.organisation.name,
            "parts": [
                *filler.parts(fields),
                {"title": "Risk to the people affected", "text": assessed},
            ],
            "decisions": decided or ["No duty was found."],
            "made": [
                f"{one.rule}: {stamp(one.sent_at)} by {one.channel}, reference {one.reference}"
                for one in dossier.sent
            ],
        },
    )
    return text, filler


def vendor_notice(dossier: Dossier, touch: Touch) -> tuple[str, Filler]:
    filler = Filler(dossier, None, f"vendor {touch.vendor.name}")
    return _vendor(dossier, touch, "vendor_notice", {"parts": filler.parts(BRIEF)}), filler


def vendor_questions(dossier: Dossier, touch: Touch) -> tuple[str, Filler]:
    """What to ask the vendor, by when its contract says it must answer."""
    filler = Filler(dossier, None, f"vendor {touch.vendor.name}")
    owed = dossier.duties.get(answer_rule(touch.vendor))
    values: dict[str, object] = {
        "answer_by": stamp(owed.due_at) if owed and owed.due_at else None,
        "questions": QUESTIONS,
        "window": filler.part("when").text,
        "systems": ", ".join(systems_named(dossier.incident)),
    }
    return _vendor(dossier, touch, "vendor_questions", values), filler


def _vendor(dossier: Dossier, touch: Touch, template: str, values: dict[str, object]) -> str:
    common = {
        "vendor": touch.vendor,
        "organisation": dossier.plan.organisation.name,
        "clause": touch.vendor.clause or "our contract",
        "incident": dossier.incident.id,
    }
    return render(template, common | values)


def internal(dossier: Dossier, kind: str) -> tuple[str, Filler]:
    """For the board, the press desk or the support desk."""
    filler = Filler(dossier, None, kind)
    title, intro, fields, lines_title, lines = _INTERNAL[kind](dossier)
    values = {
        "title": title,
        "intro": intro,
        "parts": filler.parts(fields),
        "lines_title": lines_title,
        "lines": lines,
    }
    return render("internal", values), filler


Internal = tuple[str, str, tuple[str, ...], str, list[str]]


def _board(d: Dossier) -> Internal:
    timed = [one for one in d.duties.values() if one.status is DutyStatus.DUE and one.due_at]
    lines = [f"{stamp(one.due_at)}: {one.rule}, {one.recipient}" for one in timed[:20]]
    fields = ("nature", "when", "discovered", "people", "data", "consequences", "measures")
    return f"Board briefing: {d.incident.id}", "Confidential.", fields, "What is due", lines


def _press(d: Dossier) -> Internal:
    intro = (
        f"Only on request, and only by the communications lead. {d.plan.organisation.name} has found that "
        "unauthorised persons read data in its customer system."
    )
    lines = [
        "We do not comment on persons, on methods of the attack, or on figures that are not confirmed.",
        "People who are affected are told directly and first.",
    ]
    return f"Press statement: {d.incident.id}", intro, ("when", "data", "measures"), "Line to take", lines


def _support(d: Dossier) -> Internal:
    intro = "For everybody who talks to customers. Do not confirm or deny that a single person is affected."
    lines = [
        "Note name, way of contact and question; promise an answer from the privacy team, nothing else.",
        "Never ask a caller for a password or a card number.",
        "Pass on press, lawyers and authorities to the communications lead at once.",
    ]
    return (
        f"Guide for support: {d.incident.id}",
        intro,
        ("nature", "data", "advice", "contact"),
        "How to answer",
        lines,
    )


_INTERNAL = {"board": _board, "press": _press, "support": _support}
INTERNAL_KINDS = tuple(_INTERNAL)
