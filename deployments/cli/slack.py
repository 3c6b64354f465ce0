"""`leak-response slack-receiver`: receive clicks from Slack until Ctrl-C."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from blocks.errors import BadInput
from tasks.incident import home


def slack_receiver(
    lab: Annotated[Path | None, typer.Option(help="The lab.json of a running lab.")] = None,
    plan: Annotated[str, typer.Option(help="Name of the saved systems, when not against a lab.")] = "",
    host: Annotated[
        str, typer.Option(help="Address to listen on; keep it behind a TLS proxy.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8787,
) -> None:
    """Receive Slack's signed callbacks and carry out what people of the plan clicked.

    Example: leak-response slack-receiver --plan default --port 8787
    Give Slack the address https://YOUR-PROXY/slack/actions under Interactivity.
    """
    from blocks.systems import Systems
    from deployments.cli.incident import open_case
    from deployments.slack_receiver import PATH, Receiver, Server

    if (lab is None) == (not plan):
        raise BadInput(
            "Neither or both of --lab and --plan were given.", "Name the lab.json or saved systems."
        )
    systems = Systems.from_lab(lab) if lab is not None else Systems.load(plan)
    if systems.slack is None or not systems.slack.signing_secret:
        raise BadInput(
            "The Slack block has no signing secret.",
            "Without it anybody could click; put its reference there.",
        )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    receiver = Receiver(systems.slack, open_case, home() / "slack-inbox")
    server = Server((host, port), receiver)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    receiver.start()
    typer.echo(f"Receiving clicks on http://{host}:{server.server_address[1]}{PATH}. Ctrl-C stops.")
    stop.wait()
    server.shutdown()
    server.server_close()
    receiver.stop()
