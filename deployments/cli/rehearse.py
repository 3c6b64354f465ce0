"""`leak-response rehearse`: a live simulated attack, the whole response, and a scorecard."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli.lab import Contacts, LatencyMs, LogDelayS, Seed
from deployments.cli.output import check_writable, write_json
from tasks.incident import home

if TYPE_CHECKING:
    from deployments.cli.rehearsal import Rehearsal
    from deployments.lab.scenarios.scenario import Scenario


def rehearse(
    scenario: Annotated[str, typer.Option(help="The scripted attack.")] = "stolen-connected-app",
    seed: Seed = 1,
    contacts: Contacts = 10_000,
    latency_ms: LatencyMs = 0,
    log_delay_s: LogDelayS = 2.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the scorecard here; - is stdout.")
    ] = None,
) -> None:
    """Start a lab, let it be attacked, respond for real, and score the response.

    Exits 0 only if the attacker is out, everything is proven and the evidence verifies.

    Example: leak-response rehearse --scenario stolen-connected-app --seed 1 --json scorecard.json
    """
    from deployments.cli.attacker_process import scenario_named

    check_writable(json_file)
    played = scenario_named(scenario)
    os.environ["LEAK_RESPONSE_HOME"] = str(home())
    say = Say()
    with ExitStack() as stack:
        rehearsal = prepare(stack, played, seed, contacts, latency_ms, log_delay_s, say)
        result = rehearsal.run()
    if json_file:
        write_json(json_file, result)
    rehearsal.show(result)
    if not result["passed"]:
        raise typer.Exit(1)


class Say:
    """Progress on standard error, with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, text: str) -> None:
        typer.echo(f"{time.monotonic() - self._began:6.1f} s  {text}", err=True)


def prepare(
    stack: ExitStack,
    scenario: Scenario,
    seed: int,
    contacts: int,
    latency_ms: int,
    log_delay_s: float,
    say: Say,
) -> Rehearsal:
    """Prefect and the lab side by side; both end with this process, however it ends."""
    from deployments.cli.attacker_process import Attacker
    from deployments.cli.rehearsal import Rehearsal
    from deployments.cli.request import lab_plan
    from deployments.cli.run_flow import import_flows
    from deployments.lab.lab import Lab
    from deployments.prefect_server import prefect_server
    from deployments.serving import register_lab

    folder = home() / "labs" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    started = time.monotonic()
    say(f"Rehearsing {scenario.name} (seed {seed}, {contacts:,} contacts)")
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(
            Lab.start,
            folder,
            seed=seed,
            contacts=contacts,
            latency_ms=latency_ms,
            log_delay_s=log_delay_s,
            on_progress=say,
        )
        server = stack.enter_context(prefect_server(home(), meanwhile=import_flows))
        say(f"Prefect UI: {server.ui_url}")
        lab = stack.enter_context(starting.result())
    register_lab(lab.json_path, lab_plan(lab.json_path))
    say("Plan and systems are saved as blocks")
    lab_seconds = time.monotonic() - started
    say("The attacker takes what it can ...")
    attacker = Attacker(scenario.module, lab.json_path, folder / "attack.jsonl")
    stack.callback(attacker.kill)
    return Rehearsal(scenario, seed, lab, attacker, server, lab_seconds, say)
