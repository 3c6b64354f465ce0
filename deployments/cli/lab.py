"""`leak-response lab up`: the embedded stand-in for Salesforce, AWS, Vault and Slack, until it is stopped."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The embedded lab: real servers on loopback.", no_args_is_help=True)

Seed = Annotated[int, typer.Option(min=0, help="Makes the same people, orders and cases every time.")]
Contacts = Annotated[int, typer.Option(min=50, help="How many contacts the org holds.")]
LatencyMs = Annotated[int, typer.Option(min=0, help="Delay added to every Salesforce call, in milliseconds.")]
LogDelayS = Annotated[
    float, typer.Option(min=0, help="Seconds until an event shows up in an event log file.")
]


@app.callback()
def lab() -> None:
    """The embedded lab: real servers on loopback."""


@app.command()
def up(
    directory: Annotated[
        Path, typer.Option("--dir", file_okay=False, help="Folder for everything the lab writes.")
    ],
    seed: Seed = 1,
    contacts: Contacts = 10_000,
    latency_ms: LatencyMs = 0,
    log_delay_s: LogDelayS = 2.0,
) -> None:
    """Start the lab and keep it up until Ctrl-C; `DIR/lab.json` says where everything is.

    Example: leak-response lab up --dir /tmp/lab --seed 7 --contacts 2000
    """
    from deployments.lab.lab import Lab

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Lab.start(
        directory,
        seed=seed,
        contacts=contacts,
        latency_ms=latency_ms,
        log_delay_s=log_delay_s,
        on_progress=typer.echo,
    ):
        typer.echo(f"The lab is up. {directory / 'lab.json'} says where everything is. Ctrl-C stops it.")
        stop.wait()
        typer.echo("Stopping the lab ...")
