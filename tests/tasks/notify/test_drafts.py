"""Drafts: every demanded field is there or a visible gap; languages follow residence; approval binds."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jinja2 import UndefinedError

from blocks.errors import BadInput
from tasks.incident import Access, AccessStatus, Containment, Proof, ProofMethod, System
from tasks.notify.drafts.formats import blocks, to_docx, to_html
from tasks.notify.drafts.letters import SECTIONS
from tasks.notify.drafts.make import make_drafts
from tasks.notify.drafts.render import content_of, render
from tasks.notify.drafts.store import (
    Draft,
    all_versions,
    approved_hashes,
    decide,
    draft_text,
    fill,
    is_approved,
    latest_drafts,
)
from tasks.notify.drafts.words import LANGUAGES, field_words, languages_of, letter_words
from tasks.notify.roles import approver_of, role_of
from tasks.notify.rules import all_rules
from tasks.notify.run import facts_of
from tasks.notify.sent import Sent, confirm_sent
from tests.tasks.notify.world import AWARE, World

HOUR = timedelta(hours=1)
ANSWERS = {"incident.risk_level": "high", "incident.le_hold": [], "incident.malicious": True}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.new(tmp_path)
    world.scope({"DE": 12, "FR": 4, "BE": 3, "IT": 2, "US-CA": 900})
    access = Access(System.SALESFORCE, "oauth-grants", "Support Chat", "0X1")
    proof = Proof(ProofMethod.ATTEMPT, True, "refused", AWARE)
    world.folder.write(
        world.folder.containment,
        [
            Containment(access, AccessStatus.CLOSED, proof, 3.0),
            Containment(replace(access, ref="0X2"), AccessStatus.MANUAL, None, 3.0),
        ],
    )
    world.clocks(AWARE, ANSWERS)
    return world


def make(world: World, hours: int = 1) -> dict[str, Draft]:
    facts = facts_of(world.incident, world.plan, world.folder)
    made = make_drafts(world.incident, world.plan, world.folder, world.ledger, facts, AWARE + hours * HOUR)
    return {draft.id: draft for draft in made}


def approve(world: World, draft: Draft, role: str = "privacy") -> None:
    person = role_of(role, world.plan)
    decide(world.folder, world.ledger, world.plan, draft.id, draft.hash, person, True, AWARE + HOUR)


def test_the_regulators_notice_carries_what_article_33_demands(world: World) -> None:
    draft = make(world)["EU-GDPR-33-1"]
    assert draft.gaps == () and draft.role == "privacy"
    text = draft_text(world.folder, draft)
    assert "921 people. Of these, 21 live in the EU and EEA." in text
    assert "1 accesses in salesforce were closed; for each it was proven" in text
    assert "1 further accesses are still being closed" in text
    for wanted in ("Likely consequences", "lukas.brandt@lab.example", "Business contacts"):
        assert wanted in text
    assert set(content_of(all_rules()["EU-GDPR-33-1"])) >= set(draft.fields)


def test_every_rule_has_each_field_or_a_visible_gap(world: World) -> None:
    """All 294 rules as if due: no field is dropped, none is empty, and every gap is in the text."""
    from tasks.notify.drafts.letters import letter
    from tasks.notify.drafts.make import dossier_of
    from tasks.notify.drafts.notices import notice

    dossier = dossier_of(
        world.incident, world.plan, world.folder, facts_of(world.incident, world.plan, world.folder), AWARE
    )
    for rule in all_rules().values():
        if rule.recipient.type == "data_subject":
            text, filler = letter(dossier, rule, "en")
        else:
            text, filler = notice(dossier, rule)
        kinds = {field_words().field_of(name) or name for name in filler.texts} | set(filler.texts)
        for name in content_of(rule):
            kind = field_words().field_of(name)
            covered = rule.recipient.type == "data_subject" and kind in (
                *SECTIONS, "when", "discovered", "organisation", "delay", "complaint",
            )  # fmt: skip
            assert covered or kind in ("form_only", "prohibits") or (kind or name) in kinds, (rule.id, name)
        assert sorted(set(re.findall(r"\[TO BE COMPLETED: ([^\]]+)\]", text))) == sorted(set(filler.gaps))
        assert not re.search(r"## [^\n]+\n\n(##|$)", text), rule.id  # no section without text


@pytest.mark.parametrize(
    ("code", "languages"),
    [("DE", ["de"]), ("BE", ["fr", "nl"]), ("CH", ["de", "fr", "it"]), ("BR", ["pt"]), ("US-CA", ["en"]),
     ("CA-QC", ["en", "fr"]), ("CA-ON", ["en"]), ("PL", ["en"]), ("ES", ["es"])],
)  # fmt: skip
def test_the_language_follows_residence(code: str, languages: list[str]) -> None:
    assert languages_of([code]) == languages


def test_letters_in_the_languages_of_those_affected(world: World) -> None:
    drafts = make(world)
    letters = {name for name in drafts if name.startswith("EU-GDPR-34.")}
    assert letters == {f"EU-GDPR-34.{code}" for code in ("de", "fr", "it", "nl")}
    text = draft_text(world.folder, drafts["EU-GDPR-34.de"])
    assert "Seit dem 21. November 2026" in text and "Kontaktdaten wie Anschrift" in text
    assert "CNIL" in draft_text(world.folder, drafts["EU-GDPR-34.fr"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_everything(language: str) -> None:
    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: shape(inner) for name, inner in value.items()}
        return len(value) if isinstance(value, list) else sorted(set(re.findall(r"\{(\w+)\}", value)))

    words = letter_words(language)
    assert shape(words) == shape(letter_words("en"))
    assert set(words["groups"]) == set(field_words().groups)
    assert set(words["risks"]) == set(words["advice"]) == set(field_words().risks.values())
    if language != "en":
        english = letter_words("en")
        assert not [name for name in words["groups"] if words["groups"][name] == english["groups"][name]]


def test_what_massachusetts_forbids_is_not_said(world: World) -> None:
    world.scope({"US-MA": 900}, ("name", "ssn"))
    world.clocks(AWARE, {"incident.us_no_harm_documented": []})
    text = draft_text(world.folder, make(world)["US-MA-IND.en"])
    assert "What Happened" not in text and "900" not in text and "What You Can Do" in text


def test_a_missing_field_is_a_gap_that_blocks_approval_until_it_is_written(world: World) -> None:
    world.folder.containment.unlink()
    draft = make(world)["EU-GDPR-33-1"]
    assert draft.gaps == ("measures_taken_or_proposed",)
    assert "[TO BE COMPLETED: measures_taken_or_proposed]" in draft_text(world.folder, draft)
    with pytest.raises(BadInput, match="has gaps"):
        approve(world, draft)
    fill(world.folder, world.ledger, "measures_taken_or_proposed", "All closed.", "privacy", AWARE)
    again = make(world)["EU-GDPR-33-1"]
    assert again.gaps == () and "All closed." in draft_text(world.folder, again)
    approve(world, again)
    assert approved_hashes(world.folder)["EU-GDPR-33-1"] == again.hash


def test_only_the_role_of_the_plan_or_its_deputy_approves_and_only_what_was_shown(world: World) -> None:
    draft = make(world)["EU-GDPR-33-1"]
    with pytest.raises(BadInput, match="leaves it to privacy"):
        approve(world, draft, "comms")
    approve(world, draft, "legal")  # the deputy of privacy
    world.scope({"DE": 13})
    changed = make(world)["EU-GDPR-33-1"]
    assert changed.version == draft.version + 1 and not is_approved(world.folder, changed)
    with pytest.raises(BadInput, match="has changed"):
        approve(world, draft)
    assert draft_text(world.folder, draft) != draft_text(world.folder, changed)  # the old one is kept


def test_a_double_click_is_one_decision_and_a_rejection_counts(world: World) -> None:
    draft = make(world)["EU-GDPR-33-1"]
    approve(world, draft)
    approve(world, draft)
    assert world.notes("draft approved") == ["EU-GDPR-33-1"]
    decide(
        world.folder, world.ledger, world.plan, draft.id, draft.hash,
        role_of("legal", world.plan), False, AWARE, "figures",
    )  # fmt: skip
    assert "EU-GDPR-33-1" not in approved_hashes(world.folder)


def test_making_them_again_changes_nothing(world: World) -> None:
    before = {name: draft.hash for name, draft in make(world).items()}
    assert {name: draft.hash for name, draft in make(world, 2).items()} == before
    assert len(all_versions(world.folder)) == len(before)


def test_what_was_sent_is_supplemented_when_the_figures_change(world: World) -> None:
    draft = make(world)["EU-GDPR-33-1"]
    approve(world, draft)
    at = AWARE + 5 * HOUR
    sent = Sent("EU-GDPR-33-1", at, "online form", "AZ-77", "privacy", at, draft_hash=draft.hash)
    confirm_sent(world.folder, world.ledger, sent, approved_hashes(world.folder))
    assert latest_drafts(world.folder)["EU-GDPR-33-1"].hash == make(world, 6)["EU-GDPR-33-1"].hash
    world.scope({"DE": 40})
    second = make(world, 7)["EU-GDPR-33-1"]
    text = draft_text(world.folder, second)
    assert "supplements the one sent on 2026-11-23 13:00 UTC by online form, reference AZ-77" in text
    assert "Changed since then: " in text and "approx_number_of_data_subjects_where_possible" in text
    approve(world, second)
    amended = replace(sent, sent_at=at + 9 * HOUR, recorded_at=at + 9 * HOUR, reference="AZ-78",
                      draft_hash=second.hash, amends="AZ-77")  # fmt: skip
    confirm_sent(world.folder, world.ledger, amended, approved_hashes(world.folder))


def test_late_is_a_gap_until_somebody_says_why(world: World) -> None:
    draft = make(world, 73)["EU-GDPR-33-1"]
    assert draft.gaps == ("reasons_for_delay_if_after_72h",)


def test_the_register_entry_is_written_for_every_incident(tmp_path: Path) -> None:
    empty = World.new(tmp_path)
    empty.clocks(AWARE)
    drafts = make(empty)
    text = draft_text(empty.folder, drafts["register"])
    assert "Article 33(5)" in text and "risk_assessment" in drafts["register"].gaps
    assert {"board", "press", "support"} <= drafts.keys()
    assert ("EU-GDPR-33-1" in text and "undetermined" in text) or "not due" in text


def test_the_vendor_gets_notice_and_questions(world: World) -> None:
    drafts = make(world)
    questions = draft_text(world.folder, drafts["VENDOR-CHATWISE-ANSWER"])
    assert "answer by 2026-11-25 08:00 UTC" in questions and "keep all logs" in questions
    assert "VENDOR-OTHER-MIDDLEWARE-NOTICE" not in drafts
    assert "DPA 8.2" in draft_text(world.folder, drafts["VENDOR-CHATWISE-NOTICE"])


def test_a_template_never_leaves_out_a_name() -> None:
    with pytest.raises(UndefinedError):
        render("notice", {"title": "x"})


def test_who_approves_what(world: World) -> None:
    assert approver_of("EU-GDPR-33-1", world.plan) == "privacy"
    assert approver_of("PCI-ACQUIRER-IMMEDIATE", world.plan) == "legal"
    assert approver_of("VENDOR-CHATWISE-NOTICE", world.plan) == "legal"
    assert approver_of("VENDOR-CHATWISE-ANSWER", world.plan) == "integration_engineer"


NASTY = (
    "# Title\n\nText with **bold**, <script>alert(1)</script> & [TO BE COMPLETED: cause]\n\n"
    "- one\n- two\x07\n"
)


def test_html_escapes_and_marks_gaps() -> None:
    page = to_html(NASTY, "en")
    assert "<script>" not in page and "&lt;script&gt;" in page and "<strong>bold</strong>" in page
    assert "<mark>[TO BE COMPLETED: cause]</mark>" in page and "<ul><li>one</li><li>two" in page


def test_the_word_document_is_whole_and_says_the_same() -> None:
    data = to_docx(NASTY, "de")
    assert data == to_docx(NASTY, "de")
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        assert package.testzip() is None
        parts = {name: ElementTree.fromstring(package.read(name)) for name in package.namelist()}
    main = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
    paragraphs = ["".join(text.text or "" for text in p.iter(f"{main}t"))
                  for p in parts["word/document.xml"].iter(f"{main}p")]  # fmt: skip
    assert paragraphs == ["Title", "Text with bold, <script>alert(1)</script> & [TO BE COMPLETED: cause]",
                          "• one", "• two"]  # fmt: skip
    assert [block.kind for block in blocks(NASTY)] == ["h1", "p", "li", "li"]


def test_all_formats_are_in_the_folder_for_their_owner_only(world: World) -> None:
    draft = make(world)["EU-GDPR-33-1"]
    files = {path.suffix: path for path in (world.folder.path / "drafts").glob(f"{draft.stem}.*")}
    assert files.keys() == {".md", ".html", ".docx"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in files.values())
