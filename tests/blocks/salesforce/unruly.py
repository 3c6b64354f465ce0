"""An HTTPS server on loopback that answers as told: late, wrongly, half, or not at all.

It issues and checks access tokens like an org, so that login, expiry and re-login are real exchanges.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import socket
import ssl
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)  # one for all: making it is slow
ORG, USER = "00D000000000001AAA", "005000000000001AAA"


@dataclass(frozen=True)
class Answer:
    """What to do with one request."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0
    reset: bool = False  # read the request, act on it, then reset the connection
    truncate: bool = False  # promise more bytes than are sent


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str
    at: float


def error(status: int, code: str, **headers: str) -> Answer:
    """An error in Salesforce's shape; its text holds what must never be repeated."""
    body = [{"errorCode": code, "message": "customer-secret-4711"}]
    return Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


class Unruly:
    """The server: script answers by path, look at what came, expire tokens."""

    def __init__(self, folder: Path) -> None:
        self.script: dict[str, deque[Answer]] = defaultdict(deque)
        self.seen: list[Seen] = []
        self.tokens: set[str] = set()
        self.logins = 0
        self.refuse_logins = False
        self.always_expired = False
        self.revoked: list[str] = []
        self.lock = threading.Lock()
        self.key = KEY
        self.key_file = folder / "responder.pem"
        self.key_file.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        certificate, key = make_certificate(folder)
        self.ca = str(certificate)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                outer.handle(self)

            do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = handle_one

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *args: Any) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    def will(self, path: str, *answers: Answer) -> None:
        """The next answers for a path, in this order; afterwards it answers 200 `{"ok": true}`."""
        self.script[path].extend(answers)

    def calls(self, path: str) -> list[Seen]:
        return [one for one in self.seen if one.path == path]

    def expire_all(self) -> None:
        with self.lock:
            self.tokens.clear()

    # --- serving ---

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length).decode()
        parts = urlsplit(request.path)
        headers = {name.lower(): value for name, value in request.headers.items()}
        one = Seen(request.command, parts.path, parts.query, headers, body, time.monotonic())
        with self.lock:
            self.seen.append(one)
            scripted = self.script[parts.path].popleft() if self.script[parts.path] else None
        self.send(request, scripted or self.answer(one))

    def answer(self, one: Seen) -> Answer:
        if one.path == "/services/oauth2/token":
            return self.login(parse_qs(one.body))
        if one.path == "/services/oauth2/revoke":
            token = parse_qs(one.body)["token"][0]
            known = token in self.tokens
            self.tokens.discard(token)
            self.revoked.append(token)
            return Answer() if known else Answer(400, {"error": "invalid_token"})
        token = one.headers.get("authorization", "").removeprefix("Bearer ")
        with self.lock:
            if token not in self.tokens or self.always_expired:
                return error(401, "INVALID_SESSION_ID")
        return Answer(body={"ok": True})

    def login(self, form: dict[str, list[str]]) -> Answer:
        with self.lock:
            self.logins += 1
            number = self.logins
        time.sleep(0.05)  # long enough for other threads to want a login too
        if self.refuse_logins:
            return Answer(400, {"error": "invalid_grant", "error_description": "customer-secret-4711"})
        if form["grant_type"][0].endswith("jwt-bearer"):
            try:
                claims = jwt.decode(
                    form["assertion"][0], self.key.public_key(), algorithms=["RS256"], audience=self.url
                )
                assert claims["iss"] == "consumer" and claims["sub"] == "responder@lab.example"
                assert 0 < claims["exp"] - time.time() <= 300
            except (jwt.PyJWTError, AssertionError):
                return Answer(400, {"error": "invalid_grant"})
        elif form.get("client_secret") != ["s3cret"]:
            return Answer(400, {"error": "invalid_client"})
        token = f"{ORG}!token-{number}"
        with self.lock:
            self.tokens.add(token)
        body = {"access_token": token, "instance_url": self.url, "id": f"{self.url}/id/{ORG}/{USER}"}
        return Answer(body=body)

    def send(self, request: BaseHTTPRequestHandler, answer: Answer) -> None:
        time.sleep(answer.delay_s)
        if answer.reset:
            # Linger 0: the kernel sends RST instead of an orderly end.
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.connection.close()
            request.close_connection = True
            return
        text = isinstance(answer.body, str)
        content = (
            (answer.body if text else json.dumps(answer.body)).encode() if answer.body is not None else b""
        )
        request.send_response(answer.status)
        headers = {"Content-Type": "text/csv" if text else "application/json"} | answer.headers
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content) + (100 if answer.truncate else 0)))
        request.end_headers()
        request.wfile.write(content)
        if answer.truncate:
            request.wfile.flush()
            request.close_connection = True


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, so that it is its own CA file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "unruly")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "server.pem", folder / "server.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


@contextmanager
def running(folder: Path) -> Iterator[Unruly]:
    server = Unruly(folder)
    try:
        yield server
    finally:
        server.stop()
