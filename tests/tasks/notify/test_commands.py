"""`leak-response incident ...` from an open question to a confirmed notice, without any server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from blocks.errors import BadInput, LeakResponseError
from deployments.cli.incident import app
from tasks.incident import Access, AccessStatus, Containment, Proof, ProofMethod, System
from tasks.notify.acting import LeftStep, StepDone, steps_done_file, steps_file
from tasks.notify.history import history
from tests.tasks.notify.world import AWARE, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("LEAK_RESPONSE_HOME", str(tmp_path))
    world = World.new(tmp_path)
    world.scope({"DE": 12})
    access = Access(System.SALESFORCE, "oauth-grants", "Support Chat", "0X1")
    proof = Proof(ProofMethod.ATTEMPT, True, "refused", AWARE)
    world.folder.write(world.folder.containment, [Containment(access, AccessStatus.CLOSED, proof, 3.0)])
    world.clocks(AWARE)
    return world


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, LeakResponseError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def read(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json", "-"))


def test_from_the_question_to_the_confirmed_notice(world: World) -> None:
    asked = [one["fact"] for one in read("questions", "INC-1")]
    assert "incident.risk_level" in asked
    run("answer", "INC-1", "incident.risk_level", "high", "--by", "lukas.brandt@lab.example")
    assert "incident.risk_level" not in [one["fact"] for one in read("questions", "INC-1")]
    late = ["--by", "privacy"]
    run("complete", "INC-1", "reasons_for_delay_if_after_72h", "The form was down.", *late)
    draft = next(one for one in read("drafts", "INC-1") if one["draft"] == "EU-GDPR-33-1")
    assert draft["gaps"] == [] and not draft["approved"] and Path(draft["file"]).exists()
    with pytest.raises(BadInput, match="No approval covers"):
        run("sent", "INC-1", "EU-GDPR-33-1", "--channel", "form", "--reference", "77", *late)
    with pytest.raises(BadInput, match="has changed"):
        run("approve", "INC-1", "EU-GDPR-33-1", "--hash", draft["hash"][:8], *late)
    run("approve", "INC-1", "EU-GDPR-33-1", "--hash", draft["hash"][:12], *late)
    at = ["--at", "2026-11-23T12:00:00+00:00"]
    run("sent", "INC-1", "EU-GDPR-33-1", "--channel", "form", "--reference", "77", *at, *late)
    lines = run("history", "INC-1", "--rule", "EU-GDPR-33-1").splitlines()
    assert [line.split(" EU-GDPR-33-1 ")[1].split(":")[0] for line in lines] == [
        "appeared",
        "became due",
        "sent",
    ]


def test_a_value_is_read_as_yaml(world: World) -> None:
    run("answer", "INC-1", "incident.data_categories", "[name, ssn]", "--by", "legal")
    said = run("answer", "INC-1", "incident.affected", "{DE: 3, NO: null}", "--by", "legal")
    assert "{'DE': 3, 'NO': None}" in said
    assert "Answered: 1," in run("answer", "INC-1", "incident.affected.US-CA", "1", "--by", "legal")
    run("answer", "INC-1", "vendor.marktplatz-partner.concerned", "true", "--by", "legal")
    assert "VENDOR-MARKTPLATZ-PARTNER-NOTICE" in [one.rule for one in history(world.folder)]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("answer", "INC-1", "incident.risk_level", "high", "--by", "nobody"), "has no role"),
        (("answer", "INC-1", "incident.risk_levl", "high", "--by", "legal"), "Did you mean"),
        (("answer", "INC-1", "incident.risk_level", "{", "--by", "legal"), "not valid YAML"),
        (("questions", "INC-9"), "no incident"),
        (("questions", "../INC-1"), "no incident"),
        (("step", "INC-1", "x", "--by", "legal"), "no step"),
        (("sent", "INC-1", "NO-RULE", "--channel", "a", "--reference", "b", "--by", "legal"), "never owed"),
        (("complete", "INC-1", "cause", " ", "--by", "legal"), "empty"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(
    world: World, arguments: tuple[str, ...], wanted: str
) -> None:
    with pytest.raises(BadInput, match=wanted) as refused:
        run(*arguments)
    assert refused.value.fix


def test_a_manual_step_is_confirmed(world: World) -> None:
    step = LeftStep("manual", "salesforce/user/0051", "salesforce_admin", "Freeze by hand.")
    world.folder.write(steps_file(world.folder), [step])
    run("step", "INC-1", "salesforce/user/0051", "--by", "salesforce_admin")
    run("step", "INC-1", step.id, "--by", "incident_commander")
    done = world.folder.read(steps_done_file(world.folder), list[StepDone])
    assert done is not None and [one.by for one in done] == ["salesforce_admin"]
