"""An incident commander starts `respond` from the form in the Prefect UI, in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="Chromium and its driver (Debian: chromium, chromium-driver) are missing",
    ),
]
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1400,2200"
)


@pytest.fixture
def ui(tmp_path: Path) -> Iterator[str]:
    """`leak-response up --lab`, as a commander would have it running; gives the UI's address."""
    log = tmp_path / "up.log"
    command = [
        sys.executable,
        "-m",
        "deployments.cli.main",
        "up",
        "--lab",
        "--port",
        "0",
        "--contacts",
        "300",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LEAK_RESPONSE_HOME": str(tmp_path / "home"), "PYTHONUNBUFFERED": "1"},
        )
    try:
        until(lambda: "Ready." in log.read_text() or process.poll() is not None, 180)
        text = log.read_text()
        assert "Ready." in text, text
        yield next(line for line in text.splitlines() if line.startswith("Prefect UI: ")).removeprefix(
            "Prefect UI: "
        )
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = CHROMIUM or ""
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def until(condition: Callable[[], Any], seconds: float) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.3)
    return found


def api(ui: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"{ui}/api/{path}", data=json.dumps(body or {}).encode(), headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def field(browser: webdriver.Chrome, label: str, selector: str) -> WebElement:
    """The input under a parameter's label."""
    span = f"span[@class='schema-form-property__label' and starts-with(., '{label}')]"
    path = f"//{span}/ancestor::div[@class='p-label schema-form-property'][1]//{selector}"
    return WebDriverWait(browser, 30).until(lambda page: page.find_element(By.XPATH, path))


def test_the_form_starts_a_response_that_contains(ui: str, browser: webdriver.Chrome) -> None:
    deployments = api(ui, "deployments/filter")
    respond = next(one for one in deployments if one["name"] == "respond")
    browser.get(f"{ui}/deployments/deployment/{respond['id']}/run")

    field(browser, "what_happened", "textarea").send_keys("Tokens of the chat app were seen in use elsewhere")
    WebDriverWait(browser, 30).until(
        lambda page: page.find_element(By.XPATH, "//button[contains(., 'Add item')]")
    ).click()
    Select(field(browser, "Kind", "select")).select_by_visible_text("connected-app")
    field(browser, "Identifier", "textarea").send_keys("Support Chat")
    since = datetime.now(UTC) - timedelta(days=1)
    date = field(browser, "window_start", "input")
    date.click()
    date.send_keys(since.strftime("%m%d%Y"))
    browser.find_element(By.XPATH, "//button[@type='submit']").click()

    def started() -> Any:
        runs = api(ui, "flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC"})
        return [run for run in runs if run["deployment_id"] == respond["id"]]

    run_id = until(started, 60)[0]["id"]

    def ended() -> Any:
        runs = api(ui, "flow_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
        return runs[0]["state"] if runs[0]["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED") else None

    state = until(ended, 240)
    assert state["type"] == "COMPLETED", state["message"]
    assert "contained, scoped, timed and sealed" in state["message"]
