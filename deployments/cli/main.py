"""The command line `leak-response`: what a person or a machine can ask for."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from blocks.errors import LeakResponseError
from deployments.cli import (
    approve,
    blocks,
    confirm_step,
    duties,
    incident,
    ingest,
    lab,
    plan,
    rehearse,
    respond,
    scope,
    slack,
    subject,
    undo,
    up,
    verify,
)
from deployments.lab.errors import LabError

app = typer.Typer(
    name="leak-response",
    help="Emergency response when customer data is leaking from Salesforce.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("respond")(respond.respond)
app.command("approve")(approve.approve)
app.command("confirm")(confirm_step.confirm)
app.command("undo")(undo.undo)
app.command("rehearse")(rehearse.rehearse)
app.command("ingest")(ingest.ingest)
app.command("scope")(scope.scope)
app.command("subject")(subject.subject)
app.command("duties")(duties.duties)
app.command("verify")(verify.verify)
app.command("up")(up.up)
app.command("slack-receiver")(slack.slack_receiver)
app.add_typer(incident.app, name="incident")
app.add_typer(lab.app, name="lab")
app.add_typer(plan.app, name="plan")
app.add_typer(blocks.app, name="blocks")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("salesforce-leak-response"))
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Emergency response when customer data is leaking from Salesforce."""


def run() -> None:
    """The console script: an error we raised on purpose is one line that says what to do, and exit code 2."""
    try:
        app()
    except (LeakResponseError, LabError) as error:
        sys.stderr.write(f"leak-response: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("leak-response: stopped.\n")
        sys.exit(130)


if __name__ == "__main__":
    run()
