"""Letters to the people affected, in the languages of where they live."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from tasks.incident import AccessStatus
from tasks.notify.drafts.dossier import Dossier, paragraph
from tasks.notify.drafts.render import Filler, Part, content_of, prohibited, render
from tasks.notify.drafts.words import field_words, languages_of, letter_words, listed, written
from tasks.notify.rules import Rule
from tasks.notify.vocabulary import vocabulary

SECTIONS = ("nature", "data", "consequences", "measures", "advice", "contact")
# What the sections above answer already, whatever a rule calls it.
COVERED = frozenset({*SECTIONS, "when", "discovered", "organisation", "form_only", "prohibits"})
UNCLEAR_AUTHORITY = "DE"  # which of the Laender's authorities is competent depends on the seat


def letter_languages(dossier: Dossier, rule: Rule) -> list[str]:
    """The languages of the people whom this rule protects."""
    return languages_of(residences(dossier, rule)) or ["en"]


def residences(dossier: Dossier, rule: Rule) -> list[str]:
    """Where they live, as far as somebody may be affected there."""
    affected = dossier.facts.affected or {}
    there = [code for code, bounds in affected.items() if bounds is None or bounds.upper]
    return sorted(code for code in there if _covers(rule.jurisdiction, code))


def _covers(jurisdiction: str, code: str) -> bool:
    country = code.partition("-")[0]
    if jurisdiction == "EU":
        return country in vocabulary().eea
    return code == jurisdiction or country == jurisdiction or jurisdiction.startswith("XX")


def letter(dossier: Dossier, rule: Rule, language: str, supplements: Any = None) -> tuple[str, Filler]:
    """The letter's Markdown, and the filler that knows its gaps."""
    filler = Filler(dossier, rule, language)
    words = letter_words(language)
    hidden = prohibited(rule)
    parts = [
        Part(name, words["headings"][name], filler.text(name, _SECTION[name](dossier, language)))
        for name in SECTIONS
        if name not in hidden
    ]
    if complaint := _complaint(dossier, rule, language):
        parts.append(Part("complaint", words["headings"]["complaint"], filler.text("complaint", complaint)))
    for name in content_of(rule):
        kind = field_words().field_of(name)
        in_time = kind == "delay" and paragraph(dossier, "delay", rule)
        if kind in COVERED or kind in hidden or in_time or (kind == "complaint" and complaint):
            continue
        # What other languages need beyond the sections is for a person to write: no English in their letters.
        parts.append(filler.part(name) if language == "en" else Part(name, name, filler.text(name)))
    zone = ZoneInfo(dossier.plan.organisation.time_zone)
    text = render(
        "letter",
        {
            "words": words,
            "parts": parts,
            "organisation": dossier.plan.organisation.name,
            "earlier": written(supplements.sent_at, language, zone) if supplements else None,
        },
    )
    return text, filler


def _nature(d: Dossier, language: str) -> str:
    zone, window = ZoneInfo(d.plan.organisation.time_zone), d.incident.window
    clock = d.facts.clock("awareness")
    dates = {
        "start": written(window.start, language, zone),
        "end": written(window.end or d.at, language, zone),
        "aware": written(clock.value if clock else d.incident.aware_at, language, zone),
    }
    return str(letter_words(language)["nature" if window.end else "nature_open"].format(**dates))


def _data(d: Dossier, language: str) -> str | None:
    words = letter_words(language)
    names = [words["groups"][group] for group in field_words().groups_of(d.categories)]
    return str(words["data"].format(list=listed(names, language))) if names else None


def _risks(d: Dossier, language: str) -> str | None:
    return _bullets(d, language, "risks")


def _advice(d: Dossier, language: str) -> str | None:
    return _bullets(d, language, "advice")


def _bullets(d: Dossier, language: str, what: str) -> str | None:
    texts = letter_words(language)[what]
    return "\n".join(f"- {texts[risk]}" for risk in field_words().risks_of(d.categories)) or None


def _measures(d: Dossier, language: str) -> str | None:
    if d.containment is None:
        return None
    words, closed = letter_words(language), d.count(AccessStatus.CLOSED)
    sentences = [words["measures_closed"].format(closed=closed)] if closed else []
    sentences += [words["measures_open"].format(open=d.still_open)] if d.still_open else []
    return " ".join([*sentences, words["measures_general"]])


def _contact(d: Dossier, language: str) -> str:
    privacy = d.plan.roles["privacy"]
    return str(
        letter_words(language)["contact"].format(
            name=privacy.name, organisation=d.plan.organisation.name, email=privacy.email
        )
    )


def _complaint(d: Dossier, rule: Rule, language: str) -> str | None:
    """The right to complain, where an authority of the people's residence is known by name."""
    if d.fills.get(f"{language}:complaint"):
        return d.fills[f"{language}:complaint"]
    codes = [code for code in residences(d, rule) if language in languages_of([code])]
    names = [vocabulary().authorities.get(code) for code in codes if code != UNCLEAR_AUTHORITY]
    known = [name for name in names if name]
    if not known:
        return None
    return str(letter_words(language)["complaint"].format(authority=", ".join(dict.fromkeys(known))))


_SECTION = {
    "nature": _nature,
    "data": _data,
    "consequences": _risks,
    "measures": _measures,
    "advice": _advice,
    "contact": _contact,
}
