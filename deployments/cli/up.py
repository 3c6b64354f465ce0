"""`leak-response up`: everything a commander needs to start a response from the Prefect UI."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from blocks.errors import BadInput
from deployments.cli.lab import Contacts, LatencyMs, LogDelayS, Seed
from tasks.incident import home


def up(
    lab: Annotated[
        bool, typer.Option("--lab", help="Start the embedded lab and respond against it.")
    ] = False,
    directory: Annotated[
        Path | None, typer.Option("--dir", file_okay=False, help="Folder for the lab. Default: in our home.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the Prefect server and UI.")] = 4200,
    seed: Seed = 1,
    contacts: Contacts = 10_000,
    latency_ms: LatencyMs = 0,
    log_delay_s: LogDelayS = 2.0,
) -> None:
    """Start lab, Prefect server, worker and deployments, until Ctrl-C.

    Example: leak-response up --lab --port 4200
    """
    from deployments.prefect_server import prefect_server
    from deployments.serving import register_lab, start_worker

    if not lab and not os.environ.get("PREFECT_API_URL"):
        raise BadInput(
            "There is nothing to start.",
            "Pass --lab to try it, or set PREFECT_API_URL to serve the deployments on your own server.",
        )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    os.environ["LEAK_RESPONSE_HOME"] = str(home())
    with ExitStack() as stack:
        server = stack.enter_context(prefect_server(home(), port))
        typer.echo(f"Prefect UI: {server.ui_url}")
        if lab:
            from deployments.lab.lab import Lab

            folder = directory or home() / "labs" / "up"
            running = stack.enter_context(
                Lab.start(
                    folder,
                    seed=seed,
                    contacts=contacts,
                    latency_ms=latency_ms,
                    log_delay_s=log_delay_s,
                    on_progress=typer.echo,
                )
            )
            register_lab(running.json_path)
            typer.echo(f"Lab: {running.json_path}; suspects to try: {', '.join(running.info['suspects'])}")
        worker = start_worker(server)
        stack.callback(worker.stop)
        typer.echo(
            f"Ready. Start a response: {server.ui_url}/deployments (deployment respond). Ctrl-C stops all."
        )
        while not stop.wait(1):
            worker.check_alive()
        typer.echo("Stopping ...")
