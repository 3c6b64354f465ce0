"""The scorecard: the verdict on top, every figure of the result, readable in a narrow terminal."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

from tasks.report.scorecard import scorecard_text

RESULT: dict[str, Any] = {
    "scenario": "stolen-connected-app",
    "seed": 3,
    "incident_id": "INC-20261124-093012-7f3a",
    "passed": True,
    "attacker": {
        "requests_after_trigger": 1234,
        "last_success_at": "2026-11-24T09:30:09+00:00",
        "seconds_of_access_after_trigger": 6.42,
        "successes_after_contained": 0,
    },
    "accesses": [
        {
            "system": "salesforce",
            "kind": "oauth-grants",
            "principal": "Support Chat [2600]",
            "closed": True,
            "proof": "COUNT() is 0",
            "seconds": 6.4,
        },
        {
            "system": "aws",
            "kind": "access-key",
            "principal": "support-attachments",
            "closed": True,
            "proof": "refused: InvalidAccessKeyId",
            "seconds": 0.8,
        },
    ],
    "scope": {
        "records": {"truth": 18422, "found": 18422, "missed": 0, "extra": 0},
        "subjects": {"truth": 9811, "found": 9811, "missed": 0, "extra": 0},
        "by_residence": {f"C{n:02}": n for n in range(20)},
        "coverage": ["ApiEvent is not licensed: bounded by running queries again."],
    },
    "duties": [
        {
            "rule": "uk",
            "recipient": "ICO",
            "clock_start": None,
            "due_at": "2026-11-27T09:30:00+00:00",
            "status": "due",
        },
        {
            "rule": "eu",
            "recipient": "Lead authority",
            "clock_start": None,
            "due_at": "2026-11-26T09:30:00+00:00",
            "status": "due",
        },
        {"rule": "br", "recipient": "ANPD", "clock_start": None, "due_at": None, "status": "undetermined"},
        {"rule": "ny", "recipient": "NY AG", "clock_start": None, "due_at": None, "status": "not_due"},
    ],
    "evidence": {"pack": "/somewhere/evidence.zip", "entries": 5321, "verified": True},
    "canaries_in_run_history": 0,
    "seconds": {"lab": 7.1, "contain": 6.5, "scope": 9.0, "notify": 1.2, "total": 31.0},
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(RESULT), **changes}


def test_a_pass_shows_every_figure() -> None:
    text = scorecard_text(RESULT)
    for expected in (
        "REHEARSAL PASSED",
        "stolen-connected-app, seed 3",
        "✓  0 successes after containment",
        "1,234 requests",
        "6.4 s of access",
        "Accesses: 2 of 2 closed and proven",
        "Support Chat [2600]",
        "18,422",
        "C19 19",
        "8 further places",
        "ApiEvent is not licensed",
        "Duties: 2 due, 1 undetermined, 1 not due",
        "5,321 ledger entries, verified offline",
        "0 canaries found",
        "contain 6.5 s",
    ):
        assert expected in text, (expected, text)
    assert "✗" not in text
    assert text.index("Lead authority") < text.index("ICO"), "what is due first stands first"


def test_a_failure_says_what_failed() -> None:
    result = changed(passed=False, canaries_in_run_history=1)
    result["attacker"]["successes_after_contained"] = 2
    result["accesses"][1].update(closed=False, proof="", seconds=0)
    result["scope"]["records"].update(missed=4, found=18418)
    result["evidence"]["verified"] = False
    text = scorecard_text(result, reasons=["One access is still open."])
    assert "REHEARSAL FAILED" in text and "✗ One access is still open." in text
    assert "1 of 2 closed" in text and "no proof" in text
    assert text.index("support-attachments") < text.index("Support Chat"), "what is open stands first"
    assert text.count("✗") == 6 and "1 canary found" in text and "NOT verified" in text


def test_a_real_response_has_no_attacker_and_no_truth() -> None:
    result = {k: v for k, v in RESULT.items() if k not in ("attacker", "scenario", "seed")}
    result["scope"] = {
        "records": {"found": 20010, "lower": 18422, "upper": 20010},
        "subjects": {"found": 9811, "lower": 9811, "upper": 9811},
    }
    result["manual_steps"] = [{"access": "salesforce/app-secret/Chat", "instructions": "Rotate it in Setup."}]
    text = scorecard_text(result)
    assert "RESPONSE: CONTAINED" in text and "Attacker" not in text and "missed" not in text
    assert "9,811" in text and "18,422 to 20,010" in text and "Rotate it in Setup." in text
    assert "NOT FINISHED" in scorecard_text({**result, "passed": False})
    assert "PLAN ONLY" in scorecard_text({**result, "mode": "plan"})
    result["accesses"] = [{**RESULT["accesses"][0], "closed": False}]
    assert "RESPONSE: NOT CONTAINED" in scorecard_text(result)


def test_instants_may_be_instants_or_text() -> None:
    result = changed()
    for duty in result["duties"]:
        duty["due_at"] = datetime.fromisoformat(duty["due_at"]) if duty["due_at"] else None
    assert scorecard_text(result) == scorecard_text(RESULT)


def test_it_fits_a_narrow_terminal_and_markup_in_names_is_text() -> None:
    result = changed()
    result["accesses"][0]["principal"] = "[red]" + "very-long-name-" * 12
    text = scorecard_text(result, width=80)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "[red]" in text.replace("\n", "")
