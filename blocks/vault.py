"""The Vault block: an AppRole login that renews itself, with time-outs, retries and clear errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import hvac
import requests
from hvac.adapters import JSONAdapter
from hvac.exceptions import Forbidden, InvalidPath, RateLimitExceeded, VaultDown, VaultError
from pydantic import Field
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from blocks.base import SystemBlock, user_agent
from blocks.check import Check
from blocks.errors import LeakResponseError, Refused, SecretUnavailable, Unreachable
from blocks.secrets import Reference, resolve

STATUS = {
    "InvalidRequest": 400,
    "Unauthorized": 401,
    "UnsupportedOperation": 405,
    "PreconditionFailed": 412,
    "InternalServerError": 500,
    "VaultNotInitialized": 501,
    "BadGateway": 502,
}
CONNECT_S = 3.0
DOWN_S = 5.0
RENEW_AT = 0.8  # of a token's life, so that no call meets an expired one


class VaultRefused(Refused):
    """Vault answered and said no. `status` is the HTTP status: 404 means that it is not there."""

    def __init__(self, problem: str, fix: str, status: int) -> None:
        super().__init__(problem, fix)
        self.status = status


@contextmanager
def vault_errors(what: str, fix: str = "") -> Iterator[None]:
    """Turn hvac's and requests' errors into ours; their texts can carry data and are dropped."""
    try:
        yield
    except LeakResponseError:
        raise
    except VaultDown:
        raise Unreachable(f"Vault is sealed or in standby ({what}).", "Unseal it, then try again.") from None
    except Forbidden:
        raise VaultRefused(
            f"Vault forbids this: {what}.", fix or "Grant the responder's policy this path.", 403
        ) from None
    except InvalidPath:
        raise VaultRefused(f"Vault has no such thing: {what}.", fix or "Check mount and path.", 404) from None
    except (RateLimitExceeded, requests.ConnectionError, requests.Timeout) as error:
        raise Unreachable(
            f"Vault did not answer ({what}): {type(error).__name__}.", "Check its address and the network."
        ) from None
    except VaultError as error:
        status = _status(error)
        if status >= 500:
            raise Unreachable(f"Vault failed with {status} ({what}).", "Look at Vault's own log.") from None
        raise VaultRefused(
            f"Vault refused with {status} ({what}).", fix or "Look at Vault's audit log.", status
        ) from None
    except (requests.RequestException, ValueError) as error:
        raise Unreachable(
            f"Vault's answer could not be read ({what}): {type(error).__name__}.", "Is the address Vault's?"
        ) from None


def _status(error: VaultError) -> int:
    """hvac keeps no status on its errors; its classes stand for one each."""
    return STATUS.get(type(error).__name__, 400)


@dataclass
class _Down:
    """Until when (monotonic seconds) Vault counts as not answering."""

    until: float = 0.0


Login = Callable[[], tuple[str, float]]  # a new token, and its life in seconds (0: does not end)


class ReadableAdapter(JSONAdapter):  # type: ignore[misc]
    """Refuses an answer that is not JSON: hvac hands on the bare response, which no caller expects."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        answer = super().request(*args, **kwargs)
        if isinstance(answer, requests.Response) and answer.status_code == 200 and answer.content:
            raise ValueError("not JSON")  # `vault_errors` says which call it was
        return answer


class RenewingAdapter(ReadableAdapter):
    """Puts a live token on every call: logs in first, again before the token ends, and once after a 403
    that an expired or revoked token explains. Many threads, one login."""

    def __init__(self, *args: Any, login: Login | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.token: str
        self._login = login
        self._guard = threading.Lock()
        self._renew_at = 0.0

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        if self._login is None:
            return super().request(method, url, *args, **kwargs)
        used = self._fresh()
        try:
            return super().request(method, url, *args, **kwargs)
        except Forbidden:
            if self._alive(used):
                raise
            self._fresh(stale=used)
            return super().request(method, url, *args, **kwargs)

    def _fresh(self, stale: str | None = None) -> str:
        with self._guard:
            ended = self._renew_at and time.monotonic() >= self._renew_at
            if not self.token or ended or self.token == stale:
                assert self._login is not None
                self.token, seconds = self._login()
                self._renew_at = time.monotonic() + seconds * RENEW_AT if seconds else 0.0
            return str(self.token)

    def _alive(self, token: str) -> bool:
        answer = self.session.get(
            self.urljoin(self.base_uri, "/v1/auth/token/lookup-self"),
            headers={"X-Vault-Token": token}
            | ({"X-Vault-Namespace": self.namespace} if self.namespace else {}),
            timeout=self._kwargs["timeout"],
        )
        return bool(answer.ok)


class VaultServer(SystemBlock):
    """Vault or OpenBao, reached by an AppRole of the responder's own.

    Holds where the secret id is kept, never a token. The responder's policy needs the paths that
    `check` lists; keep a copy of the secret id in a break-glass file.
    """

    _block_type_name: ClassVar[str] = "Leak Response Vault Server"
    _block_type_slug: ClassVar[str] = "leak-response-vault-server"

    addr: str = Field(
        description="Address, for example https://vault.example.com:8200", pattern=r"^https?://"
    )
    role_id: str = Field(description="The responder's AppRole role id (not a secret)")
    secret_id: list[Reference] = Field(
        description="Where the AppRole secret id is kept, first that answers wins: file:PATH or env:NAME",
        min_length=1,
    )
    namespace: str | None = Field(default=None, description="Vault namespace, if there is one")
    ca_bundle: str | None = Field(default=None, description="CA file to trust instead of the system's")
    approle_mount: str = Field(default="approle", description="Where the AppRole method is mounted")
    kv_mount: str = Field(default="kv", description="Mount of the KV version 2 engine with the secrets")
    transit_mount: str = Field(default="transit", description="Mount of the transit engine")
    transit_key: str = Field(default="leak-response-ledger", description="Transit key that signs the ledger")
    audit_log: list[str] = Field(
        default_factory=list,
        description="Files or folders of the audit log that this worker can read; without, nobody can tell "
        "what a leaked token read or made",
    )
    audit_device: str = Field(default="file", description="Name of the audit device that writes audit_log")
    timeout_s: float = Field(default=10, gt=0, le=300, description="Seconds to wait for an answer")

    def get_client(self) -> hvac.Client:
        """A client that logs in by itself and may be used from many threads."""
        return self._live.get("client", lambda: self._client(partial(RenewingAdapter, login=self._log_in)))

    def client_with(self, token: str) -> hvac.Client:
        """A client with another's token: for proving that it is refused. Never cached, no retries."""
        return self._client(ReadableAdapter, token=token, retries=0)

    def read_secret(self, mount: str, path: str, field: str) -> str:
        """A field of the newest version of a KV version 2 secret (the SecretReader of blocks.secrets).

        Raises Unreachable, VaultRefused, or SecretUnavailable when the secret has no such field. After
        an Unreachable the next reads fail at once for a while: each of them has a fallback to go to.
        """
        down = self._live.get("down", _Down)
        if time.monotonic() < down.until:
            raise Unreachable(f"Vault did not answer a moment ago (reading {mount}/{path}).", "Try later.")
        try:
            with vault_errors(f"reading {mount}/{path}"):
                answer = self.get_client().secrets.kv.v2.read_secret_version(
                    path=path, mount_point=mount, raise_on_deleted_version=True
                )
        except Unreachable:
            down.until = time.monotonic() + DOWN_S
            raise
        value = answer["data"]["data"].get(field)
        if not isinstance(value, str):
            raise SecretUnavailable(f"{mount}/{path} has no field {field}", "Write the field.")
        return value

    def check(self) -> list[Check]:
        """Reachable, unsealed, login works, and the capabilities the response needs are granted."""
        from blocks.vault_check import check_vault

        return check_vault(self)

    def _client(self, adapter: Any, token: str = "", retries: int = 3) -> hvac.Client:
        # An empty token, not None: hvac would take one from the environment or the user's home.
        return hvac.Client(
            url=self.addr,
            token=token,
            verify=self.ca_bundle or True,
            timeout=(min(CONNECT_S, self.timeout_s), self.timeout_s),
            namespace=self.namespace,
            session=self._session(retries),
            adapter=adapter,
        )

    def _session(self, retries: int) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.verify = self.ca_bundle or True
        session.headers["User-Agent"] = user_agent()
        # Not 503: a sealed Vault stays sealed, and whoever waits for it has a fallback to go to.
        policy = Retry(
            total=retries,
            connect=min(1, retries),
            read=min(1, retries),
            status_forcelist=(412, 429, 502, 504),
            allowed_methods=("GET", "LIST", "PUT", "DELETE", "HEAD"),
            backoff_factor=0.2,
            backoff_jitter=0.2,
            backoff_max=5,
            raise_on_status=False,
        )
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=32, max_retries=policy))
        return session

    def _log_in(self) -> tuple[str, float]:
        """A new token and its life in seconds (0: does not end)."""
        secret_id = resolve(self.secret_id)
        with vault_errors("AppRole login", "Check role id and secret id; issue a new one."):
            answer = self._client(ReadableAdapter).auth.approle.login(
                role_id=self.role_id, secret_id=secret_id, use_token=False, mount_point=self.approle_mount
            )
            auth = answer["auth"]
        return auth["client_token"], float(auth["lease_duration"])
