"""What a fresh machine depends on: a resolve that works, a lock that names no index, the agreed top level."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_prefect_server_app_imports() -> None:
    """A FastAPI that is too new breaks it, and `pip check` does not notice."""
    from prefect.server.api.server import create_app

    assert callable(create_app)


def test_the_lock_has_hashes_for_everything_and_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock and "--index-url" not in lock and "--find-links" not in lock
    requirements = re.split(r"\n(?=[a-z0-9])", lock)[1:]
    assert len(requirements) > 100
    assert all("--hash=sha256:" in requirement for requirement in requirements)


def test_the_top_level_is_the_agreed_one() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}
    folders = {name for name in top if (ROOT / name).is_dir() and not name.startswith(".")}
    assert folders <= {"flows", "tasks", "blocks", "deployments", "tests"}


def test_imports_point_one_way() -> None:
    """deployments -> flows -> tasks -> blocks; phases do not import each other; nothing imports the lab."""
    wrong = []
    allowed = {"blocks": {"blocks"}, "tasks": {"blocks", "tasks"}, "flows": {"blocks", "tasks", "flows"}}
    for folder, may in allowed.items():
        for path in (ROOT / folder).rglob("*.py"):
            for name in re.findall(
                r"^\s*(?:from|import) ((?:flows|tasks|blocks|deployments)[\w.]*)",
                path.read_text(),
                re.MULTILINE,
            ):
                phase = path.relative_to(ROOT / folder).parts[0] if folder == "tasks" else ""
                other = name.split(".")[1] if name.startswith("tasks.") else ""
                across = phase and other and other not in (phase, "incident") and not phase.endswith(".py")
                if name.split(".")[0] not in may or across:
                    wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    lab = ROOT / "deployments" / "lab"
    for path in lab.rglob("*.py"):
        for name in re.findall(
            r"^\s*(?:from|import) ((?:flows|tasks|blocks)[\w.]*)", path.read_text(), re.MULTILINE
        ):
            if not name.startswith("blocks.salesforce.soql"):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []
