"""Makes every draft that the duties call for, and those that every incident needs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from blocks.plan import Plan
from tasks.incident import (
    Containment,
    Duty,
    DutyStatus,
    Incident,
    IncidentFolder,
    Ledger,
    Phase,
    ScopeSummary,
)
from tasks.notify.answers import vendor_answers
from tasks.notify.drafts.dossier import Dossier
from tasks.notify.drafts.letters import letter, letter_languages
from tasks.notify.drafts.notices import (
    INTERNAL_KINDS,
    internal,
    notice,
    register_entry,
    vendor_notice,
    vendor_questions,
)
from tasks.notify.drafts.render import Filler
from tasks.notify.drafts.store import (
    Draft,
    all_approvals,
    all_versions,
    fills,
    keep,
    latest_drafts,
    text_hash,
)
from tasks.notify.facts import Facts
from tasks.notify.records import locked
from tasks.notify.roles import approver_of
from tasks.notify.rules import Rule, all_rules
from tasks.notify.sent import Sent, all_sent
from tasks.notify.vendors import answer_rule, notice_rule, touches

INTERNAL_ROLES = {"board": "incident_commander", "press": "comms", "support": "comms"}
Made = tuple[Draft, str]


def make_drafts(
    incident: Incident, plan: Plan, folder: IncidentFolder, ledger: Ledger, facts: Facts, at: datetime
) -> list[Draft]:
    """Write all drafts into the folder; returns the newest version of each."""
    dossier = dossier_of(incident, plan, folder, facts, at)
    with locked(folder):
        changed = keep(folder, list(_all(dossier, folder)), dossier.sent)
    for draft in changed:
        ledger.note(
            Phase.NOTIFY,
            "draft made",
            draft.id,
            content_hash=draft.hash,
            version=draft.version,
            missing_count=len(draft.gaps),
        )
    return list(latest_drafts(folder).values())


def dossier_of(incident: Incident, plan: Plan, folder: IncidentFolder, facts: Facts, at: datetime) -> Dossier:
    """What the folder knows, gathered for the drafts."""
    contained = folder.read(folder.containment, list[Containment])
    return Dossier(
        incident=incident,
        plan=plan,
        facts=facts,
        scope=folder.read(folder.scope, ScopeSummary),
        containment=tuple(contained) if contained is not None else None,
        duties={duty.rule: duty for duty in folder.read(folder.duties, list[Duty]) or []},
        sent=tuple(all_sent(folder)),
        fills=fills(folder),
        at=at,
    )


def _all(dossier: Dossier, folder: IncidentFolder) -> Iterator[Made]:
    for duty in dossier.duties.values():
        rule = all_rules().get(duty.rule)
        if rule is not None and duty.status is DutyStatus.DUE:
            yield from _for_rule(dossier, folder, rule, duty)
    yield from _for_vendors(dossier, folder)
    text, filler = register_entry(dossier)
    yield _draft(dossier, "register", None, "register", "en", "Breach register", "privacy", text, filler)
    for kind in INTERNAL_KINDS:
        text, filler = internal(dossier, kind)
        yield _draft(dossier, kind, None, kind, "en", kind, INTERNAL_ROLES[kind], text, filler)


def _for_rule(dossier: Dossier, folder: IncidentFolder, rule: Rule, duty: Duty) -> Iterator[Made]:
    role = approver_of(rule.id, dossier.plan)
    earlier = _sent_text(dossier, folder, rule.id)
    if rule.recipient.type == "data_subject":
        for language in letter_languages(dossier, rule):
            name = f"{rule.id}.{language}"
            text, filler = letter(dossier, rule, language)
            if earlier and _changed(earlier[1].get(name), filler):
                text, filler = letter(dossier, rule, language, earlier[0])
            elif earlier:
                continue
            yield _draft(dossier, name, rule.id, "letter", language, duty.recipient, role, text, filler)
        return
    text, filler = notice(dossier, rule)
    if earlier:
        changed = _changed(earlier[1].get(rule.id), filler)
        if not changed:
            return  # what was sent still holds
        text, filler = notice(dossier, rule, earlier[0], ", ".join(changed))
    yield _draft(dossier, rule.id, rule.id, "notice", "en", duty.recipient, role, text, filler)


def _for_vendors(dossier: Dossier, folder: IncidentFolder) -> Iterator[Made]:
    plan = dossier.plan
    for touch in touches(dossier.incident, plan, dossier.facts, vendor_answers(folder)):
        if not touch.touched:
            continue
        for rule, write in (
            (notice_rule(touch.vendor), vendor_notice),
            (answer_rule(touch.vendor), vendor_questions),
        ):
            if rule in dossier.duties:
                text, filler = write(dossier, touch)
                role = "legal" if write is vendor_questions else approver_of(rule, plan)
                kind = "questions" if write is vendor_questions else "notice"
                yield _draft(dossier, rule, rule, kind, "en", touch.vendor.name, role, text, filler)


def _sent_text(dossier: Dossier, folder: IncidentFolder, rule: str) -> tuple[Sent, dict[str, Draft]] | None:
    """The last notice sent under a rule, and the version of each draft that it was."""
    sent = dossier.sent_for(rule)
    if not sent:
        return None
    approved = {(one.draft, one.hash) for one in all_approvals(folder) if one.approved}
    versions = [one for one in all_versions(folder) if one.rule == rule]
    known = [one for one in versions if one.made_at <= sent[-1].recorded_at]
    was = {one.id: one for one in known}
    return sent[-1], was | {one.id: one for one in known if (one.id, one.hash) in approved}


def _changed(before: Draft | None, filler: Filler) -> list[str]:
    """The fields that say something else than in the version that was sent."""
    known = before.fields if before else {}
    return sorted(name for name, text in filler.texts.items() if known.get(name) != text)


def _draft(
    dossier: Dossier,
    name: str,
    rule: str | None,
    kind: str,
    language: str,
    recipient: str,
    role: str,
    text: str,
    filler: Filler,
) -> Made:
    draft = Draft(
        id=name,
        rule=rule,
        kind=kind,
        language=language,
        recipient=recipient,
        role=role,
        version=0,
        hash=text_hash(text),
        gaps=tuple(dict.fromkeys(filler.gaps)),
        made_at=dossier.at,
        fields=dict(filler.texts),
    )
    return draft, text
