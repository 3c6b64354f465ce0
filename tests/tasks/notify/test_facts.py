"""Facts files: what is refused, with which message, and that nothing odd turns into silence."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.errors import BadInput
from tasks.incident import Bounds, DutyStatus, Incident, ScopeSummary, Suspect, SuspectKind, Window
from tasks.notify.duties import duties, explain
from tasks.notify.facts import Facts, load_facts
from tasks.notify.known import known_facts

ON = date(2026, 11, 23)
BASE: dict[str, Any] = {
    "incident.role": "controller",
    "incident.risk_level": "high",
    "incident.affected": {"DE": 3},
    "incident.clocks.awareness": "2026-11-23T09:00:00+01:00",
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("incident.rol: controller", "Did you mean incident.role"),
        ("incident.role: boss", "one of controller"),
        ("incident.affected: 5", "a mapping such as"),
        ("incident.affected: {ZZ: 5}", "no jurisdiction"),
        ("incident.affected: {US-ZZ: 5}", "no jurisdiction"),
        ("incident.affected: {DE: -1}", "zero or more"),
        ("incident.affected: {DE: 1.5}", "zero or more"),
        ("incident.affected: {DE: true}", "zero or more"),
        ("incident.affected: {DE: 5, DE: 6}", "given twice"),
        ("incident.clocks.awareness: 2026-11-23T09:00:00", "no time zone"),
        ("incident.clocks.awareness: yesterday", "not ISO 8601"),
        ("incident.clocks.awarenes: 2026-11-23T09:00:00Z", "Did you mean incident.clocks.awareness"),
        ("incident.malicious: maybe", "true, false or null"),
        ("incident.data_categories: name", "a list"),
        ("incident.data_categories: [nme]", "vocabulary"),
        ("- a list", "not a mapping"),
        ("{", "not valid YAML"),
        ("org.established_in.XX: true", "no known jurisdiction"),
    ],
)
def test_refused(tmp_path: Path, text: str, wanted: str) -> None:
    path = tmp_path / "facts.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as refused:
        load_facts(path)
    assert wanted in str(refused.value)


def test_norway_is_a_country(tmp_path: Path) -> None:
    path = tmp_path / "facts.yaml"
    path.write_text("incident.affected: {NO: 7}\n", encoding="utf-8")
    bounds = load_facts(path).count("NO")
    assert bounds is not None and bounds.lower == 7


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no facts file"):
        load_facts(tmp_path / "none.yaml")


def test_a_null_count_is_unknown_and_an_absent_one_zero() -> None:
    found = {d.rule: d for d in duties(Facts.of({**BASE, "incident.affected": {"DE": 3, "GB": None}}), ON)}
    assert found["EU-GDPR-33-1"].status is DutyStatus.DUE
    assert found["GB-UKGDPR-33-1"].status is DutyStatus.UNDETERMINED
    assert found["GB-UKGDPR-33-1"].missing == ("incident.affected.GB",)
    assert found["GB-UKGDPR-33-1"].due_at is not None  # scheduled at the earliest all the same
    assert found["BR-LGPD-48-ANPD"].status is DutyStatus.NOT_DUE


def test_without_any_count_nobody_is_left_out() -> None:
    facts = {key: value for key, value in BASE.items() if key != "incident.affected"}
    found = {d.rule: d for d in duties(Facts.of(facts), ON)}
    assert found["EU-GDPR-33-1"].status is DutyStatus.UNDETERMINED


def test_people_without_a_state_may_live_in_any_of_them() -> None:
    facts = {**BASE, "incident.affected": {"US": 900}, "incident.data_categories": ["name", "ssn"]}
    found = {d.rule: d for d in duties(Facts.of({**facts, "incident.encryption": "none"}), ON)}
    assert found["US-CA-IND"].status is DutyStatus.UNDETERMINED


def test_thousands_of_jurisdictions_are_read_or_refused() -> None:
    codes = {f"US-{letter}{other}": 1 for letter in "ABCDEFGHIJ" for other in "ABCDEFGHIJ"}
    with pytest.raises(BadInput):
        Facts.of({"incident.affected": codes})
    subdivisions = {f"DE-{number}": 1 for number in range(999)} | {f"FR-{number}": 1 for number in range(999)}
    found = {d.rule: d for d in duties(Facts.of({**BASE, "incident.affected": subdivisions}), ON)}
    assert found["EU-GDPR-33-1"].status is DutyStatus.DUE


def test_explain_shows_each_condition() -> None:
    text = explain("EU-GDPR-33-1", Facts.of(BASE), ON)
    assert "due 2026-11-26T08:00:00+00:00" in text and "yes     people affected in EEA >= 1 (3)" in text
    with pytest.raises(BadInput):
        explain("EU-GDPR-99", Facts.of(BASE), ON)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(
    [
        "incident.role",
        "incident.affected",
        "incident.affected.DE",
        "incident.clocks.awareness",
        "incident.data_categories",
        "incident.encryption",
        "incident.le_hold",
        "incident.risk_level",
        "incident.us_no_harm_documented",
        "org.sectors",
        "org.annual_turnover_aud",
        "org.eu_main_establishment",
        "engine.enable_proposed",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(keys | st.text(max_size=10), junk, max_size=4))
def test_junk_is_refused_or_leaves_the_known_duty_standing(values: dict[str, Any]) -> None:
    """Whatever is added to good facts: a clear refusal, or the duty they demand is not silenced."""
    try:
        facts = Facts.of({**BASE, **values})
    except BadInput as refused:
        assert refused.problem and refused.fix
        return
    duty = next(d for d in duties(facts, ON) if d.rule == "EU-GDPR-33-5")
    overridden = {"incident.role", "incident.affected", "incident.affected.DE"} & values.keys()
    if not overridden:
        assert duty.status is DutyStatus.DUE
    elif values.get("incident.role", "controller") is None or values.get("incident.affected", 1) is None:
        assert duty.status is not DutyStatus.NOT_DUE


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_facts_file_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("facts") / "facts.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        load_facts(path)
    except BadInput as refused:
        assert refused.fix


def test_our_own_yaml_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "facts.yaml"
    path.write_text(yaml.safe_dump(BASE), encoding="utf-8")
    assert load_facts(path).count("DE") == Facts.of(BASE).count("DE")


def test_bulk_results_that_were_fetched_are_presumed_to_have_been_fetched_whole() -> None:
    """No log tells how many rows a fetch took; the lower bound stays low, the duties do not wait for it."""
    aware = datetime(2026, 11, 24, 9, tzinfo=UTC)
    suspects = (Suspect(SuspectKind.CONNECTED_APP, "Support Chat"),)
    incident = Incident("facts-1", "a leak", suspects, Window(aware), aware, aware, "lab")
    summary = ScopeSummary(
        records=Bounds(1, 900),
        subjects=Bounds(1, 900),
        records_by_object={"Contact": 900},
        by_residence={"DE": Bounds(0, 600), "FR": Bounds(0, 300)},
        by_category={"contact": Bounds(0, 900)},
        coverage=(),
        queries=1,
        unparsed_queries=0,
        as_of=aware,
        presumed={"DE": 600, "FR": 5000},
    )
    counts = known_facts(incident, {}, summary).affected
    assert counts == {"DE": Bounds(600, 600), "FR": Bounds(300, 300)}  # never more than the upper bound
