"""The incident report as one HTML file that loads nothing: no script, no font, no picture from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from blocks.errors import BadInput
from tasks.incident import IncidentFolder
from tasks.report import text
from tasks.report.view import LABELS, TONES, report_of

HERE = Path(__file__).parent


def render_report(folder: IncidentFolder, entries: Iterable[Mapping[str, Any]], now: datetime) -> str:
    """The report's HTML as of `now`, from whatever the phases have left so far.

    Raises BadInput when the incident was never declared in this folder.
    """
    report = report_of(folder, entries, now)
    if report is None:
        raise BadInput(
            f"There is no incident in {folder.path.name}.", "Run `declare` or `respond` for it first."
        )
    return (
        _environment()
        .get_template("incident.html.j2")
        .render(
            report=report,
            labels=LABELS,
            tones=TONES,
            deadlines=_deadlines(folder),
            css=Markup((HERE / "report.css").read_text("utf-8")),  # noqa: S704
        )
    )


def _deadlines(folder: IncidentFolder) -> Markup:
    """The picture of all deadlines that the notify phase drew; it escapes every text it holds."""
    picture = folder.path / "notify" / "timeline.svg"
    return Markup(picture.read_text("utf-8") if picture.exists() else "")  # noqa: S704


def write_report(folder: IncidentFolder, entries: Iterable[Mapping[str, Any]], now: datetime) -> Path:
    """Write `report.html` into the folder, whole or not at all; readable by its owner only."""
    content = render_report(folder, entries, now)
    partial = folder.report.with_name(".report.html.part")
    partial.touch(mode=0o600)
    partial.write_text(content, encoding="utf-8")
    partial.replace(folder.report)
    return folder.report


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,  # names and sentences come from outside
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        instant=text.instant,
        clock_time=text.clock_time,
        seconds=text.seconds,
        bounds=text.bounds,
        words=text.words,
    )
    return environment
