"""One containment run in a process of its own that a test may kill, and what it came to."""

from __future__ import annotations

import faulthandler
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import boto3
import botocore.loaders
import botocore.session

from blocks.systems import Systems
from tasks.contain.engine import contain
from tasks.contain.jar import Credentials
from tasks.contain.pace import Pace
from tasks.evidence.ledger import open_ledger
from tasks.incident import AccessStatus, Containment, Incident, from_json, to_json
from tests.chaos.forking import fork
from tests.chaos.points import Counted, watch

LONGEST_S = 180.0  # a run that takes longer hangs: it ends, and shows where


class RunFailed(RuntimeError):
    """Containment raised, or hung."""


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one run. `found` is None when the process was killed."""

    killed: bool
    found: list[Containment] | None
    moments: tuple[str, ...]

    def by_status(self, status: AccessStatus) -> list[Containment]:
        return [one for one in self.found or [] if one.status is status]


def run(
    systems: Callable[[], Systems],
    incident: Incident,
    jar: Callable[[], Credentials],
    ledger: Path,
    *,
    kill_at: str = "",
    pace: Pace | None = None,
    beside: Callable[[Systems], object] = lambda _: None,
) -> Run:
    """Contain in a fork of this process, whose clients are made new; killed at the named moment, if any.

    `beside` runs in a thread of its own at the same time, as the flow's messages to Slack do.
    Raises RunFailed.
    """
    told = ledger.with_suffix(".run.json")
    told.unlink(missing_ok=True)

    def go() -> None:
        faulthandler.dump_traceback_later(LONGEST_S, exit=True)
        os.environ["LEAK_RESPONSE_STRICT_LEDGER"] = "1"
        counted = Counted(kill_at)
        watch(counted)
        own = systems()
        threading.Thread(target=beside, args=(own,), daemon=True).start()
        found = contain(incident, own, open_ledger(ledger), jar=jar(), pace=pace)
        told.write_text(json.dumps({"found": to_json(found), "moments": counted.names()}))

    _read_descriptions_of_aws()
    _, status = os.waitpid(fork(go), 0)
    if os.WIFSIGNALED(status):
        return Run(True, None, ())
    if os.WEXITSTATUS(status):
        raise RunFailed(f"containment ended with code {os.WEXITSTATUS(status)}: see above")
    made = json.loads(told.read_text())
    return Run(False, from_json(list[Containment], made["found"]), tuple(made["moments"]))


@cache
def _read_descriptions_of_aws() -> None:
    """Once for all runs, whose forks inherit it: reading these files was a quarter of what a run computed."""
    loader = botocore.loaders.Loader()
    setattr(botocore.session, "create_loader", lambda _: loader)  # noqa: B010 - not meant to be replaced
    for service in ("iam", "s3", "sts"):
        boto3.Session(region_name="eu-central-1").client(service)
