"""The gate in front of moto: every request is identified, judged as AWS would, recorded, then let through.

Order, as on AWS: does the key exist and is it active; is the session still valid; does the signature match;
do the policies allow it. `sts:GetCallerIdentity` needs no permission. What passes goes to moto, whose own
authorisation stays off.
"""

from __future__ import annotations

import io
import json
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.iam.models import mark_account_as_visited

from ..faults import Fault, Faults
from . import answers, bootstrap, principals, signature
from .access import add_parameters, authorize, context_of
from .answers import AwsError, StartResponse, error
from .bootstrap import Admin
from .corrections import own_answer
from .operations import Operation, identify
from .principals import Principal
from .signature import Signature
from .trail import Trail

WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
CONTROL = "/__lab__/"
FAULT_MESSAGES = {
    "throttled": "Rate exceeded",
    "unavailable": "Service is unable to handle request.",
    "failed": "We encountered an internal error. Please try again.",
}


class ConnectionCut(ConnectionError):
    """A fault asks for the connection to be closed without an answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the gate knows of one request."""

    environ: dict[str, Any]
    method: str
    url: str  # path and query as sent
    headers: Mapping[str, str]
    body: bytes
    signature: Signature | None

    @property
    def service(self) -> str:
        return self.signature.service if self.signature else "s3"

    @property
    def region(self) -> str:
        return self.signature.region if self.signature else "us-east-1"

    @property
    def protocol(self) -> str:
        return answers.protocol_of(self.service, self.environ)


class Gate:
    """A WSGI application around moto's."""

    def __init__(self, moto: WsgiApp, admin: Admin, control_token: str, trail: Trail) -> None:
        self._moto = moto
        self._admin = admin
        self._control_token = control_token
        self._trail = trail
        self._faults = Faults()
        self._requests: list[dict[str, Any]] = []
        self._moto_lock = threading.Lock()  # moto's state is not made for threads
        bootstrap.reset(admin)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith((CONTROL, "/moto-api")):
            return self._control(environ, start_response)
        request = _read(environ)
        if self._faults.latency_s:
            time.sleep(self._faults.latency_s)
        status = [0]

        def noted(line: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            status[0] = int(line.split()[0])
            return start_response(line, headers, *rest)

        operation: Operation | None = None
        try:
            principal = self._authenticate(request)
            operation = identify(
                request.service, request.region, environ, request.body, principal.name.partition("/")[0]
            )
            return self._judged(request, principal, operation, noted)
        except AwsError as refusal:
            return answers.send(noted, request.protocol, refusal, request.method)
        except ConnectionCut:
            raise
        except Exception:
            traceback.print_exc()
            failure = error(request.protocol, "failed", "The lab's AWS failed; its log has the reason.")
            return answers.send(noted, request.protocol, failure, request.method)
        finally:
            self._note(request, operation, status[0])

    def _authenticate(self, request: Request) -> Principal:
        signed, protocol = request.signature, request.protocol
        if signed is None:
            raise error(protocol, "unsigned", "Missing Authentication Token")
        with self._moto_lock:
            principal = principals.find(signed.key_id)
        if principal is None or not principal.active:
            message = (
                "The AWS Access Key Id you provided does not exist in our records."
                if protocol == "s3"
                else "The security token included in the request is invalid."
            )
            raise error(protocol, "unknown-key", message)
        if signed.token != principal.session_token:
            raise error(protocol, "bad-token", "The provided token is malformed or otherwise invalid.")
        now = datetime.now(UTC)
        if principal.expires_at is not None and now >= principal.expires_at:
            raise error(protocol, "expired", "The security token included in the request is expired")
        if signed.presigned_for is not None and now > signed.instant + signed.presigned_for:
            raise error(protocol, "denied", "Request has expired")
        if signed.presigned_for is None and abs(now - signed.instant) > signature.SKEW:
            raise error(protocol, "skewed", "The difference between the request time and now is too large.")
        if not signature.matches(
            signed, principal.secret, request.method, request.url, request.headers, request.body
        ):
            raise error(
                protocol, "bad-signature", "The request signature we calculated does not match yours."
            )
        return principal

    def _judged(
        self, request: Request, principal: Principal, operation: Operation, start_response: StartResponse
    ) -> Iterable[bytes]:
        fault = self._faults.take(
            service=operation.service, operation=operation.name, key_id=principal.key_id, user=principal.name
        )
        if fault is not None:
            _before(fault, request.protocol)
        refused: AwsError | None = None
        result: list[bytes] = []
        try:
            context = context_of(principal, request.environ, request.region)
            add_parameters(context, operation)
            with self._moto_lock:
                authorize(principal, operation, context, request.protocol, request.region)
                result = list(self._answer(request, principal, operation, start_response))
        except AwsError as refusal:
            refused = refusal
            raise
        finally:
            self._trail.write(
                principal,
                operation,
                region=request.region,
                source_ip=request.environ.get("REMOTE_ADDR", ""),
                user_agent=request.headers.get("user-agent", ""),
                refused=refused,
                answer=b"".join(result),
            )
        if fault is not None and fault.kind == "reset-after":
            raise ConnectionCut
        return [b"<<<"] if fault is not None and fault.kind == "malformed" else result

    def _answer(
        self, request: Request, principal: Principal, operation: Operation, start_response: StartResponse
    ) -> Iterable[bytes]:
        own = own_answer(principal, operation, request.body, request.region, self._trail)
        if own is not None:
            mark_account_as_visited(
                principals.ACCOUNT, principal.key_id, operation.service, request.region
            )  # moto notes the key's last use for the calls that it serves
            start_response("200 OK", [("Content-Type", own[0]), ("Content-Length", str(len(own[1])))])
            return [own[1]]
        request.environ["wsgi.input"] = io.BytesIO(request.body)
        return list(self._moto(request.environ, start_response))

    def _note(self, request: Request, operation: Operation | None, status: int) -> None:
        self._requests.append(
            {
                "at": datetime.now(UTC).isoformat(),
                "credential": f"aws:{request.signature.key_id}" if request.signature else "aws:anonymous",
                "service": request.service,
                "operation": operation.name if operation else None,
                "bucket": operation.bucket if operation else None,
                "key": operation.key if operation else None,
                "status": status,
            }
        )

    def _control(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """The lab's own address, never part of AWS: health, requests, events, reset, faults, latency."""
        what = environ["PATH_INFO"].removeprefix(CONTROL)
        method = environ["REQUEST_METHOD"]
        answer: Any = {"ok": True}
        status = "200 OK"
        if what == "health":
            pass
        elif environ.get("HTTP_AUTHORIZATION") != f"Bearer {self._control_token}":
            status, answer = "403 Forbidden", {"ok": False, "error": "control token missing or wrong"}
        elif what == "requests":
            since = environ.get("QUERY_STRING", "").partition("since=")[2].replace("%3A", ":")
            answer = [r for r in list(self._requests) if r["at"] > since.replace("%2B", "+")]
        elif what == "events":
            answer = [event.record for event in self._trail.all(data=True)]
        elif what == "reset":
            with self._moto_lock:
                bootstrap.reset(self._admin)
            self._trail.reset()
            self._faults.clear()
            self._requests.clear()
        elif what in ("faults", "latency"):
            size = int(environ.get("CONTENT_LENGTH") or 0)
            body = json.loads(environ["wsgi.input"].read(size) or b"{}")
            answer = self._faults.control(method, what, body)
        else:
            status, answer = "404 Not Found", {"ok": False, "error": f"no such control: {what}"}
        data = json.dumps(answer).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
        return [data]


def _read(environ: dict[str, Any]) -> Request:
    body = _body(environ)
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    url = environ.get("REQUEST_URI") or environ["PATH_INFO"]
    try:
        signed = signature.read(headers, environ.get("QUERY_STRING", ""))
    except (KeyError, IndexError, ValueError):
        signed = None
    return Request(environ, environ["REQUEST_METHOD"], url, headers, body, signed)


def _body(environ: dict[str, Any]) -> bytes:
    """The whole body, also of a chunked request, whose length moto is then told."""
    if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
        body: bytes = environ["wsgi.input"].read()
        environ["CONTENT_LENGTH"] = str(len(body))
        del environ["HTTP_TRANSFER_ENCODING"]
        return body
    size = int(environ.get("CONTENT_LENGTH") or 0)
    return environ["wsgi.input"].read(size) if size else b""


def _before(fault: Fault, protocol: str) -> None:
    """What a fault does before the request is served."""
    if fault.kind in FAULT_MESSAGES:
        raise error(protocol, fault.kind, FAULT_MESSAGES[fault.kind])
    if fault.kind in ("slow", "timeout"):
        time.sleep(fault.delay_s)
    if fault.kind in ("timeout", "reset"):
        raise ConnectionCut
