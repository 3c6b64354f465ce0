"""The report says what is in the folder, worst first, loads nothing from outside and runs nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from blocks.errors import BadInput
from tasks.evidence.ledger import FileLedger, open_ledger
from tasks.incident import (
    AccessStatus,
    Bounds,
    Containment,
    Duty,
    DutyStatus,
    IncidentFolder,
    Mode,
    Phase,
)
from tasks.report.html import render_report, write_report
from tasks.report.text import bounds, span, time_left, words
from tasks.report.timeline import timeline
from tasks.report.view import bars, clocks_of, headline_of, report_of
from tests.tasks.evidence import sample


@pytest.fixture
def folder(tmp_path: Path) -> IncidentFolder:
    return sample.folder_at(tmp_path)


@pytest.fixture
def ledger(folder: IncidentFolder) -> FileLedger:
    return sample.fill(folder)


class Reader(HTMLParser):
    """The text of a page, its tags, and whether every tag is closed."""

    VOID = ("meta", "br", "rect")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags, self.open = "", set(), []  # type: ignore[var-annotated]
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(folder: IncidentFolder, ledger: FileLedger, hours: float = 40) -> Reader:
    page = Reader(render_report(folder, ledger.entries(), sample.at(hours=hours)))
    assert page.open == []
    page.text = re.sub(r"\s+", " ", page.text)
    return page


def test_everything_a_reader_needs_is_said(folder: IncidentFolder, ledger: FileLedger) -> None:
    text = read(folder, ledger).text
    for expected in (
        "Not contained: 1 access is still open.",
        "4 of 7 accesses closed and proven",
        "9,811 to 10,640",
        "Lead supervisory authority",
        "our own target, not a statutory time",
        "Is there relevant risk or damage to the persons?",
        "Setup > App Manager > Support Chat",
        "this is the responder's own identity",
        "Not licensed: record ids are bounded by running queries again.",
        "not licensed",
        "6 h 0 min",
        "what happened in the gaps is in no count",
        "Where 963 to 1,203 of the persons live.",
        "What 2 queries of 311 returned",
        "database/creds/support-readonly",
        "no snapshot was taken",
    ):
        assert expected in text, expected


def test_what_comes_from_outside_is_text_and_nothing_runs_or_loads(
    folder: IncidentFolder, ledger: FileLedger
) -> None:
    nasty = "<script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}"
    folder.write(folder.incident, replace(sample.INCIDENT, what_happened=nasty))
    html = render_report(folder, ledger.entries(), sample.at(hours=1))
    page = Reader(html)
    assert not page.tags & {"script", "img", "link", "iframe", "object", "form"}
    assert nasty in page.text
    assert not re.search(r'(?:src|href)="(?!#)|url\(|@import', html)
    assert "default-src 'none'" in html


def test_what_is_due_first_stands_first_and_overdue_is_said(
    folder: IncidentFolder, ledger: FileLedger
) -> None:
    text = read(folder, ledger, hours=75).text
    order = [text.index(name) for name in ("Lead supervisory", "PDPC", "Affected residents")]
    assert order == sorted(order)
    assert "overdue by 3 h 0 min" in text and "9 h 0 min left" in text


def test_the_headline_never_says_contained_when_it_is_not() -> None:
    by = {status: [c for c in sample.CONTAINMENT if c.status is status] for status in AccessStatus}
    good = by[AccessStatus.CLOSED]
    assert headline_of(sample.INCIDENT, good).tone == "good"
    assert headline_of(sample.INCIDENT, good + by[AccessStatus.MANUAL]).tone == "warn"
    assert headline_of(sample.INCIDENT, good + by[AccessStatus.REFUSED]).tone == "warn"
    failed = headline_of(sample.INCIDENT, good + by[AccessStatus.FAILED])
    assert failed.tone == "bad" and failed.text.startswith("Not contained")
    assert headline_of(sample.INCIDENT, None).tone == "bad"
    assert headline_of(sample.INCIDENT, []).tone == "warn"
    planned = [Containment(c.access, AccessStatus.PLANNED, None, 0) for c in good]
    plan = headline_of(replace(sample.INCIDENT, mode=Mode.PLAN), planned)
    assert plan.tone == "calm" and "nothing was changed" in plan.text


def test_unknown_is_said_before_any_phase_has_run(tmp_path: Path) -> None:
    folder = sample.folder_at(tmp_path)
    with pytest.raises(BadInput, match="no incident"):
        render_report(folder, [], sample.T0)
    folder.write(folder.incident, sample.INCIDENT)
    text = Reader(render_report(folder, [], sample.T0)).text
    for expected in (
        "Containment has not run.",
        "Whose data left: scoping has not run.",
        "The duties were not computed yet.",
        "not known yet",
        "not signed yet",
    ):
        assert expected in text, expected


def test_an_attempt_without_a_result_is_shown_as_unknown(folder: IncidentFolder, ledger: FileLedger) -> None:
    ledger.attempt(Phase.CONTAIN, "close", "aws/access-key/AKIAX")
    text = read(folder, ledger).text
    assert "no result yet" in text and "What became of 1 attempt whose result was never written." in text


def test_thousands_of_acts_become_one_line_and_none_is_lost(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.jsonl", clock=lambda: sample.T0)
    ledger.note(Phase.DECLARE, "declared", "x")
    ids = ledger.attempts(Phase.CONTAIN, "revoke", ((f"grant/{i}", {}) for i in range(2600)))
    ledger.results((i, "failed" if n == 1300 else "ok", {}) for n, i in enumerate(ids))
    lines = timeline(ledger.entries())
    assert [line.outcome for line in lines] == ["", "ok", "failed", "ok"]
    assert lines[1].target.startswith("1,300 targets, from grant/0 to grant/1299")
    assert lines[3].target.startswith("1,299 targets")


def test_bars_are_in_proportion_with_unknown_last() -> None:
    drawn = bars({"unknown": Bounds(500, 900), "DE": Bounds(50, 100), "FR": Bounds(0, 450)})
    assert [(bar.label, bar.lower, bar.upper) for bar in drawn] == [
        ("FR", 0, 50),
        ("DE", pytest.approx(5.56, abs=0.01), pytest.approx(11.1, abs=0.1)),
        ("unknown", pytest.approx(55.6, abs=0.1), 100),
    ]
    assert bars({}) == () and bars({"DE": Bounds(0, 0)})[0].upper == 0


def test_clocks_know_their_share_of_time_and_their_tone() -> None:
    def duty(hours: float | None) -> Duty:
        due = None if hours is None else sample.at(hours=hours)
        return Duty("r", DutyStatus.DUE, "x", sample.T0, due, False, "c", "high", "w")

    now = sample.at(hours=36)
    shown = clocks_of([duty(None), duty(10), duty(72), duty(1000)], now)
    assert [clock.tone for clock in shown] == ["bad", "warn", "good", "warn"]
    assert [clock.used for clock in shown] == [1.0, 0.5, 0.036, None]


def test_words_for_people() -> None:
    assert words("oauth-grants") == "OAuth grants" and words("free_text") == "Free text"
    assert bounds(Bounds(3, 3)) == "3" and bounds(Bounds(1000, 2000)) == "1,000 to 2,000"
    assert span(timedelta(days=2, hours=11, minutes=59)) == "2 d 11 h"
    assert time_left(sample.T0, sample.at(minutes=2)) == "overdue by 2 min"
    assert time_left(sample.at(seconds=5), sample.T0) == "5 s left"


def test_the_file_is_written_whole_and_private(folder: IncidentFolder, ledger: FileLedger) -> None:
    path = write_report(folder, ledger.entries(), sample.at(hours=1))
    assert path == folder.report and path.stat().st_mode & 0o077 == 0
    assert report_of(folder, ledger.entries(), sample.T0) is not None
    assert [p.name for p in folder.path.iterdir() if p.name.endswith(".part")] == []


@pytest.mark.browser
def test_a_browser_shows_it_without_sideways_scrolling(
    folder: IncidentFolder, ledger: FileLedger, tmp_path: Path
) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("Chromium is not installed")
    path = write_report(folder, ledger.entries(), sample.at(hours=40))
    flags = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    for width in (1200, 480):
        picture = tmp_path / f"{width}.png"
        command = [browser, *flags, f"--window-size={width},900", f"--screenshot={picture}", path.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        assert picture.stat().st_size > 20_000, "an empty page is smaller"
    dumped = subprocess.run(
        [browser, *flags, "--dump-dom", path.as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
        text=True,
    )
    assert "Not contained: 1 access is still open." in dumped.stdout
