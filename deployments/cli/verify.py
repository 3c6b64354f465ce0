"""`leak-response verify`: check an evidence pack offline, with nothing but the public key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.cli.output import check_writable, write_json


def verify(
    pack: Annotated[Path, typer.Argument(help="The pack: a zip file or the folder it was unpacked to.")],
    public_key: Annotated[
        Path | None,
        typer.Option(help="PEM file with the key you trust; without it the pack's own key is used."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the findings here; - is stdout.")
    ] = None,
) -> None:
    """Check chain, signature and every file of an evidence pack. Exit code 1 when anything is wrong.

    Example: leak-response verify INC-20261124-093012-7f3a.zip --public-key ledger-key.pem
    """
    from tasks.evidence.verify import verify as check

    check_writable(json_file)
    found = check(pack, public_key)
    if json_file:
        write_json(json_file, found)
    if str(json_file) != "-":
        verdict = "VERIFIED" if found.verified else "NOT VERIFIED"
        typer.echo(
            f"{verdict}: {found.incident or pack.name}, {found.entries} ledger entries, {found.files} files"
        )
        if found.sealed_at:
            typer.echo(f"sealed {found.sealed_at}, key {found.key_sha256}")
        for problem in found.problems:
            typer.echo(f"  problem: {problem}")
        for remark in found.remarks:
            typer.echo(f"  note: {remark}")
    if not found.verified:
        raise typer.Exit(1)
