"""Bad input: one clear line that says what to do, exit code 2, and nothing changed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from deployments.lab.lab import Lab

GOOD = {
    "--suspect": "connected-app=Support Chat",
    "--window-start": "2026-11-24T08:00:00+00:00",
    "--aware-at": "2026-11-24T09:30:00+00:00",
}


def run(arguments: Sequence[str], home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deployments.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "LEAK_RESPONSE_HOME": str(home), **env},
    )


def respond(home: Path, lab_json: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    """`respond` with good arguments but for those changed (window_start="..." for --window-start)."""
    options = {**GOOD, "--lab": str(lab_json)} | {
        f"--{name.replace('_', '-')}": text for name, text in changed.items()
    }
    return run(["respond", *(part for pair in options.items() for part in pair)], home)


def refused(done: subprocess.CompletedProcess[str], wanted: str) -> None:
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("leak-response: ") and wanted in last, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"suspect": "appp=Support Chat"}, "Use one of: connected-app"),
        ({"suspect": "Support Chat"}, "not KIND=IDENTIFIER"),
        ({"window_start": "2026-11-24T08:00:00"}, "has no time zone"),
        ({"window_start": "soon"}, "not ISO 8601"),
        ({"window_end": "2026-11-24T07:00:00+00:00"}, "ends"),
        ({"aware_at": "2026-11-24"}, "has no time zone"),
        ({"lab": "/nowhere/lab.json"}, "cannot be read"),
        ({"json": "/nowhere/result.json"}, "cannot be written"),
        ({"incident": "no spaces please"}, "3-64 letters"),
        ({"answers": "/nowhere/answers.yaml"}, "There is no facts file"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_refused_before_anything_starts(tmp_path: Path, changed: dict[str, str], wanted: str) -> None:
    lab = tmp_path / "lab.json"
    lab.write_text('{"blocks": {}}', encoding="utf-8")
    refused(respond(tmp_path / "home", lab, **changed), wanted)
    assert not (tmp_path / "home" / "incidents").exists()


def test_a_lab_file_that_is_none(tmp_path: Path) -> None:
    lab = tmp_path / "lab.json"
    lab.write_text("{}", encoding="utf-8")
    refused(respond(tmp_path / "home", lab), "does not describe a lab")


def test_an_unknown_scenario_lists_the_scenarios(tmp_path: Path) -> None:
    refused(run(["rehearse", "--scenario", "alien-landing"], tmp_path), "stolen-connected-app")


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(["up", "--lab", "--port", str(port)], tmp_path)
    refused(done, f"Port {port}")


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    lab = tmp_path / "lab.json"
    lab.write_text('{"blocks": {}}', encoding="utf-8")
    options = [part for pair in {**GOOD, "--lab": str(lab)}.items() for part in pair]
    done = run(["respond", *options], tmp_path / "home", PREFECT_API_URL="http://127.0.0.1:9/api")
    refused(done, "does not answer")


def test_a_plan_with_an_unknown_role_names_line_and_key(tmp_path: Path, lab: Lab) -> None:
    plan = (lab.dir / "plan.yaml").read_text(encoding="utf-8")
    bad = tmp_path / "plan.yaml"
    bad.write_text(plan.replace("owner: salesforce_admin", "owner: salesforce_wizard", 1), encoding="utf-8")
    done = run(["plan", "check", str(bad)], tmp_path)
    assert done.returncode == 1 and "salesforce_wizard" in done.stdout and "line" in done.stdout


def test_a_dead_salesforce_stops_before_anything_changes(tmp_path: Path, lab: Lab) -> None:
    """The only system that the suspect touches does not answer: refused at preflight."""
    info = json.loads(lab.json_path.read_text(encoding="utf-8"))
    info["blocks"]["salesforce"]["instance_url"] = "https://127.0.0.1:9"
    broken = tmp_path / "lab.json"
    broken.write_text(json.dumps(info), encoding="utf-8")
    home = tmp_path / "home"
    refused(respond(home, broken), "Salesforce")
    assert not list(home.glob("incidents/*/ledger.jsonl"))


def test_a_missing_permission_stops_before_anything_changes(tmp_path: Path, lab: Lab) -> None:
    """The responder lacks Customize Application: it would see its own tokens only."""
    changed = {"PermissionsCustomizeApplication": 0}
    match = {"Label": "Leak Response Responder"}
    lab.twin.control("plant", {"object": "PermissionSet", "match": match, "set": changed})
    try:
        home = tmp_path / "home"
        refused(respond(home, lab.json_path), "Customize Application")
        assert not list(home.glob("incidents/*/ledger.jsonl"))
    finally:
        back = {"PermissionsCustomizeApplication": 1}
        lab.twin.control("plant", {"object": "PermissionSet", "match": match, "set": back})


def test_the_command_line_does_not_import_prefect_before_it_is_needed() -> None:
    """Prefect reads its settings at import: the server must be chosen first."""
    code = "import sys, deployments.cli.main; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
