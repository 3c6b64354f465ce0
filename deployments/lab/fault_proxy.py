"""A proxy that makes faults for servers that cannot make their own: Vault (HTTP) and PostgreSQL (TCP).

`python -m deployments.lab.fault_proxy PORT CONTROL_PORT TARGET_PORT http|tcp`, until its standard input ends.
Faults come to the control port, as for every stand-in (`POST /__lab__/faults`, see `faults.py`). An HTTP
fault may name `method` and `route`: the path with `*` for each part that names one thing (`route_of`).
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from deployments.lab.errors import LabError
from deployments.lab.faults import Fault, Faults
from deployments.lab.process import Process, answers, claim_port, clean_env

HOST = "127.0.0.1"
_NOT_FORWARDED = {"host", "connection", "transfer-encoding", "content-length"}
_ONE_THING = re.compile(r"(?=.*\d)[\w.-]{18,}")
_STATUS = {"throttled": 429, "unavailable": 503, "failed": 500}


def route_of(path: str) -> str:
    """A path without its query, `*` for each segment that is an id: long, and with a digit."""
    parts = path.partition("?")[0].split("/")
    return "/".join("*" if _ONE_THING.fullmatch(part) else part for part in parts)


@dataclass(frozen=True, slots=True)
class FaultProxy:
    """A running proxy. Clients use `port` in place of the target's."""

    process: Process
    port: int
    control_port: int

    @classmethod
    def start(cls, folder: Path, target_port: int, kind: str) -> FaultProxy:
        """Start in front of a loopback port; `kind` is http or tcp. Raises LabError."""
        port, control_port = claim_port(0, "fault proxy"), claim_port(0, "fault proxy")
        process = Process(
            f"fault proxy ({kind})",
            [
                *(sys.executable, "-m", "deployments.lab.fault_proxy"),
                *(str(port), str(control_port), str(target_port), kind),
            ],
            log=folder / f"fault-proxy-{kind}.log",
            env=clean_env(),
        )
        process.wait_until(lambda: answers(control_port) and answers(port))
        return cls(process, port, control_port)

    def control(self, what: str, body: Mapping[str, Any] | None = None, *, method: str = "POST") -> Any:
        """`faults` (POST one, GET hits, DELETE all) or `latency`. Raises LabError for anything else."""
        with requests.Session() as session:
            session.trust_env = False
            url = f"http://{HOST}:{self.control_port}/__lab__/{what}"
            answer = session.request(method, url, json=body or {}, timeout=10)
        if not answer.ok:
            raise LabError(f"The fault proxy refused {what}: {answer.text}", "Check the control call.")
        return answer.json()

    def stop(self) -> None:
        self.process.stop()


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: whoever makes a fault knows of it."""

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {"Content-Type": "application/json"}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def control_server(port: int, faults: Faults) -> ThreadingHTTPServer:
    """The lab's own address."""

    class Control(_Quiet):
        def _serve(self) -> None:
            try:
                what = self.path.removeprefix("/__lab__/")
                done = faults.control(self.command, what, json.loads(self.body() or b"{}"))
                self.reply(200, json.dumps(done).encode())
            except (ValueError, TypeError, KeyError) as error:
                self.reply(400, json.dumps({"error": str(error)}).encode())

        do_GET = do_POST = do_DELETE = _serve

    return ThreadingHTTPServer((HOST, port), Control)


def http_server(port: int, target_port: int, faults: Faults) -> ThreadingHTTPServer:
    """Forwards HTTP calls, with faults."""

    class Forward(_Quiet):
        def _serve(self) -> None:
            body = self.body()
            time.sleep(faults.latency_s)
            fault = faults.take(method=self.command, route=route_of(self.path))
            if fault is not None and fault.kind in ("timeout", "slow"):
                time.sleep(fault.delay_s)
            if fault is not None and fault.kind in ("timeout", "reset"):
                self._cut()
            elif fault is not None and fault.kind in _STATUS:
                sealed = b'{"errors":["Vault is sealed"]}'
                retry = {"Retry-After": f"{fault.retry_after_s:g}"} if fault.kind == "throttled" else {}
                self.reply(_STATUS[fault.kind], sealed, {"Content-Type": "application/json", **retry})
            else:
                self._forward(body, fault.kind if fault else "")

        def _forward(self, body: bytes, kind: str) -> None:
            onward = http.client.HTTPConnection(HOST, target_port, timeout=60)
            kept = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_FORWARDED}
            onward.request(self.command, self.path, body, {**kept, "Content-Length": str(len(body))})
            answer = onward.getresponse()
            told = answer.read()
            onward.close()
            if kind == "reset-after":
                self._cut()
                return
            if kind == "malformed":
                told = told[: len(told) // 2] or b"{"
            headers = {k: v for k, v in answer.getheaders() if k.lower() not in _NOT_FORWARDED}
            self.reply(answer.status, told, headers)

        def _cut(self) -> None:
            cut(self.connection)
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = do_LIST = do_HEAD = do_PATCH = _serve

    return ThreadingHTTPServer((HOST, port), Forward)


def cut(connection: socket.socket) -> None:
    """Reset a connection: the other side sees an error, not an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def serve_tcp(port: int, target_port: int, faults: Faults) -> None:
    """Forwards bytes, with faults by connection."""
    listening = socket.create_server((HOST, port), backlog=64)
    while True:
        inward, _ = listening.accept()
        threading.Thread(target=_one, args=(inward, target_port, faults), daemon=True).start()


def _one(inward: socket.socket, target_port: int, faults: Faults) -> None:
    fault = faults.take()
    if fault is not None and fault.kind in ("timeout", "slow"):
        time.sleep(fault.delay_s)
    if fault is not None and fault.kind == "malformed":
        inward.recv(1024)
        inward.sendall(b"<html>")
        inward.close()
        return
    if fault is not None and fault.kind != "slow" and fault.kind != "reset-after":
        cut(inward)
        return
    outward = socket.create_connection((HOST, target_port))
    threading.Thread(target=_pump, args=(inward, outward, None), daemon=True).start()
    _pump(outward, inward, fault)


def _pump(source: socket.socket, sink: socket.socket, fault: Fault | None) -> None:
    """Bytes from one to the other until either ends; with `reset-after`, cut at the first answer."""
    with suppress(OSError):
        while data := source.recv(65536):
            if fault is not None and fault.kind == "reset-after":
                cut(sink)
                return
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def main() -> None:
    port, control_port, target_port = (int(text) for text in sys.argv[1:4])
    faults = Faults()
    threading.Thread(target=control_server(control_port, faults).serve_forever, daemon=True).start()
    if sys.argv[4] == "http":
        threading.Thread(target=http_server(port, target_port, faults).serve_forever, daemon=True).start()
    else:
        threading.Thread(target=serve_tcp, args=(port, target_port, faults), daemon=True).start()
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
