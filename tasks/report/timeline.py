"""The ledger as a timeline a person can follow: attempts with results, long runs of one act in one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

RUN = 6  # so many acts of one sort in a row become one line

SENTENCES = {
    "declared": "Incident declared",
    "resumed": "Incident taken up again",
    "preserved": "Preserved before anything was changed",
    "preserved-late": "Preserved, after the time box",
    "not-preserved": "Could not be preserved",
    "snapshot": "Snapshot finished",
    "manual-step": "Left for a person to do",
    "sealed": "Ledger signed by Vault",
    "unsealed": "Ledger could not be signed",
    "packing": "Evidence packed",
    "packed": "Evidence pack built",
    "store-pack": "Evidence pack put under retention lock",
    "run-history-exported": "Run history copied into evidence",
    "report-written": "Report written",
    "ledger-torn-line": "A line torn by a crash was moved aside",
    "ledger-damage": "Damage found in the ledger",
    "second-result": "A second result was kept",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the timeline. `outcome` is empty for notes."""

    at: datetime
    until: datetime | None
    phase: str
    action: str
    target: str
    outcome: str
    seqs: str


def timeline(entries: Iterable[Mapping[str, Any]]) -> list[Line]:
    """Oldest first. Every entry is in a line: nothing is left out, only drawn together."""
    lines: list[Line] = []
    for _, group in groupby(_acts(entries), key=lambda line: (line.phase, line.action, line.outcome)):
        run = list(group)
        lines += [_together(run)] if len(run) >= RUN else run
    return lines


def _acts(entries: Iterable[Mapping[str, Any]]) -> Iterator[Line]:
    listed = list(entries)
    results = {e["id"]: e for e in listed if e["kind"] == "RESULT"}
    for entry in listed:
        if entry["kind"] == "RESULT":
            continue
        result = results.get(entry["id"]) if entry["kind"] == "ATTEMPT" else None
        outcome = ""
        if entry["kind"] == "ATTEMPT":
            outcome = str(result["details"].get("outcome", "")) if result else "no result yet"
        yield Line(
            at=datetime.fromisoformat(entry["at"]),
            until=datetime.fromisoformat(result["at"]) if result else None,
            phase=entry["phase"],
            action=SENTENCES.get(entry["action"], _sentence(entry["action"])),
            target=entry["target"],
            outcome=outcome,
            seqs=f"{entry['seq']}, {result['seq']}" if result else str(entry["seq"]),
        )


def _together(run: list[Line]) -> Line:
    first, last = run[0], run[-1]
    targets = [line.target for line in run]
    return Line(
        at=first.at,
        until=max(line.until or line.at for line in run),
        phase=first.phase,
        action=first.action,
        target=f"{len(run):,} targets, from {targets[0]} to {targets[-1]}",
        outcome=first.outcome,
        seqs=f"{first.seqs.split(', ')[0]} to {last.seqs.split(', ')[-1]}",
    )


def _sentence(action: str) -> str:
    text = action.replace("-", " ").replace("_", " ")
    return text[:1].upper() + text[1:]
