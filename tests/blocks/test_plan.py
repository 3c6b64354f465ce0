"""The response plan: what it holds, and that every complaint names file, line and key."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import yaml

from blocks.errors import BadInput, PlanError
from blocks.plan import (
    DANGEROUS_PERMISSIONS,
    PRINCIPAL_KINDS,
    SYSTEMS,
    load_plan,
    parse_plan,
    validate_plan,
)
from tasks.incident import SuspectKind, System

EXAMPLE = Path(__file__).parent / "data" / "plan.yaml"
TEXT = EXAMPLE.read_text()


def test_the_example_reads_whole() -> None:
    plan = load_plan(EXAMPLE)
    assert plan.organisation.established_in == ("DE", "NO", "GB", "US")  # NO is a country, not a false
    assert plan.role("privacy").deputy == "legal"
    chat = plan.integration_of("aws-user", "support-attachments")
    assert chat is not None and [one.name for one in chat.consumers] == ["chat-gateway", "chat-web"]
    vendor = plan.vendor("Chatty Inc")
    assert vendor is not None and (vendor.from_vendor_hours, vendor.to_vendor_hours) == (24, 48)
    assert plan.systems["salesforce"].max_closes == 6000
    assert plan.policies.dangerous_permissions == DANGEROUS_PERMISSIONS
    assert plan.policies.approval.default == "wait"
    assert plan.policies.watch.remind_at == (0.5, 0.1)
    assert plan.text == TEXT


def test_manual_steps_have_an_owner() -> None:
    plan = load_plan(EXAMPLE)
    assert plan.owner_of("connected-app", "Support Chat").key == "integration_engineer"
    assert plan.owner_of("salesforce-user", "somebody@else.example").key == "salesforce_admin"
    assert plan.owner_of("vault-approle", "unknown").key == "integration_engineer"
    with pytest.raises(BadInput, match="no role 'pricacy'") as caught:
        plan.role("pricacy")
    assert "Did you mean privacy?" in caught.value.fix


def test_protected_principals_are_known_in_any_spelling() -> None:
    plan = load_plan(EXAMPLE)
    assert plan.is_protected("aws-role", "Payroll")
    assert plan.is_protected("salesforce-user", "BREAKGLASS@northwind.example")
    assert not plan.is_protected("aws-user", "payroll")
    assert not plan.is_protected("salesforce-user", "support-chat@lab.example")


def test_facts_are_in_the_words_of_the_duty_rules() -> None:
    facts = load_plan(EXAMPLE).facts()
    assert facts["incident.role"] == "controller"
    assert facts["org.sectors"] == ["ecomm_platform", "card_merchant"]
    assert facts["org.established_in.NO"] is True and "org.established_in.FR" not in facts
    assert facts["org.accepts_amex"] is True and facts["org.accepts_discover"] is False
    assert facts["org.annual_turnover_aud"] == 25_000_000
    assert facts["org.eu_main_establishment"] == "DE" and facts["org.art27_representative"] is None
    assert "org.israel_db_level" not in facts


def test_kinds_and_systems_are_those_of_incidents() -> None:
    assert set(PRINCIPAL_KINDS) == set(SuspectKind)
    assert set(SYSTEMS) == set(System)


def test_a_plan_survives_a_pickle() -> None:
    plan = load_plan(EXAMPLE)
    assert pickle.loads(pickle.dumps(plan)) == plan


def minimal(**changes: object) -> str:
    person = {"name": "N", "email": "n@x.example"}
    roles = "incident_commander legal privacy salesforce_admin integration_engineer comms".split()
    plan: dict[str, object] = {
        "version": 1,
        "organisation": {"name": "X", "time_zone": "UTC"},
        "roles": {role: dict(person) for role in roles},
    }
    return yaml.safe_dump(plan | changes, sort_keys=False)


def test_the_least_plan_is_enough() -> None:
    plan = parse_plan(minimal())
    assert plan.integrations == () and plan.policies.approval.default == "proceed"
    assert plan.systems["aws"].max_closes == 50


# What is written into the example, in place of what, and what the complaint says: line, key, problem, advice.
WRONG = [
    (
        "owner: salesforce_admin, max",
        "owner: salesforce_admn, max",
        "systems.salesforce.owner",
        "salesforce_admin?",
    ),
    (
        "owner: integration_engineer\n    vendor",
        "owner: nobody\n    vendor",
        "integrations[0].owner",
        "legal",
    ),
    ("deputy: legal}", "deputy: leagl}", "roles.privacy.deputy", "Did you mean legal?"),
    ("deputy: legal}", "deputy: privacy}", "roles.privacy.deputy", "Name somebody else"),
    ("kind: connected-app", "kind: conected-app", "integrations[0].principals[0].kind", "connected-app?"),
    ("{kind: connected-app, ", "{", "integrations[0].principals[0].kind", "Add `kind:`"),
    ("Europe/Berlin", "Europe/Berlni", "organisation.time_zone", "Europe/Berlin"),
    (
        "evidence_retention_days: 730",
        "evidence_retention_days: -1",
        "policies.evidence_retention_days",
        "1 to",
    ),
    (
        "evidence_retention_days: 730",
        "evidence_retention_days: two",
        "policies.evidence_retention_days",
        "number",
    ),
    (
        "evidence_retention_days: 730",
        "evidence_retention_dyas: 730",
        "policies.evidence_retention_dyas",
        "_days?",
    ),
    ("timeout_minutes: 30", "timeout_minutes: 0", "policies.approval.timeout_minutes", "from 1"),
    ("default: wait", "default: maybe", "policies.approval.default", "proceed, reject, wait"),
    ("remind_at: [0.5, 0.1]", "remind_at: [0.5, 2]", "policies.watch.remind_at", "0.25"),
    ("from_vendor_hours: 24", "from_vendor_hours: -24", "vendors[0].notice.from_vendor_hours", "from 0"),
    ("vendor: Chatty Inc", "vendor: Chattty Inc", "integrations[0].vendor", "Did you mean Chatty Inc?"),
    ("[DE, NO, GB, US]", "[DE, UK]", "organisation.established_in", "Did you mean GB?"),
    ("[DE, NO, GB, US]", "[Germany]", "organisation.established_in", "Did you mean"),
    ("establishment: DE", "establishment: germany", "organisation.eu_main_establishment", "capital letters"),
    ("card_merchant]", "card_merchnt]", "organisation.sectors", "Did you mean card_merchant?"),
    ("nis2: important", "nis2: yes", "organisation.nis2", "essential, important, none"),
    ("accepts_amex: true", "accepts_amex: perhaps", "organisation.accepts_amex", "true or false"),
    ("lee@northwind.example", "lee at northwind", "roles.legal.email", "an e-mail address"),
    ("  comms: {", "  press: {", "roles.comms", "Add `comms:`"),
    ("us-east-1]", "useast1]", "policies.regions", "eu-central-1"),
    ("version: 1", "version: 7", "version", "Write `version: 1`."),
    ("  aws: {owner", "  gcp: {owner", "systems.gcp", "aws"),
    ("order: 20", "order: soon", "integrations[0].consumers[0].order", "number"),
    ("    name: Ines Commander", "    name: [Ines]", "roles.incident_commander.name", "one value"),
    ("    name: Ines Commander", "    name: A\n    name: B", "roles.incident_commander.name", "Keep one"),
    ("  - name: Chatty Inc", "  name: Chatty Inc", "", ""),
    ("vendors:", "vendros:", "vendros", "Did you mean vendors?"),
]


@pytest.mark.parametrize(
    ("old", "new", "key", "advice"), WRONG, ids=[f"{w[2]}-{n}" for n, w in enumerate(WRONG)]
)
def test_a_complaint_names_file_line_and_key(
    tmp_path: Path, old: str, new: str, key: str, advice: str
) -> None:
    assert TEXT.count(old) >= 1
    path = tmp_path / "my-plan.yaml"
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    complaints = validate_plan(path)
    first = complaints[0]
    assert caught.value.problem == first.problem
    about = next(one for one in complaints if f", {key}: " in one.problem) if key else first
    assert about.problem.startswith(f"{path}, line ")
    assert advice in about.fix and "\n" not in str(about)
    if key not in {"", "roles.comms", "integrations[0].principals[0].kind"}:
        line = int(about.problem.split("line ")[1].split(",")[0])
        assert new.strip().split("\n")[-1].strip() in "\n".join(
            path.read_text().split("\n")[line - 1 : line + 1]
        )


def test_names_given_twice_are_refused() -> None:
    entry = {"owner": "legal", "principals": [{"kind": "aws-user", "identifier": "a"}]}
    one, other = {"name": "Chat", **entry}, {"name": "chat", **entry}
    text = minimal(integrations=[one, other])
    with pytest.raises(
        PlanError, match=r"integrations\[1\]\.name: is the name of another integration"
    ) as caught:
        parse_plan(text)
    assert "more to correct" in caught.value.fix
    with pytest.raises(PlanError, match="aws-user=a belongs to 'Chat' as well"):
        parse_plan(minimal(integrations=[one, {**other, "name": "Other"}]))
    twice = {**one, "principals": entry["principals"] * 2}
    with pytest.raises(PlanError, match="aws-user=a is listed twice"):
        parse_plan(minimal(integrations=[twice]))
    with pytest.raises(PlanError, match="lists nobody"):
        parse_plan(minimal(integrations=[{"name": "Chat", "owner": "legal"}]))


def test_a_permission_by_its_label_is_refused_with_its_name() -> None:
    with pytest.raises(PlanError, match="'View All Data' is not the API name") as caught:
        parse_plan(minimal(policies={"dangerous_permissions": ["View All Data"]}))
    assert "PermissionsViewAllData" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: the plan is empty"),
        ("version: 1\nroles: [\n", "line 3: is not YAML"),
        ("- a\n- b\n", "line 1, the plan: is not a mapping"),
        ("just words", "line 1, the plan: is not a mapping"),
        ("version: 1\n\troles: {}\n", "line 2: is not YAML"),
        ("a: 1\n---\nb: 2\n", "is not YAML"),
        ("version: 1\norganisation: 5\n", "line 2, organisation: is not a mapping"),
        ("version: 1\nroles: 5\n", "line 2, roles: is not a mapping"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, says: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(text)
    complaints = []
    try:
        from blocks.plan_parts import read_plan

        complaints = [one.problem for one in read_plan(text, "plan.yaml")[1].all()]
    except PlanError as error:
        complaints = [error.problem]
    assert any(says in one for one in complaints), (caught.value.problem, complaints)


def test_a_file_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="FileNotFoundError"):
        load_plan(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: M\xfcller")
    assert "UnicodeDecodeError" in validate_plan(tmp_path / "latin.yaml")[0].problem
    assert validate_plan(EXAMPLE) == []
