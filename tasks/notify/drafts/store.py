"""The drafts of an incident in its folder: versions, hashes, files; and the approvals bound to a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from blocks.errors import BadInput
from blocks.plan import Plan, Role
from tasks.incident import IncidentFolder, Ledger, Phase
from tasks.notify.drafts.formats import to_docx, to_html
from tasks.notify.records import append, locked, notify_file, read_all
from tasks.notify.roles import may_act_for
from tasks.notify.sent import Sent


@dataclass(frozen=True, slots=True)
class Draft:
    """One version of one text. `fields` are its paragraphs by name, to tell what a later version changes."""

    id: str
    rule: str | None
    kind: str
    language: str
    recipient: str
    role: str  # who must approve it
    version: int
    hash: str
    gaps: tuple[str, ...]
    made_at: datetime
    fields: Mapping[str, str]

    @property
    def stem(self) -> str:
        return f"{self.id}.v{self.version}"


@dataclass(frozen=True, slots=True)
class Approval:
    """One decision about exactly the text with this hash."""

    draft: str
    hash: str
    approved: bool
    role: str
    by: str
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fill:
    """What a person wrote for a field: `field`, or `SCOPE:field` for one rule or language only."""

    field: str
    text: str
    by: str
    at: datetime


def drafts_file(folder: IncidentFolder) -> Path:
    return notify_file(folder, "drafts.json")


def approvals_file(folder: IncidentFolder) -> Path:
    return notify_file(folder, "approvals.json")


def fills_file(folder: IncidentFolder) -> Path:
    return notify_file(folder, "fills.json")


def all_versions(folder: IncidentFolder) -> list[Draft]:
    return read_all(folder, drafts_file(folder), Draft)


def latest_drafts(folder: IncidentFolder) -> dict[str, Draft]:
    """The newest version of each draft."""
    return {draft.id: draft for draft in all_versions(folder)}


def all_approvals(folder: IncidentFolder) -> list[Approval]:
    return read_all(folder, approvals_file(folder), Approval)


def fill(folder: IncidentFolder, ledger: Ledger, field: str, text: str, by: str, at: datetime) -> Fill:
    """Write the text for a gap; the latest counts, all are kept. Raises BadInput for an empty one."""
    if not text.strip() or not field.strip():
        raise BadInput("The text for the field is empty.", "Write what belongs there, or that it is unknown.")
    written = Fill(field.strip(), text.strip(), by, at)
    with locked(folder):
        append(folder, fills_file(folder), Fill, [written])
    ledger.note(Phase.NOTIFY, "field completed", written.field, approver=by)
    return written


def fills(folder: IncidentFolder) -> dict[str, str]:
    return {one.field: one.text for one in read_all(folder, fills_file(folder), Fill)}


def keep(folder: IncidentFolder, new: Iterable[tuple[Draft, str]], sent: Iterable[Sent] = ()) -> list[Draft]:
    """Store what changed. A version that was decided on or sent stays as it is, and a new one follows it.

    The caller holds the lock.
    """
    versions = all_versions(folder)
    decided = {(one.draft, one.hash) for one in all_approvals(folder)}
    gone = list(sent)
    changed = []
    for draft, text in new:
        before = next((one for one in reversed(versions) if one.id == draft.id), None)
        if before is not None and before.hash == draft.hash:
            continue
        out = before is not None and any(
            one.rule == before.rule and one.recorded_at >= before.made_at for one in gone
        )
        if before is not None and not out and (before.id, before.hash) not in decided:
            versions.remove(before)
        version = 1 + max((one.version for one in versions if one.id == draft.id), default=0)
        stored = _with_version(draft, version)
        _write(folder, stored, text)
        versions.append(stored)
        changed.append(stored)
    folder.write(drafts_file(folder), versions)
    return changed


def _with_version(draft: Draft, version: int) -> Draft:
    values = {name: getattr(draft, name) for name in draft.__dataclass_fields__}
    return Draft(**(values | {"version": version}))


def _write(folder: IncidentFolder, draft: Draft, text: str) -> None:
    drafts = folder.sub("drafts")
    contents = {
        "md": text.encode(),
        "html": to_html(text, draft.language).encode(),
        "docx": to_docx(text, draft.language),
    }
    for extension, content in contents.items():
        path = drafts / f"{draft.stem}.{extension}"
        path.touch(mode=0o600)
        path.write_bytes(content)


def draft_text(folder: IncidentFolder, draft: Draft) -> str:
    return (folder.sub("drafts") / f"{draft.stem}.md").read_text(encoding="utf-8")


def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# --- deciding ------------------------------------------------------------------------------------


def decide(
    folder: IncidentFolder,
    ledger: Ledger,
    plan: Plan,
    draft_id: str,
    content_hash: str,
    person: Role,
    approved: bool,
    at: datetime,
    reason: str = "",
) -> Approval:
    """Approve or reject a text. The same decision by the same person again changes nothing.

    Raises BadInput when there is no such draft, it has changed since it was shown, it has gaps, or the person
    may not decide on it.
    """
    with locked(folder):
        draft = latest_drafts(folder).get(draft_id)
        if draft is None:
            raise BadInput(f"There is no draft {draft_id!r}.", "`leak-response incident drafts` lists them.")
        if not may_act_for(person.key, draft.role, plan):
            raise BadInput(
                f"{person.key} may not decide on {draft_id}.", f"The plan leaves it to {draft.role}."
            )
        if draft.hash != content_hash:
            raise BadInput(f"{draft_id} has changed since it was shown.", "Read the new version first.")
        if approved and draft.gaps:
            raise BadInput(f"{draft_id} has gaps: {', '.join(draft.gaps[:8])}.", "Complete them first.")
        found = [one for one in all_approvals(folder) if (one.draft, one.hash) == (draft_id, content_hash)]
        if found and (found[-1].approved, found[-1].role) == (approved, person.key):
            return found[-1]
        decision = Approval(draft_id, content_hash, approved, person.key, person.name, at, reason)
        ledger.note(
            Phase.NOTIFY,
            "draft approved" if approved else "draft rejected",
            draft_id,
            content_hash=content_hash,
            approved=approved,
            approver=person.key,
            reason=reason or None,
        )
        append(folder, approvals_file(folder), Approval, [decision])
    return decision


def is_approved(folder: IncidentFolder, draft: Draft) -> bool:
    """Whether the last decision about exactly this text was to approve it."""
    found = [one for one in all_approvals(folder) if (one.draft, one.hash) == (draft.id, draft.hash)]
    return bool(found) and found[-1].approved


def approved_hashes(folder: IncidentFolder) -> dict[str, str]:
    """By rule, the hash of its text when all its drafts (all languages) are approved as they are now."""
    by_rule: dict[str, list[Draft]] = {}
    for draft in latest_drafts(folder).values():
        if draft.rule:
            by_rule.setdefault(draft.rule, []).append(draft)
    return {
        rule: rule_hash(drafts)
        for rule, drafts in by_rule.items()
        if all(is_approved(folder, draft) for draft in drafts)
    }


def rule_hash(drafts: Iterable[Draft]) -> str:
    """One hash for the drafts of a rule: the draft's own when there is one."""
    hashes = sorted(draft.hash for draft in drafts)
    return hashes[0] if len(hashes) == 1 else text_hash("\n".join(hashes))
