"""A small real SMTP server on a socket (RFC 5321): keeps what it gets, and can be told to fail."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from email.policy import default


class Mailbox(socketserver.ThreadingTCPServer):
    """Keeps messages in order. `refuse` are recipients it does not take; `busy` answers 451."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.messages: list[Message] = []
        self.recipients: list[list[str]] = []
        self.refuse: set[str] = set()
        self.busy = False
        self.cut_after_data = False

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Session(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self._say("220 mail.lab.example ESMTP")
        recipients: list[str] = []
        while line := self.rfile.readline():
            command = line.decode("ascii", "replace").strip()
            word = command[:4].upper()
            if word in ("EHLO", "HELO", "NOOP", "RSET"):
                self._say("250 mail.lab.example")
            elif word == "MAIL":
                recipients = []
                self._say("451 try later" if self.server.busy else "250 ok")
            elif word == "RCPT":
                address = command.partition(":")[2].strip("<> ").split(">")[0]
                if address in self.server.refuse:
                    self._say("550 no such user")
                else:
                    recipients.append(address)
                    self._say("250 ok")
            elif word == "DATA":
                self._say("354 go ahead")
                self.server.messages.append(message_from_bytes(self._data(), policy=default))
                self.server.recipients.append(recipients)
                if self.server.cut_after_data:
                    return
                self._say("250 queued")
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("502 not understood")

    def _data(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        return b"".join(lines)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
