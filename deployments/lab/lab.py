"""The whole lab: starts every server side by side, seeds one world, writes lab.json, stops everything.

A server never outlives this process: each runs under the guard (see `guard.py`).
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from . import vault_world, world
from .aws import world as aws_world
from .aws.server import Aws
from .errors import LabError
from .postgres import Postgres
from .process import Process
from .slack.server import Slack
from .twin import Twin
from .vault import Vault
from .vault_world import write_private

MARK = ".leak-response-lab"  # lies in every folder a lab has used; such a folder may be used again
PLAN = Path(__file__).with_name("plan.yaml")
FEWEST_CONTACTS = 50  # below that there is no population to generate
OWN = ("aws", "break-glass", "logs", "postgres", "salesforce", "vault")

Progress = Callable[[str], None]
S = TypeVar("S", Twin, Vault, Postgres, Aws, Slack)


@dataclass
class Lab:
    """A running lab. `info` is what lab.json holds; `seconds` how long each part took to start."""

    dir: Path
    twin: Twin
    vault: Vault
    postgres: Postgres
    aws: Aws
    slack: Slack
    info: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)
    _lock: IO[str] | None = None

    @classmethod
    def start(
        cls,
        dir: str | Path,
        *,
        seed: int = 1,
        contacts: int = 10_000,
        latency_ms: int = 0,
        log_delay_s: float = 2.0,
        on_progress: Progress | None = None,
    ) -> Lab:
        """Start all of it and wait until it can be used (some seconds).

        `latency_ms` is added to every Salesforce call; `log_delay_s` is how long event logs and CloudTrail
        lag behind. Raises LabError when the folder is in use, a port is taken or a server does not start;
        whatever had started by then is stopped.
        """
        if contacts < FEWEST_CONTACTS:
            raise LabError(
                f"{contacts} contacts are too few for the lab.", f"Use at least {FEWEST_CONTACTS}."
            )
        folder = Path(dir).absolute()
        lock = _take(folder)
        start = _Start(folder, on_progress or (lambda _: None))
        try:
            up = start.servers(seed, contacts, latency_ms, log_delay_s)
            info = start.join(up, seed, contacts)
        except BaseException:
            start.stop_all()
            lock.close()
            raise
        lab = cls(folder, up.twin, up.vault, up.postgres, up.aws, up.slack, info, start.seconds, lock)
        (on_progress or (lambda _: None))(f"Lab ready in {start.seconds['total']:.1f} s")
        return lab

    @property
    def json_path(self) -> Path:
        return self.dir / "lab.json"

    @property
    def processes(self) -> tuple[Process, ...]:
        servers = (self.twin, self.vault, self.postgres, self.aws, self.slack)
        return tuple(server.process for server in servers)

    def check_alive(self) -> None:
        """Raise LabError, with the end of its log, when a server has died."""
        for process in self.processes:
            process.check_alive()

    def stop(self) -> None:
        """Stop every server and wait until all are gone. Safe to call twice."""
        _stop(self.processes)
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(frozen=True, slots=True)
class Servers:
    """All servers, and what was seeded in two of them."""

    twin: Twin
    vault: Vault
    postgres: Postgres
    aws: Aws
    slack: Slack
    in_vault: vault_world.VaultWorld
    in_aws: aws_world.AwsWorld


class _Start:
    """One start: what runs so far, and how long each part took."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._began = time.monotonic()
        self._running: list[Process] = []

    def servers(self, seed: int, contacts: int, latency_ms: int, log_delay_s: float) -> Servers:
        """Start all side by side, seeding each as soon as it is up.

        The first one that fails is reported, after the others have settled.
        """
        self._progress("Starting Salesforce, Vault, PostgreSQL, AWS and Slack ...")
        folder, logs = self.folder, self.folder / "logs"
        with ThreadPoolExecutor(7) as pool:
            twin = pool.submit(
                self._timed,
                "Salesforce",
                lambda: Twin.start(
                    folder / "salesforce",
                    seed=seed,
                    contacts=contacts,
                    latency_ms=latency_ms,
                    log_delay_s=log_delay_s,
                    logs=logs,
                ),
            )
            aws = pool.submit(
                self._timed, "AWS", lambda: Aws.start(folder / "aws", log_delay_s=log_delay_s, logs=logs)
            )
            postgres = pool.submit(
                self._timed, "PostgreSQL", lambda: Postgres.start(folder / "postgres", logs=logs)
            )
            vault = pool.submit(self._timed, "Vault", lambda: Vault.start(folder / "vault", logs=logs))
            slack = pool.submit(self._timed, "Slack", lambda: Slack.start(folder / "slack", logs=logs))
            in_vault = pool.submit(lambda: vault_world.seed(vault.result(), postgres.result()))
            in_aws = pool.submit(lambda: aws_world.seed(aws.result()))
        return Servers(
            twin.result(),
            vault.result(),
            postgres.result(),
            aws.result(),
            slack.result(),
            in_vault.result(),
            in_aws.result(),
        )

    def join(self, up: Servers, seed: int, contacts: int) -> dict[str, Any]:
        """Give every server the secrets of the others, plant the leak, and write lab.json."""
        files = world.store_secrets(
            self.folder / "break-glass", up.twin, up.in_aws, up.vault, up.slack, up.in_vault
        )
        world.plant_credentials(up.twin, up.in_aws, up.in_vault, seed)
        shutil.copyfile(PLAN, self.folder / "plan.yaml")
        info = describe(self.folder, up, files, seed=seed, contacts=contacts)
        write_private(self.folder / "lab.json", json.dumps(info, indent=2) + "\n")
        self.seconds["total"] = time.monotonic() - self._began
        return info

    def stop_all(self) -> None:
        _stop(self._running)

    def _timed(self, name: str, start: Callable[[], S]) -> S:
        server = start()
        self._running.append(server.process)
        self.seconds[name] = time.monotonic() - self._began
        self._progress(f"{name} is up ({self.seconds[name]:.1f} s)")
        return server


def describe(
    folder: Path, up: Servers, files: world.BreakGlass, *, seed: int, contacts: int
) -> dict[str, Any]:
    """What lab.json says: addresses, credentials, block values, the stolen goods, the ground truth."""
    twin, vault, postgres, aws, slack = up.twin, up.vault, up.postgres, up.aws, up.slack
    aws_info = {
        "endpoint": aws.endpoint,
        "region": aws.region,
        "admin": {"access_key_id": aws.admin_key_id, "secret_access_key": aws.admin_secret},
        "responder": asdict(up.in_aws.responder),
        "innocent": asdict(up.in_aws.innocent),
        "buckets": {"attachments": aws_world.ATTACHMENTS, "evidence": aws_world.EVIDENCE},
        "control": f"{aws.endpoint}/__lab__/",
        "control_token": aws.control_token,
    }
    return {
        "dir": str(folder),
        "seed": seed,
        "contacts": contacts,
        "salesforce": {
            "url": twin.url,
            "ca": str(twin.ca),
            "api_version": twin.org["api_version"],
            "org_id": twin.org["org_id"],
            "admin": twin.org["admin"],
            "responder": twin.org["responder"],
            "innocent": twin.org["erp"],
        },
        "vault": {
            "addr": vault.addr,
            "root_token": vault.root_token,
            "unseal_key": vault.unseal_key,
            "responder_role_id": up.in_vault.responder_role_id,
            "responder_secret_id_file": str(files.vault_secret_id),
            "innocent_token": up.in_vault.innocent_token,
            "audit_log": str(vault.audit_log),
        },
        "aws": aws_info,
        "slack": {
            "base_url": slack.base_url,
            "token": slack.token,
            "signing_secret": slack.signing_secret,
            "control": f"{slack.url}/__lab__/",
            "control_token": slack.control_token,
        },
        "postgres": {
            "host": postgres.host,
            "port": postgres.port,
            "dbname": postgres.dbname,
            "admin_dsn": postgres.dsn(),
        },
        "truth_url": f"{twin.url}/__lab__/truth?key={twin.control_token_file.read_text().strip()}",
        "control_token_file": str(twin.control_token_file),
        "blocks": world.block_values(twin, aws_info, vault, slack, up.in_vault, files),
        "plan": str(folder / "plan.yaml"),
        "stolen": {
            **twin.org["stolen"],
            "aws_access_key_id": up.in_aws.stolen.access_key_id,
            "aws_secret_access_key": up.in_aws.stolen.secret_access_key,
            "vault_token": up.in_vault.stolen.token,
            "vault_accessor": up.in_vault.stolen.accessor,
        },
        "suspects": world.SUSPECTS,
    }


def _take(folder: Path) -> IO[str]:
    """Claim the folder for this lab and clear what an earlier one left. Raises LabError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = (folder / MARK).exists()
        if not known and any(folder.iterdir()):
            raise LabError(f"{folder} is not empty.", "Name an empty or a new folder for the lab.")
        lock = (folder / MARK).open("a+")
    except OSError as error:
        raise LabError(
            f"The lab cannot use the folder {folder}: {error.strerror}.", "Name one that you may write to."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise LabError(f"Another lab is running in {folder}.", "Stop it, or name another folder.") from None
    for name in OWN:
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "lab.json").unlink(missing_ok=True)
    return lock


def _stop(processes: tuple[Process, ...] | list[Process]) -> None:
    if processes:
        with ThreadPoolExecutor(len(processes)) as pool:
            list(pool.map(Process.stop, processes))
