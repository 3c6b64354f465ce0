"""A whole rehearsal with few contacts: the machine contract, the verdict, and nothing left running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from deployments.prefect_server import PrefectServer

CONTRACT = {
    "scenario": str,
    "seed": int,
    "incident_id": str,
    "passed": bool,
    "attacker": dict,
    "accesses": list,
    "scope": dict,
    "duties": list,
    "evidence": dict,
    "canaries_in_run_history": int,
    "seconds": dict,
}


def test_a_rehearsal_passes_and_says_so_to_people_and_machines(
    tmp_path: Path, prefect_api: PrefectServer
) -> None:
    result_file = tmp_path / "result.json"
    command = [sys.executable, "-m", "deployments.cli.main", "rehearse", "--contacts", "300", "--seed", "3"]
    done = subprocess.run(
        [*command, "--json", str(result_file)],
        env={**os.environ, **prefect_api.env, "LEAK_RESPONSE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(result_file.read_text(encoding="utf-8"))
    assert {key: type(result[key]) for key in CONTRACT} == CONTRACT
    assert result["passed"] and result["seed"] == 3 and result["scenario"] == "stolen-connected-app"
    assert result["attacker"]["successes_after_contained"] == 0 < result["attacker"]["requests_after_trigger"]
    kinds = {access["kind"] for access in result["accesses"] if access["closed"]}
    assert {
        "oauth-grants",
        "login",
        "sessions",
        "permission-set",
        "access-key",
        "vault-token",
        "vault-leases",
    } <= kinds
    for what in ("records", "subjects"):
        score = result["scope"][what]
        assert score["missed"] == score["extra"] == 0 < score["truth"] == score["found"]
    named = {duty["rule"] for duty in result["duties"] if duty["due_at"]}
    assert {"EU-GDPR-33-1", "GB-UKGDPR-33-1", "BR-LGPD-48-ANPD", "US-CA-IND", "US-NY-IND"} <= named
    assert any(rule.startswith("SG-") for rule in named)
    assert result["evidence"]["verified"] and result["canaries_in_run_history"] == 0
    assert "REHEARSAL PASSED" in done.stdout
