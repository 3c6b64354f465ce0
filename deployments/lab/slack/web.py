"""The workspace over HTTP: the Web API under /api/, uploads, response addresses and the lab's control."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import time
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from ..faults import Faults
from . import interactivity, messages, methods
from .methods import Call
from .state import SlackError, Workspace

METHODS = methods.METHODS | messages.METHODS
SCOPES = sorted({scope for _, scope in METHODS.values() if scope})


class Server(ThreadingHTTPServer):
    """One workspace and who may talk to it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, token: str, signing_secret: str, control_token: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.base = f"http://127.0.0.1:{self.server_address[1]}"
        self.token = token
        self.signing_secret = signing_secret
        self.control_token = control_token
        self.workspace = Workspace()
        self.faults = Faults()
        self.requests: list[dict[str, Any]] = []


def serve(port: int, token: str, signing_secret: str, control_token: str) -> None:
    Server(port, token, signing_secret, control_token).serve_forever()


class Handler(BaseHTTPRequestHandler):
    """Routes one connection's requests."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def do_DELETE(self) -> None:
        self._route()

    def log_message(self, *args: Any) -> None:
        """The server keeps its own list of calls."""

    def _route(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path.startswith("/__lab__/"):
            return self._control(path.removeprefix("/__lab__/"), body)
        if self.server.faults.latency_s:
            time.sleep(self.server.faults.latency_s)
        if path.startswith("/api/"):
            return self._api(path.removeprefix("/api/"), body)
        if path.startswith("/upload/"):
            return self._upload(path.removeprefix("/upload/"), body)
        if path.startswith("/response/"):
            return self._response_url(path.removeprefix("/response/"), body)
        return self._send(404, {"ok": False, "error": "not_found"})

    def _api(self, method: str, body: bytes) -> None:
        fault = self.server.faults.take(method=method)
        if fault is not None:
            if fault.kind == "throttled":
                retry = str(max(1, round(fault.retry_after_s)))
                self._note(method, "ratelimited")
                return self._send(429, {"ok": False, "error": "ratelimited"}, {"retry-after": retry})
            if fault.kind in ("unavailable", "failed"):
                self._note(method, fault.kind)
                return self._send(503 if fault.kind == "unavailable" else 500, b"Service unavailable")
            if fault.kind in ("slow", "timeout"):
                time.sleep(fault.delay_s)
            if fault.kind in ("timeout", "reset"):
                return self._cut()
        answer = self._answer(method, body)
        self._note(method, answer.get("error", "ok"))
        if fault is not None and fault.kind == "reset-after":
            return self._cut()
        if fault is not None and fault.kind == "malformed":
            return self._send(200, b"<html>not JSON")
        return self._send(200, answer, {"x-oauth-scopes": ",".join(SCOPES)})

    def _answer(self, method: str, body: bytes) -> dict[str, Any]:
        """What Slack says, always with HTTP 200; everything about one call happens under the lock."""
        try:
            parameters = self._parameters(body)
            if method == "api.test":
                return {"ok": True, "args": parameters}
            token = self.headers.get("Authorization", "").removeprefix("Bearer ") or parameters.get("token")
            if not token:
                raise SlackError("not_authed")
            if token != self.server.token:
                raise SlackError("invalid_auth")
            if method not in METHODS:
                raise SlackError("unknown_method", req_method=method)
            function, _scope = METHODS[method]
            with self.server.workspace.lock:
                answer = function(Call(self.server.workspace, parameters, self.server.base))
                # A copy: the state may change while the answer is being sent.
                return {"ok": True, **json.loads(json.dumps(answer))}
        except SlackError as error:
            return {"ok": False, "error": error.code, **error.more}

    def _parameters(self, body: bytes) -> dict[str, Any]:
        kind = self.headers.get("Content-Type", "")
        parameters: dict[str, Any] = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if kind.startswith("application/json"):
            try:
                parameters |= json.loads(body or b"{}")
            except ValueError:
                raise SlackError("invalid_json") from None
        elif kind.startswith("multipart/form-data"):
            parameters |= {name: value.decode() for name, value in _parts(kind, body)}
        else:
            parameters |= dict(parse_qsl(body.decode(), keep_blank_values=True))
        return parameters

    def _upload(self, file_id: str, body: bytes) -> None:
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            body = next((value for _, value in _parts(kind, body)), b"")
        with self.server.workspace.lock:
            file = self.server.workspace.files.get(file_id)
            if file is None or file.complete:
                return self._send(404, b"no such upload")
            if len(body) != file.length:
                return self._send(400, b"length differs from the one announced")
            file.content = body
        return self._send(200, f"OK - {len(body)}".encode())

    def _response_url(self, response: str, body: bytes) -> None:
        try:
            with self.server.workspace.lock:
                interactivity.respond(self.server.workspace, response, json.loads(body or b"{}"))
        except SlackError as error:
            return self._send(404, error.code.encode())
        return self._send(200, b"ok")

    def _control(self, what: str, body: bytes) -> None:
        """The lab's own address, never part of Slack."""
        if what == "health":
            return self._send(200, {"ok": True})
        if self.headers.get("Authorization") != f"Bearer {self.server.control_token}":
            return self._send(403, {"ok": False, "error": "control token missing or wrong"})
        try:
            asked = json.loads(body or b"{}")
            return self._send(200, self._controlled(what, asked))
        except SlackError as error:
            return self._send(400, {"ok": False, "error": error.code})
        except (KeyError, TypeError, ValueError) as error:
            return self._send(400, {"ok": False, "error": f"{type(error).__name__}: {error}"})

    def _controlled(self, what: str, asked: dict[str, Any]) -> Any:
        workspace = self.server.workspace
        if what in ("click", "submit"):
            with workspace.lock:
                form = (
                    interactivity.click(workspace, asked, self.server.base)
                    if what == "click"
                    else interactivity.submit(workspace, asked)
                )
            return interactivity.send(
                asked["url"],
                self.server.signing_secret,
                form,
                age_s=float(asked.get("age_s", 0)),
                tampered=bool(asked.get("tampered")),
            )
        with workspace.lock:
            if what == "state":
                return _state(workspace)
            if what == "reset":
                workspace.reset()
                self.server.faults.clear()
                self.server.faults.latency_s = 0.0
                self.server.requests.clear()
                return {"ok": True}
        if what in ("faults", "latency"):
            return self.server.faults.control(self.command, what, asked)
        if what.split("?")[0] == "requests":
            since = parse_qs(urlsplit(self.path).query).get("since", [""])[0]
            return [entry for entry in list(self.server.requests) if entry["at"] > since]
        raise SlackError("no_such_control")

    def _note(self, method: str, outcome: str) -> None:
        self.server.requests.append(
            {"at": datetime.now(UTC).isoformat(), "method": method, "outcome": outcome}
        )

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        is_json = not isinstance(body, bytes)
        self.send_header("Content-Type", "application/json; charset=utf-8" if is_json else "text/plain")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _parts(kind: str, body: bytes) -> list[tuple[str, bytes]]:
    """Names and contents of a multipart body."""
    parsed = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    found = []
    for part in parsed.walk():
        name = re.search(r'name="([^"]*)"', part.get("Content-Disposition", ""))
        if name:
            content = part.get_payload(decode=True)
            found.append((name[1], content if isinstance(content, bytes) else b""))
    return found


def _state(workspace: Workspace) -> dict[str, Any]:
    """Everything the workspace holds, for tests and rehearsals."""
    return {
        "channels": [
            {
                "id": channel.id,
                "name": channel.name,
                "is_private": channel.is_private,
                "is_im": channel.is_im,
                "is_archived": channel.is_archived,
                "topic": channel.topic,
                "purpose": channel.purpose,
                "members": channel.members,
                "messages": channel.messages,
                "pins": channel.pins,
            }
            for channel in workspace.channels.values()
        ],
        "files": [
            {
                "id": file.id,
                "name": file.name,
                "title": file.title,
                "length": file.length,
                "complete": file.complete,
                "channels": file.channels,
                "content_base64": base64.b64encode(file.content or b"").decode(),
            }
            for file in workspace.files.values()
        ],
        "users": list(workspace.users.values()),
        "views": list(workspace.views.values()),
    }
