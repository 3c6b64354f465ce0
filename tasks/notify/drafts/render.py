"""Renders one draft. A field nobody can fill becomes a visible gap, and gaps keep a draft from approval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.notify.drafts.dossier import Dossier, paragraph
from tasks.notify.drafts.words import field_words
from tasks.notify.rules import Rule, all_rules

TEMPLATES = Path(__file__).parent.parent / "templates"
NO_CONTENT = ("nature", "data", "people", "consequences", "measures", "contact")


@dataclass(frozen=True, slots=True)
class Part:
    """One section: the field it answers, its heading, its text."""

    name: str
    title: str
    text: str


@dataclass(slots=True)
class Filler:
    """Fills fields for one draft and keeps what it could not fill."""

    dossier: Dossier
    rule: Rule | None = None
    scope: str = ""  # whose fills count first: the rule's id or the letter's language
    gaps: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    def text(self, name: str, known: str | None = None) -> str:
        """What people wrote for the field, else what is known of it, else a gap."""
        fills = self.dossier.fills
        written = fills.get(f"{self.scope}:{name}") or (fills.get(name) if known is None else None)
        text = written or known
        if text is None or not text.strip():
            self.gaps.append(name)
            text = f"[TO BE COMPLETED: {name}]"
        self.texts[name] = text
        return text

    def part(self, name: str) -> Part:
        """One content field of a rule, with the paragraph that answers it."""
        kind = field_words().field_of(name) if name not in field_words().titles else name
        title = field_words().titles.get(kind or "", readable(name))
        known = paragraph(self.dossier, kind, self.rule) if kind else None
        fills = self.dossier.fills
        overriding = fills.get(f"{self.scope}:{kind}") or (fills.get(kind or "") if known is None else None)
        return Part(name, title, self.text(name, overriding or known))

    def parts(self, names: Iterable[str]) -> list[Part]:
        """The fields in order; what two names ask alike is said once, and what is only form is left out."""
        found: dict[str, Part] = {}
        for name in names:
            kind = field_words().field_of(name)
            if kind in ("form_only", "prohibits"):
                continue
            if (kind or name) not in found:
                found[kind or name] = self.part(name)
        return list(found.values())


def content_of(rule: Rule) -> tuple[str, ...]:
    """The fields a rule demands; "as RULE" stands for the fields of another rule."""
    names: list[str] = []
    for name in rule.content or NO_CONTENT:
        other = name.removeprefix("same_items_").removeprefix("as").lstrip(" _").split(" ")[0]
        refers = name.startswith(("as ", "same_items_as_")) and other.removeprefix("as_") in all_rules()
        names += content_of(all_rules()[other.removeprefix("as_")]) if refers else [name]
    return tuple(dict.fromkeys(names))


def prohibited(rule: Rule) -> frozenset[str]:
    """What the notice of this rule must not say."""
    found = {name for name in rule.content if field_words().field_of(name) == "prohibits"}
    words = " ".join(found)
    return frozenset(
        kind
        for kind, word in (("nature", "nature"), ("people", "number"), ("residents", "number"))
        if word in words
    )


def render(template: str, values: Mapping[str, Any]) -> str:
    """A template with its values; a name that nobody gives raises, it is never an empty string."""
    return _environment().get_template(f"{template}.md.j2").render(**values).strip() + "\n"


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,  # noqa: S701 - Markdown; the HTML writer escapes
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def readable(name: str) -> str:
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]
