"""The ledger keeps its promises: on disk before the call returns, one chain, nothing lost, nothing secret."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.evidence.chain import GENESIS, Link, check_line, check_pairs, digest
from tasks.evidence.ledger import FileLedger, LedgerError, open_ledger
from tasks.evidence.torn import read_torn
from tasks.incident import Ledger, Phase, recorded

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def ledger_at(path: Path, *, strict: bool = True) -> FileLedger:
    ticks = iter(range(10**9))
    return open_ledger(
        path, actor="test", clock=lambda: START + timedelta(seconds=next(ticks)), strict=strict
    )


def broken(path: Path) -> list[str]:
    """The whole check of a ledger file, from its bytes alone."""
    problems, link, entries = [], Link(), []
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b"", "the last line has its end"
    for number, raw in enumerate(lines, 1):
        entry, link, found = check_line(number, raw, link)
        problems += [f"line {f.line} {f.problem}" for f in found]
        entries += [entry] if entry else []
    return problems + check_pairs(entries)


def test_an_attempt_and_its_result_are_chained_and_carry_the_same_id(tmp_path: Path) -> None:
    ledger: Ledger = ledger_at(tmp_path / "ledger.jsonl")
    attempt = ledger.attempt(Phase.CONTAIN, "close", "aws/access-key/AKIAEXAMPLE", count=1)
    assert [e["id"] for e in ledger.open_attempts()] == [attempt]
    ledger.result(attempt, "ok", seconds=0.25)
    ledger.note(Phase.SCOPE, "scoped", "event logs", records=12)
    first, second, third = ledger.entries()
    assert (first["kind"], second["kind"], third["kind"]) == ("ATTEMPT", "RESULT", "NOTE")
    assert second["id"] == first["id"] == attempt
    assert (second["phase"], second["action"], second["target"]) == ("contain", "close", first["target"])
    assert second["details"] == {"outcome": "ok", "seconds": 0.25, "by": "test"}
    assert first["prev"] == GENESIS and second["prev"] == first["hash"] == digest(first)
    assert first["at"] == "2026-11-24T09:00:00+00:00"
    assert ledger.open_attempts() == []
    assert broken(tmp_path / "ledger.jsonl") == []


def test_reopening_continues_the_chain_and_knows_what_was_left_open(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    left = ledger_at(path).attempt(Phase.CONTAIN, "close", "vault/token/accessor-1")
    again = ledger_at(path)
    assert [e["id"] for e in again.open_attempts()] == [left]
    again.result(left, "unknown, re-checked")
    assert broken(path) == []


def test_a_failing_block_is_recorded_by_the_error_type_alone(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "ledger.jsonl")
    with pytest.raises(RuntimeError), recorded(ledger, Phase.CONTAIN, "close", "x"):
        raise RuntimeError("password=hunter2")
    assert "hunter2" not in (tmp_path / "ledger.jsonl").read_text()
    assert list(ledger.entries())[-1]["details"]["error"] == "RuntimeError"


def test_a_second_result_is_kept_as_a_note(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "ledger.jsonl")
    attempt = ledger.attempt(Phase.CONTAIN, "close", "x")
    ledger.result(attempt, "failed")
    ledger.result(attempt, "ok")
    last = list(ledger.entries())[-1]
    assert (last["kind"], last["action"], last["target"]) == ("NOTE", "second-result", attempt)
    assert broken(tmp_path / "ledger.jsonl") == []


def test_a_result_without_an_attempt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="does not hold"):
        ledger_at(tmp_path / "ledger.jsonl").result("A-000099", "ok")


def test_threads_share_commits_and_one_chain(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "ledger.jsonl")

    def work(name: int) -> None:
        for i in range(40):
            ledger.result(ledger.attempt(Phase.CONTAIN, "close", f"{name}/{i}"), "ok")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(ledger.entries())) == 16 * 40 * 2
    assert ledger.fsyncs < 16 * 40 * 2, "waiting threads share an fsync"
    assert broken(tmp_path / "ledger.jsonl") == []


def test_many_attempts_take_one_fsync(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "ledger.jsonl")
    ids = ledger.attempts(Phase.CONTAIN, "revoke", ((f"grant/{i}", {"position": i}) for i in range(2600)))
    assert ledger.fsyncs == 1 and len(set(ids)) == 2600
    ledger.results((i, "ok", {}) for i in ids)
    assert ledger.fsyncs == 2 and ledger.open_attempts() == []


WRITER = """
import sys
from pathlib import Path
from tasks.evidence.ledger import open_ledger
from tasks.incident import Phase
ledger = open_ledger(Path(sys.argv[1]), actor=sys.argv[2])
print("ready", flush=True)
for i in range(int(sys.argv[3])):
    attempt = ledger.attempt(Phase.CONTAIN, "close", f"{sys.argv[2]}/{i}")
    print(attempt, flush=True)
    ledger.result(attempt, "ok")
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_do_not_fork_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    writers = [writer(path, f"process-{n}", 60) for n in range(3)]
    for process in writers:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert len(path.read_bytes().splitlines()) == 3 * 60 * 2
    assert broken(path) == []


def test_what_was_acknowledged_survives_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    process = writer(path, "victim", 100_000)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(80)][1:]
    os.kill(process.pid, signal.SIGKILL)
    acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.wait(timeout=30)
    after = ledger_at(path)
    written = {e["id"] for e in after.entries()}
    assert set(acknowledged) <= written
    for entry in after.open_attempts():
        after.result(entry["id"], "unknown, re-checked")
    assert broken(path) == []


@pytest.mark.parametrize("keep", [1, 40, -1])
def test_a_torn_last_line_is_moved_aside_and_recorded(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = ledger_at(path)
    ledger.note(Phase.SCOPE, "one", "x")
    whole = path.read_bytes()
    ledger.note(Phase.SCOPE, "two", "y")
    torn = path.read_bytes()[len(whole) : -1][:keep]
    path.write_bytes(whole + torn)
    again = ledger_at(path)
    entries = list(again.entries())
    assert [e["action"] for e in entries] == ["one", "ledger-torn-line"]
    (record,) = read_torn(path.with_name("ledger.jsonl.torn"))
    assert record["bytes"] == len(torn) == entries[1]["details"]["bytes"]
    assert entries[1]["target"] == f"sha256:{record['sha256']}"
    again.note(Phase.SCOPE, "three", "z")
    ledger_at(path)
    assert broken(path) == []
    assert sum(e["action"] == "ledger-torn-line" for e in again.entries()) == 1


def test_a_torn_line_of_another_process_is_moved_aside_by_the_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = ledger_at(path)
    ledger.note(Phase.SCOPE, "one", "x")
    with path.open("ab") as other:
        other.write(b'{"action":"two","at":')
    ledger.note(Phase.SCOPE, "three", "z")
    assert [e["action"] for e in ledger.entries()] == ["one", "ledger-torn-line", "three"]
    assert broken(path) == []


def test_an_edited_line_is_spoken_of_and_does_not_stop_the_work(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = ledger_at(path)
    for name in ("one", "two", "three"):
        ledger.note(Phase.SCOPE, name, "x")
    path.write_bytes(path.read_bytes().replace(b'"two"', b'"TWO"'))
    again = ledger_at(path)
    again.note(Phase.SCOPE, "four", "x")
    assert [e["target"] for e in again.entries() if e["action"] == "ledger-damage"] == ["line 2"]
    ledger_at(path)
    assert sum(e["action"] == "ledger-damage" for e in again.entries()) == 1
    assert broken(path) == ["line 2 was edited: its content does not match its hash"]


def test_a_ledger_that_was_moved_or_cut_under_us_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = ledger_at(path)
    ledger.note(Phase.SCOPE, "one", "x")
    ledger.note(Phase.SCOPE, "two", "x")
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    with pytest.raises(LedgerError, match="shorter"):
        ledger.note(Phase.SCOPE, "three", "x")
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(LedgerError, match="moved"):
        ledger.note(Phase.SCOPE, "three", "x")


LIMITED = """
import resource, sys
from pathlib import Path
from tasks.evidence.ledger import LedgerError, open_ledger
from tasks.incident import Phase
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
ledger = open_ledger(Path(sys.argv[1]))
try:
    for i in range(100):
        ledger.note(Phase.SCOPE, "note", f"{i}")
except LedgerError as error:
    print(error.problem)
"""


def test_a_full_disk_is_a_clear_error_and_leaves_no_half_entry(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, timeout=60
    )
    assert "cannot be written" in done.stdout, done.stderr
    assert broken(path) == [] and 0 < path.stat().st_size <= 1000


SECRETS = {
    "jwt": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
    "vault": "hvs.CAESIJ1c2VyLXRva2VuLXZhbHVlLW5vdC1yZWFs",
    "openbao": "s.WDmQ4Xs1PLqbNvYt0o7cZk3R",
    "aws": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "salesforce": "00D5g000004XyZk!AQEAQK3s9pN",
    "refresh": "5Aep861TSESvWeug_xvFHRBTTbf",
    "slack": "xoxb-1234-5678-abcd",
    "dsn": "postgresql://app:hunter2@db:5432/shop",
    "assignment": "password=hunter2",
    "base64url": "q3Xk9-Vb7_TzL2mN8pRw4-YsD6fGh1JkQ0aZcXe5",
    "pem": "-----BEGIN PRIVATE KEY-----",
    "opaque": "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3",
}


@pytest.mark.parametrize("name", SECRETS)
def test_nothing_that_looks_like_a_secret_is_written(tmp_path: Path, name: str) -> None:
    path, secret = tmp_path / "ledger.jsonl", SECRETS[name]
    ledger = ledger_at(path, strict=False)
    attempt = ledger.attempt(
        Phase.CONTAIN, "close", secret, detail=f"tried {secret}", ref=secret, before={"x": [secret]}
    )
    ledger.result(attempt, "ok", proof=secret, principal=secret, refs=[secret])
    assert secret not in path.read_text()
    first, second = ledger.entries()
    assert first["details"]["dropped"] == ["before", "detail", "ref", "target"]
    assert second["details"]["dropped"] == ["principal", "proof", "refs"]
    with pytest.raises(LedgerError):
        ledger_at(tmp_path / "strict.jsonl").note(Phase.CONTAIN, "close", "x", detail=secret)


REFERENCES = [
    "AKIAIOSFODNN7EXAMPLE",
    "0Ak5g00000AbCdECAV",
    "database/creds/orders-read/2ZVJQ6Y1xGmHnWb7c0pQ4rTs",
    "support-chat@lab.example",
    "arn:aws:iam::123456789012:user/support-attachments",
    "vault-accessor-nNPuZw0wKNQ0F9MuKIujTR2o",
    "secret/creds/ab/2ZVJQ6Y1xGmHnWb7c0pQ4rTs",
    "0Ak5g00000AbCdECAV-0055g000001ZzZzAAK-00D5g000004XyZkEAK",
    "6f1ed002-ab5c-5b3c-9f0e-1f2d3c4b5a69",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "/services/data/v67.0/sobjects/EventLogFile/0AT5g00000AbCdEGAV/LogFile",
    "salesforce/permission-set/0Pa5g000009AbCdCAK",
    "leak-response/incidents/INC-20261124-093000-stolen-connected-app/pack.zip",
]


@pytest.mark.parametrize("reference", REFERENCES)
def test_references_are_written_as_they_are(tmp_path: Path, reference: str) -> None:
    ledger = ledger_at(tmp_path / "ledger.jsonl")
    ledger.note(Phase.CONTAIN, "seen", reference, ref=reference, refs=[reference], before={"id": reference})
    (entry,) = ledger.entries()
    assert entry["target"] == entry["details"]["ref"] == reference
    assert entry["details"]["before"] == {"id": reference}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("email", "anna@example.org"),
        ("detail", "sent to anna@example.org"),
        ("before", {"DeleteToken": "x"}),
        ("count", float("nan")),
        ("due_at", datetime(2026, 1, 1)),
        ("sha256", "not a hash"),
        ("passed", "yes"),
        ("count", object()),
        ("detail", "a\nb"),
        ("detail", "\ud800"),
    ],
)
def test_a_wrong_key_or_shape_is_dropped_and_named_and_strict_in_tests(
    tmp_path: Path, key: str, value: object
) -> None:
    ledger = ledger_at(tmp_path / "ledger.jsonl", strict=False)
    ledger.note(Phase.SCOPE, "x", "y", **{key: value, "records": 3})
    (entry,) = ledger.entries()
    assert entry["details"] == {"records": 3, "dropped": [key], "by": "test"}
    with pytest.raises(LedgerError, match=key):
        ledger_at(tmp_path / "strict.jsonl", strict=True).note(Phase.SCOPE, "x", "y", **{key: value})


def test_an_outcome_nobody_defined_reads_as_failed(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "ledger.jsonl", strict=False)
    ledger.result(ledger.attempt(Phase.CONTAIN, "close", "x"), "fine")
    assert list(ledger.entries())[-1]["details"]["outcome"] == "failed"


def test_five_thousand_entries_do_not_hold_up_containment(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "ledger.jsonl")
    start = time.monotonic()
    ids = ledger.attempts(Phase.CONTAIN, "revoke", ((f"grant/{i}", {}) for i in range(5000)))
    ledger.results((i, "ok", {}) for i in ids)
    assert time.monotonic() - start < 5
