"""All systems in one object: from a lab's file, and saved to and loaded from a real Prefect server."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

from blocks.check import failed
from blocks.errors import BadInput, PlanError
from blocks.salesforce.org import SalesforceOrg
from blocks.systems import BLOCK_TYPES, Systems, register_all
from deployments.cli.request import lab_plan
from deployments.lab.lab import Lab
from deployments.serving import register_lab

EXAMPLE = Path(__file__).parent / "data" / "plan.yaml"
SECRET = "canary-4f1c9e"


@pytest.fixture(scope="module")
def prefect() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture
def lab_json(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text(SECRET)
    kept = [f"file:{tmp_path / 'secret'}"]
    blocks: dict[str, Any] = {
        "salesforce": {
            "instance_url": "https://127.0.0.1:9",
            "auth": "jwt",
            "consumer_key": "key",
            "username": "responder@lab.example",
            "secret": ["vault:kv/leak-response/salesforce#key", *kept],
            "retry_s": 1,
        },
        "vault": {"addr": "http://127.0.0.1:9", "role_id": "role", "secret_id": kept, "timeout_s": 1},
        "aws": {
            "region": "eu-central-1",
            "endpoint_url": "http://127.0.0.1:9",
            "access_key_id": kept,
            "secret_access_key": kept,
            "timeout_s": 1,
        },
        "slack": {"base_url": "http://127.0.0.1:9/api/", "token": kept, "timeout_s": 1},
        "evidence": {"bucket": "evidence", "retention_days": 30},
    }
    (tmp_path / "plan.yaml").write_text(EXAMPLE.read_text())
    path = tmp_path / "lab.json"
    path.write_text(json.dumps({"blocks": blocks, "plan": str(tmp_path / "plan.yaml")}))
    return path


def change(path: Path, *keys: str, to: Any) -> None:
    lab = json.loads(path.read_text())
    at = lab
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = to
    path.write_text(json.dumps(lab))


def test_a_lab_file_gives_blocks_that_share_one_vault(lab_json: Path) -> None:
    systems = Systems.from_lab(lab_json)
    assert systems.salesforce.vault is systems.aws.vault is systems.slack.vault is systems.vault
    assert systems.evidence.aws is systems.aws
    assert systems.plan.organisation.name == "Northwind Retail SE"


def test_a_wrong_lab_file_is_refused_in_one_line(lab_json: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        Systems.from_lab(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(BadInput, match="is not JSON"):
        Systems.from_lab(tmp_path / "bad.json")
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(BadInput, match="does not describe a lab"):
        Systems.from_lab(tmp_path / "empty.json")
    change(lab_json, "blocks", "salesforce", "instance_url", to="http://plain.example")
    with pytest.raises(BadInput, match="block salesforce are wrong: instance_url"):
        Systems.from_lab(lab_json)
    change(lab_json, "blocks", "salesforce", "instance_url", to="https://127.0.0.1:9")
    change(lab_json, "blocks", "salesforce", "secret", to=[SECRET])
    with pytest.raises(BadInput, match=r"secret\.0") as caught:
        Systems.from_lab(lab_json)
    assert SECRET not in str(caught.value)


def test_a_wrong_plan_is_refused(lab_json: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("version: 1\n")
    with pytest.raises(PlanError, match="line 1"):
        Systems.from_lab(lab_json)


def test_preflight_asks_all_systems_and_names_what_is_down(lab_json: Path) -> None:
    checks = Systems.from_lab(lab_json).check()
    assert {check.name.split(":")[0] for check in checks if not check.ok} >= {
        "Vault",
        "AWS",
        "Slack",
        "Evidence store",
        "Salesforce",
    }
    assert all(check.problem and check.fix for check in checks if not check.ok)
    assert SECRET not in repr(checks)


def test_blocks_are_saved_loaded_and_hold_no_secret(prefect: None, lab_json: Path) -> None:
    systems, name = Systems.from_lab(lab_json), f"lab-{uuid4().hex[:8]}"
    systems.save(name)
    loaded = Systems.load(name)
    assert loaded.salesforce.vault is loaded.vault and loaded.evidence.aws is loaded.aws
    for field in ("salesforce", "vault", "aws", "slack", "evidence"):
        assert getattr(loaded, field).model_dump() == getattr(systems, field).model_dump()
    assert loaded.plan == systems.plan and loaded.plan.text == EXAMPLE.read_text()
    query = {"include_secrets": True, "limit": 200}
    documents = httpx.post(f"{PREFECT_API_URL.value()}/block_documents/filter", json=query, timeout=60)
    assert documents.status_code == 200 and "leak-response" in documents.text
    assert SECRET not in documents.text


def test_a_changed_child_reaches_its_parents(prefect: None, lab_json: Path) -> None:
    name = f"lab-{uuid4().hex[:8]}"
    Systems.from_lab(lab_json).save(name)
    change(lab_json, "blocks", "vault", "addr", to="http://127.0.0.1:10")
    Systems.from_lab(lab_json).save(name)
    loaded = SalesforceOrg.load(name)
    assert loaded.vault is not None and loaded.vault.addr == "http://127.0.0.1:10"


def test_a_name_that_was_not_saved_is_refused(prefect: None) -> None:
    with pytest.raises(BadInput, match="no block leak-response-vault-server/nowhere"):
        Systems.load("nowhere")


def test_every_block_type_registers_with_a_description_and_described_fields(prefect: None) -> None:
    slugs = register_all()
    assert len(slugs) == len(BLOCK_TYPES) and all(slug.startswith("leak-response-") for slug in slugs)
    for block_type in BLOCK_TYPES:
        url = f"{PREFECT_API_URL.value()}/block_types/slug/{block_type.get_block_type_slug()}"
        shown = httpx.get(url, timeout=60).json()
        assert shown["name"].startswith("Leak Response ")
        assert len(shown["description"]) > 80 and "\n    " not in shown["description"]
        for field, schema in block_type.model_json_schema()["properties"].items():
            assert schema.get("description"), f"{block_type.__name__}.{field} has no description"


def test_blocks_can_be_copied_and_pickled_without_their_clients(lab_json: Path) -> None:
    org = Systems.from_lab(lab_json).salesforce
    session = org.session
    assert org.session is session
    for twin in (pickle.loads(pickle.dumps(org)), copy.deepcopy(org)):
        assert twin == org and twin.session is not session
    assert SECRET not in repr(org)


def test_the_whole_lab_passes_preflight(lab: Lab) -> None:
    systems = Systems.from_lab(lab.dir / "lab.json")
    checks = systems.check()
    assert failed(checks) == [] and len(checks) > 30


def test_an_organisation_may_do_without_slack(lab: Lab, tmp_path: Path) -> None:
    """Then people are told by e-mail; what is not there is not asked by preflight."""
    described = json.loads(lab.json_path.read_text(encoding="utf-8"))
    del described["blocks"]["slack"]
    described["blocks"]["mail"] = {
        "host": "127.0.0.1",
        "port": 9,
        "encryption": "none",
        "sender": "ir@lab.example",
    }
    changed = tmp_path / "lab.json"
    changed.write_text(json.dumps(described), encoding="utf-8")
    systems = Systems.from_lab(changed)
    assert systems.slack is None and systems.mail is not None
    assert not [check for check in systems.check() if check.name.startswith("Slack")]


def test_a_lab_never_takes_the_place_of_real_systems(prefect: None, lab_json: Path) -> None:
    change(lab_json, "blocks", "salesforce", "instance_url", to="https://shop.my.salesforce.com")
    Systems.from_lab(lab_json).save("production")
    change(lab_json, "blocks", "salesforce", "instance_url", to="https://127.0.0.1:9")
    with pytest.raises(BadInput, match=r"real ones \(Salesforce at shop\.my\.salesforce\.com\)"):
        register_lab(lab_json, "production")
    assert SalesforceOrg.load("production").instance_url == "https://shop.my.salesforce.com"
    register_lab(lab_json, "a-lab")
    register_lab(lab_json, "a-lab")  # over itself


def test_two_labs_have_two_names(tmp_path: Path) -> None:
    assert lab_plan(tmp_path / "a" / "lab.json") != lab_plan(tmp_path / "b" / "lab.json")
